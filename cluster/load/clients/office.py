"""What all desks of a generator share: the system, the habits of agents, and the chance that decides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.load.clients.clock import Agenda
from cluster.load.clients.notes import Notes
from cluster.load.clients.opener import Opener
from cluster.load.scenario.dialogues import Dialogues
from cluster.load.scenario.tables import Desks
from cluster.load.targets.target import Target


@dataclass(kw_only=True, slots=True)
class Office:
    """What all desks of a generator share.

    Args:
        target: the system.
        opener: opens links.
        notes: what desks write down.
        agenda: what they mean to do.
        habits: what agents do.
        words: what they say.
        colleagues: the names of all agents.
        random: decides everything.
        tagged: answers must carry their id in the text, since a vendor numbers them anew.
        ends_us: when the last message is due; what is told later is told to nobody who waits.
        steadfast: what was refused for the moment is said again.
        closing: no new answers, transfers or absences; the run is over.
    """

    target: Target
    opener: Opener
    notes: Notes
    agenda: Agenda
    habits: Desks
    words: Dialogues
    colleagues: Sequence[str]
    random: np.random.Generator
    tagged: bool
    ends_us: int
    steadfast: bool = False
    closing: bool = False

    def chance(self, share: float) -> bool:
        """Draw whether something with that share happens."""
        return share > 0 and (share >= 1 or float(self.random.random()) < share)
