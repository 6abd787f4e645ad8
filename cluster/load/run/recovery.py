"""When all was as before a fault: read afterwards from the latencies of every second, so that nobody has to guess.

Seconds are those in which messages were *due*. The first second from which on latency is as usual and nothing is
refused is the first whose messages did not feel the fault any more.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

#: Usual is up to twice the median of the seconds before, or so much above it: what chance does on a small machine.
_TIMES = 2.0
_ABOVE_MS = 10.0
#: So many seconds before a fault say what is usual, and so many in a row must be as usual after it.
BEFORE_S = 10
_IN_A_ROW = 3


class Curve(NamedTuple):
    """A run by the second.

    Args:
        p99_ms: of what was due in each second; None: nothing was, or nothing was shown.
        offered, refused: messages due in each.
    """

    p99_ms: Sequence[float | None]
    offered: Sequence[int]
    refused: Sequence[int]


def usual_ms(curve: Curve, begin_s: float, until_s: float) -> float | None:
    """Return the latency up to which a second counts as usual, by those between two times; None: nothing was due."""
    seconds = range(max(int(np.ceil(begin_s)), 0), min(int(until_s), len(curve.p99_ms)))
    found = [value for second in seconds if (value := curve.p99_ms[second]) is not None]
    if not found:
        return None
    median = float(np.median(found))
    return max(_TIMES * median, median + _ABOVE_MS)


def back_after_s(curve: Curve, at_s: float, *, due_s: float, usual: float | None) -> float | None:
    """Return how long after a fault all was as before.

    Args:
        curve: of the run.
        at_s: when the fault was.
        due_s: until when messages were due.
        usual: latency that counts as usual, in milliseconds, of `usual_ms`; None: nobody knows.

    Returns:
        Seconds; 0.0 where no second felt it; None where it was not as before until the end, or nobody can tell.
    """
    if usual is None:
        return None
    end = min(int(due_s), len(curve.p99_ms))
    first = int(at_s)
    felt = [not _as_usual(curve, second, usual) for second in range(first, end)]
    for start in range(len(felt)):
        row = felt[start : start + _IN_A_ROW]
        # near the end fewer must do, but one second alone says nothing
        if not any(row) and len(row) > 1:
            return max(first + start - at_s, 0.0) if start else 0.0
    return None


def _as_usual(curve: Curve, second: int, limit_ms: float) -> bool:
    if curve.refused[second]:
        return False
    value = curve.p99_ms[second]
    # a second in which much was due and nothing was shown felt it most
    return value <= limit_ms if value is not None else not curve.offered[second]
