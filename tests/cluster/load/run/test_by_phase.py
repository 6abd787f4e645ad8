"""Each phase of a run has figures of its own, without the seconds in which it settles."""

import os

import numpy as np
import pytest

from cluster.load.report.parts import FaultSeen
from cluster.load.run.by_phase import Stretch, phase_seen, stretches
from cluster.load.run.observer import Observer
from cluster.load.run.strikes import Found
from cluster.load.scenario.scenario import parse_scenario
from cluster.load.truth.recorder import Recorder


def phase(rate: str, lasts: str) -> str:
    return f'[[phases]]\nshape = "steady"\nrate = "{rate}"\nlasts = "{lasts}"\n'


def test_a_phase_counts_when_it_has_settled_and_the_warm_up_is_over():
    scenario = parse_scenario(
        'warm_up = "5s"\n' + phase("10/s", "12s") + phase("1k/s", "4s") + phase("2k/s", "500ms") + phase("5/s", "20s"),
        "x",
    )
    assert stretches(scenario) == [
        Stretch("10/s", 5, 12),
        Stretch("1000/s", 13, 16),
        Stretch("5/s", 19, 36),
    ]


class Router:
    """A process that tells what it has done; it is this one."""

    def __init__(self) -> None:
        self.passes = 0

    def all(self) -> list[Found]:
        return [Found("router:0", os.getpid())]

    def reports(self) -> dict[str, dict[str, object]]:
        told = {"n": self.passes, "p50_ms": 0.0, "p99_ms": 0.0}
        # each pass had 8 messages and took 2 ms
        sums = {"append": 2.0 * self.passes, "batch_size_1e-6": 0.008 * self.passes}
        stages = {name: told | {"sum_ms": sum_ms} for name, sum_ms in sums.items()}
        return {"router:0": {"pid": os.getpid(), "stages": stages}}


def test_a_phase_is_told_with_its_latencies_its_cost_and_its_batches():
    router = Router()
    observer = Observer(router, {})
    observer.begin([2, 4])
    for second, passes in enumerate((0, 100, 200, 500, 900, 5_000)):
        router.passes = passes
        observer.look(float(second))
    recorder = Recorder(0.0, 6.0)
    for second, latency_ms in enumerate((900, 900, 5, 5, 900, 900)):
        due_us = np.arange(100) * 10_000 + second * 1_000_000
        recorder.offer(due_us / 1e6)
        recorder.count_all("shown", due_us)
        recorder.record_all("desk", due_us, np.full(100, latency_ms * 1_000))
    recorder.fold()
    faults = [
        FaultSeen(kind="rewrite", what="rewrite store (took 1s)", at_s=3.2),
        FaultSeen(kind="kill", what="kill router:0", at_s=4.0),
    ]
    seen = phase_seen(Stretch("100/s", 2, 4), recorder, observer, faults)
    assert (seen.name, seen.offered, seen.shown) == ("100/s; rewrite store (took 1s)", 100.0, 100.0)
    assert seen.percentiles == {name: pytest.approx(5.0, rel=0.03) for name in ("p50", "p90", "p99", "p99.9")}
    (share,) = observer.shares(2, 4).values()
    assert seen.used_us == {"router:0": pytest.approx(share / 100 * 1e6, rel=0.01, abs=0.06)}
    (batches,), (stage,) = seen.batches, seen.stages
    assert (batches.where, batches.batches, batches.mean) == ("router:0: batch", 700, pytest.approx(8.0))
    assert (stage.where, stage.passes, stage.mean_ms) == ("router:0: append", 700, 2.0)


def test_what_nobody_looked_at_has_no_figures():
    observer = Observer(None, {})
    observer.begin([0, 1])
    seen = phase_seen(Stretch("1/s", 0, 1), Recorder(0.0, 1.0), observer, [])
    assert (seen.percentiles, seen.used_us, seen.batches, seen.stages) == ({}, {}, [], [])
