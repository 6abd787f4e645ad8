"""What ``raydesk load`` says at its end, in plain lines."""

from collections.abc import Iterator, Sequence

from cluster.load.report.knee import Knee, Row
from cluster.load.report.markup import cost_words, pass_words
from cluster.load.report.parts import PhaseSeen
from cluster.load.report.report import Report


def summary(report: Report) -> Iterator[str]:
    """Yield the lines that tell how a run ended."""
    rates = report.rates
    yield f"{report.verdict}: {report.messages.statement}"
    yield (
        f"  offered {rates['offered']:,.0f}/s, accepted {rates['accepted']:,.0f}/s, shown {rates['shown']:,.0f}/s, "
        f"refused {report.messages.refused:,}, sockets {report.setting.sockets:,}"
    )
    if report.system.sockets:
        yield f"  {cost_words(report.system.sockets)}"
    for stage, figures in report.stages.items():
        told = "  ".join(f"{name} {value:,.1f}" for name, value in figures.percentiles.items())
        yield f"  {stage:<8} {told}  max {figures.max_ms:,.1f} ms"
    yield from _phase_lines(report.system.phases)
    for name, found in (("messages", report.messages), ("answers", report.answers)):
        if found is not None:
            faults = ", ".join(f"{fault} {count:,}" for fault, count in found.faults.items()) or "no fault"
            yield (
                f"  audit of {name}: {found.accepted:,} accepted, {found.delivered:,} delivered, {found.kept:,} kept, "
                f"{found.refused:,} refused; {faults}"
            )
            yield from (f"    {fault}: {each}" for fault, some in found.examples.items() for each in some[:2])
    for fault in report.system.faults:
        back = "not as before in this run" if fault.back_s is None else f"as before after {fault.back_s:.1f} s"
        silence = f"a desk was told nothing for {fault.silence_s:.2f} s at most"
        yield f"  {fault.what} at {fault.at_s:.1f} s: {back}; {silence}"
    for each in report.expectations:
        measured = "not measured" if each.measured is None else f"{each.measured:g}"
        yield f"  {'holds' if each.held else 'FAILS'}: {each.expected} ({measured})"
    yield from (f"  invalid: {reason}" for reason in report.invalid)


def _phase_lines(phases: Sequence[PhaseSeen]) -> Iterator[str]:
    """Yield a line for each phase, what it cost, and what a pass took."""
    for each in phases:
        told = "  ".join(f"{name} {ms:,.1f}" for name, ms in each.percentiles.items())
        yield f"  phase {each.name}: shown {each.shown:,.0f}/s, to the desk {told} ms"
        if each.used_us:
            used = ", ".join(f"{name} {us:,.0f}" for name, us in each.used_us.items())
            yield f"    processor us/message: {used}"
        if words := pass_words(each):
            yield f"    passes: {words}"


def knee_lines(knee: Knee) -> Iterator[str]:
    """Yield the table of a walk."""
    yield f"closed loop: {knee.closed_per_s:,.0f} messages/s accepted"
    for rate, held in knee.steps:
        yield f"  {rate:>9,.0f}/s {'holds' if held else 'does not hold'}"
    yield from (f"  invalid: {reason}" for reason in knee.invalid)
    if not knee.rows:
        yield "no rate held: the system, or the generator, is slower than its own closed loop"
        return
    yield f"knee: {knee.per_s:,.0f} messages/s"
    yield "  share   offered/s  goodput/s    p50 ms    p99 ms   refused  refusal p99   memory   usual after  faults"
    for row in knee.rows:
        yield _row(row)
        yield from (f"          invalid: {reason}" for reason in row.invalid)


def _row(row: Row) -> str:
    def ms(value: float | None) -> str:
        return "-" if value is None else f"{value:,.1f}"

    back = "not seen" if row.back_s is None else f"{row.back_s:.0f} s"
    return (
        f"  {row.share:>4.0%}  {row.offered:>10,.0f} {row.goodput:>10,.0f} {ms(row.p50_ms):>9} {ms(row.p99_ms):>9} "
        f"{row.refused:>9,} {ms(row.refusal_p99_ms):>12} {row.memory_mb:>6,.0f} MB {back:>11} {row.faults:>7,}"
    )
