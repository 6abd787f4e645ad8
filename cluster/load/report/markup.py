"""The small pieces of a page: cards, tables, and figures in words."""

from collections.abc import Iterable, Sequence

from cluster.load.report.parts import PhaseSeen, SocketCost
from cluster.load.scenario.quantities import Duration


def card(title: str, about: str, body: str) -> str:
    """Return a part of the page; all three are HTML."""
    told = f'<p class="soft">{about}</p>' if about else ""
    return f'<section class="card"><h2>{title}</h2>{told}{body}</section>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table; cells are HTML, and one that begins as a cell is taken as it is."""
    head = f"<tr>{''.join(f'<th>{each}</th>' for each in heads)}</tr>" if any(heads) else ""
    body = "".join(
        f"<tr>{''.join(cell if cell.startswith('<td') else f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="wide"><table class="{kind}">{head}{body}</table></div>'


def fault_count(count: int) -> str:
    """Return a count that should be 0."""
    return f'<span class="{"bad" if count else "good"}">{count:,}</span>'


def holds(held: bool) -> str:
    """Say whether a condition holds."""
    return '<span class="good">holds</span>' if held else '<span class="bad">does not hold</span>'


def milliseconds(value: float) -> str:
    """Write a latency with its unit."""
    return f"{value / 1e3:,.2f} s" if value >= 1_000 else f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def mean(values: Sequence[float]) -> float:
    """Return the mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def cost_words(cost: SocketCost) -> str:
    """Say what sockets took."""

    def each_kb(memory_mb: float) -> str:
        return f"{memory_mb * 1e3 / max(cost.count, 1):,.1f} KB"

    kernel = "" if cost.kernel_mb is None else f", {each_kb(cost.kernel_mb)} in the kernel's buffers of both ends"
    rate = cost.count / max(cost.took_s, 0.001)
    return (
        f"{cost.count:,} sockets opened in {Duration(round(cost.took_s, 1))}, {rate:,.0f}/s; "
        f"each took {each_kb(cost.gateways_mb)} in the gateways{kernel}; "
        f"{each_kb(cost.machine_mb)} of the whole machine, the clients' ends and all else included"
    )


def pass_words(phase: PhaseSeen) -> str:
    """Say what a pass of each process took in a phase, and how many messages shared one."""
    sizes = [f"{each.where} {each.mean:,.1f} messages" for each in phase.batches]
    times = [f"{each.where} {each.mean_ms:.2f} ms" for each in phase.stages]
    return ", ".join([*sizes, *times])
