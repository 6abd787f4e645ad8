"""``raydesk load`` without a system: what it makes of its arguments, and what it says."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cluster.load.orders import Counts, Progress
from cluster.load.report.knee import Knee, Row, knee_page
from cluster.load.run.conductor import Moment
from cluster.load.scenario.errors import ScenarioError
from cluster.load.scenario.faults import Kill, Storm, parse_fault, parse_storm
from cluster.load.scenario.quantities import Duration
from cluster.load.truth.recorder import WIDE_BUCKETS
from deployments.commands.load import CANNOT_RUN, LoadPlan, composed, run_load
from deployments.commands.load_table import LiveTable, line, page
from deployments.commands.load_words import knee_lines, summary
from tests.cluster.load.report import invented


def test_the_command_line_changes_the_scenario_and_adds_to_its_faults_and_conditions():
    kill = parse_fault("kill", "router@5s")
    plan = LoadPlan(scenario="smoke", rate="2000/s", lasts="20s", seed=9, warm_up="1s", faults=(kill,), expect="sent>1")
    scenario = composed(plan)
    assert [(phase.rate, phase.lasts_s) for phase in scenario.phases] == [(2000.0, 20.0)]
    assert (scenario.seed, scenario.warm_up_s) == (9, 1.0)
    assert scenario.faults == (Kill(target="router", at_s=Duration(5)),)
    assert scenario.expect.startswith("lost=0,")
    assert scenario.expect.endswith(",sent>1")


def test_for_alone_keeps_the_highest_rate_of_the_scenario():
    assert [phase.rate for phase in composed(LoadPlan(scenario="black-friday", lasts="1m")).phases] == [45_000.0]


def test_a_run_that_is_made_shorter_keeps_the_faults_that_still_lie_in_it():
    faults = composed(LoadPlan(scenario="kills", lasts="30s")).faults
    assert [fault.target for fault in faults] == ["router:0", "dispatcher"]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (LoadPlan(scenario="nosuch"), "nosuch: No such file"),
        (LoadPlan(scenario="smoke", rate="fast"), "--rate, --for, --warm-up: found fast; allowed: a rate such as"),
        (LoadPlan(scenario="smoke", lasts="2s"), "warm_up: found 3s; allowed: less than all phases together, 2s"),
        (LoadPlan(scenario="smoke", faults=(parse_fault("kill", "router@5m"),)), "faults[0].at: found 5m"),
        (LoadPlan(scenario="smoke", expect="p99<1"), "expect: "),
        (LoadPlan(scenario="smoke", faults=(parse_storm("visitors:101@5s"),)), "faults[0].count: found 101"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_starts(plan, words, capsys):
    with pytest.raises(ScenarioError) as refused:
        composed(plan)
    assert words in str(refused.value)
    assert run_load(plan) == CANNOT_RUN
    assert words in capsys.readouterr().err


def test_storms_are_read_as_they_are_written():
    assert parse_storm("visitors:2000@60s") == Storm(who="visitors", count=2000, at_s=Duration(60))
    assert parse_storm("all@1m:5s") == Storm(who="all", count=0, at_s=Duration(60), within_s=Duration(5))
    for wrong in ("visitor@1s", "visitors", "all@soon", "desks:-1@1s"):
        with pytest.raises(ValueError, match="--storm: found"):
            parse_storm(wrong)


def moment() -> Moment:
    recent = np.zeros(WIDE_BUCKETS, dtype=np.int32)
    recent[200] = 100
    part = Progress(
        generator=0,
        at_s=12.0,
        total=Counts(offered=12_000, accepted=11_000, shown=10_990, refused=7, answers=90),
        second=Counts(offered=1_000, accepted=990, shown=980),
        sockets=60,
        connecting=3,
        unanswered=4,
        lag_p99_ms=1.25,
        cpu=0.5,
        recent=recent.tobytes(),
    )
    return Moment("running", 12.0, (part, part), ("kill router:0 (another one after 1.3s)",))


def test_a_line_has_what_one_must_see():
    told = line(moment())
    for words in ("running", "offered 2,000/s", "accepted 1,980/s", "shown 1,960/s", "refused 14", "lag 1.2 ms"):
        assert words in told
    assert "sockets 120 (and 6 connecting)" in told
    assert "kill router:0" in told
    assert "p50 5.9 ms" in told


def test_the_table_has_it_too():
    out = io.StringIO()
    Console(file=out, width=120).print(page(moment(), "smoke", 60.0))
    for words in ("smoke: running, 12s of 1m", "24,000", "2,000/s", "busiest at 50%", "fault: kill router:0"):
        assert words in out.getvalue()


def test_without_a_terminal_lines_come_at_changes_and_not_each_second(capsys):
    with LiveTable(Console(file=io.StringIO()), "smoke", 60.0) as tell:
        for phase in ("connecting", "connecting", "running", "running"):
            tell(moment()._replace(phase=phase))
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_summary_tells_verdict_faults_and_conditions():
    told = "\n".join(summary(invented.report(expect="lost=0,p99_ms<1")))
    assert told.startswith("failed: 0 lost of 599,400")
    assert "holds: lost=0 (0)" in told
    assert "FAILS: p99_ms<1" in told
    assert "kill router 0 at 150.0 s: as before after 1.8 s" in told


def test_the_table_of_the_knee_has_a_row_for_each_share():
    row = Row(
        share=1.5,
        offered=60_000,
        goodput=38_000,
        p50_ms=200,
        p99_ms=400,
        refused=1_000,
        refusal_p99_ms=2.5,
        memory_mb=900,
        back_s=None,
        lost=0,
        faults=0,
        invalid=["generator 0: too busy"],
    )
    told = list(knee_lines(Knee(closed_per_s=45_000, per_s=40_000, steps=[(40_000, True)], rows=[row])))
    assert told[0] == "closed loop: 45,000 messages/s accepted"
    assert "knee: 40,000 messages/s" in told
    assert any("150%" in each and "not seen" in each for each in told)
    assert any("invalid: generator 0: too busy" in each for each in told)
    assert "no rate held" in list(knee_lines(Knee(closed_per_s=1, per_s=0, steps=[], rows=[])))[-1]


def test_another_target_must_be_named_with_its_place(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(tmp_path))
    assert run_load(LoadPlan(scenario="smoke", target="valkey-relay", out=tmp_path / "out")) == CANNOT_RUN
    assert "--target valkey-relay: say with --url where it is." in capsys.readouterr().err


def test_the_page_of_the_knee_has_table_search_and_warning():
    rows = [
        Row(
            share=share,
            offered=40_000 * share,
            goodput=min(40_000 * share, 38_000),
            p50_ms=None if share > 1 else 20.0,
            p99_ms=400,
            refused=0,
            refusal_p99_ms=None,
            memory_mb=900,
            back_s=1.0,
            lost=0,
            faults=0,
            invalid=["generator <0>: too busy"] if share > 1 else [],
        )
        for share in (0.5, 1.5)
    ]
    knee = Knee(closed_per_s=45_000, per_s=40_000, steps=[(40_000, True), (44_000, False)], rows=rows)
    drawn = knee_page(invented.report().setting, knee)
    for words in ("40k/s", "44,000/s", "does not hold", "150%: generator &lt;0&gt;: too busy", "95%", "<svg"):
        assert words in drawn
    empty = knee_page(invented.report().setting, Knee(closed_per_s=1, per_s=0, steps=[], rows=[]))
    assert "No rate held" in empty
