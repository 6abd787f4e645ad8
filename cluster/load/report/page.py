"""``report.html``: one file that needs nothing else, neither a script nor a network."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from cluster.load.report.charts import (
    Axis,
    Line,
    Mark,
    bars,
    chart,
    linear,
    logarithmic,
    nines,
    number_words,
    thinned,
    time_axis,
)
from cluster.load.report.markup import card, fault_count, holds, mean, milliseconds, table
from cluster.load.report.page_system import phases, system
from cluster.load.report.report import NAMED, Report, StageFigures
from cluster.load.report.words import CLASSES, STAGES
from cluster.load.scenario.quantities import Duration
from cluster.load.truth.findings import FAULTS, Findings

_STYLE = Path(__file__).parent / "report.css"
#: Curves that a reader compares; the parts of the way stand in bars.
_DRAWN = ("desk", "receipt", "answer", "refusal")
_PARTS = ("lag", "reach", "route", "push")
#: Percentiles below say how fast the luckiest are, and would take half of a logarithmic axis.
_FIRST = 10.0
_VERDICTS = {
    "passed": "Passed",
    "failed": "Failed",
    "invalid": "Invalid: the load generator was the bottleneck",
}


def page(report: Report) -> str:
    """Return the whole page."""
    setting = report.setting
    sections = [
        _head(report),
        _tiles(report),
        _invalid(report),
        _expected(report),
        _latency(report),
        phases(report),
        _over_time(report),
        _way(report),
        system(report),
        _audit("What contacts wrote", "Audit of messages", report.messages),
        _audit("What agents answered", "Audit of answers", report.answers) if report.answers else "",
        _generators(report),
        _repeat(report),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(setting.scenario)}: load report</title>"
        f"<style>{_STYLE.read_text(encoding='utf-8')}</style></head><body><main>{''.join(sections)}</main></body></html>\n"
    )


# -- parts of the page


def _head(report: Report) -> str:
    setting = report.setting
    return (
        f'<div class="head"><div><h1>Load report: {escape(setting.scenario)}</h1><p>{escape(setting.about)}</p></div>'
        f'<span class="badge {report.verdict}">{_VERDICTS[report.verdict]}</span></div>'
        f'<p class="soft">{escape(setting.started_at)} · {escape(setting.target)} · messages due for '
        f"{Duration(setting.due_s)}, of which {Duration(setting.warm_up_s)} warm-up</p>"
    )


def _tiles(report: Report) -> str:
    desk, found = report.stages.get("desk"), report.messages
    tiles = [(_ms(desk, name), f"{name} to the desk", "") for name in ("p50", "p99", "p99.9")]
    tiles += [
        (
            f"{number_words(report.rates['shown'])}/s",
            f"shown, of {number_words(report.rates['offered'])}/s offered",
            "",
        ),
        (f"{found.lost:,}", f"lost of {found.accepted:,} accepted", "bad" if found.lost else "good"),
        (f"{found.refused:,}", "refused, and told so", ""),
        (f"{report.setting.sockets:,}", "sockets at most", ""),
    ]
    drawn = "".join(
        f'<div class="tile {kind}"><b>{value}</b><small>{about}</small></div>' for value, about, kind in tiles
    )
    return f'<div class="tiles">{drawn}</div>'


def _invalid(report: Report) -> str:
    if not report.invalid:
        return ""
    reasons = "".join(f"<li>{escape(each)}</li>" for each in report.invalid)
    words = "These are the figures of the load generator, not of the system. Use more generators, or less load."
    return f'<div class="card warning"><h2>Invalid</h2><p>{words}</p><ul>{reasons}</ul></div>'


def _expected(report: Report) -> str:
    if not report.expectations:
        return ""
    rows = [
        (
            f"<code>{escape(each.expected)}</code>",
            "not measured" if each.measured is None else number_words(each.measured),
            holds(each.held),
        )
        for each in report.expectations
    ]
    return card("Expectations", "", table(("expected", "measured", ""), rows))


def _latency(report: Report) -> str:
    names = [f"p{percentile:g}" for percentile in NAMED]
    rows = [
        (
            f'<b>{stage}</b><br><span class="soft">{STAGES[stage]}</span>',
            *(_ms(found, name) for name in names),
            milliseconds(found.max_ms),
            milliseconds(found.mean_ms),
            f"{found.count:,}",
        )
        for stage, found in report.stages.items()
    ]
    figures = table(("stage", *names, "max", "mean", "messages"), rows)
    drawn = [(stage, report.stages[stage]) for stage in _DRAWN if stage in report.stages and report.stages[stage].curve]
    if not drawn:
        return card("Latency", "", figures)
    lines = [
        Line(stage, [(at, max(value, 0.001)) for at, value in found.curve if at >= _FIRST], number + 1)
        for number, (stage, found) in enumerate(drawn)
    ]
    y = _latency_axis(value for line in lines for _, value in line.points)
    x = nines(max(found.curve[-1][0] for _, found in drawn))
    about = "From the intended time of each message, without the warm-up. Each further nine takes the same room."
    return card("Latency", about, chart(x, y, lines, title="latency by percentile") + figures)


def _over_time(report: Report) -> str:
    seconds = report.seconds
    x = time_axis(max(len(seconds.offered), 1))
    marks = _marks(report)

    def rate(name: str, colour: int, counts: Sequence[int]) -> Line:
        points = thinned([(float(at), float(count)) for at, count in enumerate(counts)], mean)
        return Line(name, points, colour, "area" if name == "offered" else "line")

    rates = [
        rate("offered", 8, seconds.offered),
        rate("accepted", 3, seconds.accepted),
        rate("shown", 1, seconds.shown),
    ]
    if any(seconds.refused):
        rates.append(rate("refused", 2, seconds.refused))
    most = max((value or 0 for line in rates for _, value in line.points), default=1)
    latencies = [
        Line(name, thinned(list(enumerate(values)), max), colour, "thin" if name == "max" else "line")
        for name, values, colour in (("max", seconds.max_ms, 8), ("p99", seconds.p99_ms, 2), ("p50", seconds.p50_ms, 1))
    ]
    y = _latency_axis(value for line in latencies for _, value in line.points)
    about = (
        "Offered and refused by the second in which a message was due, accepted and shown by that in which it happened."
    )
    return card(
        "Rate over time", about, chart(x, linear("messages/s", 0, max(most, 1)), rates, marks, title="rate over time")
    ) + card(
        "Latency over time",
        "To the desk, by the second in which a message was due; the warm-up is shaded, faults are marked.",
        chart(x, y, latencies, marks, title="latency over time"),
    )


def _way(report: Report) -> str:
    parts = [(stage, report.stages[stage]) for stage in _PARTS if stage in report.stages]
    if not parts:
        return ""
    rows = [(stage, found.mean_ms, f"{milliseconds(found.mean_ms)}  {STAGES[stage]}") for stage, found in parts]
    about = "The mean of each part of the way to the desk, by the times that the messages carry."
    return card("Where the time goes", about, bars(rows, title="mean time of each stage"))


def _audit(title: str, name: str, found: Findings) -> str:
    counts = [each for each in CLASSES if each not in FAULTS]
    rows = [(each.replace("_", " "), f"{getattr(found, each):,}", _words(each)) for each in counts]
    faults = [
        (each.replace("_", " "), fault_count(getattr(found, each)), _words(each)) for each in CLASSES if each in FAULTS
    ]
    examples = "\n".join(f"{fault}: {each}" for fault, named in found.examples.items() for each in named)
    told = f"<pre>{escape(examples)}</pre>" if examples else ""
    about = f"{title}, reconciled one by one. <b>{escape(found.statement)}.</b>"
    return card(
        name, about, table(("", "", ""), rows, "facts") + table(("what must not be", "", ""), faults, "facts") + told
    )


def _generators(report: Report) -> str:
    rows = [
        (
            escape(each.name),
            f"{each.due:,}",
            f"{each.late:,}",
            milliseconds(each.lag_p99_ms),
            milliseconds(each.worst_lag_ms),
            f"{mean(each.cpu):.0%}",
            f"{max(each.cpu, default=0.0):.0%}",
        )
        for each in report.generators
    ]
    about = "Whether the harness kept up: how late it sent, and what it used of its cores. If not, the run is invalid."
    heads = ("generator", "due", "late", "lag p99", "worst lag", "mean CPU", "most CPU")
    return card("Load generators", about, table(heads, rows))


def _repeat(report: Report) -> str:
    machine = "\n".join(report.setting.machine)
    return card(
        "To repeat it", "", f"<pre>{escape(report.setting.command)}</pre><pre class='soft'>{escape(machine)}</pre>"
    )


# -- what is drawn


def _words(name: str) -> str:
    return f'<td class="words">{CLASSES[name]}</td>'


def _ms(found: StageFigures | None, name: str) -> str:
    return milliseconds(found.percentiles[name]) if found and found.count else "none"


def _latency_axis(values: Iterable[float | None]) -> Axis:
    seen = [value for value in values if value]
    return logarithmic("ms", max(min(seen, default=1.0), 0.05), max(seen, default=10.0))


def _marks(report: Report) -> list[Mark]:
    warm_up = report.setting.warm_up_s
    marks = [Mark("warm-up", 0.0, warm_up)] if warm_up else []
    for each in report.system.faults:
        end = each.at_s + each.back_s if each.back_s else None
        marks += [Mark(each.what, each.at_s, end), Mark(each.what, each.at_s)] if end else [Mark(each.what, each.at_s)]
    return marks
