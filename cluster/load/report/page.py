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
from cluster.load.report.markup import card, cost_words, fault_count, holds, mean, milliseconds, pass_words, table
from cluster.load.report.parts import ProcessUse
from cluster.load.report.report import NAMED, Report, StageFigures
from cluster.load.scenario.quantities import Duration
from cluster.load.truth.findings import FAULTS, Findings

_STYLE = Path(__file__).parent / "report.css"
#: What each stage is, for readers.
_STAGES = {
    "desk": "intended time to the agent's desk",
    "receipt": "intended time to the receipt: durable",
    "refusal": "intended time to a refusal",
    "answer": "intended answer to the visitor's page",
    "connect": "opening a socket",
    "lag": "intended time to the harness's own sending",
    "reach": "sent to received by the system",
    "route": "received to numbered by the router",
    "push": "numbered to the desk: append, fsync, push",
}
#: Curves that a reader compares; the parts of the way stand in bars.
_DRAWN = ("desk", "receipt", "answer", "refusal")
_PARTS = ("lag", "reach", "route", "push")
_MOST_LINES = 8
#: Percentiles below say how fast the luckiest are, and would take half of a logarithmic axis.
_FIRST = 10.0
_VERDICTS = {
    "passed": "Passed",
    "failed": "Failed",
    "invalid": "Invalid: the load generator was the bottleneck",
}
#: What each count of the audit means.
_CLASSES = {
    "intended": "were due",
    "sent": "left at least once",
    "accepted": "have a receipt",
    "delivered": "accepted, and shown where they belong",
    "kept": "accepted, in the history, and wait for a reader or stay with the bot",
    "refused": "were answered with errors only, so their senders know",
    "unsent": "never left, because the harness could not",
    "resent": "left again under the same id",
    "duplicates": "receipts that said it had been taken before",
    "handed_on": "conversations taken from a desk because its time was up",
    "snapshots": "fresh starts of desks after a break",
    "conversations": "were seen",
    "lost": "accepted, and neither delivered nor kept, or missing in a history that was read whole",
    "doubled": "pushed twice, or stored twice",
    "reordered": "stored or pushed after one that was sent later",
    "misplaced": "shown to somebody else, or where the receipt does not say",
    "unaccounted": "sent, and answered with nothing at all",
    "contradicted": "refused as not stored, and there all the same",
    "invented": "facts about messages that nobody sent",
    "held_twice": "conversations on two desks at once",
    "held_elsewhere": "conversations on another desk than the system's record says",
    "gaps": "numbers that a reader was never shown",
    "foreign_again": "words of others that were pushed twice or out of order",
    "entries_again": "entries of desks' logs that came twice",
    "entries_skipped": "entries of desks' logs that never came",
    "mishaps": "what must not happen at all",
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
        _phases(report),
        _over_time(report),
        _way(report),
        _system(report),
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
            f'<b>{stage}</b><br><span class="soft">{_STAGES[stage]}</span>',
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
    rows = [(stage, found.mean_ms, f"{milliseconds(found.mean_ms)}  {_STAGES[stage]}") for stage, found in parts]
    about = "The mean of each part of the way to the desk, by the times that the messages carry."
    return card("Where the time goes", about, bars(rows, title="mean time of each stage"))


def _system(report: Report) -> str:
    system = report.system
    found = ""
    if system.processes:
        shown = sorted(system.processes, key=lambda each: -sum(each.cpu))[:_MOST_LINES]
        x = time_axis(max((at for each in shown for at in each.at_s), default=1.0) or 1.0)
        charts = [
            (title, chart(x, linear(unit, 0, _most(shown, value)), _lines(shown, value), title=title.lower()))
            for title, unit, value in (("Processor", "cores", "cpu"), ("Memory", "MB", "memory_mb"))
        ]
        found += f'<div class="pair">{"".join(card(title, "", drawn) for title, drawn in charts)}</div>'
    if system.sockets and system.sockets.count:
        found += card("Sockets", "", f"<p>{escape(cost_words(system.sockets))}</p>")
    if system.batches:
        rows = [
            (each.where, each.mean, f"{each.mean:,.1f} ({_p99(each.p99)}{each.batches:,} batches)")
            for each in system.batches
        ]
        about = "Messages that shared one pass, on average, as the system itself counts them."
        found += card("Batch sizes", about, bars(rows, title="batch sizes"))
    if system.faults:
        rows = [
            (
                escape(each.what),
                str(Duration(each.at_s)),
                "not seen" if each.back_s is None else str(Duration(each.back_s)),
                str(Duration(round(each.silence_s, 2))),
            )
            for each in system.faults
        ]
        about = "A desk's silence is the longest time in which any one desk was told nothing, until the next fault."
        found += card("Faults", about, table(("what was done", "at", "all as before after", "a desk's silence"), rows))
    return found


def _phases(report: Report) -> str:
    phases = [each for each in report.system.phases if each.percentiles]
    if not phases:
        return ""
    names = list(dict.fromkeys(name for each in phases for name in each.used_us))
    rows = [
        (
            f"<b>{escape(each.name)}</b>",
            f"{each.shown:,.0f}/s",
            *(milliseconds(ms) for ms in each.percentiles.values()),
            *(f"{each.used_us[name]:,.0f}" if name in each.used_us else "" for name in names),
        )
        for each in phases
    ]
    heads = ("phase", "shown", *phases[0].percentiles, *(f"{escape(name)}, us" for name in names))
    stages = [(escape(each.name), escape(words)) for each in phases if (words := pass_words(each))]
    about = (
        "Each phase without its first two seconds. Latencies are to the desk, to 2 %; beside them is the processor "
        "time of each process for a message that was shown."
    )
    told = table(("phase", "what one pass took, as the processes count"), stages) if stages else ""
    return card("Phases", about, table(heads, rows) + told)


def _audit(title: str, name: str, found: Findings) -> str:
    counts = [each for each in _CLASSES if each not in FAULTS]
    rows = [(each.replace("_", " "), f"{getattr(found, each):,}", _words(each)) for each in counts]
    faults = [
        (each.replace("_", " "), fault_count(getattr(found, each)), _words(each)) for each in _CLASSES if each in FAULTS
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
    return f'<td class="words">{_CLASSES[name]}</td>'


def _ms(found: StageFigures | None, name: str) -> str:
    return milliseconds(found.percentiles[name]) if found and found.count else "none"


def _p99(size: float | None) -> str:
    return "" if size is None else f"p99 {size:,.0f}, "


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


def _lines(processes: Sequence[ProcessUse], value: str) -> list[Line]:
    return [
        Line(each.name, thinned(list(zip(each.at_s, getattr(each, value), strict=True)), mean), number + 1)
        for number, each in enumerate(processes)
    ]


def _most(processes: Sequence[ProcessUse], value: str) -> float:
    return max((each for process in processes for each in getattr(process, value)), default=1.0) or 1.0
