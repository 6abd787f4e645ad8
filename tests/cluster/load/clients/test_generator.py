"""A generator, or two, against a whole system: every channel, offers, answers, breaks, and the audit of it all."""

import asyncio
import os
import time

import msgspec
import pytest
import uvloop

from cluster.load.clients.generator import Generator
from cluster.load.orders import AgentLogin, CannotGenerate, Orders, Outcome, WebhookAccount
from cluster.load.run.draining import drain
from cluster.load.scenario.faults import Storm
from cluster.load.scenario.people import People
from cluster.load.scenario.quantities import Duration
from cluster.load.scenario.scenario import load_scenario, parse_scenario
from cluster.load.scenario.tables import Scenario
from cluster.load.truth.audit import Audience, Audit
from cluster.load.truth.facts import merged
from cluster.load.truth.findings import Findings
from cluster.load.truth.recorder import Recorder
from cluster.store.directory import Directory
from cluster.store.valkey import connect
from deployments.commands.own_system import OwnSystem, free_ports
from models.domain.agent import User

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
ACCOUNT = "default"
_PASSWORD = "correct horse battery staple"
_TOKEN, _APP = "harness", "wx5823bf96d3bd56c7"
_AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


@pytest.fixture(scope="module")
def vendor_port():
    return free_ports(1)


@pytest.fixture(scope="module")
def system(vendor_port):
    secrets = {"app_id": _APP, "token": _TOKEN, "encoding_aes_key": _AES_KEY, "app_secret": "vendor"}
    config = {
        "inboxes": {
            "page": {"account": ACCOUNT, "channel": "web"},
            "backend": {"account": ACCOUNT, "channel": "api"},
            "service": {"account": ACCOUNT, "channel": "wechat", "api_base": f"http://127.0.0.1:{vendor_port}"}
            | secrets,
        },
        "limits": {
            "socket_rate": 5_000,
            "socket_burst": 10_000,
            "key_rate": 10_000,
            "key_burst": 20_000,
            "connects_per_minute": 1_000_000,
            "logins_per_minute": 100_000,
            "sockets_per_address": 60_000,
        },
    }
    with OwnSystem(config) as running:
        yield running


def test_the_smoke_scenario_loses_nothing(system, vendor_port):
    smoke = _lasting(load_scenario("smoke"), 6.0)
    found, answers, outcome = _run(system, smoke, generators=1, vendor=f"127.0.0.1:{vendor_port}")
    assert found.faults == answers.faults == {}
    assert found.accepted == found.intended == found.delivered > 400
    assert answers.accepted > 50
    assert found.duplicates > 0 or found.resent > 0
    assert outcome.sockets == 105
    stages = Recorder.merged([outcome.measured]).stages
    assert {"desk", "receipt", "lag", "reach", "route", "push", "answer", "connect"} <= set(stages)


def test_two_generators_make_one_run(system, vendor_port):
    smoke = _lasting(load_scenario("smoke"), 4.0)
    found, answers, _ = _run(system, smoke, generators=2, vendor=f"127.0.0.1:{vendor_port}")
    assert found.faults == answers.faults == {}
    assert found.accepted == found.intended == found.delivered > 250


def test_agents_who_come_and_go_lose_nothing(system):
    text = """
        drain = "30s"
        [[phases]]
        shape = "steady"
        rate = "500/s"
        lasts = "10s"
        [visitors]
        count = 60
        # often enough that some message is under way when a link breaks: receipts take milliseconds
        reconnect_every = "~1s"
        [desks]
        agents = 6
        capacity = 40
        accept_after = "~200ms"
        decline_share = 0.2
        answer_share = 0.3
        answer_after = "300ms*/2"
        typing = true
        transfer_share = 0.1
        resolve_share = 0.1
        away_every = "~3s"
        away_for = "~1s"
        reconnect_every = "~3s"
    """
    found, answers, _ = _run(system, parse_scenario(text, "busy"), generators=1)
    assert found.faults == answers.faults == {}
    assert found.resent > 0
    assert found.accepted == found.intended == found.delivered + found.kept


