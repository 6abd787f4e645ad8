"""The dispatcher without Ray: the real store, the real router core, and a network that can be cut."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import msgspec
import pytest
from argon2 import PasswordHasher
from redis.asyncio import Redis

from cluster.clients import RouterClient
from cluster.codec import decode_commands, encode_desk_report, encode_placements, encode_replies
from cluster.settings import AccountSettings, Settings
from cluster.settings_sections import DispatcherSettings, RouterSettings, StoreSettings
from cluster.store import keys
from cluster.store.directory import Directory
from cluster.store.embedded import EmbeddedStore
from cluster.store.valkey import STORE_DOWN, connect
from deployments.dispatcher import DispatcherActor
from models.domain.agent import User
from models.domain.commands import Accept, Decline, Fence, Offer, Receive, Resolve, Snooze
from models.domain.conversation import ConversationRecord, placement_of
from models.domain.errors import BadRequest, Unavailable
from models.domain.ids import contact_id
from models.routing.desk_reports import DeskReport, OpenDesks
from models.timeline.shard import Shard
from tests.fakes import LocalRouter

pytestmark = pytest.mark.anyio
ACCOUNT = "demo"
HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class TellingRouter(LocalRouter):
    """A local router that tells dispatchers of changes, as the router actor does; ``mute`` ones forget to."""

    def __init__(self, redis):
        super().__init__(redis)
        self.redis = redis
        self.listeners = []
        self.mute = False

    async def carry(self, shard, *batch):
        if self.down:
            raise Unavailable("the router is down")
        try:
            return encode_replies(await self.apply(decode_commands(batch[-1])))
        except STORE_DOWN:
            self._epoch, self._core = 0, Shard(entropy=os.urandom)
            self._claimed.clear()
            return b""

    async def apply(self, commands):
        replies = await super().apply(commands)
        changed = {getattr(reply, "conversation", "") for reply in replies} - {""}
        records = [await record_of(self.redis, conversation) for conversation in sorted(changed)]
        if not self.mute:
            for listener in self.listeners:
                await listener.place(encode_placements([placement_of(ACCOUNT, record) for record in records]))
        return replies

    def offers(self):
        return [(command.conversation, command.agent) for command in self.commands if isinstance(command, Offer)]


async def record_of(redis, conversation):
    return msgspec.json.decode(await redis.get(keys.conversation(ACCOUNT, conversation)), type=ConversationRecord)


async def until(condition, within_s=8.0):
    """Wait for a condition, plain or awaitable, with a deadline."""
    deadline = time.monotonic() + within_s
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {within_s} s: {condition}"
        await asyncio.sleep(0.01)


class World:
    """One account's contacts, agents, routers and dispatchers over one store."""

    def __init__(self, url):
        self.settings = Settings(
            store=StoreSettings(url=url),
            accounts={ACCOUNT: AccountSettings()},
            router=RouterSettings(count=2, deadline_s=1.0),
            dispatcher=DispatcherSettings(offer_timeout_s=0.8, away_grace_s=0.6, tick_s=0.05),
        )
        self.redis = connect(self.settings.store)
        self.directory = Directory(self.redis, hasher=HASHER)
        self.router = TellingRouter(self.redis)
        self.client = self.router_client()
        self.actors = []
        self.ended = []
        self.open_desks = []
        self.reported = 0
        self.gateway = None

    def router_client(self):
        return RouterClient(self.router.carry, shards=2, batch_bytes=80_000, queue_limit=1_000, deadline_s=1.0)

    def start(self, audit_s=60.0):
        actor = DispatcherActor(
            self.settings,
            router=self.router_client(),
            superseded=lambda: self.ended.append(actor),
            audit_s=audit_s,
            poll_s=0.2,
        )
        self.actors.append(actor)
        self.router.listeners.append(actor)
        return actor

    async def running(self, **kwargs):
        actor = self.start(**kwargs)
        await until(actor.ready)
        return actor

    async def die(self, actor):
        """End it as a kill does: it neither hears nor says anything any more."""
        self.router.listeners.remove(actor)
        self.actors.remove(actor)
        await actor.drain()

    async def hire(self, name, **kwargs):
        await self.directory.add(ACCOUNT, User(name=name, **kwargs), "correct horse")

    async def write(self, who, skill=""):
        receipt = await self.client.receive(
            Receive(
                account=ACCOUNT,
                contact=contact_id(ACCOUNT, "web", "web", who),
                channel="web",
                inbox="web",
                external_id=who,
                source_id=f"{who}-{time.monotonic_ns()}",
                text="hello",
                received_at_ms=1,
                skill=skill,
            )
        )
        return receipt.conversation

    async def desks(self, *agents):
        """Open desks for these agents and no others, at a gateway that reports as often as a real one."""
        self.open_desks = [(ACCOUNT, agent) for agent in agents]
        await self.report()
        self.gateway = self.gateway or asyncio.ensure_future(self.report_often())

    async def report(self):
        for actor in self.actors:
            self.reported += 1
            report = DeskReport(gateway="g0", life=1, number=self.reported, opened=self.open_desks)
            assert await actor.report_desks(encode_desk_report(report))

    async def report_often(self):
        while True:
            await asyncio.sleep(2)
            await self.report()

    async def holder(self, conversation):
        record = await record_of(self.redis, conversation)
        return record.agent or record.state

    async def is_with(self, conversation, agent):
        return await self.holder(conversation) == agent

    async def accept(self, conversation, agent):
        await self.client.ask(Accept(account=ACCOUNT, conversation=conversation, by=agent, role="agent"))

    async def aclose(self):
        if self.gateway is not None:
            self.gateway.cancel()
        for actor in self.actors:
            await actor.drain()
        await self.client.aclose()
        await self.redis.aclose()


