"""Clients as a good author writes them: they lose nothing, whatever dies at the other end.

What they do, in the words of docs/delivery.md:

* **No receipt means not known.** A call is kept until it is answered and repeated under the same id.
* **In order.** Calls are repeated from the oldest on. After *unavailable* or *rate_limited* nothing new is
  sent until all that was under way is answered; then everything unanswered goes again, oldest first.
* **Reconnect anywhere.** A lost socket asks ``POST /v1/connect`` again after a random moment, and the session
  goes on from the cursor that was kept.
* **A desk keeps its cursor with what it shows**, and reads what lies between by ``history.page``.

They note what they sent, what was confirmed and what they were shown, and judge nothing: that is `audit`.
"""

import asyncio
import random
import time
from typing import Any

import httpx
import msgspec
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.chaos.ledger import Ledger, Messages

#: Before a new attempt to connect, a random moment, longer each time: all come at once, and what restarts needs the
#: machine for itself.
_FIRST_PAUSE_S = 0.4
_LONGEST_PAUSE_S = 1.2
_OPEN_S = 5.0
_HTTP_S = 3.0
_PAGE = 200
_LINES = 200
_ACK_S = 0.5
_RETRYABLE = frozenset(("unavailable", "rate_limited", "internal_error"))
_TEXT = WSMsgType.TEXT
_encode = msgspec.json.Encoder().encode


class _Reason(msgspec.Struct):
    name: str = ""
    retry_after_s: float = 1.0


class _Error(msgspec.Struct):
    code: int
    message: str = ""
    data: _Reason = msgspec.field(default_factory=_Reason)


