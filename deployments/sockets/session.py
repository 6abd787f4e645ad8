"""One socket: frames in, calls to their handlers, answers out; bad input costs nobody but its sender.

The rules of the wire: text frames of UTF-8 JSON; a frame over the limit closes the socket with 1009,
invalid UTF-8 with 1007, a binary frame with 1003; anything else that is wrong is answered and the
socket stays open. Calls over the rate are answered with *rate_limited* and do nothing.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from cluster.store.valkey import STORE_DOWN
from deployments.sockets.host import Host
from models.domain.errors import RateLimited, RaydeskError, TooLarge, Unauthorized, Unavailable
from models.protocol import jsonrpc, methods
from models.protocol.jsonrpc import CallId
from models.protocol.methods import Method, Where
from models.security.rate import TokenBucket

log = logging.getLogger(__name__)
#: After this many refusals in a row a socket is closed: it does not listen.
_MOST_REFUSALS = 200
_TEXT = WSMsgType.TEXT
_CONTINUATION = WSMsgType.CONTINUATION
_CLOSE = WSMsgType.CLOSE
_PING = WSMsgType.PING
_UNSET = msgspec.UNSET
#: Live payloads kept back while a session reads; past that it reads once more instead.
_MOST_KEPT_BACK = 256
_RETRY_S = 0.1
#: Pages of history in the answer to one batch: past this many bytes the others are refused.
_MOST_BATCHED_BYTES = 1_000_000

Handler = Callable[[Any, Any, Any], None]
Entry = tuple[Callable[[Any], Any], Handler]


def method_table(known: dict[str, Method], handlers: dict[str, Handler]) -> dict[str, Entry]:
    """Join each method with its handler; a method without one, or the reverse, is a mistake of ours."""
    if known.keys() != handlers.keys():
        raise TypeError(f"methods and handlers differ: {known.keys() ^ handlers.keys()}")
    return {name: (msgspec.json.Decoder(method.params).decode, handlers[name]) for name, method in known.items()}


def _header(length: int) -> bytes:
    """Return the head of an unmasked, final text frame (RFC 6455, section 5.2)."""
    if length < 126:
        return b"\x81%c" % length
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


class BatchSlot:
    """The place of one answer in the answer to a batch."""

    __slots__ = ("batch", "call_id")

    def __init__(self, batch: "Batch", call_id: CallId) -> None:
        self.batch = batch
        self.call_id = call_id


class Batch:
    """The answers of one batch frame; they leave together when the last one is there."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._expected = 0
        self._answers: list[bytes] = []
        self._complete = False
        self.size = 0

    def slot(self, call_id: CallId) -> BatchSlot:
        """Expect one more answer."""
        self._expected += 1
        return BatchSlot(self, call_id)

    def fill(self, answer: bytes) -> None:
        """Take an answer."""
        self._answers.append(answer)
        self.size += len(answer)
        self._flush()

    def close(self) -> None:
        """Expect no more than was asked for until now."""
        self._complete = True
        self._flush()

    def _flush(self) -> None:
        if self._complete and self._answers and len(self._answers) >= self._expected:
            self._send(b"[" + b",".join(self._answers) + b"]")


