"""Brings what the store publishes to the sockets that must show it.

Promises: ``join`` returns once the store sends us the channel, so a caller that then reads the log
has no gap; after a broken connection every session is asked to fill its own gap from its cursor.
"""

import asyncio
import logging
from typing import Protocol

from redis.asyncio import Redis

from cluster.store.subscriber import Subscriber

log = logging.getLogger(__name__)
#: How many sessions read their gap from the store at once after a break.
_RESUMES_AT_ONCE = 32


class Listener(Protocol):
    """A session as the hub sees it."""

    def on_live(self, payload: bytes) -> None:
        """Take one published payload, in order; must not block."""
        ...

    def expect_gap(self) -> None:
        """Keep live payloads back until ``resume`` has read what came before them."""
        ...

    async def resume(self) -> None:
        """Fill the gap since the last payload from the store, however long that takes."""
        ...


class Hub:
    """Which sessions listen to which channel.

    Args:
        redis: a client of the store that speaks RESP2.
    """

    def __init__(self, redis: Redis) -> None:
        self._subscriber = Subscriber(redis, on_message=self._on_message, on_restored=self._on_restored)
        self._listeners: dict[bytes, set[Listener]] = {}
        self._restoring: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect to the store."""
        await self._subscriber.start()

    async def aclose(self) -> None:
        """Stop listening; closing twice is safe."""
        for task in self._restoring:
            task.cancel()
        await self._subscriber.aclose()

    @property
    def channels(self) -> int:
        """How many channels we listen to."""
        return len(self._listeners)

    async def join(self, channel: str, listener: Listener) -> None:
        """Begin to feed ``listener``; waits until the store confirmed the channel."""
        self._listeners.setdefault(channel.encode(), set()).add(listener)
        await self._subscriber.subscribe(channel)

    def leave(self, channel: str, listener: Listener) -> None:
        """Stop feeding ``listener``; the last one to leave ends the subscription."""
        name = channel.encode()
        listeners = self._listeners.get(name)
        if listeners is None:
            return
        listeners.discard(listener)
        if not listeners:
            del self._listeners[name]
            self._subscriber.unsubscribe(channel)

    def _on_message(self, channel: bytes, payload: bytes) -> None:
        for listener in tuple(self._listeners.get(channel, ())):
            try:
                listener.on_live(payload)
            except Exception:
                log.exception("a session failed on a live event")

    def _on_restored(self) -> None:
        # a round that still runs goes on: a session that reads already reads once for both
        everybody = {listener for listeners in self._listeners.values() for listener in listeners}
        for listener in everybody:
            listener.expect_gap()
        task = asyncio.ensure_future(self._resume_all(everybody))
        self._restoring.add(task)
        task.add_done_callback(self._restoring.discard)

    async def _resume_all(self, everybody: set[Listener]) -> None:
        """Let every session fill its gap, a few at a time."""
        slots = asyncio.Semaphore(_RESUMES_AT_ONCE)

        async def resume(listener: Listener) -> None:
            async with slots:
                await listener.resume()

        for ended in await asyncio.gather(*map(resume, everybody), return_exceptions=True):
            if isinstance(ended, Exception):
                log.error("a session could not resume: %r", ended)
