"""The part of the page that is seen from beside the system: its processes, batches and faults, and each phase."""

from collections.abc import Sequence
from html import escape

from cluster.load.report.charts import Line, bars, chart, linear, thinned, time_axis
from cluster.load.report.markup import card, cost_words, mean, milliseconds, pass_words, table
from cluster.load.report.parts import ProcessUse
from cluster.load.report.report import Report
from cluster.load.scenario.quantities import Duration

_MOST_LINES = 8


def system(report: Report) -> str:
    """Return what the processes used, how many messages shared a pass, and what was done to them."""
    beside = report.system
    found = ""
    if beside.processes:
        shown = sorted(beside.processes, key=lambda each: -sum(each.cpu))[:_MOST_LINES]
        x = time_axis(max((at for each in shown for at in each.at_s), default=1.0) or 1.0)
        charts = [
            (title, chart(x, linear(unit, 0, _most(shown, value)), _lines(shown, value), title=title.lower()))
            for title, unit, value in (("Processor", "cores", "cpu"), ("Memory", "MB", "memory_mb"))
        ]
        found += f'<div class="pair">{"".join(card(title, "", drawn) for title, drawn in charts)}</div>'
    if beside.sockets and beside.sockets.count:
        found += card("Sockets", "", f"<p>{escape(cost_words(beside.sockets))}</p>")
    if beside.batches:
        rows = [
            (each.where, each.mean, f"{each.mean:,.1f} ({_p99(each.p99)}{each.batches:,} batches)")
            for each in beside.batches
        ]
        about = "Messages that shared one pass, on average, as the system itself counts them."
        found += card("Batch sizes", about, bars(rows, title="batch sizes"))
    if beside.faults:
        rows = [
            (
                escape(each.what),
                str(Duration(each.at_s)),
                "not seen" if each.back_s is None else str(Duration(each.back_s)),
                str(Duration(round(each.silence_s, 2))),
            )
            for each in beside.faults
        ]
        about = "A desk's silence is the longest time in which any one desk was told nothing, until the next fault."
        found += card("Faults", about, table(("what was done", "at", "all as before after", "a desk's silence"), rows))
    return found


def phases(report: Report) -> str:
    """Return a table of the phases, and what a pass took in each."""
    seen = [each for each in report.system.phases if each.percentiles]
    if not seen:
        return ""
    names = list(dict.fromkeys(name for each in seen for name in each.used_us))
    rows = [
        (
            f"<b>{escape(each.name)}</b>",
            f"{each.shown:,.0f}/s",
            *(milliseconds(ms) for ms in each.percentiles.values()),
            *(f"{each.used_us[name]:,.0f}" if name in each.used_us else "" for name in names),
        )
        for each in seen
    ]
    heads = ("phase", "shown", *seen[0].percentiles, *(f"{escape(name)}, us" for name in names))
    stages = [(escape(each.name), escape(words)) for each in seen if (words := pass_words(each))]
    about = (
        "Each phase without its first two seconds. Latencies are to the desk, to 2 %; beside them is the processor "
        "time of each process for a message that was shown."
    )
    told = table(("phase", "what one pass took, as the processes count"), stages) if stages else ""
    return card("Phases", about, table(heads, rows) + told)


def _p99(size: float | None) -> str:
    return "" if size is None else f"p99 {size:,.0f}, "


def _lines(processes: Sequence[ProcessUse], value: str) -> list[Line]:
    return [
        Line(each.name, thinned(list(zip(each.at_s, getattr(each, value), strict=True)), mean), number + 1)
        for number, each in enumerate(processes)
    ]


def _most(processes: Sequence[ProcessUse], value: str) -> float:
    return max((each for process in processes for each in getattr(process, value)), default=1.0) or 1.0
