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
from typing import Any

import httpx
import msgspec
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.chaos.ledger import Ledger
from tests.chaos.wire import RETRYABLE, Error, Frame, encode, frame_of

#: Before a new attempt to connect, a random moment, longer each time: all come at once, and what restarts needs the
#: machine for itself.
_FIRST_PAUSE_S = 0.4
_LONGEST_PAUSE_S = 1.2
_OPEN_S = 5.0
_TEXT = WSMsgType.TEXT


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
            self._client.on_frame(frame_of(frame.get_payload_as_bytes()))
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

    def on_refusal(self, call: Call, error: Error) -> None:
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
            self._transport.send(_TEXT, encode({"jsonrpc": "2.0", "method": method, "params": params}))

    def _send(self, number: int, call: Call) -> None:
        assert self._transport is not None
        self._under_way.add(number)
        body = {"jsonrpc": "2.0", "id": number, "method": call.method, "params": call.params}
        self._transport.send(_TEXT, encode(body))

    def _send_all_again(self) -> None:
        self._holding = False
        if self._live:
            for number, call in self._unanswered.items():
                if number not in self._under_way:
                    self._send(number, call)

    # -- hearing

    def on_frame(self, frame: Frame) -> None:
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
        elif frame.error.data.name in RETRYABLE:
            self._ledger.refused[frame.error.data.name] += 1
            self._hold(frame.error.data.retry_after_s)
        else:
            del self._unanswered[frame.id]
            self.on_refusal(call, frame.error)

    def _on_hello(self, frame: Frame) -> None:
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
            transport.send(_TEXT, encode(body))
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