@pytest.fixture
async def world(store_url, redis: Redis):
    world = World(store_url)
    yield world
    await world.aclose()


async def test_users_who_come_change_and_go_are_heard_of_within_a_poll(world):
    actor = await world.running()
    await world.desks("ada", "ben")
    await world.hire("ada", capacity=1, skills=("refund",))
    await until(lambda: actor.stats()["present"] == 1, within_s=2)
    first = await world.write("v1", skill="billing")
    await world.directory.update(ACCOUNT, User(name="ada", capacity=1, skills=("billing",)))
    await until(lambda: world.is_with(first, "ada"), within_s=2)
    await world.accept(first, "ada")
    second = await world.write("v2")
    await world.directory.update(ACCOUNT, User(name="ada", capacity=2))
    await until(lambda: world.is_with(second, "ada"), within_s=2)
    await world.hire("ben", capacity=5, skills=("billing",))
    await until(lambda: actor.stats()["present"] == 2, within_s=2)
    await world.directory.remove(ACCOUNT, "ada")
    await until(lambda: world.is_with(first, "ben"), within_s=4)
    await world.directory.update(ACCOUNT, User(name="ben", capacity=5, skills=("billing",), active=False))
    await until(lambda: actor.stats()["present"] == 0, within_s=2)


async def test_a_user_who_was_changed_by_other_means_is_found_later(world, monkeypatch):
    monkeypatch.setattr("deployments.dispatching._EVERYBODY_S", 0.5)
    await world.hire("ada", capacity=1)
    actor = await world.running()
    await world.desks("ada")
    await until(lambda: actor.stats()["present"] == 1, within_s=2)
    await world.redis.hdel(keys.users(ACCOUNT), "ada")
    await until(lambda: actor.stats()["present"] == 0, within_s=4)


async def told(actor, desks):
    """Have a dispatcher hear the next report of a gateway; returns whether it knows all now."""
    known = await actor.report_desks(encode_desk_report(desks.report()))
    desks.heard(known=known)
    return known


async def test_a_desk_that_is_told_alone_counts_beside_those_told_before(world):
    await world.hire("ada", capacity=1)
    await world.hire("ben", capacity=1)
    actor, desks = await world.running(), OpenDesks("g0", life=1)
    desks.open((ACCOUNT, "ada"))
    assert await told(actor, desks)
    desks.open((ACCOUNT, "ben"))
    assert await told(actor, desks)
    await until(lambda: actor.stats()["present"] == 2)
    desks.close((ACCOUNT, "ada"))
    assert await told(actor, desks)
    conversation = await world.write("v1")
    await until(lambda: world.is_with(conversation, "ben"))
    assert actor.stats()["present"] == 1


async def test_a_new_dispatcher_asks_for_all_desks_whatever_it_is_told(world):
    await world.hire("ada", capacity=1)
    old, desks = await world.running(), OpenDesks("g0", life=1)
    desks.open((ACCOUNT, "ada"))
    assert await told(old, desks)
    await world.die(old)
    new = await world.running()
    assert not await told(new, desks)
    assert new.stats()["present"] == 0
    assert await told(new, desks)
    assert new.stats()["present"] == 1


async def test_a_gateway_that_was_silent_too_long_tells_all_its_desks_again(world):
    await world.hire("ada", capacity=1)
    actor, desks = await world.running(), OpenDesks("g0", life=1)
    desks.open((ACCOUNT, "ada"))
    assert await told(actor, desks)
    await until(lambda: actor.stats()["present"] == 0)
    assert not await told(actor, desks)
    assert await told(actor, desks)
    assert actor.stats()["present"] == 1