class Session(WSListener):
    """What desks and visitors have in common.

    Args:
        gateway: the actor that holds this socket.
    """

    table: ClassVar[dict[str, Entry]]
    door: ClassVar[Where]
    __slots__ = (
        "_bucket",
        "_caught_up",
        "_filling",
        "_kept_back",
        "_paging",
        "_partial",
        "_reading",
        "_refusals",
        "_stale",
        "_tasks",
        "_unsent",
        "_write",
        "address",
        "channel",
        "connected_at",
        "expires_s",
        "gateway",
        "heard_at",
        "opened",
        "paused",
        "pinged_at",
        "tick",
        "transport",
    )

    def __init__(self, gateway: Host) -> None:
        self.gateway = gateway
        self.transport: WSTransport | None = None
        self._write: Callable[[bytes], None] | None = None
        #: heads and frames of this tick, until the flusher has them written.
        self._unsent: list[bytes] | None = None
        self.address = ""
        self.connected_at = self.heard_at = self.pinged_at = 0.0
        self.expires_s = 0.0
        self.tick = 0
        self.opened = False
        #: the store's channel that feeds this session, empty while none does.
        self.channel = ""
        self.paused = False
        #: live payloads are kept back: somebody reads the store, or will.
        self._reading = False
        self._filling = False
        #: what was read may miss something, so it must be read once more.
        self._stale = False
        self._kept_back: list[bytes] = []
        self._bucket: TokenBucket | None = None
        self._refusals = 0
        self._partial: bytearray | None = None
        # most sockets are only held: what few need comes when it is needed
        self._paging: asyncio.Lock | None = None
        self._caught_up: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # -- what the socket tells -------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Take the socket, unless this address has too many."""
        self.transport = transport
        self._write = transport.underlying_transport.write
        peer = transport.underlying_transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else ""
        limits = self.gateway.settings.limits
        self.connected_at = self.heard_at = now = time.monotonic()
        self._bucket = TokenBucket(limits.socket_rate, limits.socket_burst, now)
        if not self.gateway.admit(self):
            transport.send_close(WSCloseCode.POLICY_VIOLATION, b"too many sockets from this address")
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Let everything go that belonged to this socket."""
        self.transport = self._write = None
        for task in tuple(self._tasks):
            task.cancel()
        self.gateway.dismiss(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame."""
        self.heard_at = time.monotonic()
        kind = frame.msg_type
        if kind == _TEXT and frame.fin and self._partial is None:
            self.on_text(frame.get_payload_as_bytes())
        elif kind == _CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif kind in (_TEXT, _CONTINUATION):
            self._assemble(frame)
        elif kind == _PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind == WSMsgType.BINARY:
            self._close(WSCloseCode.UNSUPPORTED_DATA, b"frames are text")

    def _assemble(self, frame: WSFrame) -> None:
        """Join the fragments of a message, within the limit of one frame."""
        if self._partial is None:
            self._partial = bytearray()
        self._partial += frame.get_payload_as_bytes()
        if len(self._partial) > self.gateway.settings.limits.frame_bytes:
            self._close(WSCloseCode.MESSAGE_TOO_BIG, b"message over the limit of one frame")
        elif frame.fin:
            text, self._partial = bytes(self._partial), None
            self.on_text(text)

    def pause_writing(self) -> None:
        """Stop pushing to a reader that does not keep up; it reads the rest from the log later.

        Nor is it listened to meanwhile: answers to what it goes on asking would gather without bound.
        """
        self.paused = True
        self._caught_up = self._caught_up or asyncio.Event()
        if self.transport is not None:
            self.transport.underlying_transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on where the log was left."""
        self.paused = False
        if self._caught_up is not None:
            self._caught_up.set()
            self._caught_up = None
        if self.transport is not None:
            self.transport.underlying_transport.resume_reading()
        if self.opened:
            self.spawn(self.resume())

    # -- calls ------------------------------------------------------------------------------------

    def on_text(self, text: bytes) -> None:
        """Take one text message: a call, or a batch of them."""
        if text[:1] == b"[" or (text[:1].isspace() and jsonrpc.is_batch(text)):
            self._on_batch(text)
            return
        try:
            call = jsonrpc.decode_call(text)
        except jsonrpc.ProtocolError as error:
            self._on_bad_call(text, error)
            return
        self._on_call(call, call.id)

    def _on_bad_call(self, text: bytes, error: jsonrpc.ProtocolError) -> None:
        if self.over_rate(_UNSET):
            return
        self.send(error.response)
        try:
            text.decode()
        except UnicodeDecodeError:
            self._close(WSCloseCode.INVALID_TEXT, b"text frames are UTF-8")

    def _on_batch(self, text: bytes) -> None:
        try:
            frames = jsonrpc.split_batch(text)
        except jsonrpc.ProtocolError as error:
            self._on_bad_call(text, error)
            return
        batch = Batch(self.send)
        for frame in frames:
            try:
                call = jsonrpc.decode_call(frame)
            except jsonrpc.ProtocolError as error:
                batch.slot(None)
                batch.fill(error.response)
                continue
            self._on_call(call, call.id if call.id is _UNSET else batch.slot(call.id))
        batch.close()

    def _on_call(self, call: jsonrpc.Call, call_id: Any) -> None:
        if self.over_rate(call_id):
            return
        entry = self.table.get(call.method)
        if entry is None:
            self.answer(call_id, jsonrpc.failure, jsonrpc.METHOD_NOT_FOUND, f"no method {call.method[:64]!r} here")
            return
        try:
            params = entry[0](call.params)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.answer(call_id, jsonrpc.failure, jsonrpc.INVALID_PARAMS, f"{call.method}: {error}")
            if isinstance(error, UnicodeDecodeError):
                self._close(WSCloseCode.INVALID_TEXT, b"text frames are UTF-8")
            return
        try:
            entry[1](self, params, call_id)
        except RaydeskError as error:
            self.fail(call_id, error)

    def over_rate(self, call_id: Any) -> bool:
        """Count a call; one too many is answered so, and True returned."""
        assert self._bucket is not None
        wait_s = self._bucket.take(time.monotonic())
        if not wait_s:
            self._refusals = 0
            return False
        self._refusals += 1
        if self._refusals > _MOST_REFUSALS:
            self._close(WSCloseCode.POLICY_VIOLATION, b"far over the rate")
        else:
            self.fail(call_id, RateLimited("too many calls on this socket", round(wait_s, 3)))
        return True

    # -- answers ----------------------------------------------------------------------------------

    def answer(self, call_id: Any, write: Callable[..., bytes], *args: Any) -> None:
        """Answer a call, unless it was a notification; ``write`` gets the call's id last."""
        if call_id is _UNSET:
            return
        if type(call_id) is BatchSlot:
            call_id.batch.fill(write(*args, call_id.call_id))
        else:
            self.send(write(*args, call_id))

    def succeed(self, call_id: Any, result: Any) -> None:
        """Answer that a call did what it was asked."""
        self.answer(call_id, jsonrpc.success, result)

    def fail(self, call_id: Any, error: RaydeskError) -> None:
        """Answer that a call did not."""
        self.answer(call_id, jsonrpc.failure_of, error)

    def send(self, frame: bytes) -> None:
        """Write one text frame, if the socket is still there.

        All frames of one tick leave in one write to the event loop's transport. They keep their order with
        what picows writes itself (pongs, the closing), which it queues behind the transport's buffer.
        """
        if self._write is None:
            return
        unsent = self._unsent
        if unsent is None:
            self._unsent = [_header(len(frame)), frame]
            self.gateway.flusher.add(self)
        else:
            unsent.append(_header(len(frame)))
            unsent.append(frame)

    def flush(self) -> None:
        """Write the frames that wait."""
        unsent, self._unsent = self._unsent, None
        if unsent is not None and self._write is not None:
            self._write(b"".join(unsent))

    def _close(self, code: WSCloseCode | int, reason: bytes) -> None:
        self.flush()
        self._write = None
        if self.transport is not None:
            self.transport.send_close(code, reason)  # type: ignore[arg-type]
            self.transport.disconnect()

    def close(self, code: WSCloseCode | int, reason: bytes) -> None:
        """End this socket; ``reason`` is for a person."""
        self._close(code, reason)

    def drop(self) -> None:
        """End this socket now: its client does not answer, so what it has not taken is not waited for."""
        self._write = None
        if self.transport is not None:
            self.transport.send_close(WSCloseCode.GOING_AWAY, b"no answer to a ping")
            self.transport.disconnect(graceful=False)

    def ping(self) -> None:
        """Ask for a sign of life."""
        if self.transport is not None:
            self.transport.send_ping()

    @property
    def ending(self) -> bool:
        """Tell whether this socket was closed."""
        return self._write is None

    def open_until(self, expires_s: float) -> None:
        """Count as open from now on, until the token that was shown ends."""
        self.opened = True
        self.expires_s = expires_s
        self.gateway.lifetimes.renewed(self, time.time(), time.monotonic())

    def spawn(self, work: Awaitable[Any], call_id: Any = _UNSET) -> None:
        """Work on a call that must wait, and answer it then; ends with the socket."""
        task = asyncio.ensure_future(self._answer_later(work, call_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_later(self, work: Awaitable[Any], call_id: Any) -> None:
        try:
            result = await work
        except RaydeskError as error:
            self.fail(call_id, error)
        except STORE_DOWN:
            self.fail(call_id, Unavailable("the store does not answer; try again"))
        except Exception:
            log.exception("a call failed")
            self.fail(call_id, RaydeskError("internal error"))
        else:
            if result is not None:
                self.succeed(call_id, result)

    # -- for both kinds -----------------------------------------------------------------------------

    async def page(self, read: Callable[[], Awaitable[methods.Page]], call_id: Any) -> methods.Page:
        """Read a page, which may be large: one at a time, and none for a socket that has not taken the last ones.

        Raises:
            TooLarge: the answer to its batch is large already.
        """
        self._paging = self._paging or asyncio.Lock()
        async with self._paging:
            while self._caught_up is not None:
                await self._caught_up.wait()
            if type(call_id) is BatchSlot and call_id.batch.size > _MOST_BATCHED_BYTES:
                raise TooLarge("the answer to this batch is large already; ask for fewer pages at once")
            return await read()

    def check_text(self, text: str) -> None:
        """Refuse a text over ``limits.text_bytes``; most texts are known to fit without encoding them."""
        limit = self.gateway.settings.limits.text_bytes
        if len(text) * 4 > limit and len(text.encode()) > limit:
            raise TooLarge(f"the text has more than {limit} bytes")

    def not_opened(self, method: str) -> Unauthorized:
        """Say that a session must be opened first."""
        return Unauthorized(f"call {method} with a token first")

    def on_discover(self, params: Any, call_id: Any) -> None:
        """``rpc.discover``: return the OpenRPC document."""
        self.succeed(call_id, self.gateway.openrpc[self.door])

    # -- live events, and the gaps between them ------------------------------------------------------

    def on_live(self, payload: bytes) -> None:
        """Take one published payload, or keep it back while the store is read."""
        if not self._reading:
            self.take(payload)
        elif len(self._kept_back) < _MOST_KEPT_BACK:
            self._kept_back.append(payload)
        else:
            self._stale = True

    def expect_gap(self) -> None:
        """Keep live payloads back until `resume` has read what came before them."""
        self._reading = self._stale = True

    def begin_read(self) -> None:
        """Keep back what comes from now on; what was kept back until now is in the store."""
        self._reading, self._stale = True, False
        self._kept_back.clear()

    def go_live(self) -> None:
        """Take what was kept back, or read once more if that is not all there was."""
        if self._stale:
            self.spawn(self.resume())
            return
        self._reading = False
        kept_back, self._kept_back = self._kept_back, []
        for payload in kept_back:
            self.on_live(payload)

    async def resume(self) -> None:
        """Fill the gap since the last payload from the store, however long the store cannot be read."""
        self._stale = True
        if self._filling or self.paused or not self.opened:
            # whoever reads, opens or begins to write again comes back to it
            return
        self._filling = self._reading = True
        try:
            while self._stale and self.transport is not None and not self.paused:
                await self._try_to_fill()
        except Exception:
            self.close(WSCloseCode.INTERNAL_ERROR, b"cannot go on here; reconnect")
            raise
        finally:
            self._filling = False
        if not self._stale:
            self.go_live()

    async def _try_to_fill(self) -> None:
        self.begin_read()
        try:
            await self.fill()
        except STORE_DOWN:
            self._stale = True
            await asyncio.sleep(_RETRY_S)

    def take(self, payload: bytes) -> None:
        """Show one published payload, unless it was shown before."""
        raise NotImplementedError

    async def fill(self) -> None:
        """Read what is missing since the cursor, and show it."""
        raise NotImplementedError
