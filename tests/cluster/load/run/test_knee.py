"""The walk to the knee: what is decided, and the whole of it on a system that is known."""

import asyncio

import msgspec
import pytest

from cluster.load.orders import AgentLogin, Orders
from cluster.load.report.parts import System
from cluster.load.run.conductor import Conductor
from cluster.load.run.knee import Search, Times, at_rate, holds, walk
from cluster.load.run.observer import Observer
from cluster.load.scenario.scenario import load_scenario
from cluster.load.truth.recorder import Recorder
from tests.cluster.load.run.stand_in import stood_in

KNEE = 1_000


@pytest.mark.parametrize("true_knee", [830.0, 400.0, 1_020.0, 120.0])
def test_halving_comes_near_the_highest_rate_that_holds(true_knee):
    search = Search(850.0, 1_100.0)
    while (rate := search.next()) is not None:
        search.note(rate, held=rate <= true_knee)
    assert search.knee <= true_knee
    assert len(search.steps) <= 6
    assert true_knee - search.knee <= max(0.05 * true_knee, 40)


def test_where_nothing_holds_there_is_no_knee():
    search = Search(850.0, 1_100.0)
    while (rate := search.next()) is not None:
        search.note(rate, held=False)
    assert search.knee == 0.0


def recorded(latency_ms, refused=0, unshown=0.0) -> Recorder:
    found = Recorder(0.0, 12.0)
    for second in range(12):
        for step in range(100):
            due_us = second * 1_000_000 + step * 10_000
            found.count("offered", due_us)
            if step >= unshown * 100:
                found.record("desk", due_us, int(latency_ms(second) * 1e3))
                found.count("shown", due_us)
    for _ in range(refused):
        found.count("refused", 6_000_000)
    found.fold()
    return found


def test_a_rate_holds_while_all_is_shown_and_latency_does_not_grow():
    assert holds(recorded(lambda _: 20.0), 3, 12)
    assert holds(recorded(lambda second: 20.0 + second), 3, 12)
    assert not holds(recorded(lambda second: 20.0 * second), 3, 12)
    assert not holds(recorded(lambda _: 20.0, refused=1), 3, 12)
    assert not holds(recorded(lambda _: 20.0, unshown=0.05), 3, 12)
    assert not holds(Recorder(0.0, 12.0), 3, 12)


def test_a_scenario_at_a_rate_has_the_people_and_nothing_else_of_its_own():
    scenario = load_scenario("reconnect-storm")
    steady = at_rate(scenario, (10.0, 4.0), (20.0, 6.0))
    assert steady.lasts_s == 10.0
    assert (steady.faults, steady.expect) == ((), "")
    assert (steady.visitors, steady.desks) == (scenario.visitors, scenario.desks)


def test_the_walk_says_what_a_known_system_is_like_around_its_knee():
    asked: list[str] = []
    scenario = load_scenario("knee")

    async def run(steady, window, what):
        asked.append(what)
        orders = Orders(
            run="r1",
            scenario=msgspec.structs.replace(steady, drain_s=steady.phases[0].lasts_s),
            base="",
            account="load",
            inboxes={},
            agents=(AgentLogin(name="a"),),
            window=window,
        )
        # it takes KNEE a second, refuses the rest, and is slow while it does and for two seconds after
        rates = [phase.rate for phase in steady.phases for _ in range(int(phase.lasts_s))]
        slow = [rate > KNEE * 1.001 for rate in rates]

        def latency_ms(second: int) -> float:
            return 200.0 if any(slow[max(second - 2, 0) : second + 1]) and not window else 5.0

        outcome = stood_in(orders, latency_ms, KNEE, 0)
        conductor = Conductor(orders.scenario, [], Observer(None, {}))
        ran = await asyncio.to_thread(conductor._judged, [outcome])
        return ran._replace(system=System())

    times = Times(closed=4.0, step=6.0, before=4.0, at=4.0, after=6.0)
    found = asyncio.run(walk(scenario, run, window=10, times=times))
    assert found.closed_per_s == pytest.approx(KNEE, rel=0.01)
    assert 0.94 * KNEE <= found.per_s <= KNEE
    assert asked[0] == "closed loop"
    by_share = {row.share: row for row in found.rows}
    assert by_share[0.5].goodput == pytest.approx(0.5 * found.per_s, rel=0.02)
    assert by_share[0.9].refused == 0
    assert by_share[0.9].back_s == 0.0
    over = by_share[1.5]
    assert over.offered == pytest.approx(1.5 * found.per_s, rel=0.02)
    assert over.goodput == pytest.approx(KNEE, rel=0.05)
    assert over.refused > 0
    assert over.refusal_p99_ms == pytest.approx(0.9, rel=0.1)
    assert over.p99_ms == pytest.approx(200.0, rel=0.05)
    assert over.back_s == pytest.approx(2.0)
    assert (over.lost, over.faults) == (0, 0)