async def test_a_conversation_that_waits_is_offered_when_a_desk_opens_and_one_that_comes_at_once(world):
    await world.hire("ada", capacity=2)
    first = await world.write("v1")
    await world.running()
    await world.desks("ada")
    await until(lambda: world.is_with(first, "ada"))
    second = await world.write("v2")
    await until(lambda: world.is_with(second, "ada"))
    third = await world.write("v3")
    assert await world.holder(third) == "waiting"
    await world.client.ask(Resolve(account=ACCOUNT, conversation=first, by="ada", role="agent"))
    await until(lambda: world.is_with(third, "ada"))


async def test_the_next_dispatcher_finds_all_again_and_the_old_one_ends(world):
    await world.hire("ada", capacity=1)
    old = await world.running()
    await world.desks("ada")
    held = await world.write("v1")
    await until(lambda: world.is_with(held, "ada"))
    await world.accept(held, "ada")
    waits = await world.write("v2")
    new = await world.running()
    await until(lambda: world.ended == [old])
    stats = new.stats()
    assert (stats["waiting"], stats["held"]) == (1, 1)
    world.actors.remove(old)
    await world.desks("ada")
    await world.client.ask(Resolve(account=ACCOUNT, conversation=held, by="ada", role="agent"))
    await until(lambda: world.is_with(waits, "ada"))
    await old.drain()


async def test_a_superseded_dispatcher_is_refused_by_the_routers(world):
    await world.hire("ada", capacity=1)
    old = await world.running()
    await world.redis.incr(keys.dispatcher_epoch(ACCOUNT))
    for slot in (0, 1023):
        await world.client.ask(Fence(account=ACCOUNT, epoch=99, slot=slot))
    conversation = await world.write("v1")
    await world.desks("ada")
    await until(lambda: world.ended == [old])
    assert await world.holder(conversation) == "waiting"


async def test_the_start_waits_for_a_router_that_is_down(world):
    await world.hire("ada", capacity=1)
    conversation = await world.write("v1")
    world.router.down = True
    actor = world.start()
    await world.desks("ada")
    await asyncio.sleep(0.3)
    assert not await actor.ready()
    world.router.down = False
    await until(actor.ready)
    await until(lambda: world.is_with(conversation, "ada"))


async def test_missed_news_is_found_by_the_comparison_with_the_store(world):
    await world.hire("ada", capacity=1)
    actor = await world.running(audit_s=0.2)
    world.router.mute = True
    conversation = await world.write("v1")
    await world.desks("ada")
    await until(lambda: world.is_with(conversation, "ada"))
    assert actor.stats()["accounts"][ACCOUNT]["repaired"] >= 1


async def test_a_resync_is_answered_by_a_comparison_at_once(world):
    await world.hire("ada", capacity=1)
    actor = await world.running(audit_s=60)
    await world.desks("ada")
    world.router.mute = True
    conversation = await world.write("v1")
    await actor.resync(ACCOUNT)
    await until(lambda: world.is_with(conversation, "ada"))


async def test_an_offer_that_nobody_takes_goes_to_somebody_else(world):
    await world.hire("ada", capacity=1)
    await world.hire("ben", capacity=1)
    await world.running()
    await world.desks("ada", "ben")
    conversation = await world.write("v1")
    await until(lambda: world.is_with(conversation, "ada"))
    await until(lambda: world.is_with(conversation, "ben"))
    assert world.router.offers() == [(conversation, "ada"), (conversation, "ben")]


async def test_who_declines_is_passed_over(world):
    await world.hire("ada", capacity=1)
    await world.hire("ben", capacity=1)
    await world.running()
    await world.desks("ada", "ben")
    conversation = await world.write("v1")
    await until(lambda: world.is_with(conversation, "ada"))
    await world.client.ask(Decline(account=ACCOUNT, conversation=conversation, by="ada", role="agent"))
    await until(lambda: world.is_with(conversation, "ben"))


async def test_who_leaves_past_the_grace_is_relieved_of_what_they_hold(world):
    await world.hire("ada", capacity=1)
    await world.running()
    await world.desks("ada")
    conversation = await world.write("v1")
    await until(lambda: world.is_with(conversation, "ada"))
    await world.accept(conversation, "ada")
    await world.desks()
    await until(lambda: world.is_with(conversation, "waiting"))
    await world.hire("ben", capacity=1)
    await world.desks("ben")
    await until(lambda: world.is_with(conversation, "ben"))


