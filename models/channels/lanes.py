"""One lane per conversation: what belongs together leaves in order, one at a time; the rest in parallel.

Bounded: `full` tells the reader to stop until something has left.
"""

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Lanes(Generic[Item]):
    """Items in lanes; a lane exists as long as something is in it."""

    def __init__(self, limit: int) -> None:
        """Hold at most ``limit`` items in all lanes together."""
        self._limit = limit
        self._lanes: dict[str, deque[Item]] = {}
        self._held = 0

    def __len__(self) -> int:
        """Return how many items are in all lanes."""
        return self._held

    @property
    def full(self) -> bool:
        """Whether the bound is reached."""
        return self._held >= self._limit

    def put(self, lane: str, item: Item) -> bool:
        """Put an item at the end of its lane; return True if the lane is new, so that somebody must walk it.

        The bound is the caller's to respect, by way of `full`: what was read must not be dropped.
        """
        self._held += 1
        waiting = self._lanes.get(lane)
        if waiting is not None:
            waiting.append(item)
            return False
        self._lanes[lane] = deque((item,))
        return True

    def head(self, lane: str) -> Item | None:
        """Return the first item of a lane, which stays there until `leave`; None when the lane is gone."""
        waiting = self._lanes.get(lane)
        return waiting[0] if waiting else None

    def leave(self, lane: str) -> None:
        """Let the first item of a lane go; an empty lane is gone."""
        waiting = self._lanes[lane]
        waiting.popleft()
        self._held -= 1
        if not waiting:
            del self._lanes[lane]
