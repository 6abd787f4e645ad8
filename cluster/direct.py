"""Calls of one process to another over a connection of their own: the road of every batch to its router.

Ray names, places and restarts the processes, and says where one of them listens; the batches themselves go
straight (docs/adr/0012-batches-beside-ray.md). Promises: calls of one connection begin in the order in which
they were made; an answer, or `Unavailable`, comes for each; who has not shown the secret that the process told
through Ray is cut off after a few bytes.

The wire: frames of a length (four bytes, little-endian) and a MessagePack array. The first frame is the secret.
"""

import asyncio
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec

from models.domain.errors import RaydeskError, Unavailable

log = logging.getLogger(__name__)

#: Answers a call: (sender, generation, number, payload) -> answer, see `cluster.clients`.
Handler = Callable[[str, int, int, bytes], Awaitable[bytes]]

_LENGTH_BYTES = 4
_SECRET_BYTES = 32
#: Frames of a stranger: no more is read of one before its secret.
_MOST_OF_STRANGER = 64
#: A batch has some 100 KB, and the messages of a long conversation that moves some megabytes.
_MOST_BYTES = 256_000_000
_CONNECT_S = 2.0


class Whereabouts(msgspec.Struct, frozen=True, array_like=True):
    """Where a process listens, and what it wants to hear first."""

    host: str
    port: int
    secret: bytes


class _Call(msgspec.Struct, frozen=True, array_like=True, gc=False):
    call: int
    sender: str
    generation: int
    number: int
    payload: bytes


