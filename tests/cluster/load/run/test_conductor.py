"""A run from the first socket to the report, with generators that keep the contract and need no system."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest

from cluster.load.orders import AgentLogin, CannotGenerate, Orders
from cluster.load.report.parts import Setting
from cluster.load.report.report import make_report
from cluster.load.run.conductor import Conductor, Moment
from cluster.load.run.observer import Observer
from cluster.load.run.strikes import Found, Strikes
from cluster.load.scenario.faults import Kill, Pause, Rewrite, Storm
from cluster.load.scenario.quantities import Duration
from cluster.load.scenario.scenario import parse_scenario
from tests.cluster.load.run.stand_in import StandIn

SMALL = parse_scenario(
    'drain = "1s"\n[[phases]]\nshape = "steady"\nrate = "200/s"\nlasts = "2s"\n[visitors]\ncount = 10\n', "small"
)

LONGER = 'drain = "1s"\n[[phases]]\nshape = "steady"\nrate = "100/s"\nlasts = "6s"\n[visitors]\ncount = 5\n'


def generators(scenario=SMALL, count=2, **script):
    agents = (AgentLogin(name="a"),)
    return [
        StandIn(
            Orders(
                run="r1",
                scenario=scenario,
                generator=number,
                generators=count,
                base="",
                account="load",
                inboxes={},
                agents=agents,
            ),
            **script,
        )
        for number in range(count)
    ]


def conducted(members, scenario=SMALL, strikes=None, tell=lambda _: None):
    return asyncio.run(Conductor(scenario, members, Observer(None, {"this": os.getpid()}), strikes, tell).run())


def test_what_all_generators_saw_is_one_run():
    moments: list[Moment] = []
    members = generators()
    ran = conducted(members, tell=moments.append)
    assert ran.audited.messages.accepted == 400
    assert ran.audited.messages.faults == {}
    assert ran.sockets == 14
    assert len(ran.conversations) == 10
    assert [member.closed for member in members] == [1, 1]
    assert len({member.begin_at for member in members}) == 1
    phases = list(dict.fromkeys(moment.phase for moment in moments))
    assert phases[-1] == "auditing"
    assert "running" in phases
    assert "this" in {use.name for use in ran.system.processes}
    report = make_report(setting(), ran.recorder, ran.audited, ran.system, "lost=0,p99_ms<6,sockets=14")
    assert [each.held for each in report.expectations] == [True, True, False]


def setting():
    empty = dict.fromkeys(("scenario", "about", "command", "started_at", "target"), "")
    return Setting(**empty, machine=[], due_s=2.0, warm_up_s=0.0, sockets=0)


def test_a_loss_is_found():
    ran = conducted(generators(loses=10))
    assert ran.audited.messages.lost == 40


def test_what_a_generator_cannot_do_ends_the_run_and_closes_all():
    members = [*generators()[:1], *generators(failure="no descriptors")[1:]]
    with pytest.raises(CannotGenerate, match="no descriptors"):
        conducted(members)
    assert [member.closed for member in members] == [1, 1]


def test_a_generator_that_fails_meanwhile_ends_the_run():
    members = generators()
    members[1].dies_at_s = 0.0
    with pytest.raises(CannotGenerate, match="generator 1: its loop stood still"):
        conducted(members)
    assert [member.closed for member in members] == [1, 1]


def test_a_storm_reaches_every_generator_and_is_over_when_the_slowest_has_its_sockets_back():
    storm = Storm(who="desks", at_s=Duration(1.0))
    scenario = parse_scenario(LONGER, "x")
    scenario = msgspec.structs.replace(scenario, faults=(storm,))
    members = generators(scenario)
    ran = conducted(members, scenario)
    assert [member.storms for member in members] == [[("desks", 1)], [("desks", 1)]]
    assert [fault.back_s for fault in ran.system.faults] == [pytest.approx(1.5)]
    assert ran.system.faults[0].what == "all sockets of desks break (all back after 1.5s)"


class Pack:
    """Processes of our own that a strike may hit; a dead one is replaced, as Ray would."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = ["kept"]

    def rewrite_log(self) -> None:
        self.log = ["rewritten", "rewritten", "kept"]

    def log_state(self) -> str:
        return self.log.pop(0) if len(self.log) > 1 else self.log[0]

    def grow(self) -> None:
        words = [sys.executable, "-c", "import time\nfor _ in range(60): time.sleep(1)"]
        self.processes.append(subprocess.Popen(words))

    def of(self, target: str) -> list[Found]:
        if not target.startswith("router"):
            return []
        if all(process.poll() is not None for process in self.processes):
            self.grow()
        return [Found("router:0", each.pid) for each in self.processes if each.poll() is None]

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def pack():
    found = Pack()
    found.grow()
    yield found
    found.end()


