"""The result of a run: ``report.json`` for programs, and what ``report.html`` is made from.

A run is *failed* when the audit found a fault or an expectation does not hold, *invalid* when it measured its own
generators, else *passed*. An invalid run is never passed, whatever its figures; and since a message is lost whoever is
slow, it is failed for its audit and for what is only counted, never for its times.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from cluster.load.report.parts import Setting, System
from cluster.load.scenario.expect import STAGES, Judged, is_timed, judge, parse_expectations, parse_percentile
from cluster.load.truth.bottleneck import GeneratorLoad, invalid_because
from cluster.load.truth.findings import Findings
from cluster.load.truth.latencies import CURVE, Latencies
from cluster.load.truth.recorder import Recorder

FORMAT = 1
NAMED = (50.0, 90.0, 99.0, 99.9, 99.99)


class StageFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The latency of one stage, in milliseconds, without the warm-up.

    Args:
        count: how many were timed.
        percentiles: ``p50`` and so on.
        curve: (percentile, latency), from 0 to many nines.
        hdr: the whole distribution in microseconds, a HdrHistogram in base 64, as other tools read it.
    """

    count: int
    mean_ms: float
    max_ms: float
    percentiles: dict[str, float]
    curve: list[tuple[float, float]]
    hdr: str

    @classmethod
    def of(cls, latencies: Latencies) -> "StageFigures":
        """Return those of what was recorded."""
        named = latencies.percentiles_us(NAMED)
        # beyond the nines that so many values can show, a curve is only its maximum
        shown = [each for each in CURVE if (100 - each) / 100 * latencies.count >= 1]
        return cls(
            count=latencies.count,
            mean_ms=latencies.mean_us / 1e3,
            max_ms=latencies.longest_us / 1e3,
            percentiles={f"p{percentile:g}": us / 1e3 for percentile, us in zip(NAMED, named, strict=True)},
            curve=[(each, us / 1e3) for each, us in zip(shown, latencies.percentiles_us(shown), strict=True)],
            hdr=latencies.encode().decode("ascii"),
        )

    def percentile_ms(self, percentile: float) -> float | None:
        """Return any percentile; None where nothing was timed."""
        if not self.count:
            return None
        whole = Latencies.decode(self.hdr.encode("ascii"), 0, round(self.max_ms * 1e3))
        return whole.percentiles_us([percentile])[0] / 1e3


class Seconds(msgspec.Struct, frozen=True, kw_only=True):
    """The run by the second, warm-up and drain among it.

    Args:
        offered, accepted, shown, refused: messages.
        p50_ms, p99_ms, max_ms: from the intended time to the desk, of what was due in the second; None: nothing was.
    """

    offered: list[int]
    accepted: list[int]
    shown: list[int]
    refused: list[int]
    p50_ms: list[float | None]
    p99_ms: list[float | None]
    max_ms: list[float | None]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a run.

    Args:
        format: of this file; grows when a reader must change.
        verdict: of the whole.
        invalid: why it measured its generators.
        rates: ``offered``, ``accepted``, ``shown``, ``refused`` a second, from the warm-up to the last one due.
        messages: the audit of what contacts wrote.
        answers: the audit of what agents answered.
    """

    format: int = FORMAT
    setting: Setting
    verdict: Literal["passed", "failed", "invalid"]
    invalid: list[str]
    rates: dict[str, float]
    stages: dict[str, StageFigures]
    seconds: Seconds
    generators: list[GeneratorLoad]
    messages: Findings
    answers: Findings | None
    expectations: list[Judged]
    system: System

    def encode(self) -> bytes:
        """Return ``report.json``."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """The two audits of a run."""

    messages: Findings
    answers: Findings | None = None


def make_report(setting: Setting, recorder: Recorder, audited: Audited, system: System, expect: str) -> Report:
    """Draw up the report of a run.

    Args:
        setting: of the run.
        recorder: of all generators, merged.
        audited: what the audits found.
        system: what was seen of it.
        expect: conditions.

    Raises:
        InvalidExpectation: a condition cannot be read.
    """
    recorder.fold()
    stages = {stage: StageFigures.of(recorder.stages[stage]) for stage in STAGES if stage in recorder.stages}
    invalid = invalid_because(recorder.generators)
    report = Report(
        setting=setting,
        verdict="passed",
        invalid=invalid,
        rates=_rates(setting, recorder),
        stages=stages,
        seconds=_seconds(recorder),
        generators=recorder.generators,
        messages=audited.messages,
        answers=audited.answers,
        expectations=[],
        system=system,
    )
    expectations = parse_expectations(expect)
    judged = judge(expectations, lambda name: figure(report, name))
    broken = [each.figure for each, found in zip(expectations, judged, strict=True) if not found.held]
    counted_wrong = faults(report) or not all(map(is_timed, broken))
    verdict = "failed" if counted_wrong else "invalid" if invalid else "failed" if broken else "passed"
    return msgspec.structs.replace(report, verdict=verdict, expectations=judged)


def faults(report: Report) -> int:
    """Return how many messages and events went wrong, over both audits."""
    audits = [report.messages, *([report.answers] if report.answers else [])]
    return sum(count for found in audits for count in found.faults.values())


def figure(report: Report, name: str) -> float | None:
    """Return one figure of a run, by the name that an expectation uses; None: it was not measured."""
    percentile = parse_percentile(name)
    if percentile is not None:
        stage = report.stages.get(percentile[0])
        return stage.percentile_ms(percentile[1]) if stage else None
    stage_name, dot, rest = name.rpartition(".")
    if rest in ("max_ms", "mean_ms"):
        stage = report.stages.get(stage_name if dot else "desk")
        return getattr(stage, rest) if stage and stage.count else None
    if name.startswith("answers_"):
        return getattr(report.answers, name.removeprefix("answers_")) if report.answers else None
    return _shares(report).get(name, getattr(report.messages, name, None))


def _shares(report: Report) -> dict[str, float | None]:
    """Return the figures that are made of others."""
    offered, rates = report.rates["offered"], report.rates
    return {
        "offered_per_s": offered,
        "accepted_per_s": rates["accepted"],
        "achieved_per_s": rates["shown"],
        "achieved_share": rates["shown"] / offered if offered else None,
        "refused_share": report.messages.refused / report.messages.intended if report.messages.intended else None,
        "sockets": report.setting.sockets,
        "silence_s": max((fault.silence_s for fault in report.system.faults), default=None),
        "unreplaced": sum(fault.kind == "kill" and fault.replaced_s is None for fault in report.system.faults),
        "faults": faults(report),
    }


def _rates(setting: Setting, recorder: Recorder) -> dict[str, float]:
    """Return means from the warm-up to the last message due, over whole seconds."""
    begin = min(int(-(-setting.warm_up_s // 1)), recorder.seconds - 1)
    end = max(min(int(setting.due_s), recorder.seconds), begin + 1)
    names: Sequence[Literal["offered", "accepted", "shown", "refused"]] = ("offered", "accepted", "shown", "refused")
    return {name: float(recorder.rate(name)[begin:end].mean()) for name in names}


def _seconds(recorder: Recorder) -> Seconds:
    return Seconds(
        offered=recorder.rate("offered").tolist(),
        accepted=recorder.rate("accepted").tolist(),
        shown=recorder.rate("shown").tolist(),
        refused=recorder.rate("refused").tolist(),
        p50_ms=recorder.percentile_by_second_ms("desk", 50),
        p99_ms=recorder.percentile_by_second_ms("desk", 99),
        max_ms=recorder.longest_by_second_ms("desk"),
    )
