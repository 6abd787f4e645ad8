"""The floor against a real Valkey: visitors write to their agents, who answer them."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest

from cluster.load.orders import AgentLogin, CannotGenerate, Orders
from cluster.load.scenario.scenario import parse_scenario
from cluster.load.targets.said import Written
from cluster.load.targets.valkey import ValkeyRelay
from cluster.store.embedded import EmbeddedStore

pytestmark = pytest.mark.store
SCENARIO = parse_scenario('[[phases]]\nshape = "steady"\nrate = "1/s"\nlasts = "1s"\n', "x")


@pytest.fixture
def store():
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    with EmbeddedStore(folder) as store:
        yield store
    shutil.rmtree(folder)


class Hears:
    """Notes what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple] = []
        self.news = asyncio.Event()
        self.link = None

    def on_open(self, link, *cursor):
        self.link = link

    def __getattr__(self, name):
        if not name.startswith("on_"):
            raise AttributeError(name)

        def note(*what):
            self.told.append((name, *what))
            self.news.set()

        return note

    async def until(self, count: int, name: str) -> list[tuple]:
        async with asyncio.timeout(10):
            while len(found := [each for each in self.told if each[0] == name]) < count:
                self.news.clear()
                await self.news.wait()
        return found


def orders(base: str) -> Orders:
    agents = tuple(AgentLogin(name=f"agent-{number}") for number in range(2))
    return Orders(run="r1", scenario=SCENARIO, base=base, account="load", inboxes={}, agents=agents)


def written(number: int, text: str = "hello") -> Written:
    return Written(number=number, id=f"r1-3-{number}-0", text=text, due_us=0)


def test_both_ways_in_order_with_receipts(store):
    asyncio.run(_both_ways(store))


async def _both_ways(store):
    relay = ValkeyRelay(orders(store.url))
    await relay.start()
    agent, other, visitor = Hears(), Hears(), Hears()
    await relay.agent(AgentLogin(name="agent-1"), agent, None)
    await relay.agent(AgentLogin(name="agent-0"), other, None)
    await relay.visitor(3, visitor, None)
    visitor.link.send([written(0), written(1, "你好")])
    visitor.link.send([written(2)])
    receipts = await visitor.until(3, "on_receipt")
    assert [(number, receipt.conversation, receipt.seq) for _, number, receipt in receipts] == [
        (0, "v3", 1),
        (1, "v3", 2),
        (2, "v3", 3),
    ]
    said = [each for _, each in await agent.until(3, "on_said")]
    assert [(each.seq, each.source_id, each.text) for each in said] == [
        (1, "r1-3-0-0", "hello"),
        (2, "r1-3-1-0", "你好"),
        (3, "r1-3-2-0", "hello"),
    ]
    assert [each[0] for each in agent.told[:3]] == ["on_entry", "on_offered", "on_said"]
    agent.link.answer("v3", Written(number=0, id="r1-1-0-0", text="yes", due_us=0))
    agent.link.answer("v3", Written(number=1, id="r1-1-1-0", text="no", due_us=0))
    answers = [each for _, each in await visitor.until(2, "on_said")]
    assert [(each.conversation, each.seq, each.author, each.text) for each in answers] == [
        ("a3", 1, "agent", "yes"),
        ("a3", 2, "agent", "no"),
    ]
    assert len(await agent.until(2, "on_receipt")) == 2
    assert other.told == []
    visitor.link.drop()
    await visitor.until(1, "on_lost")
    await relay.aclose()
    await agent.until(1, "on_lost")


def test_a_relay_that_is_not_there_is_named():
    with pytest.raises(CannotGenerate, match="no relay answers"):
        asyncio.run(ValkeyRelay(orders("redis://127.0.0.1:1")).start())