def test_a_kill_kills_and_waits_for_the_next_one(pack):
    victim = pack.processes[0]
    strikes = Strikes(pack, {}, lambda: 1.0)
    struck = asyncio.run(strikes.strike(Kill(target="router", at_s=Duration(1))))
    assert victim.wait() == -signal.SIGKILL
    assert struck.what.startswith("kill router:0 (another one after ")
    assert 0 < struck.replaced_s < 10


def test_a_kill_where_nobody_is_says_so():
    strikes = Strikes(Nobody(), {}, lambda: 1.0)
    struck = asyncio.run(strikes.strike(Kill(target="router", at_s=Duration(1))))
    assert (struck.kind, struck.what, struck.replaced_s) == ("kill", "kill router: none was there", None)


class Nobody:
    def of(self, target: str) -> list[Found]:
        return []


def test_a_rewrite_is_over_when_the_log_is_written(pack):
    strikes = Strikes(pack, {}, lambda: 1.0)
    struck = asyncio.run(strikes.strike(Rewrite(at_s=Duration(1))))
    assert struck.what.startswith("rewrite store (took ")
    assert pack.log == ["kept"]
    pack.log = ["off"]
    with pytest.raises(CannotGenerate, match="rewrite store: it keeps no append-only file"):
        strikes.check([Rewrite(at_s=Duration(1))])


def test_a_pause_stops_and_goes_on_even_when_it_is_cancelled(pack):
    strikes = Strikes(pack, {}, lambda: 1.0)

    async def cancelled():
        task = asyncio.ensure_future(strikes.strike(Pause(target="router:0", at_s=Duration(1), lasts_s=Duration(60))))
        await asyncio.sleep(0.3)
        stopped = state(pack.processes[0].pid)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return stopped

    assert asyncio.run(cancelled()) == "T"
    assert state(pack.processes[0].pid) != "T"


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def test_faults_of_a_run_are_marked_with_the_time_until_all_was_as_before(pack):
    scenario = msgspec.structs.replace(
        parse_scenario(LONGER, "x"),
        faults=(Kill(target="router", at_s=Duration(1.0)),),
    )
    members = generators(scenario, latency_ms=lambda second: 900.0 if second in (1, 2) else 5.0)
    began = time.monotonic()
    ran = conducted(members, scenario, lambda now: Strikes(pack, {}, now))
    assert time.monotonic() - began < 20
    (fault,) = ran.system.faults
    assert fault.at_s == pytest.approx(1.0, abs=0.4)
    assert fault.back_s == pytest.approx(3.0 - fault.at_s, abs=0.01)


def test_what_cannot_be_struck_is_told_before_anybody_connects(pack):
    scenario = parse_scenario(
        '[[phases]]\nshape = "steady"\nrate = "100/s"\nlasts = "6s"\n'
        '[[faults]]\nkind = "cut"\ntarget = "store"\nlasts = "1s"\nat = "1s"\n'
        '[[faults]]\nkind = "kill"\ntarget = "intent"\nat = "1s"\n',
        "x",
    )
    members = generators(scenario)
    with pytest.raises(CannotGenerate) as refused:
        conducted(members, scenario, lambda now: Strikes(pack, {}, now))
    assert "cut store: allowed: gateway, gateway:0, ingress" in str(refused.value)
    assert "kill intent: no such process runs" in str(refused.value)
    assert [member.begin_at for member in members] == [0.0, 0.0]
