"""Who writes: every identity of a run has a number, its channel, its person, and the generator that it belongs to.

Numbers run through the channels: first the visitors, then the contacts on each other channel. A visitor who also
writes elsewhere is one person with two writers. All of a writer's messages come from one generator, since only one
sender can keep their order.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cluster.load.scenario.tables import CHANNELS, Channel, Scenario

Writers = npt.NDArray[np.int32]


class Group(NamedTuple):
    """The writers of one channel.

    Args:
        first: the number of the first.
        size: how many.
        share: of all messages, theirs.
    """

    channel: Channel
    first: int
    size: int
    share: float


class People:
    """All writers of a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        total = sum(scenario.mix.of(channel) for channel in CHANNELS)
        groups: list[Group] = []
        first = 0
        for channel in CHANNELS:
            size = scenario.writers_on(channel)
            groups.append(Group(channel, first, size, scenario.mix.of(channel) / total))
            first += size
        self.groups = tuple(groups)
        self.count = first
        self._linked = round(scenario.visitors.several_channels * scenario.visitors.count)

    def group(self, channel: Channel) -> Group:
        """Return the writers of a channel."""
        return self.groups[CHANNELS.index(channel)]

    def channel_of(self, writer: int) -> Channel:
        """Return the channel on which a writer writes."""
        for group in self.groups:
            if writer < group.first + group.size:
                return group.channel
        raise ValueError(f"writer {writer}: there are {self.count}")

    def linked(self) -> list[tuple[int, int]]:
        """Return the pairs of a visitor and the writer on another channel who are one person."""
        others = self.group("web").size
        return [(visitor, others + visitor) for visitor in range(self._linked)]

    def persons(self) -> Writers:
        """Return each writer's person; a person has the number of its visitor, or of its only writer."""
        persons = np.arange(self.count, dtype=np.int32)
        for visitor, other in self.linked():
            persons[other] = visitor
        return persons

    def owned(self, generator: int, generators: int) -> range:
        """Return the writers of one generator."""
        return range(generator, self.count, generators)