class _Frame(msgspec.Struct):
    """Any frame of the server: an answer has ``id``, a push has ``method``."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _Error | None = None
    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"")


class _Receipt(msgspec.Struct):
    conversation: str
    seq: int
    duplicate: bool = False


class _Message(msgspec.Struct):
    conversation: str
    seq: int
    author: str
    source_id: str = ""


class _Record(msgspec.Struct):
    id: str
    revision: int = 0


class _Event(msgspec.Struct):
    type: str
    message: _Message | None = None
    conversation: _Record | str = ""
    messages: list[_Message] = []
    change: str = ""


class _Pushed(msgspec.Struct):
    events: list[_Event]
    cursor: int = 0


class _Held(msgspec.Struct):
    conversation: _Record
    messages: list[_Message]


class _Opened(msgspec.Struct):
    """The result of ``desk.open``, and the parameters of ``desk.snapshot``."""

    cursor: int
    snapshot: bool = True
    conversations: list[_Held] = []


class _Visit(msgspec.Struct):
    cursor: str | None = None
    snapshot: bool = False
    messages: list[_Message] = []


class _Page(msgspec.Struct):
    messages: list[_Message]


class _LineError(msgspec.Struct):
    code: str


class _Line(msgspec.Struct):
    conversation: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _LineError | None = None


class _Bulk(msgspec.Struct):
    results: list[_Line]


_frame = msgspec.json.Decoder(_Frame).decode
_receipt = msgspec.json.Decoder(_Receipt).decode
_pushed = msgspec.json.Decoder(_Pushed).decode
_opened = msgspec.json.Decoder(_Opened).decode
_visit = msgspec.json.Decoder(_Visit).decode
_page = msgspec.json.Decoder(_Page).decode
_bulk = msgspec.json.Decoder(_Bulk).decode


class Call:
    """One call until its answer."""

    __slots__ = ("method", "params", "token")

    def __init__(self, method: str, params: dict[str, Any], token: Any = None) -> None:
        self.method = method
        self.params = params
        #: what the caller knows it by.
        self.token = token


class _Wire(WSListener):
    """One socket of a client; the client outlives it."""

    def __init__(self, client: "SteadfastClient") -> None:
        self._client = client

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == _TEXT:
            self._client.on_frame(_frame(frame.get_payload_as_bytes()))
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


class SteadfastClient:
    """What visitors and desks have in common: one session over many sockets.

    Args:
        http: a client whose base URL is the ingress.
        ledger: notes what happens.
    """

    def __init__(self, http: httpx.AsyncClient, ledger: Ledger) -> None:
        self._http = http
        self._ledger = ledger
        #: call id -> call: everything that is not answered, in the order in which it was asked.
        self._unanswered: dict[int, Call] = {}
        self._under_way: set[int] = set()
        self._number = 0
        self._transport: WSTransport | None = None
        self._live = False
        self._holding = False
        self._opening: asyncio.Future[msgspec.Raw] | None = None
        self.opened = asyncio.Event()
        self.connects = 0

    # -- what the two differ in

    async def where(self) -> str:
        """Ask for a gateway's URL."""
        raise NotImplementedError

    def hello(self) -> Call:
        """Return the call that opens or resumes the session."""
        raise NotImplementedError

    def on_opened(self, result: msgspec.Raw) -> None:
        """The session is open."""
        raise NotImplementedError

    def on_answer(self, call: Call, result: msgspec.Raw) -> None:
        """A call did what it was asked."""
        raise NotImplementedError

    def on_refusal(self, call: Call, error: _Error) -> None:
        """A call was refused for good."""
        raise NotImplementedError

    def on_push(self, method: str, params: msgspec.Raw) -> None:
        """The server tells something."""
        raise NotImplementedError

    # -- asking

    @property
    def unanswered(self) -> int:
        """How many calls have no answer yet."""
        return len(self._unanswered)

    def ask(self, call: Call) -> None:
        """Have a call made, however many sockets it takes."""
        self._number += 1
        self._unanswered[self._number] = call
        if self._live and not self._holding:
            self._send(self._number, call)

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Tell something that is not worth repeating."""
        if self._live and self._transport is not None:
            self._transport.send(_TEXT, _encode({"jsonrpc": "2.0", "method": method, "params": params}))

    def _send(self, number: int, call: Call) -> None:
        assert self._transport is not None
        self._under_way.add(number)
        body = {"jsonrpc": "2.0", "id": number, "method": call.method, "params": call.params}
        self._transport.send(_TEXT, _encode(body))

    def _send_all_again(self) -> None:
        self._holding = False
        if self._live:
            for number, call in self._unanswered.items():
                if number not in self._under_way:
                    self._send(number, call)

    # -- hearing

    def on_frame(self, frame: _Frame) -> None:
        """Take one frame."""
        if frame.id is None:
            if frame.method:
                self.on_push(frame.method, frame.params)
            return
        if frame.id == 0:
            self._on_hello(frame)
            return
        self._under_way.discard(frame.id)
        call = self._unanswered.get(frame.id)
        if call is None:
            return
        if frame.error is None:
            del self._unanswered[frame.id]
            self.on_answer(call, frame.result)
        elif frame.error.data.name in _RETRYABLE:
            self._ledger.refused[frame.error.data.name] += 1
            self._hold(frame.error.data.retry_after_s)
        else:
            del self._unanswered[frame.id]
            self.on_refusal(call, frame.error)

    def _on_hello(self, frame: _Frame) -> None:
        opening = self._opening
        if opening is None or opening.done():
            return
        if frame.error is not None:
            self._ledger.refused[f"open: {frame.error.data.name}"] += 1
            opening.set_exception(ConnectionError(frame.error.message))
            return
        # in this very step, as what follows on the socket counts from here
        self.on_opened(frame.result)
        opening.set_result(frame.result)

    def _hold(self, wait_s: float) -> None:
        if not self._holding:
            self._holding = True
            asyncio.get_running_loop().call_later(wait_s, self._go_on)

    def _go_on(self) -> None:
        """Send again what was refused, once everything else is answered."""
        if self._holding and self._live:
            if self._under_way:
                asyncio.get_running_loop().call_later(0.05, self._go_on)
            else:
                self._send_all_again()

    # -- connecting

    async def run(self) -> None:
        """Stay connected until cancelled."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await self._session()
                pause_s = _FIRST_PAUSE_S
            except (OSError, TimeoutError, httpx.HTTPError, WSError):
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
            await asyncio.sleep(random.uniform(0.5, 1.0) * pause_s)

    async def _session(self) -> None:
        """Hold one socket for as long as it lasts."""
        url = await self.where()
        transport, _ = await ws_connect(
            lambda: _Wire(self), url, read_buffer_init_size=4096, websocket_handshake_timeout=_OPEN_S
        )
        self._transport = transport
        try:
            self._opening = asyncio.get_running_loop().create_future()
            hello = self.hello()
            body = {"jsonrpc": "2.0", "id": 0, "method": hello.method, "params": hello.params}
            transport.send(_TEXT, _encode(body))
            gone = asyncio.ensure_future(transport.wait_disconnected())
            await asyncio.wait([self._opening, gone], timeout=_OPEN_S, return_when=asyncio.FIRST_COMPLETED)
            if not self._opening.done():
                raise TimeoutError("the session did not open")
            await self._opening
            self.connects += 1
            self._live = True
            self._under_way.clear()
            self._send_all_again()
            self.opened.set()
            await gone
        finally:
            self._live = False
            self._under_way.clear()
            transport.disconnect()


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
        answer = await self._http.post("/v1/connect", json={"inbox": self._inbox, **shown}, timeout=_HTTP_S)
        answer.raise_for_status()
        found = answer.json()
        self._token = found["token"]
        return found["gateway"]

    def hello(self) -> Call:
        return Call("visit.open", {"token": self._token, "cursor": self._cursor})

    def on_opened(self, result: msgspec.Raw) -> None:
        self._go_on_from(_visit(result), "visit.open")

    def _go_on_from(self, visit: _Visit, by: str) -> None:
        """Show what a visit begins with; before the newest stretch of a snapshot, more may be unseen."""
        conversation, _, seq = (self._cursor or "").rpartition("-")
        self._show_all(visit.messages, f"{by} at {self._cursor}")
        self._cursor = visit.cursor or self._cursor
        if visit.snapshot and visit.messages:
            seen = int(seq) if conversation == visit.messages[0].conversation else 0
            self._read_back(visit.messages[0], seen)

    def _read_back(self, oldest: _Message, seen: int) -> None:
        """Have the messages between number ``seen`` and the ``oldest`` one shown."""
        missing = oldest.seq - 1 - seen
        if missing > 0:
            params = {"conversation": oldest.conversation, "before": oldest.seq, "limit": min(_PAGE, missing)}
            self.ask(Call("history.page", params, seen))

    def _show_all(self, messages: list[_Message], by: str) -> None:
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
            page = _page(result).messages
            self._show_all(page, f"page from {call.params}")
            if page:
                self._read_back(page[0], call.token)
            return
        receipt = _receipt(result)
        self._ledger.confirmed(call.token, receipt.conversation, receipt.seq, duplicate=receipt.duplicate)

    def on_refusal(self, call: Call, error: _Error) -> None:
        self._ledger.mishap(f"{call.method} of {self.name} was refused: {error.message}")

    def on_push(self, method: str, params: msgspec.Raw) -> None:
        if method == "visit.snapshot":
            self._go_on_from(_visit(params), "visit.snapshot")
            return
        for event in _pushed(params).events:
            if event.type == "message" and event.message is not None:
                self._show(event.message, "event")
                self._cursor = f"{event.message.conversation}-{event.message.seq}"

    def _show(self, message: _Message, by: str) -> None:
        if message.author == "agent":
            self._ledger.answers_shown[message.source_id].append((message.seq, f"{by} of session {self.connects}"))


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
        answer = await self._http.post("/v1/connect", headers=bearer, timeout=_HTTP_S)
        answer.raise_for_status()
        return answer.json()["gateway"]

    def hello(self) -> Call:
        return Call("desk.open", {"token": self._token, "cursor": self._cursor})

    def on_opened(self, result: msgspec.Raw) -> None:
        opened = _opened(result)
        if opened.snapshot:
            self._start_afresh(opened)

    def on_push(self, method: str, params: msgspec.Raw) -> None:
        if method == "desk.snapshot":
            self._start_afresh(_opened(params))
            return
        pushed = _pushed(params)
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

    def _take(self, event: _Event, now: float) -> None:
        """Show one event."""
        if event.type == "message" and event.message is not None:
            message = event.message
            self._ledger.live(self.agent, message.conversation, message.seq, message.source_id, now)
            self._shown[message.conversation] = max(message.seq, self._shown.get(message.conversation, 0))
        elif event.type == "offered":
            assert isinstance(event.conversation, _Record)
            self._come(event.conversation, event.messages, now)
            self.ask(Call("conversation.accept", {"conversation": event.conversation.id}))
        elif event.type == "removed":
            assert isinstance(event.conversation, _Record)
            self._ledger.removed(self.agent, event.conversation.id, event.conversation.revision, event.change)
            self.holds.discard(event.conversation.id)

    def _start_afresh(self, state: _Opened) -> None:
        """A snapshot replaces all that the desk knew."""
        self._ledger.snapshot(self.agent, state.cursor, {each.conversation.id for each in state.conversations})
        self.holds.clear()
        self._cursor = state.cursor
        now = time.monotonic()
        for each in state.conversations:
            self._come(each.conversation, each.messages, now)
            self.ask(Call("conversation.accept", {"conversation": each.conversation.id}))

    def _come(self, record: _Record, messages: list[_Message], now: float) -> None:
        """Show a conversation that came with its newest messages, and read what lies before them."""
        self._ledger.offered(self.agent, record.id, record.revision, _told(messages), now)
        self.holds.add(record.id)
        shown = self._shown.get(record.id, 0)
        if messages:
            if messages[0].seq > shown + 1:
                self._read_back(record.id, messages[0].seq, shown)
            self._shown[record.id] = max(shown, messages[-1].seq)

    def _read_back(self, conversation: str, before: int, shown: int) -> None:
        limit = min(_PAGE, before - 1 - shown)
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
            page = _page(result).messages
            conversation = call.params["conversation"]
            self._ledger.read_back(self.agent, conversation, _told(page), time.monotonic())
            if page and page[0].seq > call.token + 1:
                self._read_back(conversation, page[0].seq, call.token)
        elif call.method == "message.send":
            receipt = _receipt(result)
            self._ledger.answered[call.token] = (receipt.conversation, receipt.seq)

    def on_refusal(self, call: Call, error: _Error) -> None:
        # the conversation went elsewhere meanwhile, or a repeated call had been done the first time
        expected = error.data.name in ("forbidden", "conflict") and call.method != "history.page"
        if not expected:
            self._ledger.mishap(f"{call.method} of {self.agent} was refused: {error.message}")


