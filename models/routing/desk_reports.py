"""What gateways tell the dispatcher of the desks that they hold: all of them once, and then what changed.

Ten thousand desks that open one after the other would otherwise be told ten thousand times. Reports of one
gateway are numbered, and each names the one that it continues. Whoever hears them refuses one that continues
another report than the last one heard, and the gateway then tells all its desks: so a report that is lost,
late or repeated, and the death of either side, put nothing wrong for longer than until the next report.

Both sides are here; the calls between them are made elsewhere.
"""

from collections import Counter

import msgspec

#: Account and agent; an agent may have several desks open.
DeskOf = tuple[str, str]


class DeskReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One report.

    Args:
        gateway: whose.
        life: of the gateway's process; another one has other desks.
        number: of this report, in that life.
        continues: number of the report before; None: ``opened`` are all agents with a desk here.
        opened: agents with a desk here, who had none at the report before.
        closed: agents without a desk here, who had one at the report before.
    """

    gateway: str
    life: int
    number: int
    continues: int | None = None
    opened: list[DeskOf] = []
    closed: list[DeskOf] = []


class OpenDesks:
    """A gateway's side: counts its desks, and writes the next report.

    Args:
        gateway: its name.
        life: distinguishes this process from those before and after it.
    """

    def __init__(self, gateway: str, life: int) -> None:
        self._gateway = gateway
        self._life = life
        self._desks: Counter[DeskOf] = Counter()
        self._changed: set[DeskOf] = set()
        self._number = 0
        self._known = False

    def __len__(self) -> int:
        """Count the desks; two of one agent are two."""
        return self._desks.total()

    def open(self, desk: DeskOf) -> None:
        """Count a desk that opened."""
        self._desks[desk] += 1
        if self._desks[desk] == 1:
            self._changed.add(desk)

    def close(self, desk: DeskOf) -> None:
        """Count a desk that closed."""
        self._desks[desk] -= 1
        if self._desks[desk] <= 0:
            del self._desks[desk]
            self._changed.add(desk)

    @property
    def settled(self) -> bool:
        """Whether all is told; a report is due now and then all the same, as silence means that we are gone."""
        return self._known and not self._changed

    def report(self) -> DeskReport:
        """Write the next report; `heard` or `lost` must follow before the one after it."""
        before, self._number = self._number, self._number + 1
        changed, self._changed = self._changed, set[DeskOf]()
        known, self._known = self._known, False
        if not known:
            return DeskReport(gateway=self._gateway, life=self._life, number=self._number, opened=list(self._desks))
        return DeskReport(
            gateway=self._gateway,
            life=self._life,
            number=self._number,
            continues=before,
            opened=[desk for desk in changed if desk in self._desks],
            closed=[desk for desk in changed if desk not in self._desks],
        )

    def heard(self, *, known: bool) -> None:
        """Take the answer to the last report; ``known``: the next one may continue it."""
        self._known = known


class ReportedDesks:
    """A dispatcher's side: which reports continue what it knows."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int]] = {}

    def follows(self, report: DeskReport) -> bool:
        """Tell whether a report is to be taken: it tells all and is no old one, or it continues the last one taken."""
        last = self._last.get(report.gateway)
        if report.continues is not None:
            return last == (report.life, report.continues)
        return last is None or last[0] != report.life or report.number > last[1]

    def taken(self, report: DeskReport) -> None:
        """Note that all of a report was taken."""
        self._last[report.gateway] = (report.life, report.number)

    def forget(self, gateway: str) -> None:
        """Let the gateway tell all its desks."""
        self._last.pop(gateway, None)
