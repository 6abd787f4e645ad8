"""What the board reads of the real store, after a router wrote it there; and the hours that routers count."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis

from cluster.settings import StoreSettings
from cluster.store import board as board_module
from cluster.store import keys
from cluster.store.board import BoardStore
from cluster.store.directory import Directory
from cluster.store.timeline import TimelineStore
from cluster.store.valkey import connect
from cluster.telemetry import Beacon, Meter
from models.board.hours import HOUR_MS, KEPT_S, hour_of, row_of
from models.board.live import board_of
from models.domain.agent import User
from models.domain.commands import Accept, Offer, Receive, Resolve, Say
from models.domain.errors import NotFound
from models.domain.ids import contact_id, conversation_id
from models.timeline.shard import Shard

pytestmark = pytest.mark.anyio
NOW_MS = 498_742 * HOUR_MS + 5_000
WITHIN_S = 60.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def redis(empty_store_url: str, anyio_backend: str) -> AsyncIterator[Redis]:
    async with connect(StoreSettings(url=empty_store_url)) as client:
        yield client


class World:
    """A router core over the real store, and the board's side of it."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.store = TimelineStore(redis, log_entries=100, answer_within_s=lambda _: WITHIN_S)
        self.board = BoardStore(redis, planned={"router": 1})
        self.core = Shard(entropy=lambda size: self.serial().to_bytes(size, "big"))
        self.now_ms = NOW_MS
        self._serial = 0
        self._epoch = 0

    def serial(self) -> int:
        self._serial += 1
        return self._serial

    async def turn(self, *commands):
        """Decide and append a batch."""
        self._epoch = self._epoch or await self.store.next_epoch()
        for account in {command.account for command in commands}:
            await self.store.claim(account, self._epoch, range(1024))
        self.core.learn(await self.store.load(self.core.missing(commands)))
        outcome = self.core.apply(commands, self.now_ms)
        for account, changes in outcome.changes.items():
            await self.store.append(account, self._epoch, changes)
        return outcome.replies

    async def write(self, who: str, text: str = "hello", account: str = "acme") -> str:
        message = Receive(
            account=account,
            contact=contact_id(account, "web", "web", who),
            channel="web",
            inbox="web",
            external_id=who,
            source_id=str(self.serial()),
            text=text,
            received_at_ms=self.now_ms,
            skill="billing",
        )
        return (await self.turn(message))[0].conversation

    async def give(self, conversation: str, agent: str) -> None:
        offer = Offer(
            account="acme", conversation=conversation, agent=agent, epoch=0, expires_at_ms=self.now_ms + 30_000
        )
        await self.turn(offer, Accept(account="acme", conversation=conversation, by=agent, role="agent"))

    async def say(self, conversation: str, by: str) -> None:
        await self.turn(
            Say(
                account="acme",
                conversation=conversation,
                by=by,
                role="agent",
                client_id=str(self.serial()),
                text="yes?",
                received_at_ms=self.now_ms,
            )
        )

    async def look(self, here=("ann",)):
        found = await self.board.look("acme", self.now_ms, WITHIN_S, here)
        return board_of(found, answer_within_s=WITHIN_S, default_capacity=5)


@pytest.fixture
async def world(redis: Redis) -> World:
    return World(redis)


async def test_the_board_shows_what_a_router_wrote(world: World, redis: Redis) -> None:
    await Directory(redis).add("acme", User(name="ann", skills=("billing",)), "correct horse")
    waits = await world.write("v1")
    held = await world.write("v2", "and I?")
    await world.give(held, "ann")
    world.now_ms += 61_000
    shown = await world.look()
    assert (shown.totals.waiting, shown.totals.waiting_late, shown.totals.held, shown.totals.held_late) == (1, 1, 1, 1)
    assert [(case.id, case.state, case.agent, case.late) for case in shown.cases] == sorted(
        [(waits, "waiting", "", True), (held, "assigned", "ann", True)]
    )
    await world.say(held, "ann")
    shown = await world.look()
    assert (shown.totals.waiting_late, shown.totals.held_late) == (1, 0)
    assert next(case for case in shown.cases if case.id == held).since_ms is None
    assert (shown.agents[0].name, shown.agents[0].held, shown.agents[0].here) == ("ann", 1, True)
    assert (shown.groups[0].skill, shown.groups[0].waiting, shown.groups[0].held) == ("billing", 1, 1)
    # three of contacts and agents, each with its number
    assert (shown.system.losses.checked, shown.system.losses.missing) == (3, 0)


async def test_another_account_sees_none_of_it(world: World) -> None:
    await world.write("v1")
    found = await world.board.look("bolt", world.now_ms, WITHIN_S, None)
    assert (found.waiting, found.open, found.users, found.hour.contact) == (0, [], [], 0)


async def test_a_number_without_a_message_is_missed(world: World, redis: Redis) -> None:
    conversation = await world.write("v1")
    for _ in range(4):
        await world.write("v1")
    await redis.ltrim(keys.session("acme", conversation), 0, 2)
    losses = (await world.look()).system.losses
    assert (losses.checked, losses.missing) == (3, 2)


