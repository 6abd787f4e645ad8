"""The time of a run, the same one for all generators, and what is to be done at some moment of it.

Times are microseconds since the begin of the run; before the begin is known they are negative. All generators begin
at one wall-clock time and then count by their own monotonic clock, so a clock that is set meanwhile changes nothing.
"""

import heapq
import time
from collections.abc import Callable

_NOT_YET_US = 10**13


class Clock:
    """The run's."""

    def __init__(self) -> None:
        self._zero_us = time.monotonic_ns() // 1000 + _NOT_YET_US
        self._zero_wall_us = 0

    def begin(self, begin_at: float) -> None:
        """Let the run begin at a wall-clock time, in Unix seconds."""
        self._zero_wall_us = int(begin_at * 1e6)
        self._zero_us = time.monotonic_ns() // 1000 + self._zero_wall_us - time.time_ns() // 1000

    def now_us(self) -> int:
        """Return the time of the run."""
        return time.monotonic_ns() // 1000 - self._zero_us

    def wall_s(self) -> float:
        """Return the Unix time."""
        return time.time()

    @property
    def begun(self) -> bool:
        """Whether the begin is known; it may lie ahead."""
        return self._zero_wall_us > 0

    @property
    def zero_wall_us(self) -> int:
        """The begin, in microseconds of Unix time."""
        return self._zero_wall_us


class Agenda:
    """What is due when; a heap, since timers of the loop would each be an object of its own for every thought."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def __len__(self) -> int:
        """Return how much is to come."""
        return len(self._due)

    def after(self, wait_s: float, act: Callable[[], None]) -> None:
        """Have something done after a time; at the next tick, if that is none."""
        self._number += 1
        heapq.heappush(self._due, (self._clock.now_us() + int(wait_s * 1e6), self._number, act))

    def work(self, now_us: int) -> None:
        """Do what is due."""
        due = self._due
        while due and due[0][0] <= now_us:
            heapq.heappop(due)[2]()

    def clear(self) -> None:
        """Forget everything."""
        self._due.clear()
