"""What one sees while a load runs: a table that renews itself, or plain lines where nobody looks at a terminal."""

import time
from collections.abc import Callable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cluster.load.orders import Counts, Progress, recent_percentile_ms
from cluster.load.run.conductor import Moment
from cluster.load.scenario.quantities import Duration

#: Seconds between two plain lines.
_LINE_EVERY_S = 5.0
_SHOWN_FAULTS = 6


class LiveTable:
    """Shows moments of a run.

    Args:
        console: where to.
        name: of the scenario.
        lasts_s: of the run.
    """

    def __init__(self, console: Console, name: str, lasts_s: float) -> None:
        self._console = console
        self._name = name
        self._lasts_s = lasts_s
        self._live: Live | None = None
        self._told_at_s = 0.0
        self._told: tuple[str, int] = ("", 0)

    def __enter__(self) -> Callable[[Moment], None]:
        """Begin to show; returns what is to be told each moment."""
        if self._console.is_terminal:
            self._live = Live(Text("starting ..."), console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self.show

    def __exit__(self, *_: object) -> None:
        """Stop showing; safe twice."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def show(self, moment: Moment) -> None:
        """Show one moment."""
        if self._live is not None:
            self._live.update(page(moment, self._name, self._lasts_s), refresh=True)
            return
        now_s = time.monotonic()
        news = (moment.phase, len(moment.faults))
        if news != self._told or now_s - self._told_at_s >= _LINE_EVERY_S:
            self._told, self._told_at_s = news, now_s
            print(line(moment), flush=True)


def line(moment: Moment) -> str:
    """Return a moment as one plain line."""
    total, second = _sum(moment.parts, "total"), _sum(moment.parts, "second")
    parts = [
        f"{max(moment.at_s, 0.0):6.0f} s {moment.phase:<10}",
        f"offered {second.offered:,}/s accepted {second.accepted:,}/s shown {second.shown:,}/s",
        f"desk p50 {_ms(moment.parts, 50)} p99 {_ms(moment.parts, 99)}",
        f"refused {total.refused:,}",
        f"lag {_lag(moment.parts)}",
        f"sockets {_sockets(moment.parts)}",
        *moment.faults[-1:],
    ]
    return ", ".join(parts)


def page(moment: Moment, name: str, lasts_s: float) -> RenderableType:
    """Return a moment as a table."""
    total, second = _sum(moment.parts, "total"), _sum(moment.parts, "second")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for column in ("offered", "accepted", "shown", "refused", "answers shown"):
        table.add_column(column, justify="right")
    for title, counts, unit in (("last second", second, "/s"), ("in all", total, "")):
        told = (counts.offered, counts.accepted, counts.shown, counts.refused, counts.answers)
        table.add_row(title, *(f"{count:,}{unit}" for count in told))
    running = f"{Duration(round(max(moment.at_s, 0.0)))} of {Duration(lasts_s)}"
    cpu = max((part.cpu for part in moment.parts), default=0.0)
    unanswered = sum(part.unanswered for part in moment.parts)
    lines = [
        f"{name}: {moment.phase}, {running}",
        "",
        f"to the desk, last 5 s: p50 {_ms(moment.parts, 50)}, p99 {_ms(moment.parts, 99)}; "
        f"without an answer: {unanswered:,}",
        f"generators: {len(moment.parts)}, lag p99 {_lag(moment.parts)}, busiest at {cpu:.0%} of a core; "
        f"sockets {_sockets(moment.parts)}",
        *(f"fault: {fault}" for fault in moment.faults[-_SHOWN_FAULTS:]),
    ]
    return Group(Text("\n".join(lines[:2]), style="bold"), table, Text("\n".join(lines[1:])))


def _sum(parts: Sequence[Progress], name: str) -> Counts:
    counts: list[Counts] = [getattr(part, name) for part in parts]
    return Counts(**{field: sum(getattr(each, field) for each in counts) for field in Counts.__struct_fields__})


def _ms(parts: Sequence[Progress], percentile: float) -> str:
    found = recent_percentile_ms(parts, percentile)
    return "-" if found is None else f"{found:,.1f} ms"


def _lag(parts: Sequence[Progress]) -> str:
    return f"{max((part.lag_p99_ms for part in parts), default=0.0):,.1f} ms"


def _sockets(parts: Sequence[Progress]) -> str:
    open_now, connecting = sum(part.sockets for part in parts), sum(part.connecting for part in parts)
    return f"{open_now:,}" + (f" (and {connecting:,} connecting)" if connecting else "")
