"""One connection to a bare relay: calls answered in order, and what is pushed between them."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis
import msgspec

from cluster.load.targets.said import Said

OPENED_WITHIN_S = 10.0
#: What is told of each answer of the relay, in the order of the calls; None: nobody waits for it.
Told = Callable[[object], None] | None
_decode = msgspec.msgpack.Decoder(Said).decode


class Connection(asyncio.Protocol):
    """One connection: calls answered in order, and what is pushed between."""

    def __init__(
        self, on_said: Callable[[Said], None], on_lost: Callable[[], None], everyone: "set[Connection]"
    ) -> None:
        self._on_said = on_said
        self._on_lost = on_lost
        self._everyone = everyone
        self._reader = hiredis.Reader()
        self._waiting: deque[Told] = deque()
        self._transport: asyncio.Transport | None = None
        self._subscribed: asyncio.Future[None] | None = None
        self._gone = False
        #: whether a client has it; only then its loss is told.
        self.handed_out = False

    # -- asking

    def call(self, frames: bytes, told: Sequence[Told]) -> None:
        """Make calls in one write; nothing on a connection that is gone."""
        if self._transport is not None and not self._gone:
            self._waiting.extend(told)
            self._transport.write(frames)

    async def asked(self, *words: bytes) -> object:
        """Make one call and wait for its answer.

        Raises:
            OSError: the connection is gone, or the relay answered with an error.
        """
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def told(found: object) -> None:
            if not answer.done():
                answer.set_result(found)

        self.call(frame(*words), [told])
        found = await answer
        if isinstance(found, Exception):
            raise OSError(str(found))
        return found

    async def subscribe(self, channel: str) -> None:
        """Listen to a channel from now on."""
        self._subscribed = asyncio.get_running_loop().create_future()
        # it is answered by a push, not in the row of the calls
        self.call(frame(b"SUBSCRIBE", channel.encode()), [])
        async with asyncio.timeout(OPENED_WITHIN_S):
            await self._subscribed

    def drop(self) -> None:
        """Break it."""
        if self._transport is not None:
            self._transport.abort()

    # -- hearing; see `asyncio.Protocol`

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._everyone.add(self)

    def data_received(self, data: bytes) -> None:
        """Tell who waits, and who listens."""
        reader = self._reader
        reader.feed(data)
        while (found := reader.gets()) is not False:
            if isinstance(found, hiredis.PushNotification):
                self._on_push(found)
            elif self._waiting and (told := self._waiting.popleft()) is not None:
                told(found)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone: nobody is answered any more."""
        if self._gone:
            return
        self._gone = True
        self._everyone.discard(self)
        waiting, self._waiting = self._waiting, deque()
        for told in waiting:
            if told is not None:
                told(ConnectionError("the relay is gone"))
        if self.handed_out:
            self._on_lost()

    def _on_push(self, found: list[Any]) -> None:
        if found[0] == b"message":
            self._on_said(_decode(found[2]))
        elif self._subscribed is not None and not self._subscribed.done():
            self._subscribed.set_result(None)


def frame(*words: bytes) -> bytes:
    """Return a call as the protocol of Redis has it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