class _Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An answer; ``failed`` says that the process had none, and why."""

    call: int
    payload: bytes
    failed: str = ""


_encode = msgspec.msgpack.Encoder().encode
_call = msgspec.msgpack.Decoder(_Call)
_answer = msgspec.msgpack.Decoder(_Answer)


def _framed(content: bytes) -> bytes:
    return len(content).to_bytes(_LENGTH_BYTES, "little") + content


class _Frames(asyncio.Protocol):
    """One end of a connection: bytes in, frames out to ``take``."""

    most_bytes = _MOST_BYTES

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while self.transport is not None and len(buffer) - at >= _LENGTH_BYTES:
            start = at + _LENGTH_BYTES
            length = int.from_bytes(buffer[at:start], "little")
            if length > self.most_bytes:
                self.hang_up()
                return
            if len(buffer) < start + length:
                break
            at = start + length
            try:
                self.take(buffer[start:at])
            except msgspec.DecodeError as error:
                log.warning("a connection brought what is no call or answer: %s", error)
                self.hang_up()
                return
        del buffer[:at]

    def hang_up(self) -> None:
        """End the connection at once; what is under way on it is lost."""
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.abort()

    def send(self, content: bytes) -> None:
        """Write a frame, if somebody still listens."""
        if self.transport is not None:
            self.transport.write(_framed(content))

    def take(self, content: bytearray) -> None:
        """Take one whole frame."""
        raise NotImplementedError


class DirectServer:
    """Listens for calls.

    Args:
        handle: answers a call; what it raises is told to the caller as a failure.
    """

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._secret = secrets.token_bytes(_SECRET_BYTES)
        self._server: asyncio.Server | None = None
        self._guests: set[_Guest] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._host = ""

    async def start(self, host: str) -> None:
        """Listen on a free port of ``host``.

        Raises:
            OSError: this machine has no such address.
        """
        self._host = host
        self._server = await asyncio.get_running_loop().create_server(lambda: _Guest(self), host, 0)

    @property
    def whereabouts(self) -> Whereabouts | None:
        """Where it listens, None while it does not."""
        if self._server is None or not self._server.sockets:
            return None
        return Whereabouts(self._host, self._server.sockets[0].getsockname()[1], self._secret)

    async def aclose(self) -> None:
        """Listen no more and hang up, once every call under way has its answer."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for guest in tuple(self._guests):
            if guest.transport is not None:
                guest.transport.close()

    def admits(self, secret: bytearray) -> bool:
        """Tell whether this is the secret, in the same time whatever it is."""
        return hmac.compare_digest(secret, self._secret)

    def came(self, guest: "_Guest") -> None:
        """Remember a connection."""
        self._guests.add(guest)

    def went(self, guest: "_Guest") -> None:
        """Forget a connection."""
        self._guests.discard(guest)

    def answer(self, guest: "_Guest", call: _Call) -> None:
        """Have a call answered; calls begin in the order in which they come."""
        task = asyncio.ensure_future(self._answer(guest, call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, guest: "_Guest", call: _Call) -> None:
        try:
            payload = await self._handle(call.sender, call.generation, call.number, call.payload)
        except Exception as error:
            log.exception("a call failed")
            guest.send(_encode(_Answer(call.call, b"", type(error).__name__)))
        else:
            guest.send(_encode(_Answer(call.call, payload)))


class _Guest(_Frames):
    """A caller's connection, as the server sees it."""

    def __init__(self, server: DirectServer) -> None:
        super().__init__()
        self._server = server
        self._admitted = False
        self.most_bytes = _MOST_OF_STRANGER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._server.went(self)

    def take(self, content: bytearray) -> None:
        if self._admitted:
            self._server.answer(self, _call.decode(content))
        elif self._server.admits(content):
            self._admitted = True
            self.most_bytes = _MOST_BYTES
        else:
            self.hang_up()


class _Line(_Frames):
    """A connection to a process, as its caller sees it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._calls = 0
        self._waiting: dict[int, asyncio.Future[bytes]] = {}

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(Unavailable(f"{self._name} went away"))

    def take(self, content: bytearray) -> None:
        answer = _answer.decode(content)
        future = self._waiting.pop(answer.call, None)
        if future is None or future.done():
            return
        if answer.failed:
            future.set_exception(RaydeskError(f"{self._name} failed: {answer.failed}"))
        else:
            future.set_result(answer.payload)

    async def call(self, sender: str, generation: int, number: int, payload: bytes) -> bytes:
        """Call, and wait for the answer."""
        if self.transport is None:
            raise Unavailable(f"{self._name} went away")
        self._calls = at = self._calls + 1
        future = self._waiting[at] = asyncio.get_running_loop().create_future()
        self.send(_encode(_Call(at, sender, generation, number, payload)))
        try:
            return await future
        except asyncio.CancelledError:
            # the caller's patience ended; nobody knows whether the process still is behind this connection
            self.hang_up()
            raise


class DirectCaller:
    """Calls one process, wherever it is now.

    Args:
        name: whom, for messages to people.
        find: says where it listens, None while it does not; raises `Unavailable` when nobody knows.
    """

    def __init__(self, name: str, find: Callable[[], Awaitable[Whereabouts | None]]) -> None:
        self._name = name
        self._find = find
        self._line: _Line | None = None
        self._connecting: asyncio.Task[_Line] | None = None

    async def call(self, sender: str, generation: int, number: int, payload: bytes) -> bytes:
        """Call, and wait for the answer.

        Raises:
            Unavailable: the process cannot be reached, or went away during the call, which then may have run.
            RaydeskError: the process failed on it.
        """
        line = self._line
        if line is None or line.transport is None:
            line = await self._connected()
        return await line.call(sender, generation, number, payload)

    async def _connected(self) -> _Line:
        """Connect once for all who ask; those go on in the order in which they asked."""
        if self._connecting is None:
            self._connecting = asyncio.ensure_future(self._connect())
            self._connecting.add_done_callback(self._settled)
        return await asyncio.shield(self._connecting)

    def _settled(self, connecting: "asyncio.Task[_Line]") -> None:
        self._connecting = None
        if not connecting.cancelled() and connecting.exception() is None:
            self._line = connecting.result()

    async def _connect(self) -> _Line:
        at = await self._find()
        if at is None:
            raise Unavailable(f"{self._name} is starting")
        try:
            async with asyncio.timeout(_CONNECT_S):
                made: Any = await asyncio.get_running_loop().create_connection(
                    lambda: _Line(self._name), at.host, at.port
                )
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"{self._name} does not answer: {error or 'time-out'}") from None
        line: _Line = made[1]
        line.send(at.secret)
        return line