def test_a_storm_is_over_when_all_are_back(system):
    text = '[[phases]]\nshape = "steady"\nrate = "300/s"\nlasts = "6s"\n[visitors]\ncount = 100\nidle = 50\n'
    storm = Storm(at_s=Duration(2.0), who="visitors", count=120, within_s=Duration(0.5))
    found, _, outcome = _run(system, parse_scenario(text, "storm"), generators=1, storm=storm)
    assert found.faults == {}
    assert found.accepted == found.intended == found.delivered
    assert Recorder.merged([outcome.measured]).rate("connected").sum() >= 120


def test_a_closed_loop_goes_as_fast_as_it_is_answered(system):
    text = '[[phases]]\nshape = "steady"\nrate = "1/s"\nlasts = "4s"\n[visitors]\ncount = 20\n[desks]\nagents = 4\n'
    found, _, _ = _run(system, parse_scenario(text, "closed"), generators=1, window=4)
    assert found.faults == {}
    assert found.accepted == found.delivered > 500


def test_a_system_that_is_not_there_is_named():
    scenario = parse_scenario('[[phases]]\nshape = "steady"\nrate = "1/s"\nlasts = "1s"\n', "none")
    orders = Orders(
        run="none",
        scenario=scenario,
        base=f"http://127.0.0.1:{free_ports(1)}",
        account=ACCOUNT,
        inboxes={"web": "page"},
        agents=(AgentLogin(name="nobody"),),
    )

    async def go():
        generator = Generator(orders)
        try:
            with pytest.raises(CannotGenerate, match="found nobody"):
                await generator.connect()
        finally:
            await generator.aclose()

    uvloop.run(go())


def _lasting(scenario: Scenario, lasts_s: float) -> Scenario:
    phase = msgspec.structs.replace(scenario.phases[0], lasts_s=Duration(lasts_s))
    return msgspec.structs.replace(scenario, phases=(phase,), warm_up_s=Duration(1.0))


def _run(
    system: OwnSystem,
    scenario: Scenario,
    *,
    generators: int,
    vendor: str = "",
    storm: Storm | None = None,
    window: int = 0,
) -> tuple[Findings, Findings, Outcome]:
    outcomes = uvloop.run(_conduct(system, scenario, generators, vendor, storm, window))
    people = People(scenario)
    messages = merged([each.messages for each in outcomes])
    audit = Audit(messages, people.persons())
    found = audit.run()
    answers = merged([each.answers for each in outcomes])
    answered = Audit(answers, None, Audience(audit.owners(), people.persons())).run()
    return found, answered, outcomes[0]


async def _conduct(
    system: OwnSystem, scenario: Scenario, count: int, vendor: str, storm: Storm | None, window: int
) -> list[Outcome]:
    run = f"t{os.urandom(4).hex()}"
    redis = connect(system.settings.store)
    directory = Directory(redis)
    names = [f"{run}-agent{number}" for number in range(scenario.desks.agents)]
    for name in names:
        await directory.add(ACCOUNT, User(name=name, capacity=scenario.desks.capacity), _PASSWORD)
    key, _ = await directory.create_key(ACCOUNT, run)
    webhook = WebhookAccount(
        path="/v1/channels/wechat/service", token=_TOKEN, app_id=_APP, encoding_aes_key=_AES_KEY, api=vendor
    )
    made = [
        Generator(
            Orders(
                run=run,
                scenario=scenario,
                generator=number,
                generators=count,
                base=system.base,
                account=ACCOUNT,
                inboxes={"web": "page", "rest": "backend", "bulk": "backend", "wechat": "service"},
                agents=tuple(AgentLogin(name=name, password=_PASSWORD) for name in names),
                key=key,
                webhook=webhook if scenario.mix.wechat else None,
                addresses=2,
                window=window,
            )
        )
        for number in range(count)
    ]
    try:
        for generator in made:
            await generator.connect()
        begin_at = time.time() + 0.3
        for generator in made:
            await generator.begin(begin_at)
        if storm is not None:
            await asyncio.sleep(0.3 + float(storm.at_s))
            for generator in made:
                assert await generator.storm(storm, 1) is not None
        await asyncio.sleep(max(begin_at + scenario.lasts_s - time.time(), 0))
        return await drain(made, float(scenario.drain_s))
    finally:
        for generator in made:
            await generator.aclose()
        for name in names:
            await directory.remove(ACCOUNT, name)
        await redis.aclose()
