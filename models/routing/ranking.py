"""Keys in the order of their rank, smallest first: waiting conversations by age, deadlines by time.

A binary heap (https://docs.python.org/3/library/heapq.html) whose outdated entries are skipped when
they come up and swept out when they outnumber the living: every operation is O(log n), amortised.
"""

from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Any)
Rank = TypeVar("Rank", bound=Any)

_SWEEP_FLOOR = 32  # below this many entries a sweep costs more than it frees


class Ranking(Generic[Key, Rank]):
    """A set of keys with one rank each; equal ranks go by key, so the order never depends on chance."""

    def __init__(self) -> None:
        """Start empty."""
        self._rank: dict[Key, Rank] = {}
        self._heap: list[tuple[Rank, Key]] = []

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._rank)

    def __contains__(self, key: Key) -> bool:
        """Tell whether ``key`` has a rank."""
        return key in self._rank

    def put(self, key: Key, rank: Rank) -> None:
        """Give ``key`` its rank, in place of the one it may have had."""
        if self._rank.get(key) == rank:
            return
        self._rank[key] = rank
        heappush(self._heap, (rank, key))
        self._sweep()

    def discard(self, key: Key) -> None:
        """Forget ``key``; an unknown one is fine."""
        if self._rank.pop(key, None) is not None:
            self._sweep()

    def first(self) -> tuple[Rank, Key] | None:
        """Return the smallest rank and its key, or ``None`` when empty."""
        while self._heap:
            rank, key = self._heap[0]
            if self._rank.get(key) == rank:
                return rank, key
            heappop(self._heap)
        return None

    def take_until(self, rank: Rank) -> list[Key]:
        """Remove and return, in order, every key whose rank is at most ``rank``."""
        taken: list[Key] = []
        while (first := self.first()) is not None and first[0] <= rank:
            heappop(self._heap)
            del self._rank[first[1]]
            taken.append(first[1])
        return taken

    def _sweep(self) -> None:
        if len(self._heap) > _SWEEP_FLOOR + 2 * len(self._rank):
            self._heap = [(rank, key) for key, rank in self._rank.items()]
            heapify(self._heap)
