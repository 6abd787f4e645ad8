"""From facts to rows: one for each message that was sent, by writer and number; so facts meet without a look-up."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cluster.load.truth.facts import KIND_BITS, WRITER_SHIFT, Facts, Ints, column

Mask = npt.NDArray[np.bool_]
Indexes = npt.NDArray[np.intp]
_LOW = (1 << 32) - 1
NOWHERE = -1


class Rows:
    """The rows of a run.

    Args:
        facts: of the whole run, merged.
    """

    def __init__(self, facts: Facts) -> None:
        self.sent = column(facts.sent)
        self.offset = np.concatenate([[0], np.cumsum(self.sent)])
        self.count = int(self.offset[-1])

    def known(self, keys: Ints) -> Mask:
        """Tell of each key whether its message was sent."""
        writer, number = keys >> WRITER_SHIFT, keys & _LOW
        known = (writer >= 0) & (writer < len(self.sent))
        known[known] &= number[known] < self.sent[writer[known]]
        return known

    def of(self, keys: bytes) -> tuple[Ints, Indexes]:
        """Return the rows of the messages that were sent, and which of the facts they are."""
        found = column(keys)
        which = np.flatnonzero(self.known(found))
        return self.offset[found[which] >> WRITER_SHIFT] + (found[which] & _LOW), which

    def first_places(self, columns: tuple[bytes, bytes]) -> Ints:
        """Return where each message stands by the first fact about it."""
        index, which = self.of(columns[0])
        places = self.nowhere()
        places[index[::-1]] = column(columns[1])[which][::-1]
        return places

    def nowhere(self) -> Ints:
        """Return a place for each message, which is none."""
        return np.full(self.count, NOWHERE, dtype=np.int64)

    def mask(self, index: Ints) -> Mask:
        """Mark some messages."""
        mask = np.zeros(self.count, dtype=np.bool_)
        mask[index] = True
        return mask

    @cached_property
    def writers(self) -> npt.NDArray[np.int32]:
        """The writer of each message."""
        return np.repeat(np.arange(len(self.sent), dtype=np.int32), self.sent)

    def numbers(self, index: Indexes) -> Ints:
        """Return which of its writer's messages each row is."""
        return index - self.offset[self.writers[index]]


class Showings(NamedTuple):
    """What readers were shown, in the order of each generator's facts.

    Args:
        rows: of the messages.
        places: where each was said to stand.
        readers: who was shown it.
        kinds: each a `cluster.load.truth.facts.Shown`.
    """

    rows: Ints
    places: Ints
    readers: Ints
    kinds: Ints

    @classmethod
    def of(cls, facts: Facts, rows: Rows) -> "Showings":
        """Return those of messages that were sent."""
        index, which = rows.of(facts.shown[0])
        by = column(facts.shown[2])[which]
        return cls(index, column(facts.shown[1])[which], by >> KIND_BITS, by & ((1 << KIND_BITS) - 1))
