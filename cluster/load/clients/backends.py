"""Contacts without a socket: what a backend hands in for them by HTTP, in each contact's order.

A call without an answer is made again with the same id before anything newer of its contact. An answer that says no
is final, and told; the steadfast make the call again after a *not now*, for the lines that were not taken, until all
are.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from cluster.load.clients.notes import Notes
from cluster.load.orders import Orders
from cluster.load.scenario.tables import Channel
from cluster.load.targets.frames import AGAIN
from cluster.load.targets.http import HttpAnswer, HttpDoor
from cluster.load.targets.raydesk import external_id_of
from cluster.load.targets.said import Receipt, Refusal, Written

_BULK_SENDERS = 4
#: Before a call is made again that was refused without a wish how long to wait.
_PAUSE_S = 0.3

encode = msgspec.json.Encoder().encode
_receipt = msgspec.json.Decoder(Receipt).decode


class _LineError(msgspec.Struct):
    code: str = ""


class _Line(msgspec.Struct):
    conversation: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _LineError | None = None


class _Bulk(msgspec.Struct):
    results: list[_Line]


_bulk = msgspec.json.Decoder(_Bulk).decode


class Backend:
    """Hands in messages one by one; of each contact one is under way at a time.

    Args:
        orders: of the generator.
        door: the system's.
        notes: what is written down.
        group: where its tasks live.
        channel: on which these contacts write.
    """

    def __init__(
        self, orders: Orders, door: HttpDoor, notes: Notes, group: asyncio.TaskGroup, channel: Channel = "rest"
    ) -> None:
        self._orders = orders
        self._door = door
        self._notes = notes
        self._group = group
        self._inbox = orders.inboxes[channel]
        self._queues: dict[int, deque[Written]] = {}

    @property
    def waiting(self) -> int:
        """How many messages have not left, or wait for their answer."""
        return sum(map(len, self._queues.values()))

    def write(self, writer: int, written: Written) -> None:
        """Have a message handed in."""
        queue = self._queues.get(writer)
        if queue is None:
            queue = self._queues[writer] = deque()
            self._group.create_task(self._work(writer, queue))
        queue.append(written)

    async def _work(self, writer: int, queue: deque[Written]) -> None:
        await asyncio.sleep(0)  # the first message is there only now
        while queue:
            await self.hand_in(writer, queue[0])
            queue.popleft()
        del self._queues[writer]

    async def hand_in(self, writer: int, written: Written) -> None:
        """Hand in one message until it is answered for good."""
        self._notes.leaves(writer, written)
        while True:
            answer = await self.post([(writer, written)], self.body_of(writer, written), "application/json")
            if answer.status == 200:
                self._notes.receipt(writer, written, _receipt(answer.body))
                return
            if not self._refused(writer, written, refusal_of(answer)):
                return
            await self._wait(answer.retry_after_s)
            self._notes.leaves_again(writer, written)

    async def post(self, lines: Sequence[tuple[int, Written]], body: bytes, media_type: str) -> HttpAnswer:
        """Make a call until there is an answer."""
        headers = {"Authorization": f"Bearer {self._orders.key}", "Content-Type": media_type}
        while True:
            try:
                return await self._door.call("POST", "/v1/messages", body, headers)
            except ConnectionError:
                await asyncio.sleep(random.uniform(0.2, 0.6))
                for writer, written in lines:
                    self._notes.leaves_again(writer, written)

    def _refused(self, writer: int, written: Written, refusal: Refusal) -> bool:
        """Note a refusal; returns whether the message is to be handed in again."""
        again = refusal.again and self._orders.scenario.steadfast
        self._notes.turned_away(writer, written, refusal, last=not again)
        return again

    async def _wait(self, asked_s: float) -> None:
        """Wait as long as the system asks for; not all at the same moment."""
        await asyncio.sleep((asked_s or _PAUSE_S) * random.uniform(0.5, 1.0))

    def body_of(self, writer: int, written: Written) -> bytes:
        """Return a message as a backend hands it in."""
        return encode(
            {
                "inbox": self._inbox,
                "external_id": external_id_of(self._orders, writer),
                "source_id": written.id,
                "text": written.text,
            }
        )


class BulkBackend(Backend):
    """Hands in many lines at once; a contact's lines always take the same way, one body of which is under way."""

    def __init__(self, orders: Orders, door: HttpDoor, notes: Notes, group: asyncio.TaskGroup) -> None:
        super().__init__(orders, door, notes, group, "bulk")
        self._lines: list[list[tuple[int, Written]]] = [[] for _ in range(_BULK_SENDERS)]
        self._under_way = [0] * _BULK_SENDERS
        self._wakes = [asyncio.Event() for _ in range(_BULK_SENDERS)]
        self._full = [asyncio.Event() for _ in range(_BULK_SENDERS)]
        for place in range(_BULK_SENDERS):
            group.create_task(self._send(place))

    @property
    def waiting(self) -> int:
        """How many lines have not left, or wait for their answer."""
        return sum(map(len, self._lines)) + sum(self._under_way)

    def write(self, writer: int, written: Written) -> None:
        """Have a line handed in with others."""
        place = writer // self._orders.generators % _BULK_SENDERS
        self._lines[place].append((writer, written))
        self._wakes[place].set()
        if len(self._lines[place]) >= self._orders.scenario.contacts.bulk_lines:
            self._full[place].set()

    async def _send(self, place: int) -> None:
        contacts = self._orders.scenario.contacts
        lines, full = self._lines[place], self._full[place]
        while True:
            await self._wakes[place].wait()
            self._wakes[place].clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(full.wait(), contacts.bulk_wait_s)
            full.clear()
            while lines:
                taken = lines[: contacts.bulk_lines]
                del lines[: len(taken)]
                self._under_way[place] = len(taken)
                await self._hand_in_all(taken)
                self._under_way[place] = 0

    async def _hand_in_all(self, lines: list[tuple[int, Written]]) -> None:
        for writer, written in lines:
            self._notes.leaves(writer, written)
        while True:
            body = b"\n".join([self.body_of(writer, written) for writer, written in lines])
            answer = await self.post(lines, body, "application/x-ndjson")
            lines = self._not_taken(lines, answer)
            if not lines:
                return
            await self._wait(answer.retry_after_s)
            for writer, written in lines:
                self._notes.leaves_again(writer, written)

    def _not_taken(self, lines: list[tuple[int, Written]], answer: HttpAnswer) -> list[tuple[int, Written]]:
        """Note what an answer says of each line; returns those that are to be handed in again."""
        if answer.status != 200:
            refusal = refusal_of(answer)
            return [line for line in lines if self._refused(*line, refusal)]
        left: list[tuple[int, Written]] = []
        for (writer, written), line in zip(lines, _bulk(answer.body).results, strict=True):
            if line.error is None:
                self._notes.receipt(writer, written, Receipt(line.conversation, line.seq, line.duplicate))
            elif self._refused(writer, written, Refusal(line.error.code, line.error.code in AGAIN)):
                left.append((writer, written))
        return left


def refusal_of(answer: HttpAnswer) -> Refusal:
    """Return what an answer that says no means."""
    return Refusal(answer.code, answer.again, answer.retry_after_s, answer.body[:200].decode(errors="replace"))
