"""A desk: one agent, through any number of sockets, with a cursor that is kept."""

import asyncio
import time

import httpx
import msgspec

from tests.chaos.ledger import Ledger, Messages
from tests.chaos.steadfast import Call, SteadfastClient
from tests.chaos.wire import (
    HTTP_S,
    PAGE,
    Error,
    Event,
    Message,
    Opened,
    Record,
    opened_of,
    page_of,
    pushed_of,
    receipt_of,
)

_ACK_S = 0.5


class Desk(SteadfastClient):
    """An agent's desk: takes what it is offered, shows every message, and answers.

    Args:
        http: of the ingress.
        ledger: notes what happens.
        agent: whose desk.
        token: the agent's, from ``POST /v1/login``.
    """

    def __init__(self, http: httpx.AsyncClient, ledger: Ledger, agent: str, token: str) -> None:
        super().__init__(http, ledger)
        self.agent = agent
        self._token = token
        self._cursor: int | None = None
        self._acked = 0
        #: conversation -> the number up to which it is shown here, or will be by a page that was asked for.
        self._shown: dict[str, int] = {}
        self.holds: set[str] = set()
        self._answers = 0

    async def where(self) -> str:
        bearer = {"Authorization": f"Bearer {self._token}"}
        answer = await self._http.post("/v1/connect", headers=bearer, timeout=HTTP_S)
        answer.raise_for_status()
        return answer.json()["gateway"]

    def hello(self) -> Call:
        return Call("desk.open", {"token": self._token, "cursor": self._cursor})

    def on_opened(self, result: msgspec.Raw) -> None:
        opened = opened_of(result)
        if opened.snapshot:
            self._start_afresh(opened)

    def on_push(self, method: str, params: msgspec.Raw) -> None:
        if method == "desk.snapshot":
            self._start_afresh(opened_of(params))
            return
        pushed = pushed_of(params)
        if not pushed.cursor:
            return
        now = time.monotonic()
        self._ledger.entry(self.agent, pushed.cursor, now)
        for event in pushed.events:
            self._take(event, now)
        self._cursor = pushed.cursor

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(super().run())
            tasks.create_task(self._ack())

    async def _ack(self) -> None:
        while True:
            await asyncio.sleep(_ACK_S)
            if self._cursor is not None and self._cursor > self._acked and self._live:
                self._acked = self._cursor
                self.notify("desk.ack", {"cursor": self._cursor})

    def _take(self, event: Event, now: float) -> None:
        """Show one event."""
        if event.type == "message" and event.message is not None:
            message = event.message
            self._ledger.live(self.agent, message.conversation, message.seq, message.source_id, now)
            self._shown[message.conversation] = max(message.seq, self._shown.get(message.conversation, 0))
        elif event.type == "offered":
            assert isinstance(event.conversation, Record)
            self._come(event.conversation, event.messages, now)
            self.ask(Call("conversation.accept", {"conversation": event.conversation.id}))
        elif event.type == "removed":
            assert isinstance(event.conversation, Record)
            self._ledger.removed(self.agent, event.conversation.id, event.conversation.revision, event.change)
            self.holds.discard(event.conversation.id)

    def _start_afresh(self, state: Opened) -> None:
        """A snapshot replaces all that the desk knew."""
        self._ledger.snapshot(self.agent, state.cursor, {each.conversation.id for each in state.conversations})
        self.holds.clear()
        self._cursor = state.cursor
        now = time.monotonic()
        for each in state.conversations:
            self._come(each.conversation, each.messages, now)
            self.ask(Call("conversation.accept", {"conversation": each.conversation.id}))

    def _come(self, record: Record, messages: list[Message], now: float) -> None:
        """Show a conversation that came with its newest messages, and read what lies before them."""
        self._ledger.offered(self.agent, record.id, record.revision, _told(messages), now)
        self.holds.add(record.id)
        shown = self._shown.get(record.id, 0)
        if messages:
            if messages[0].seq > shown + 1:
                self._read_back(record.id, messages[0].seq, shown)
            self._shown[record.id] = max(shown, messages[-1].seq)

    def _read_back(self, conversation: str, before: int, shown: int) -> None:
        limit = min(PAGE, before - 1 - shown)
        params = {"conversation": conversation, "before": before, "limit": limit}
        self.ask(Call("history.page", params, shown))

    def answer(self, conversation: str) -> None:
        """Say something in a conversation that is held."""
        self._answers += 1
        client_id = f"{self.agent}:{self._answers}"
        params = {"conversation": conversation, "client_id": client_id, "text": f"{client_id}: it comes today."}
        self.ask(Call("message.send", params, client_id))

    def hand_over(self, conversation: str, to_agent: str) -> None:
        """Give a conversation to a colleague."""
        self.ask(Call("conversation.transfer", {"conversation": conversation, "to_agent": to_agent}))

    def on_answer(self, call: Call, result: msgspec.Raw) -> None:
        if call.method == "history.page":
            page = page_of(result).messages
            conversation = call.params["conversation"]
            self._ledger.read_back(self.agent, conversation, _told(page), time.monotonic())
            if page and page[0].seq > call.token + 1:
                self._read_back(conversation, page[0].seq, call.token)
        elif call.method == "message.send":
            receipt = receipt_of(result)
            self._ledger.answered[call.token] = (receipt.conversation, receipt.seq)

    def on_refusal(self, call: Call, error: Error) -> None:
        # the conversation went elsewhere meanwhile, or a repeated call had been done the first time
        expected = error.data.name in ("forbidden", "conflict") and call.method != "history.page"
        if not expected:
            self._ledger.mishap(f"{call.method} of {self.agent} was refused: {error.message}")


def _told(messages: list[Message]) -> Messages:
    return [(message.seq, message.source_id) for message in messages]