async def test_a_snoozed_conversation_comes_back(world):
    await world.hire("ada", capacity=1)
    await world.running()
    await world.desks("ada")
    conversation = await world.write("v1")
    await until(lambda: world.is_with(conversation, "ada"))
    await world.accept(conversation, "ada")
    await world.client.ask(
        Snooze(
            account=ACCOUNT,
            conversation=conversation,
            by="ada",
            role="agent",
            until_ms=int(time.time() * 1000) + 400,
        )
    )
    assert await world.holder(conversation) == "snoozed"
    await until(lambda: world.is_with(conversation, "ada"))


async def test_presence_outlives_the_dispatcher(world):
    await world.hire("ada", capacity=1)
    first = await world.running()
    await first.set_presence(ACCOUNT, "ada", "away", "lunch")
    await world.die(first)
    second = await world.running()
    await world.desks("ada")
    conversation = await world.write("v1")
    await asyncio.sleep(0.3)
    assert await world.holder(conversation) == "waiting"
    await second.set_presence(ACCOUNT, "ada", "online")
    await until(lambda: world.is_with(conversation, "ada"))
    with pytest.raises(BadRequest):
        await second.set_presence(ACCOUNT, "ada", "asleep")


async def test_presences_told_together_all_count_or_none(world):
    await world.hire("ada", capacity=1)
    await world.hire("bea", capacity=1)
    dispatcher = await world.running()
    await world.desks("ada", "bea")
    with pytest.raises(BadRequest):
        await dispatcher.set_presences(ACCOUNT, [("ada", "away", ""), ("bea", "asleep", "")])
    await dispatcher.set_presences(ACCOUNT, [("ada", "online", ""), ("bea", "away", "lunch"), ("ada", "away", "")])
    conversation = await world.write("v1")
    await asyncio.sleep(0.3)
    assert await world.holder(conversation) == "waiting"
    await dispatcher.set_presences(ACCOUNT, [("bea", "online", "")])
    await until(lambda: world.is_with(conversation, "bea"))


async def test_new_agents_and_changed_ones_are_known_soon(world):
    await world.running()
    await world.desks("ada")
    conversation = await world.write("v1", skill="tax")
    await world.hire("ada", capacity=1)
    await asyncio.sleep(0.3)
    assert await world.holder(conversation) == "waiting"
    await world.directory.update(ACCOUNT, User(name="ada", skills=("tax",), capacity=1))
    await until(lambda: world.is_with(conversation, "ada"))


async def test_supervisors_take_part_only_with_a_capacity_of_their_own(world):
    await world.hire("sue", role="supervisor")
    await world.running()
    await world.desks("sue")
    conversation = await world.write("v1")
    await asyncio.sleep(0.3)
    assert await world.holder(conversation) == "waiting"
    await world.directory.update(ACCOUNT, User(name="sue", role="supervisor", capacity=1))
    await until(lambda: world.is_with(conversation, "sue"))


async def test_an_account_made_while_running_is_opened(world):
    actor = await world.running()
    await world.directory.add_account("other")
    await until(lambda: actor.stats()["accounts"].get("other", {}).get("running"))


async def test_what_it_tells_about_itself_stands_in_the_store(world):
    await world.hire("ada", capacity=1)
    await world.running()
    await world.desks("ada")
    first = await world.write("v1")
    await until(lambda: world.is_with(first, "ada"))
    await world.accept(first, "ada")
    await world.write("v2")

    async def told():
        data = await world.redis.get(keys.alive("dispatcher", "dispatcher"))
        about = msgspec.json.decode(data) if data else {}
        return (about.get("present"), about.get("waiting"), about.get("held"), about.get("offers")) == (1, 1, 1, 1)

    await until(told)


@pytest.fixture
def short_folder():
    """A fresh folder whose path is short enough for a unix socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    yield folder
    shutil.rmtree(folder)


async def test_it_survives_the_death_of_the_store(short_folder):
    store = EmbeddedStore(short_folder)
    await asyncio.to_thread(store.start)
    world = World(store.url)
    try:
        await world.hire("ada", capacity=3)
        actor = await world.running(audit_s=0.5)
        await world.desks("ada")
        before = await world.write("v1")
        await until(lambda: world.is_with(before, "ada"))
        await world.accept(before, "ada")
        pid = (await world.redis.info("server"))["process_id"]
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.5)
        with pytest.raises(Exception, match="store"):
            await actor.set_presence(ACCOUNT, "ada", "online")
        await asyncio.to_thread(store.start)

        async def written():
            with contextlib.suppress(Exception):
                return await world.write("v2")
            return None

        after = await until(written)
        await until(lambda: world.is_with(after, "ada"))
        assert await world.is_with(before, "ada")
    finally:
        await world.aclose()
        await asyncio.to_thread(store.stop)
