"""Whether messages stand, and were shown, in the order in which they were sent.

Order is judged by what the sender can know: of two messages of one writer in one conversation the later one must
not stand first, if it left for the first time after the earlier one left for the last time. So a message that had
to be sent again is not held against the system for what overtook it meanwhile, and is for all that left later.
"""

import numpy as np
import numpy.typing as npt

from cluster.load.truth.facts import SEQ_BITS, WRITER_SHIFT, Facts, Ints, Shown, column
from cluster.load.truth.rows import Indexes, Mask, Rows, Showings

_LOW = (1 << SEQ_BITS) - 1


def late(showings: Showings, *, seen_before: bool) -> Ints:
    """Return the rows of what was pushed after a later one, to readers who had, or had not, been shown it before.

    The facts about one reader come from one generator, in the order of time.
    """
    found = np.flatnonzero(showings.kinds == Shown.LATE)
    if not len(found):
        return showings.rows[found]
    # only what was shown of these messages matters
    concerned = np.flatnonzero(np.isin(showings.rows, showings.rows[found]))
    to = showings.rows[concerned] << WRITER_SHIFT | showings.readers[concerned]
    pairs, first = np.unique(to, return_index=True)
    wanted = showings.rows[found] << WRITER_SHIFT | showings.readers[found]
    before = concerned[first[np.searchsorted(pairs, wanted)]] < found
    return showings.rows[found[before == seen_before]]


def overtaken(rows: Rows, facts: Facts, told: Mask, places: Ints) -> Indexes:
    """Return the rows of messages that stand after one that was sent later.

    Args:
        rows: of the run.
        facts: for what left more than once.
        told: of each message, whether anybody saw where it stands.
        places: where.
    """
    here = np.flatnonzero(told)
    here = here[_suspicious(rows.writers[here], places[here], len(rows.sent))]
    if not len(here):
        return here
    writer, number, place = rows.writers[here], rows.numbers(here), places[here]
    # rows of one writer and one conversation together, by number; they stand by writer and number already
    order = np.lexsort((place >> SEQ_BITS, writer))
    here, writer, number, place = here[order], writer[order], number[order], place[order]
    starts = np.concatenate([[True], (writer[1:] != writer[:-1]) | (place[1:] >> SEQ_BITS != place[:-1] >> SEQ_BITS)])
    group = np.cumsum(starts) << SEQ_BITS
    stands = group | (place & _LOW)
    earliest_from_here_on = np.minimum.accumulate(stands[::-1])[::-1]
    # the first one that left after this one had left for the last time
    later = np.searchsorted(group | number, group | _sent_until(rows, facts)[here], side="left")
    judged = later < len(here)
    wrong = np.zeros(len(here), dtype=np.bool_)
    # a later group's numbers are larger than all of this one, so they never count as overtaking
    wrong[judged] = earliest_from_here_on[later[judged]] < stands[judged]
    return here[wrong]


def _suspicious(writer: npt.NDArray[np.int32], place: Ints, writers: int) -> Mask:
    """Tell of each message whether its writer's can be out of order at all: nearly always those of nobody are.

    They are not where numbers grow within each conversation, and no conversation is come back to.
    """
    same = writer[1:] == writer[:-1]
    moved = place[1:] >> SEQ_BITS != place[:-1] >> SEQ_BITS
    suspects = np.zeros(writers, dtype=np.bool_)
    suspects[writer[1:][same & ~moved & (place[1:] < place[:-1])]] = True
    starts = np.flatnonzero(np.concatenate([[True], ~same | moved])) if len(writer) else np.zeros(0, dtype=np.intp)
    stretches = writer[starts].astype(np.int64) << WRITER_SHIFT | place[starts] >> SEQ_BITS
    found, times = np.unique(stretches, return_counts=True)
    suspects[found[times > 1] >> WRITER_SHIFT] = True
    return suspects[writer]


def _sent_until(rows: Rows, facts: Facts) -> Ints:
    """Return, for each message, how many its writer had sent when it left for the last time, itself among them."""
    until = np.arange(rows.count) - np.repeat(rows.offset[:-1], rows.sent) + 1
    index, which = rows.of(facts.resent[0])
    np.maximum.at(until, index, column(facts.resent[1])[which])
    return until
