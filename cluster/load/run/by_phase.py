"""A run phase by phase: what each rate showed by itself, once the change to it was over."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from cluster.load.report.parts import FaultSeen, PhaseSeen
from cluster.load.run.observer import Observer
from cluster.load.scenario.tables import Scenario
from cluster.load.truth.recorder import Recorder

#: Of each phase so much is left out at its begin, and a quarter of it at most.
_SETTLED_AFTER_S = 2.0
_PERCENTILES = (50.0, 90.0, 99.0, 99.9)


class Stretch(NamedTuple):
    """The whole seconds of a phase that are looked at."""

    name: str
    begin_s: int
    end_s: int


def stretches(scenario: Scenario) -> list[Stretch]:
    """Return those of a scenario's phases; a phase that is shorter than a second has none."""
    found: list[Stretch] = []
    at_s = 0.0
    for phase in scenario.phases:
        begin = math.ceil(max(at_s + min(_SETTLED_AFTER_S, phase.lasts_s / 4), scenario.warm_up_s) - 1e-9)
        at_s += phase.lasts_s
        if (end := math.floor(at_s + 1e-9)) > begin:
            found.append(Stretch(phase.words, begin, end))
    return found


def phase_seen(stretch: Stretch, recorder: Recorder, observer: Observer, faults: Sequence[FaultSeen]) -> PhaseSeen:
    """Return what a stretch of a run showed."""
    begin, end = stretch.begin_s, stretch.end_s
    meanwhile = [fault.what for fault in faults if begin <= fault.at_s < end]
    seconds = end - begin
    shown = float(recorder.rate("shown")[begin:end].sum()) / seconds
    batches, stages = observer.passes(begin, end)
    return PhaseSeen(
        name="; ".join([stretch.name, *meanwhile]),
        begin_s=begin,
        end_s=end,
        offered=float(recorder.rate("offered")[begin:end].sum()) / seconds,
        accepted=float(recorder.rate("accepted")[begin:end].sum()) / seconds,
        shown=shown,
        refused=float(recorder.rate("refused")[begin:end].sum()) / seconds,
        percentiles={
            f"p{percentile:g}": value
            for percentile in _PERCENTILES
            if (value := recorder.percentile_between_ms("desk", percentile, begin, end)) is not None
        },
        used_us={name: round(share / shown * 1e6, 1) for name, share in observer.shares(begin, end).items()}
        if shown
        else {},
        batches=batches,
        stages=stages,
    )
