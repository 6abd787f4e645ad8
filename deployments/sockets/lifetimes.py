"""How long a socket may live: it must open a session in time, its token must last, and it must not fall silent.

Every socket stands in one bucket of a wheel: that of the moment at which something may be due for it. When the moment
comes it is looked at, and goes on to the bucket of the next one. So a look costs what is due, not what is open, and
sockets that came together are not pinged together for ever.

Promises: a client that says nothing is pinged after its idle time at the latest, and dropped when it says nothing for
as long again; anything that it sends is life. Time in which the process stood still is not held against a client: the
wheel catches up in small steps, and sockets are read between them.
"""

import logging
import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol

from picows import WSCloseCode

from models.protocol.methods import Where

log = logging.getLogger(__name__)
#: How often the wheel is to be turned, and how exact it is.
TICK_S = 0.1
#: How far one turn goes at most.
_MOST_TICKS = 10
#: A ping comes after this part of the idle time at the earliest; where between this and all of it is left to chance.
_EARLIEST = 0.75
#: A socket that was closed and is still there then, because its client takes nothing any more, is cut off.
_CLOSING_S = 5.0

#: Close codes 4000 to 4999 are ours to define (RFC 6455, section 7.4.2).
CLOSE_EXPIRED = 4401
CLOSE_NOT_OPENED = 4408


class Mortal(Protocol):
    """A socket, as far as its end is concerned."""

    #: which idle time is its own.
    door: ClassVar[Where]
    opened: bool
    #: times of a clock that never steps back, in seconds; ``heard_at`` is that of the last frame.
    connected_at: float
    heard_at: float
    pinged_at: float
    #: Unix time at which its token ends; 0: it showed none.
    expires_s: float
    #: the bucket that it stands in.
    tick: int

    @property
    def ending(self) -> bool:
        """Tell whether it was closed already."""
        ...

    def ping(self) -> None:
        """Ask its client for a sign of life."""
        ...

    def close(self, code: WSCloseCode | int, reason: bytes) -> None:
        """Tell its client why it ends, and end it."""
        ...

    def drop(self) -> None:
        """End it now, whatever its client has not taken."""
        ...


class Lifetimes:
    """The sockets of one gateway.

    Args:
        idle_s: after how long a silence a socket is pinged, by its kind.
        open_timeout_s: within which time a socket must open its session.
        clock_s: the time at which the wheel begins; no socket connected before.
        chance: gives numbers from 0 to 1.
    """

    def __init__(
        self, *, idle_s: Mapping[Where, float], open_timeout_s: float, clock_s: float, chance: Callable[[], float]
    ) -> None:
        self._idle_s = idle_s
        self._open_timeout_s = open_timeout_s
        self._chance = chance
        self._buckets: dict[int, set[Mortal]] = {}
        self._tick = int(clock_s / TICK_S)

    def begin(self, socket: Mortal) -> None:
        """Watch over a socket that has just connected."""
        self._place(socket, min(socket.connected_at + self._open_timeout_s, self._next_ping_s(socket)))

    def renewed(self, socket: Mortal, now_s: float, clock_s: float) -> None:
        """Take note of a token that a socket showed."""
        ends_s = clock_s + socket.expires_s - now_s
        if ends_s < socket.tick * TICK_S:
            self.end(socket)
            self._place(socket, ends_s)

    def end(self, socket: Mortal) -> None:
        """Forget a socket that is gone; forgetting it twice is once."""
        bucket = self._buckets.get(socket.tick)
        if bucket is not None:
            bucket.discard(socket)

    def turn(self, now_s: float, clock_s: float) -> None:
        """Look at what has become due, a second's worth at most.

        Args:
            now_s: Unix time.
            clock_s: time of the clock that never steps back.
        """
        last = min(int(clock_s / TICK_S), self._tick + _MOST_TICKS)
        while self._tick < last:
            self._tick += 1
            for socket in self._buckets.pop(self._tick, ()):
                try:
                    self._look(socket, now_s, self._tick * TICK_S)
                except Exception:
                    # the others of this bucket must not lose their place for it
                    log.exception("could not look at a socket")

    def _look(self, socket: Mortal, now_s: float, clock_s: float) -> None:
        if socket.ending:
            socket.drop()
            return
        if not socket.opened and clock_s >= socket.connected_at + self._open_timeout_s:
            self._close(socket, CLOSE_NOT_OPENED, b"no session was opened", clock_s)
        elif socket.expires_s and now_s >= socket.expires_s:
            self._close(socket, CLOSE_EXPIRED, b"the token has expired; log in or renew", clock_s)
        else:
            self._listen(socket, now_s, clock_s)

    def _close(self, socket: Mortal, code: int, reason: bytes, clock_s: float) -> None:
        self._place(socket, clock_s + _CLOSING_S)
        socket.close(code, reason)

    def _listen(self, socket: Mortal, now_s: float, clock_s: float) -> None:
        """Ping a silent socket, drop a dead one; say when to look again."""
        idle_s = self._idle_s[socket.door]
        if socket.pinged_at > socket.heard_at:
            due_s = socket.pinged_at + idle_s
            if clock_s >= due_s:
                socket.drop()
                return
        elif clock_s - socket.heard_at >= idle_s * _EARLIEST:
            socket.pinged_at = clock_s
            due_s = clock_s + idle_s
            socket.ping()
        else:
            due_s = self._next_ping_s(socket)
        if not socket.opened:
            due_s = min(due_s, socket.connected_at + self._open_timeout_s)
        if socket.expires_s:
            due_s = min(due_s, clock_s + socket.expires_s - now_s)
        self._place(socket, due_s)

    def _next_ping_s(self, socket: Mortal) -> float:
        part = _EARLIEST + (1 - _EARLIEST) * self._chance()
        return socket.heard_at + self._idle_s[socket.door] * part

    def _place(self, socket: Mortal, due_s: float) -> None:
        # not into a bucket that has been emptied already
        socket.tick = max(math.ceil(due_s / TICK_S), self._tick + 1)
        self._buckets.setdefault(socket.tick, set()).add(socket)
