"""An invented run of five minutes with a kill in the middle, to look at a report without a system.

``python -m tests.cluster.load.report.invented FOLDER`` writes ``report.json`` and ``report.html`` of it.
"""

import sys
from pathlib import Path

import numpy as np

from cluster.load.report.page import page
from cluster.load.report.parts import BatchSizes, FaultSeen, PhaseSeen, ProcessUse, Setting, StageTime, System
from cluster.load.report.report import Audited, Report, make_report
from cluster.load.truth.findings import Findings
from cluster.load.truth.recorder import Recorder

LASTS_S, KILLED_S = 300, 150
EXPECT = "p99_ms<68,lost=0,doubled=0,achieved_share>=0.99,answer.p99_ms<100"


def findings(**changed: int | dict[str, list[str]]) -> Findings:
    """Return what an audit finds of a sound run."""
    counts: dict[str, int] = dict.fromkeys(
        ("reordered", "misplaced", "contradicted", "invented", "held_twice", "gaps", "foreign_again", "mishaps"), 0
    )
    counts |= dict.fromkeys(("held_elsewhere", "handed_on"), 0)
    counts |= dict.fromkeys(("entries_again", "entries_skipped", "unaccounted", "unsent", "lost", "doubled"), 0)
    sound = {"intended": 600_000, "sent": 600_000, "resent": 812, "accepted": 599_400, "duplicates": 790}
    sound |= {"refused": 600, "delivered": 599_388, "kept": 12, "snapshots": 4, "conversations": 2_000}
    return Findings(**{**counts, **sound, **changed})  # type: ignore[arg-type]


def recorder(*, late: bool = False, rate: int = 400) -> Recorder:
    """Return what one generator would have measured."""
    random = np.random.default_rng(7)
    found = Recorder(20.0, LASTS_S + 10)
    for second in range(LASTS_S):
        due_s = second + np.sort(random.random(random.poisson(rate)))
        found.offer(due_s)
        way = {"lag": random.gamma(2, 100, len(due_s)) + (60_000 if late else 0)}
        way |= {"reach": random.gamma(3, 400, len(due_s)), "route": random.gamma(2, 900, len(due_s))}
        way["push"] = random.gamma(3, 1_100, len(due_s)) * random.lognormal(0, 0.3, len(due_s))
        stall = np.maximum(KILLED_S + 1.8 - due_s, 0) * 1e6 * (due_s >= KILLED_S)
        way["route"] = way["route"] + stall
        desk = sum(way.values())
        stages = {**way, "desk": desk, "receipt": desk * 0.7, "answer": random.gamma(4, 2_200, len(due_s))}
        due_us = (due_s * 1e6).astype(np.int64)
        refused = random.random(len(due_s)) < 0.3 * (stall > 0)
        for row, due in enumerate(due_us.tolist()):
            if refused[row]:
                found.count("refused", due)
                found.record("refusal", due, 800)
                continue
            for stage, took in stages.items():
                found.record(stage, due, int(took[row]))
            found.count("accepted", due + int(desk[row] * 0.7))
            found.count("shown", due + int(desk[row]))
        found.cpu(second, float(0.35 + 0.05 * random.standard_normal()))
        found.fold()
    found.finish("generator 0")
    return found


def system() -> System:
    """Return what would have been seen beside it."""
    random = np.random.default_rng(8)
    at_s = [float(second) for second in range(LASTS_S)]
    names = (("router 0", 0.55, 210), ("gateway 0", 0.48, 190), ("valkey", 0.30, 340), ("dispatcher", 0.06, 150))
    processes = [
        ProcessUse(
            name=name,
            at_s=at_s,
            cpu=[max(cpu + 0.04 * float(random.standard_normal()), 0) for _ in at_s],
            memory_mb=[memory + 0.2 * at + 3 * float(random.standard_normal()) for at in at_s],
        )
        for name, cpu, memory in names
    ]
    return System(
        processes=processes,
        batches=[
            BatchSizes(where="gateway to router", batches=41_000, mean=14.6, p50=12, p99=61),
            BatchSizes(where="router's turn", batches=33_000, mean=18.2, p50=15, p99=84),
        ],
        faults=[
            FaultSeen(
                kind="kill", what="kill router 0", at_s=float(KILLED_S), back_s=1.8, replaced_s=0.7, silence_s=1.38
            )
        ],
        phases=[
            PhaseSeen(
                name="400/s",
                begin_s=20,
                end_s=LASTS_S,
                offered=400.0,
                accepted=400.0,
                shown=399.5,
                refused=0.4,
                percentiles={"p50": 7.1, "p90": 9.0, "p99": 14.2, "p99.9": 900.0},
                used_us={"router 0": 1_375.0, "gateway 0": 1_200.0},
                batches=[BatchSizes(where="router:0: batch", batches=9_000, mean=18.2)],
                stages=[StageTime(where="router:0: append", passes=9_000, mean_ms=1.42)],
            )
        ],
    )


def report(*, late: bool = False, rate: int = 400, messages: Findings | None = None, expect: str = EXPECT) -> Report:
    """Return the report of the invented run."""
    setting = Setting(
        scenario="invented",
        about="Proves nothing: every figure here is drawn from a formula, to see what a report looks like.",
        command="python -m tests.cluster.load.report.invented .",
        started_at="2026-11-23T14:00:00+00:00",
        machine=["no machine", "no cores"],
        target="no system",
        due_s=float(LASTS_S),
        warm_up_s=20.0,
        sockets=4_400,
    )
    audited = Audited(messages=messages or findings(), answers=findings(conversations=1_900))
    return make_report(setting, recorder(late=late, rate=rate), audited, system(), expect)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    made = report()
    folder.joinpath("report.json").write_bytes(made.encode())
    folder.joinpath("report.html").write_text(page(made), encoding="utf-8")