def _told(messages: list[_Message]) -> Messages:
    return [(message.seq, message.source_id) for message in messages]


class RestSender:
    """A shop's backend that hands in what contacts wrote elsewhere: what is due goes as one body, in order.

    A body that got no answer, or lines of it that were not taken, go again under the same source ids before
    anything newer. Every so many messages it goes on with another contact, so that new conversations keep coming.

    Args:
        http: of the ingress.
        ledger: notes what happens.
        name: unlike any other's in the run.
        inbox: of the channel ``api``.
        key: an API key.
        messages_each: how much one contact writes.
    """

    def __init__(
        self, http: httpx.AsyncClient, ledger: Ledger, name: str, *, inbox: str, key: str, messages_each: int
    ) -> None:
        self._http = http
        self._ledger = ledger
        self._name = name
        self._number = 0
        self._inbox = inbox
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
        self._each = messages_each
        #: the first contact writes less, each sender's another number, so that not all change at once.
        self._left = random.randint(1, messages_each)
        #: source id -> contact of what has no receipt, oldest first.
        self._due: dict[str, str] = {}
        self._wake = asyncio.Event()

    @property
    def unanswered(self) -> int:
        """How many messages have no receipt yet."""
        return len(self._due)

    def write(self, due_s: float) -> None:
        """Have the next message handed in."""
        if not self._left:
            self._left = self._each
            self._number += 1
        self._left -= 1
        contact = f"{self._name}-{self._number}"
        source_id = f"{contact}:{self._left}"
        self._ledger.sent(contact, source_id, due_s)
        self._due[source_id] = contact
        self._wake.set()

    async def run(self) -> None:
        """Hand in until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._due:
                if (wait_s := await self._hand_in(list(self._due.items())[:_LINES])) is not None:
                    await asyncio.sleep(wait_s)

    async def _hand_in(self, messages: list[tuple[str, str]]) -> float | None:
        """Send a body once; returns after how long the rest must be sent again, None if all was taken."""
        body = b"\n".join(
            _encode(
                {
                    "inbox": self._inbox,
                    "external_id": contact,
                    "source_id": source_id,
                    "text": f"{source_id}: is it open on Sunday?",
                }
            )
            for source_id, contact in messages
        )
        try:
            answer = await self._http.post("/v1/messages", content=body, headers=self._headers, timeout=_HTTP_S)
        except httpx.HTTPError as error:
            self._ledger.refused[f"http: {type(error).__name__}"] += 1
            return random.uniform(0.05, 0.2)
        if answer.status_code == httpx.codes.OK:
            return self._take(messages, _bulk(answer.content).results)
        self._ledger.refused[f"http: {answer.status_code}"] += 1
        if answer.status_code < 500 and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            self._ledger.mishap(f"POST /v1/messages was refused: {answer.status_code} {answer.text}")
        # half a second at most: the test asks how soon it goes on, and nobody else is in the queue
        return min(0.5, float(answer.headers.get("Retry-After", "0.2"))) * random.uniform(0.5, 1.0)

    def _take(self, messages: list[tuple[str, str]], results: list[_Line]) -> float | None:
        wait_s = None
        for (source_id, _), line in zip(messages, results, strict=True):
            if line.error is None:
                del self._due[source_id]
                self._ledger.confirmed(source_id, line.conversation, line.seq, duplicate=line.duplicate)
            else:
                self._ledger.refused[f"line: {line.error.code}"] += 1
                if line.error.code not in _RETRYABLE:
                    self._ledger.mishap(f"a line of POST /v1/messages was refused: {line.error.code}")
                wait_s = 0.2
        return wait_s