async def test_of_a_long_queue_those_are_read_that_wait_longest(world: World, monkeypatch) -> None:
    monkeypatch.setattr(board_module, "MOST_READ", 2)
    names = []
    for who in range(4):
        names.append(await world.write(f"v{who}"))
        world.now_ms += 1_000
    shown = await world.look()
    assert [case.id for case in shown.cases] == names[:2]
    assert (shown.totals.waiting, shown.totals.not_read) == (4, 2)


async def test_hours_are_counted_with_the_messages_and_end_some_day(world: World, redis: Redis) -> None:
    conversation = await world.write("v1")
    await world.give(conversation, "ann")
    world.now_ms += 59_000
    await world.say(conversation, "ann")
    world.now_ms += 1_000
    await world.write("v1")
    world.now_ms += HOUR_MS
    await world.say(conversation, "ann")
    await world.turn(Resolve(account="acme", conversation=conversation, by="ann", role="agent"))
    first = hour_of(NOW_MS)
    hours = await world.board.hours("acme", first - 200, first + 1)
    assert sorted(hours) == [first, first + 1]
    early, late = (row_of(0, hours[hour]) for hour in sorted(hours))
    assert (early.contact, early.agent, early.answered, early.late, early.resolved) == (2, 1, 1, 0, 0)
    assert (late.contact, late.agent, late.answered, late.late, late.resolved) == (0, 1, 1, 1, 1)
    assert early.wait_p50_s is not None
    assert abs(early.wait_p50_s - 59) < 8
    for hour in hours:
        assert KEPT_S - 60 < await redis.ttl(keys.hour("acme", hour)) <= KEPT_S


async def test_what_is_appended_twice_by_mistake_is_counted_once(world: World) -> None:
    """A batch whose answer got lost is repeated, and known."""
    message = Receive(
        account="acme",
        contact=contact_id("acme", "web", "web", "v1"),
        channel="web",
        inbox="web",
        external_id="v1",
        source_id="once",
        text="hello",
        received_at_ms=1,
    )
    await world.turn(message)
    world.core.forget()
    (receipt,) = await world.turn(message)
    assert receipt.duplicate
    (counts,) = (await world.board.hours("acme", hour_of(NOW_MS), hour_of(NOW_MS))).values()
    assert counts["contact"] == counts["opened"] == 1


async def test_somebody_who_listens_hears_each_message_once(world: World) -> None:
    conversation = await world.write("v1", "one")
    await world.write("v1", "two")
    heard = await world.board.listen("acme", conversation, None)
    assert [msgspec.json.decode(each)["text"] for each in heard.messages] == ["one", "two"]
    assert (await world.board.listen("acme", conversation, heard.length)).messages == []
    await world.write("v1", "three")
    heard = await world.board.listen("acme", conversation, 2)
    assert ([msgspec.json.decode(each)["text"] for each in heard.messages], heard.length) == (["three"], 3)
    for account, name in (("bolt", conversation), ("acme", conversation_id(1, 5, bytes(10))), ("acme", "x")):
        with pytest.raises(NotFound):
            await world.board.listen(account, name, None)


async def test_processes_tell_and_those_that_fell_silent_are_missed(world: World, redis: Redis) -> None:
    meter = Meter()
    meter.record("append", 0.004)
    meter.count("duplicates", 2)
    await Beacon(redis, "router", "0", meter.report).tell()
    system = (await world.look()).system
    assert [(each.kind, each.alive, each.planned) for each in system.processes] == [("router", 1, 1)]
    (append,) = system.latencies
    assert (append.stage, append.n) == ("append", 1)
    assert 3.4 < append.p50_ms < 4.6
    assert system.losses.duplicates == 2
    await redis.delete(keys.alive("router", "0"))
    assert (await world.look()).system.processes[0].alive == 0


async def test_a_meter_forgets_what_is_long_ago() -> None:
    now = [0.0]
    meter = Meter(monotonic=lambda: now[0])
    meter.record("append", 0.001)
    now[0] = 61.0
    assert sum(meter.report()["lately"]["append"].values()) == 1
    meter.record("append", 0.002)
    now[0] = 119.0
    assert sum(meter.report()["lately"]["append"].values()) == 2
    now[0] = 122.0
    assert sum(meter.report()["lately"]["append"].values()) == 1
    now[0] = 300.0
    assert meter.report()["lately"] == {}
    assert meter.report()["stages"]["append"]["n"] == 2


async def test_skills_change_alone_whoever_changes_the_rest(redis: Redis) -> None:
    directory = Directory(redis)
    await directory.add("acme", User(name="ann", capacity=3), "correct horse")
    await asyncio.gather(
        directory.set_skills("acme", "ann", ["a", "b", "a"]),
        directory.update("acme", User(name="ann", role="supervisor", capacity=7)),
    )
    user = await directory.get("acme", "ann")
    assert user is not None
    assert (user.role, user.capacity) == ("supervisor", 7)
    assert (await directory.set_skills("acme", "ann", ["c"])).skills == ("c",)
    assert await directory.verify("acme", "ann", "correct horse")
    with pytest.raises(NotFound):
        await directory.set_skills("acme", "nobody", [])
