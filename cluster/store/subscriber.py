"""One subscribed connection to the store, for a gateway's live events.

Promises: what the store publishes after ``subscribe`` returned reaches ``on_message``, in order, until
the connection breaks. A break is never silent: the connection is made again, every channel is
subscribed again, and then ``on_restored`` is called so that the caller fills the gap from the logs.
What the store publishes between the break and that call is passed over: the logs have it too.

All channels that are wanted, or wanted no more, within one tick go out as one command each way: when
hundreds of sockets open at once, a command and a wake-up for each would be most of the work.

It reads replies straight from the client library's connection, so every kind of URL works, and a
message costs one dictionary look-up instead of the library's PubSub machinery.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)
#: Channels per SUBSCRIBE: large enough to be quick, small enough not to stall the store.
_CHUNK = 500
_RETRY_S = 0.05
#: A connection on which not even a pong came for this long is dead, though nobody told us.
_SILENCE_S = 15.0
_PING_S = 5.0
#: Where the payload stands in a message: after its kind and its channel.
_PAYLOAD = 2


class Subscriber:
    """A subscribed connection that mends itself.

    Args:
        redis: a client of the store that speaks RESP2; its pool makes the connection.
        on_message: called with (channel, payload) for each message, in order; must not block or raise.
        on_restored: called after a break, when every channel is subscribed again.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        on_message: Callable[[bytes, bytes], None],
        on_restored: Callable[[], None],
    ) -> None:
        self._redis = redis
        self._on_message = on_message
        self._on_restored = on_restored
        #: channel -> who waits for its confirmation; None: it is confirmed.
        self._wanted: dict[bytes, asyncio.Future[None] | None] = {}
        #: channels that came or went since the store was told last.
        self._unsaid: set[bytes] = set()
        #: channel -> confirmations on their way; only the last one speaks of what is wanted now.
        self._unconfirmed: Counter[bytes] = Counter()
        self._saying: asyncio.Task[None] | None = None
        self._connection: Any = None
        self._connected = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._heard_at = 0.0

    async def start(self) -> None:
        """Begin to connect; returns at once, ``subscribe`` waits as long as it takes."""
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._watch())]

    async def aclose(self) -> None:
        """Drop the connection; closing twice is safe."""
        tasks, self._tasks = self._tasks, []
        if self._saying is not None:
            tasks.append(self._saying)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._drop()

    async def subscribe(self, channel: str) -> None:
        """Wait until the store confirmed that it sends us ``channel``."""
        name = channel.encode()
        if name not in self._wanted:
            self._wanted[name] = asyncio.get_running_loop().create_future()
            self._changed(name)
        confirmed = self._wanted[name]
        if confirmed is not None:
            await asyncio.shield(confirmed)

    def unsubscribe(self, channel: str) -> None:
        """Stop getting ``channel``; messages under way may still arrive."""
        name = channel.encode()
        if name not in self._wanted:
            return
        confirmed = self._wanted.pop(name)
        if confirmed is not None:
            confirmed.cancel()
        self._changed(name)

    def _changed(self, name: bytes) -> None:
        """Have the store told of it, if connected; if not, connecting again says all that is wanted."""
        if not self._connected.is_set():
            return
        self._unsaid.add(name)
        if self._saying is None or self._saying.done():
            # a task of its own: a caller that is cancelled must not cut a command in half
            self._saying = asyncio.ensure_future(self._say())

    async def _say(self) -> None:
        while self._unsaid and (connection := self._connection) is not None:
            names, self._unsaid = self._unsaid, set[bytes]()
            wanted = [name for name in names if name in self._wanted]
            try:
                for chunk in _chunks([*names.difference(wanted)]):
                    await connection.send_command("UNSUBSCRIBE", *chunk)
                for chunk in _chunks(wanted):
                    await self._ask_for(connection, chunk)
            except (RedisError, OSError):
                await self._drop_only(connection)
            except Exception:
                # whatever it was: connecting again says all that is wanted
                log.exception("the store could not be told what we want to hear")
                await self._drop_only(connection)

    async def _drop_only(self, connection: Any) -> None:
        if self._connection is connection:
            await self._drop()

    async def _ask_for(self, connection: Any, names: Sequence[bytes]) -> None:
        if self._connection is connection:
            self._unconfirmed.update(names)
        await connection.send_command("SUBSCRIBE", *names)

    async def _run(self) -> None:
        first = True
        while True:
            try:
                await self._connect(again=not first)
                first = False
                await self._read()
            except (RedisError, OSError) as error:
                log.warning("subscription to the store broke: %s", error)
                await self._drop()
                await asyncio.sleep(_RETRY_S)
            except Exception:
                # whatever it was, without this task no socket of the process hears anything any more
                log.exception("subscription to the store failed")
                await self._drop()
                await asyncio.sleep(_RETRY_S)

    async def _connect(self, *, again: bool) -> None:
        connection = self._redis.connection_pool.make_connection()
        await connection.connect()
        self._connection = connection
        self._heard_at = asyncio.get_running_loop().time()
        self._unsaid.clear()
        self._unconfirmed.clear()
        channels = list(self._wanted)
        # what is asked for while we say what is wanted goes out by itself
        self._connected.set()
        confirmed: set[bytes] = set()
        for chunk in _chunks(channels):
            await self._ask_for(connection, chunk)
            missing = set(chunk)
            while missing:
                reply = cast("Any", await connection.read_response(timeout=_SILENCE_S))
                if reply is None:
                    raise ConnectionError(f"no word from the store for {_SILENCE_S} s")
                kind, channel, _ = _parts(reply)
                if kind == b"subscribe":
                    self._note(channel)
                    missing.discard(channel)
                    confirmed.add(channel)
        for channel in confirmed:
            self._confirm(channel)
        if again:
            log.warning("subscription to the store restored, %d channels", len(channels))
            self._on_restored()

    async def _read(self) -> None:
        read = self._connection.read_response
        take = self._take
        loop = asyncio.get_running_loop()
        while True:
            take(await read(timeout=math.inf))
            self._heard_at = loop.time()

    def _take(self, reply: Any) -> None:
        kind, channel, payload = _parts(reply)
        if kind == b"message":
            self._on_message(channel, payload)
        elif kind == b"subscribe":
            self._note(channel)
            self._confirm(channel)

    def _note(self, channel: bytes) -> None:
        """Count a confirmation off."""
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] <= 0:
            del self._unconfirmed[channel]

    def _confirm(self, channel: bytes) -> None:
        """Tell who waits, unless the channel went and came again since that was asked for."""
        if channel in self._unconfirmed or channel in self._unsaid:
            return
        confirmed = self._wanted.get(channel)
        if confirmed is not None:
            self._wanted[channel] = None
            if not confirmed.done():
                confirmed.set_result(None)

    async def _watch(self) -> None:
        """Notice a connection that died without a word."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_PING_S)
            try:
                if self._connected.is_set():
                    if loop.time() - self._heard_at > _SILENCE_S:
                        await self._drop()
                    else:
                        await self._ping()
            except Exception:
                log.exception("the subscription could not be looked after")

    async def _ping(self) -> None:
        try:
            await self._connection.send_command("PING")
        except (RedisError, OSError):
            await self._drop()

    async def _drop(self) -> None:
        self._connected.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


def _chunks(names: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(names), _CHUNK):
        yield names[start : start + _CHUNK]


def _parts(reply: Any) -> tuple[bytes, bytes, bytes]:
    """Return kind, channel and payload of what a subscribed connection says; a pong has no payload to speak of."""
    if not isinstance(reply, list):
        return b"", b"", b""
    said = cast("list[bytes]", reply)
    return said[0], said[1], said[2] if len(said) > _PAYLOAD else b""
