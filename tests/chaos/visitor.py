"""A visitor: one contact on the web page, through any number of sockets."""

import httpx
import msgspec

from tests.chaos.ledger import Ledger
from tests.chaos.steadfast import Call, SteadfastClient
from tests.chaos.wire import HTTP_S, PAGE, Error, Message, Visit, page_of, pushed_of, receipt_of, visit_of


class Visitor(SteadfastClient):
    """A contact on the web page: writes, and sees the agents' answers.

    Args:
        http: of the ingress.
        ledger: notes what happens.
        name: this visitor's, unlike any other's in the run.
        inbox: a web inbox.
    """

    def __init__(self, http: httpx.AsyncClient, ledger: Ledger, name: str, inbox: str) -> None:
        super().__init__(http, ledger)
        self.name = name
        self._inbox = inbox
        self._token: str | None = None
        self._cursor: str | None = None
        self._written = 0
        ledger.visitors.add(name)

    async def where(self) -> str:
        shown = {"token": self._token} if self._token else {}
        answer = await self._http.post("/v1/connect", json={"inbox": self._inbox, **shown}, timeout=HTTP_S)
        answer.raise_for_status()
        found = answer.json()
        self._token = found["token"]
        return found["gateway"]

    def hello(self) -> Call:
        return Call("visit.open", {"token": self._token, "cursor": self._cursor})

    def on_opened(self, result: msgspec.Raw) -> None:
        self._go_on_from(visit_of(result), "visit.open")

    def _go_on_from(self, visit: Visit, by: str) -> None:
        """Show what a visit begins with; before the newest stretch of a snapshot, more may be unseen."""
        conversation, _, seq = (self._cursor or "").rpartition("-")
        self._show_all(visit.messages, f"{by} at {self._cursor}")
        self._cursor = visit.cursor or self._cursor
        if visit.snapshot and visit.messages:
            seen = int(seq) if conversation == visit.messages[0].conversation else 0
            self._read_back(visit.messages[0], seen)

    def _read_back(self, oldest: Message, seen: int) -> None:
        """Have the messages between number ``seen`` and the ``oldest`` one shown."""
        missing = oldest.seq - 1 - seen
        if missing > 0:
            params = {"conversation": oldest.conversation, "before": oldest.seq, "limit": min(PAGE, missing)}
            self.ask(Call("history.page", params, seen))

    def _show_all(self, messages: list[Message], by: str) -> None:
        for message in messages:
            self._show(message, by)

    def write(self, due_s: float) -> None:
        """Say the next thing; it was due at ``due_s`` of the monotonic clock."""
        source_id = f"{self.name}:{self._written}"
        self._written += 1
        self._ledger.sent(self.name, source_id, due_s)
        text = f"{source_id}: where is my parcel? The app has said out for delivery since Monday."
        self.ask(Call("message.send", {"client_id": source_id, "text": text}, source_id))

    def on_answer(self, call: Call, result: msgspec.Raw) -> None:
        if call.method == "history.page":
            page = page_of(result).messages
            self._show_all(page, f"page from {call.params}")
            if page:
                self._read_back(page[0], call.token)
            return
        receipt = receipt_of(result)
        self._ledger.confirmed(call.token, receipt.conversation, receipt.seq, duplicate=receipt.duplicate)

    def on_refusal(self, call: Call, error: Error) -> None:
        self._ledger.mishap(f"{call.method} of {self.name} was refused: {error.message}")

    def on_push(self, method: str, params: msgspec.Raw) -> None:
        if method == "visit.snapshot":
            self._go_on_from(visit_of(params), "visit.snapshot")
            return
        for event in pushed_of(params).events:
            if event.type == "message" and event.message is not None:
                self._show(event.message, "event")
                self._cursor = f"{event.message.conversation}-{event.message.seq}"

    def _show(self, message: Message, by: str) -> None:
        if message.author == "agent":
            self._ledger.answers_shown[message.source_id].append((message.seq, f"{by} of session {self.connects}"))
