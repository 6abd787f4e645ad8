"""Reads back from the system's own history what has a receipt and was shown nowhere: whether it waits, or is lost.

A scenario may ask for all: then every conversation of which anything is known is read whole, and who has it.

What a vendor was told is taken names no conversation. Of such a message the system is asked by handing it in once
more, under its old id: the receipt of a duplicate says where it stands, and any other one that it was not there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec
import numpy as np

from cluster.load.clients.notes import Notes
from cluster.load.orders import CannotGenerate, Orders
from cluster.load.targets.http import HttpDoor
from cluster.load.targets.raydesk import PAGE, Raydesk, external_id_of
from cluster.load.targets.said import Receipt, Said
from cluster.load.truth.facts import SEQ_BITS
from cluster.load.truth.ledger import Ledger
from cluster.load.truth.seen import Pending, unseen

_AT_ONCE = 4
_ATTEMPTS = 20
_PAUSE_S = 0.5
_LOW = (1 << 32) - 1

_receipt = msgspec.json.Decoder(Receipt).decode
_T = TypeVar("_T")
ShownAnywhere = tuple[dict[int, bytes], dict[int, bytes]]


def missing(ledger: Ledger, shown: dict[int, bytes]) -> dict[str, int]:
    """Return the conversations in which messages have a receipt and were shown nowhere, with the first number."""
    keys, places = ledger.receipts
    rows: list[int] = Pending(keys).look(shown).tolist()
    names = ledger.conversations
    found: dict[str, int] = {}
    for row in rows:
        name = names[places[row] >> SEQ_BITS]
        found[name] = min(places[row] & _LOW, found.get(name, _LOW))
    return found


class ReadingBack:
    """Of one generator.

    Args:
        orders: of the generator.
        target: whose history it is.
        notes: where to write.
    """

    def __init__(self, orders: Orders, target: Raydesk, notes: Notes) -> None:
        self._orders = orders
        self._target = target
        self._notes = notes
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._desks = {login.name: number for number, login in enumerate(orders.agents)}

    async def read(self, shown: ShownAnywhere) -> None:
        """Read all that is needed."""
        notes = self._notes
        if self._orders.scenario.read_back == "all":
            first = dict.fromkeys([*notes.messages.conversations, *notes.answers.conversations], 1)
        else:
            first = missing(notes.messages, shown[0])
            for name, seq in missing(notes.answers, shown[1]).items():
                first[name] = min(seq, first.get(name, seq))
        nowhere = np.array(notes.nowhere, dtype=np.int64)
        asked = nowhere[unseen(nowhere, shown[0])].tolist()
        async with asyncio.TaskGroup() as group:
            for conversation, seq in first.items():
                group.create_task(self._limited(conversation, seq))
            for key in asked:
                group.create_task(self._ask(key >> 32, key & _LOW, self._target.door))

    async def _limited(self, conversation: str, first: int) -> None:
        async with self._slots:
            try:
                if self._orders.scenario.read_back == "all":
                    await self._holder(conversation)
                await self._conversation(conversation, first)
            except (ConnectionError, CannotGenerate) as error:
                self._notes.messages.mishap(f"{conversation} could not be read back: {error}")

    async def _holder(self, conversation: str) -> None:
        """Read who has a conversation."""
        record = await _tried(partial(self._target.record, conversation))
        self._notes.messages.held_by(conversation, record.revision, self._desks.get(record.agent, -1))

    async def _conversation(self, conversation: str, first: int) -> None:
        """Read a conversation from its end to a number; a page brings its newest message first."""
        before: int | None = None
        while before is None or before > first:
            page = (await _tried(partial(self._target.history, conversation, before))).messages
            seqs = [said.seq for said in page]
            newest = before - 1 if before is not None else max(seqs, default=0)
            if seqs != list(range(newest, max(newest - PAGE, 0), -1)):
                self._notes.messages.mishap(f"{conversation}: its history up to {newest} has the numbers {seqs[:12]}")
            for said in page:
                self._note(said)
            if not page:
                break
            before = min(seqs)
        if first == 1:
            self._notes.messages.read_whole(conversation)
            self._notes.answers.read_whole(conversation)

    def _note(self, said: Said) -> None:
        found = self._notes.ids.find(said.source_id, said.text)
        ledger = {"contact": self._notes.messages, "agent": self._notes.answers}.get(said.author)
        if found is not None and ledger is not None:
            ledger.stored(found.writer, found.number, said.conversation, said.seq)

    async def _ask(self, writer: int, number: int, door: HttpDoor) -> None:
        """Hand a vendor's message in again."""
        body = msgspec.json.encode(
            {
                "inbox": self._orders.inboxes["wechat"],
                "external_id": external_id_of(self._orders, writer),
                "source_id": str(self._notes.ids.vendor_number(writer, number)),
                "text": "handed in again, to learn where it stands",
            }
        )
        headers = {"Authorization": f"Bearer {self._orders.key}", "Content-Type": "application/json"}
        async with self._slots:
            for _ in range(_ATTEMPTS):
                try:
                    answer = await door.call("POST", "/v1/messages", body, headers)
                except ConnectionError:
                    await asyncio.sleep(_PAUSE_S)
                    continue
                if answer.status == 200:
                    receipt = _receipt(answer.body)
                    if receipt.duplicate:
                        self._notes.messages.stored(writer, number, receipt.conversation, receipt.seq)
                    return
                if not answer.again:
                    break
                await asyncio.sleep(answer.retry_after_s or _PAUSE_S)
        self._notes.messages.mishap(f"nobody could tell where {writer}-{number} stands")


async def _tried(read: Callable[[], Awaitable[_T]]) -> _T:
    """Read until there is an answer.

    Raises:
        ConnectionError: there is none, again and again.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await read()
        except ConnectionError:
            await asyncio.sleep(_PAUSE_S)
    raise ConnectionError("no answer")
