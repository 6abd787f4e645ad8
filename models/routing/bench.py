"""Agents with room, in the order in which they stand: the least loaded first, however many there are.

A sorted list: to put one in or take one out is a binary search and a move of memory, some microseconds among
ten thousand, where looking for the least loaded each time would be a millisecond.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

#: Share of capacity in use, Unix millisecond since when the load is unchanged, name; no two are equal.
Standing = tuple[float, int, str]


class Stands(Protocol):
    """Somebody with a place among others."""

    name: str
    standing: Standing


Agent = TypeVar("Agent", bound=Stands)


class Bench(Generic[Agent]):
    """Those with room for one kind of conversation."""

    def __init__(self) -> None:
        """Start with nobody."""
        self._agents: dict[str, Agent] = {}
        self._standing: dict[str, Standing] = {}
        self._order: list[Standing] = []

    def __len__(self) -> int:
        """Count them."""
        return len(self._agents)

    def __contains__(self, name: object) -> bool:
        """Tell whether ``name`` is among them."""
        return name in self._agents

    def __iter__(self) -> Iterator[Agent]:
        """List them, the least loaded first; nobody may come or go meanwhile."""
        return (self._agents[name] for _, _, name in self._order)

    def put(self, agent: Agent) -> None:
        """Give an agent the place that its standing is now, whether or not it was here."""
        if self._standing.get(agent.name) == agent.standing:
            return
        self.discard(agent.name)
        self._agents[agent.name] = agent
        self._standing[agent.name] = agent.standing
        insort(self._order, agent.standing)

    def discard(self, name: str) -> None:
        """Take one away; an unknown one is fine."""
        standing = self._standing.pop(name, None)
        if standing is not None:
            del self._agents[name]
            del self._order[bisect_left(self._order, standing)]


class Candidates(Generic[Agent]):
    """Those of a bench who may take a conversation, seen as long as nobody comes or goes.

    Args:
        bench: all with room.
        barred: who may not.
    """

    def __init__(self, bench: Bench[Agent], barred: frozenset[str]) -> None:
        self._bench = bench
        self._barred = barred

    def __bool__(self) -> bool:
        """Tell whether there is anybody."""
        return next(iter(self), None) is not None

    def __contains__(self, name: object) -> bool:
        """Tell whether ``name`` is among them."""
        return name in self._bench and name not in self._barred

    def __iter__(self) -> Iterator[Agent]:
        """List them, the least loaded first."""
        return (agent for agent in self._bench if agent.name not in self._barred)
