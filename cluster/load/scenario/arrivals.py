"""When each message is due, and whose it is: an open process, independent of whatever answers.

The rate is a curve of straight pieces. Poisson arrivals are drawn from it exactly, by inversion: in a window whose
expected number is *m*, Poisson(*m*) points lie evenly on the scale of the expected number, and the curve's inverse
brings them to times (Çinlar, Introduction to Stochastic Processes, 1975, chapter 4). Even arrivals are the points
at 0.5, 1.5, 2.5, ... on that same scale.

Each window has random numbers of its own, made from the seed and its place. So every generator computes the whole
process, keeps what its writers write, and all together send each message once, whatever their number. A window of
a second at 40,000 messages/s takes some milliseconds.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cluster.load.scenario.people import People, Writers
from cluster.load.scenario.phases import Phase
from cluster.load.scenario.tables import Repeats, Scenario

Seconds = npt.NDArray[np.float64]
#: One window bounds what is in memory at once.
WINDOW_S = 1.0
#: Tell apart what is drawn for one window.
_ARRIVALS, _REPEATS = 1, 2


class Curve:
    """A rate over time, and the number that is expected until then.

    Args:
        phases: one after the other.
    """

    def __init__(self, phases: Sequence[Phase]) -> None:
        pieces = [piece for phase in phases for piece in phase.pieces()]
        lasts = np.array([piece.lasts_s for piece in pieces])
        self._begin = np.array([piece.begin for piece in pieces])
        self._slope = np.array([piece.end - piece.begin for piece in pieces]) / lasts
        means = np.array([(piece.begin + piece.end) / 2 for piece in pieces])
        self._at = np.concatenate([[0.0], np.cumsum(lasts)])
        self._until = np.concatenate([[0.0], np.cumsum(lasts * means)])

    @property
    def lasts_s(self) -> float:
        """How long it lasts."""
        return float(self._at[-1])

    @property
    def total(self) -> float:
        """How many are expected in all."""
        return float(self._until[-1])

    def rate(self, at_s: Seconds) -> Seconds:
        """Return the rate at times within the curve, per second."""
        piece = self._piece(self._at, at_s)
        return self._begin[piece] + self._slope[piece] * (at_s - self._at[piece])

    def expected(self, at_s: Seconds) -> Seconds:
        """Return how many are expected until each time."""
        inside = np.clip(at_s, 0.0, self.lasts_s)
        piece = self._piece(self._at, inside)
        since = inside - self._at[piece]
        return self._until[piece] + since * (self._begin[piece] + self._slope[piece] * since / 2)

    def when(self, expected: Seconds) -> Seconds:
        """Return when each number is reached: the inverse of `expected`."""
        piece = self._piece(self._until, expected)
        more = expected - self._until[piece]
        begin = self._begin[piece]
        # of the two forms of the quadratic's root the one that does not cancel when the slope is small
        below = begin + np.sqrt(np.maximum(begin * begin + 2 * self._slope[piece] * more, 0.0))
        since = np.divide(2 * more, below, out=np.zeros_like(more), where=below > 0)
        return np.minimum(self._at[piece] + since, self._at[piece + 1])

    def _piece(self, bounds: Seconds, values: Seconds) -> npt.NDArray[np.intp]:
        """Find the piece of each value; of pieces in which nothing grows, the next one that does."""
        return np.clip(np.searchsorted(bounds, values, side="right") - 1, 0, len(self._begin) - 1)


class Window(NamedTuple):
    """The messages of one stretch of time, in the order in which they are due; all arrays have the same length.

    Args:
        due_s: seconds since the begin of the run.
        writers: who writes.
        numbers: which of the writer's messages it is, from 0.
    """

    due_s: Seconds
    writers: Writers
    numbers: Writers


class Arrivals:
    """All messages of a run.

    Args:
        curve: the rate.
        people: who writes.
        kind: how they fall.
        seed: equal seeds, equal messages.
    """

    def __init__(self, curve: Curve, people: People, kind: Literal["poisson", "even"], seed: int) -> None:
        self.curve = curve
        self._people = people
        self._kind = kind
        self._seed = seed

    @classmethod
    def of(cls, scenario: Scenario, people: People) -> "Arrivals":
        """Return those of a scenario."""
        return cls(Curve(scenario.phases), people, scenario.arrivals, scenario.seed)

    def windows(self, generator: int = 0, generators: int = 1) -> Iterator[Window]:
        """Yield one generator's messages, a second at a time; every window comes, an empty one too.

        Args:
            generator: from 0.
            generators: among how many the writers are divided.
        """
        written = np.zeros(self._people.count, dtype=np.int32)
        for place in range(self._count()):
            due_s, writers = self._whole(place)
            mine = writers % generators == generator
            due_s, writers = due_s[mine], writers[mine]
            yield Window(due_s, writers, _numbered(writers, written))

    def offered(self) -> npt.NDArray[np.int64]:
        """Return how many messages are due in each window, over all generators."""
        return np.array([len(self._whole(place)[0]) for place in range(self._count())], dtype=np.int64)

    def _count(self) -> int:
        return int(np.ceil(self.curve.lasts_s / WINDOW_S - 1e-9))

    def _whole(self, place: int) -> tuple[Seconds, Writers]:
        """Draw everything that is due in a window, and whose it is."""
        random = _random(self._seed, _ARRIVALS, place)
        ends = np.array([place * WINDOW_S, min((place + 1) * WINDOW_S, self.curve.lasts_s)])
        expected = self.curve.expected(ends)
        begin, end = float(expected[0]), float(expected[1])
        if self._kind == "poisson":
            points = begin + (end - begin) * np.sort(random.random(int(random.poisson(end - begin))))
        else:
            points = np.arange(math.ceil(begin - 0.5), math.ceil(end - 0.5), dtype=np.float64) + 0.5
        # rounding must not bring a point out of its window
        due_s = np.clip(self.curve.when(points), ends[0], np.nextafter(ends[1], 0.0))
        return due_s, self._writers(random, len(due_s))

    def _writers(self, random: np.random.Generator, count: int) -> Writers:
        """Draw whose each message is: the channel by its share, then any of its writers."""
        groups = self._people.groups
        bounds = np.cumsum([group.share for group in groups])
        bounds[-1] = 1.0
        chosen = np.searchsorted(bounds, random.random(count), side="right")
        first = np.array([group.first for group in groups])[chosen]
        size = np.array([group.size for group in groups])[chosen]
        return (first + (random.random(count) * size).astype(np.int64)).astype(np.int32)


def repeats_of(window: Window, callers: range, repeats: Repeats, seed: int, place: int) -> tuple[Writers, Seconds]:
    """Draw which of a window's webhook calls the vendor makes again, and when.

    Args:
        window: the ``place``-th of one generator.
        callers: the writers whose messages come by webhook.
        repeats: how often.
        seed: of the run.
        place: from 0.

    Returns:
        Places in ``window``, and the seconds since the begin of the run; sorted by these.
    """
    random = _random(seed, _REPEATS, place)
    called = np.flatnonzero((window.writers >= callers.start) & (window.writers < callers.stop))
    chosen = called[random.random(len(called)) < repeats.share]
    again = np.repeat(chosen, random.integers(1, repeats.most, size=len(chosen), endpoint=True))
    at_s = window.due_s[again] + random.random(len(again)) * repeats.within_s
    order = np.argsort(at_s, kind="stable")
    return again[order].astype(np.int32), at_s[order]


def _random(seed: int, purpose: int, place: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, purpose, place])))


def _numbered(writers: Writers, written: Writers) -> Writers:
    """Number each writer's messages on from how many were ``written``, and count them there."""
    order = np.argsort(writers, kind="stable")
    of = writers[order]
    begins = np.flatnonzero(np.concatenate([[True], of[1:] != of[:-1]])) if len(of) else np.zeros(0, dtype=np.intp)
    sizes = np.diff(np.concatenate([begins, [len(of)]])).astype(np.int32)
    numbers = np.empty(len(of), dtype=np.int32)
    numbers[order] = np.arange(len(of), dtype=np.int32) - np.repeat(begins, sizes).astype(np.int32) + written[of]
    written[of[begins]] += sizes
    return numbers
