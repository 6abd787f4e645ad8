"""Waiting conversations, longest waiting first in each lane.

A conversation's rank comes from the moment since when its contact waits, not from when it was put
here: one that is handed back stands again where it stood before. Every operation is O(log n); what
waits behind the first of a lane is never looked at.
"""

from collections.abc import Iterable, Iterator

from models.routing.policy import Lane, Rank
from models.routing.ranking import Ranking


class WorkQueue:
    """The queue of one account, in lanes of conversations that the same agents may take."""

    def __init__(self) -> None:
        """Start empty."""
        self._lanes: dict[str, dict[Lane, Ranking[str, Rank]]] = {}
        self._lane_of: dict[str, Lane] = {}

    def __len__(self) -> int:
        """Count the conversations."""
        return len(self._lane_of)

    def __contains__(self, conversation: str) -> bool:
        """Tell whether ``conversation`` is in line."""
        return conversation in self._lane_of

    def put(self, conversation: str, lane: Lane, rank: Rank) -> None:
        """Place ``conversation`` in ``lane``, taking it out of the one where it may have stood."""
        if self._lane_of.get(conversation, lane) != lane:
            self.discard(conversation)
        self._lane_of[conversation] = lane
        self._lanes.setdefault(lane.skill, {}).setdefault(lane, Ranking()).put(conversation, rank)

    def discard(self, conversation: str) -> None:
        """Take ``conversation`` out of line; one that is not in line is fine."""
        lane = self._lane_of.pop(conversation, None)
        if lane is None:
            return
        lanes = self._lanes[lane.skill]
        lanes[lane].discard(conversation)
        if not lanes[lane]:
            del lanes[lane]
            if not lanes:
                del self._lanes[lane.skill]

    def first(self, lane: Lane) -> tuple[Rank, str] | None:
        """Return rank and id of the first conversation of ``lane``, or ``None`` if nobody waits there."""
        ranking = self._lanes.get(lane.skill, {}).get(lane)
        return None if ranking is None else ranking.first()

    def lanes(self, skills: Iterable[str]) -> Iterator[Lane]:
        """List the lanes in which somebody waits for one of ``skills``."""
        for skill in skills:
            yield from self._lanes.get(skill, ())

    def oldest(self) -> Rank | None:
        """Return the rank of the conversation that comes first of all, or ``None`` if nobody waits."""
        firsts = [first for lane in self.lanes(self._lanes) if (first := self.first(lane)) is not None]
        return min(firsts)[0] if firsts else None
