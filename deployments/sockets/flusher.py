"""Writes what the sockets of one process have to send, once per tick of the event loop.

A batch of receipts gives one socket several frames in one tick. Neither picows nor the event loop's
transport joins them: each frame costs a system call, a packet and a wake-up of its reader. Joined, they
cost one (docs/adr/0004-frames-of-a-tick-in-one-write.md).
"""

import asyncio
from typing import Protocol


class Flushable(Protocol):
    """Something that keeps frames until it is told to write them."""

    def flush(self) -> None:
        """Write all that waits."""
        ...


class Flusher:
    """Tells every socket that has frames waiting to write them, when the tick's work is done."""

    def __init__(self) -> None:
        self._waiting: list[Flushable] = []

    def add(self, socket: Flushable) -> None:
        """Have ``socket`` flushed at the end of this tick; it adds itself once until then."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush_all)
        self._waiting.append(socket)

    def _flush_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for socket in waiting:
            socket.flush()
