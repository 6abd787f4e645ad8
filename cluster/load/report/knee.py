"""What a walk to the knee found, and ``knee.html`` of it: like that of a run one file, without script or network."""

from html import escape
from pathlib import Path

import msgspec

from cluster.load.report.charts import Line, chart, linear, logarithmic, number_words
from cluster.load.report.markup import card, fault_count, milliseconds, table
from cluster.load.report.parts import Setting

_STYLE = Path(__file__).parent / "report.css"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one share of the knee showed; of the seconds at that share alone.

    Args:
        share: of the knee.
        offered, goodput: messages a second: due, and shown at a desk.
        p50_ms, p99_ms: to the desk; None: nothing was shown.
        refused: messages.
        refusal_p99_ms: until they were told; None: nothing was refused.
        memory_mb: the most that the system's processes had together.
        back_s: until latency was as usual, after the share had ended; None: not in the time that it had.
        lost: by the audit.
        faults: of the audit, all kinds.
        invalid: why the generator was what was measured; empty: it was not.
    """

    share: float
    offered: float
    goodput: float
    p50_ms: float | None
    p99_ms: float | None
    refused: int
    refusal_p99_ms: float | None
    memory_mb: float
    back_s: float | None
    lost: int
    faults: int
    invalid: list[str]


class Knee(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk found.

    Args:
        closed_per_s: accepted in the closed loop.
        per_s: the knee; 0: no rate held.
        steps: rate and whether it held, in the order of the search.
        rows: what it is like around it.
        invalid: rates that did not hold because the generator was full, with why; then the knee is its own.
    """

    closed_per_s: float
    per_s: float
    steps: list[tuple[float, bool]]
    rows: list[Row]
    invalid: list[str] = msgspec.field(default_factory=list[str])


def knee_page(setting: Setting, knee: Knee) -> str:
    """Return the whole page."""
    sections = [
        _head(setting, knee),
        _invalid(knee),
        _rows(knee) if knee.rows else card("No rate held", "", "<p>Nothing was looked at beyond the search.</p>"),
        _search(knee),
        card("To repeat it", "", f"<pre>{escape(setting.command)}</pre><pre class='soft'>{_machine(setting)}</pre>"),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(setting.scenario)}: the limit</title>"
        f"<style>{_STYLE.read_text(encoding='utf-8')}</style></head><body><main>{''.join(sections)}</main></body></html>\n"
    )


def _head(setting: Setting, knee: Knee) -> str:
    tiles = (
        (f"{number_words(knee.per_s)}/s", "the knee: the highest rate that holds"),
        (f"{number_words(knee.closed_per_s)}/s", "accepted in the closed loop"),
        (f"{_goodput(knee)}", "of the knee shown at the highest load"),
    )
    drawn = "".join(f'<div class="tile"><b>{value}</b><small>{about}</small></div>' for value, about in tiles)
    return (
        f'<div class="head"><div><h1>The limit: {escape(setting.scenario)}</h1></div></div>'
        f'<p class="soft">{escape(setting.started_at)} · {escape(setting.target)}</p><div class="tiles">{drawn}</div>'
    )


def _goodput(knee: Knee) -> str:
    if not knee.rows or not knee.per_s:
        return "none"
    return f"{max(knee.rows, key=lambda row: row.share).goodput / knee.per_s:.0%}"


def _invalid(knee: Knee) -> str:
    reasons = [*knee.invalid, *_of_rows(knee)]
    if not reasons:
        return ""
    told = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return (
        f'<div class="card warning"><h2>Invalid</h2><p>There the load generator was measured.</p><ul>{told}</ul></div>'
    )


def _of_rows(knee: Knee) -> list[str]:
    return [f"{row.share:.0%}: {reason}" for row in knee.rows for reason in row.invalid]


def _rows(knee: Knee) -> str:
    heads = (
        "share",
        "offered/s",
        "goodput/s",
        "p50",
        "p99",
        "refused",
        "refusal p99",
        "memory",
        "usual after",
        "faults",
    )
    about = (
        "Each share of the knee between two stretches at half of it; figures are of the share alone. Goodput is what "
        "was shown; usual after is how long latency took to be as before when the share was over."
    )
    return card("Around the knee", about, _drawn(knee) + table(heads, [_cells(row) for row in knee.rows]))


def _cells(row: Row) -> tuple[str, ...]:
    def ms(value: float | None) -> str:
        return "none" if value is None else milliseconds(value)

    return (
        f"<b>{row.share:.0%}</b>",
        f"{row.offered:,.0f}",
        f"{row.goodput:,.0f}",
        ms(row.p50_ms),
        ms(row.p99_ms),
        f"{row.refused:,}",
        ms(row.refusal_p99_ms),
        f"{row.memory_mb:,.0f} MB",
        "not seen" if row.back_s is None else f"{row.back_s:.0f} s",
        fault_count(row.faults),
    )


def _drawn(knee: Knee) -> str:
    most = max(row.share for row in knee.rows) * 100
    x = linear("% of the knee offered", 0, most)
    rates = [
        Line("offered", [(row.share * 100, row.offered) for row in knee.rows], 8),
        Line("goodput", [(row.share * 100, row.goodput) for row in knee.rows], 1),
    ]
    drawn = chart(x, linear("messages/s", 0, max(row.offered for row in knee.rows)), rates, title="goodput")
    latencies = [
        Line(name, points, colour)
        for name, points, colour in (("p50", _points(knee, "p50_ms"), 1), ("p99", _points(knee, "p99_ms"), 2))
        if points
    ]
    values = [value for line in latencies for _, value in line.points if value]
    if values:
        drawn += chart(x, logarithmic("ms", max(min(values), 0.05), max(values)), latencies, title="latency")
    return f'<div class="pair">{drawn}</div>'


def _points(knee: Knee, name: str) -> list[tuple[float, float | None]]:
    found = [(row.share * 100, getattr(row, name)) for row in knee.rows]
    return [(share, value) for share, value in found if value is not None]


def _search(knee: Knee) -> str:
    rows = [(f"{rate:,.0f}/s", "holds" if held else "does not hold") for rate, held in knee.steps]
    about = "A rate holds while 99 % of it is shown, nothing is refused, and the median latency does not grow."
    return card("The search", about, table(("rate", ""), rows, "facts"))


def _machine(setting: Setting) -> str:
    return escape("\n".join(setting.machine))
