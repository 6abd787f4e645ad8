"""Who should get a conversation: the rules of choice, apart from the mechanism that applies them.

A policy answers three questions about a waiting conversation and knows nothing of sockets, offers or
time. *Which agents may take it* is its lane: conversations of one lane may be taken by exactly the
same agents, so the mechanism looks at the first of each lane and never at those behind it. *Who
comes first* is its rank. *Which of the agents with room* is the choice.

Conversations that were handed back: an agent who declined, or let an offer expire, is barred from
this conversation for the pause ``ask_again_s``; during it only others are asked. After the pause the
bar is gone, but whoever did not hand it back still goes first. So nobody is asked again at once, and
no conversation starves because the only free agents have once said no.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from models.domain.conversation import Placement

Rank = tuple[int, str]


class Lane(NamedTuple):
    """The agents who may take a conversation: all with ``skill`` (empty: all), save those ``barred``."""

    skill: str
    barred: frozenset[str] = frozenset()


class Candidate(Protocol):
    """An agent who is there, may take the conversation and has room for it."""

    @property
    def name(self) -> str:
        """The agent's name."""
        ...


class Candidates(Protocol):
    """All such agents, at least one; it is dear to look at each."""

    def __iter__(self) -> Iterator[Candidate]:
        """List them by share of capacity in use, then since when that is unchanged, then by name."""
        ...

    def __contains__(self, name: object) -> bool:
        """Tell whether ``name`` is among them."""
        ...


class Policy(Protocol):
    """The rules of choice; pure, and deterministic for equal arguments."""

    def lane(self, placement: Placement, *, barring: bool) -> Lane:
        """Say who may take it; ``barring`` while those who handed it back are not to be asked."""
        ...

    def rank(self, placement: Placement) -> Rank:
        """Say where it stands in its lane, smallest first; ends with the conversation, so none are equal."""
        ...

    def choose(self, placement: Placement, candidates: Candidates) -> str:
        """Name one of ``candidates``."""
        ...


_NOBODY: frozenset[str] = frozenset()


class LeastLoaded:
    """Longest waiting first; to the preferred agent, else to the least loaded relative to capacity.

    Among equally loaded agents the one whose load has been unchanged longest gets it, then the first by name.
    """

    def lane(self, placement: Placement, *, barring: bool) -> Lane:
        """Require the skill, and bar those who handed it back while ``barring``."""
        return Lane(placement.skill, frozenset(placement.excluded) if barring else _NOBODY)

    def rank(self, placement: Placement) -> Rank:
        """Order by how long the contact waits."""
        return placement.waiting_since_ms, placement.conversation

    def choose(self, placement: Placement, candidates: Candidates) -> str:
        """Take those who did not hand it back, if any; of these the preferred, else the least loaded."""
        excluded = placement.excluded
        first = next((agent.name for agent in candidates if agent.name not in excluded), "")
        preferred = placement.preferred if placement.preferred in candidates else ""
        if first:
            return first if preferred in excluded else preferred or first
        return preferred or next(iter(candidates)).name
