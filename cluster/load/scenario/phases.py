"""The shapes of a rate over time, each made of straight pieces; phases follow one another.

Straight pieces are enough for every shape and keep the arithmetic exact: the expected number of arrivals is
quadratic within a piece, so it can be inverted in closed form (`cluster/load/scenario/arrivals.py`).
"""

from itertools import pairwise
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, field

from cluster.load.scenario.quantities import Duration, Rate

#: Share of the busiest hour, from midnight: an ordinary day of a shop, with a peak before noon and a higher one
#: in the evening. Own figures, not anyone's log.
_ORDINARY_DAY = (
    *(0.22, 0.13, 0.08, 0.06, 0.05, 0.07, 0.14, 0.27, 0.48, 0.72, 0.86, 0.82),
    *(0.67, 0.70, 0.76, 0.78, 0.75, 0.71, 0.73, 0.85, 1.00, 0.94, 0.68, 0.40),
)


class Piece(NamedTuple):
    """A stretch in which the rate runs straight from one value to another, per second."""

    lasts_s: float
    begin: float
    end: float


class _Phase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="shape"):
    """What all shapes have.

    Args:
        lasts_s: how long.
    """

    lasts_s: Duration = field(name="lasts")


class Steady(_Phase, frozen=True, kw_only=True, tag="steady"):
    """The same rate all the time."""

    rate: Rate

    @property
    def words(self) -> str:
        """The rate, for a table."""
        return str(self.rate)

    def pieces(self) -> list[Piece]:
        """Return the one piece."""
        return [Piece(self.lasts_s, self.rate, self.rate)]


class Ramp(_Phase, frozen=True, kw_only=True, tag="ramp"):
    """From one rate to another in a straight line."""

    begin: Rate = field(name="from")
    end: Rate = field(name="to")

    @property
    def words(self) -> str:
        """The rates, for a table."""
        return f"{self.begin} to {self.end}"

    def pieces(self) -> list[Piece]:
        """Return the one piece."""
        return [Piece(self.lasts_s, self.begin, self.end)]


class Bursts(_Phase, frozen=True, kw_only=True, tag="bursts"):
    """A rate, and a higher one again and again.

    Args:
        rate: between the bursts.
        peak: within one.
        every_s: from the begin of one burst to that of the next; the first begins the phase.
        each_s: how long one lasts.
    """

    rate: Rate
    peak: Rate
    every_s: Duration = field(name="every")
    each_s: Duration = field(name="each")

    @property
    def words(self) -> str:
        """The rates, for a table."""
        return f"{self.rate}, bursts of {self.peak}"

    def pieces(self) -> list[Piece]:
        """Return two pieces for each burst; the phase's end may cut the last."""
        found: list[Piece] = []
        left = float(self.lasts_s)
        while left > 0:
            for lasts, rate in ((self.each_s, self.peak), (self.every_s - self.each_s, self.rate)):
                if (taken := min(lasts, left)) > 0:
                    found.append(Piece(taken, rate, rate))
                    left -= taken
        return found


class Day(_Phase, frozen=True, kw_only=True, tag="day"):
    """A whole day, pressed into ``lasts``.

    Args:
        peak: the rate of the busiest hour.
        hours: the rate at the begin of each hour, from midnight, as shares of ``peak``; the curve runs straight
            between them, and back to the first.
    """

    peak: Rate
    hours: Annotated[tuple[Annotated[float, Meta(ge=0, le=1)], ...], Meta(min_length=2, max_length=96)] = _ORDINARY_DAY

    @property
    def words(self) -> str:
        """The rate, for a table."""
        return f"a day of up to {self.peak}"

    def pieces(self) -> list[Piece]:
        """Return one piece for each hour."""
        hour_s = self.lasts_s / len(self.hours)
        rates = [share * self.peak for share in (*self.hours, self.hours[0])]
        return [Piece(hour_s, begin, end) for begin, end in pairwise(rates)]


Phase = Steady | Ramp | Bursts | Day
