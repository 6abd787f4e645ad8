"""The bot between a visitor and the agents: router, dispatcher, gateway and store are real, the model is plain."""

import asyncio
import contextlib
import os
import time

import msgspec
import pytest
from argon2 import PasswordHasher

from cluster.clients import RouterClient
from cluster.store import keys
from cluster.store.directory import Directory
from deployments.dispatcher import DispatcherActor
from deployments.router import RouterActor
from models.domain.agent import User
from models.domain.commands import Receive
from models.domain.conversation import ConversationRecord
from models.domain.errors import Unavailable
from models.domain.ids import contact_id
from models.domain.message import Message
from models.timeline.bot_part import BotPart
from models.timeline.shard import Shard
from tests.bots import PlainBot
from tests.deployments.models import PlainModel
from tests.deployments.test_gateway import Place, until

pytestmark = pytest.mark.anyio
PATIENCE_MS = 400
#: What a busy machine may need besides.
A_LITTLE_S = 1.5
#: Longer than any patience here: whoever waits for it was forgotten.
NEVER_S = 15.0
HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class BrittleBot(PlainBot):
    """A bot with a mistake."""

    def hear(self, text, understanding, state):
        if text == "poison":
            raise ZeroDivisionError
        return super().hear(text, understanding, state)


class LocalActor:
    """An actor in this process, reached as a named one is."""

    def __init__(self, actor):
        self.actor = actor

    async def call(self, method, *args):
        return await getattr(self.actor, method)(*args)


class System(Place):
    """A gateway, a router actor that can die, a dispatcher, a store, and a model."""

    def __init__(self, url, **sections):
        bot = {"patience_ms": PATIENCE_MS} | sections.pop("bot", {})
        super().__init__(url, bot=bot, **sections)
        self.model = PlainModel()
        self.actor = None
        self.died = asyncio.Event()
        self.router = self.client()

    def client(self):
        return RouterClient(self.carry, shards=1, batch_bytes=80_000, queue_limit=1_000, deadline_s=10.0)

    async def carry(self, _shard, *batch):
        """Call the router as Ray does: a call that it dies in is unavailable."""
        if self.actor is None:
            raise Unavailable("router:0 is down")
        call = asyncio.ensure_future(self.actor.apply(*batch))
        died = asyncio.ensure_future(self.died.wait())
        await asyncio.wait([call, died], return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if not call.done():
            call.cancel()
            raise Unavailable("router:0 is restarting")
        return call.result()

    async def start(self):
        directory = Directory(self.redis, hasher=HASHER)
        await directory.add_account("acme")
        await directory.add("acme", User(name="ann"), "correct horse")
        self.deciding = DispatcherActor(
            self.settings, router=self.client(), superseded=lambda: None, audit_s=30.0, poll_s=0.2
        )
        self.dispatcher = LocalActor(self.deciding)
        await self.start_router()
        await super().start()
        await until(self.is_deciding)

    def is_deciding(self):
        account = self.deciding._accounts.get("acme")
        return account is not None and account.running.is_set()

    async def start_router(self):
        self.died.clear()
        settings = self.settings
        part = BotPart(
            answers=BrittleBot() if settings.intent.enabled else None,
            patience_ms=settings.bot.patience_ms,
            idle_ms=int(settings.bot.idle_s * 1000),
        )
        core = Shard(entropy=os.urandom, bot=part)
        self.actor = RouterActor(settings, 0, dispatcher=self.dispatcher, core=core, model=self.model)

    async def kill_router(self):
        """End it as a kill does: nothing more is decided, told or understood."""
        actor, self.actor = self.actor, None
        self.died.set()
        tasks = [*actor._tasks, *actor._hearing._calls]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self):
        await super().stop()
        await self.deciding.drain()
        if self.actor is not None:
            actor = self.actor
            await actor.drain()
            await self.kill_router()

    async def record(self, conversation, account="acme"):
        data = await self.redis.get(keys.conversation(account, conversation))
        return msgspec.json.decode(data, type=ConversationRecord)

    async def messages(self, conversation):
        found = await self.redis.lrange(keys.session("acme", conversation), 0, -1)
        return [msgspec.json.decode(data, type=Message) for data in found[::-1]]

    async def comes_to(self, state, conversation, within_s=NEVER_S, account="acme"):
        async with asyncio.timeout(within_s):
            while (record := await self.record(conversation, account)).state != state:
                await asyncio.sleep(0.005)
        return record


@pytest.fixture
async def systems(store_url, redis):
    started = []

    async def start(**sections):
        system = System(store_url, **sections)
        started.append(system)
        await system.start()
        return system

    yield start
    for system in started:
        await system.stop()


@pytest.fixture
async def system(systems):
    return await systems()


async def offered(desk, conversation, within_s=NEVER_S):
    """Return a conversation as the desk shows it once it is offered there."""
    await until(lambda: conversation in desk.state.conversations, within_s)
    return desk.state.conversations[conversation]


async def test_a_sure_question_is_answered_on_the_visitors_socket_and_costs_no_agent_anything(system):
    visitor, desk = await system.visitor(), await system.desk()
    conversation = (await visitor.write("where is it?"))["conversation"]
    await until(lambda: visitor.shown == ["answer to: where is it?"])
    await visitor.write("and the other one?")
    await until(lambda: visitor.shown[1:] == ["answer to: and the other one?"])
    assert (await system.record(conversation)).state == "bot"
    assert desk.state.conversations == {}
    assert await system.redis.zrange(keys.waiting("acme"), 0, -1) == []
    await until(lambda: system.deciding.stats()["bot"] == 1)


async def test_a_visitor_that_was_away_finds_the_answer_on_return(system):
    system.model.open.clear()
    visitor = await system.visitor()
    await visitor.write("where is it?")
    await visitor.close()
    system.model.open.set()
    again = await system.visitor()
    await until(lambda: again.shown[-1:] == ["answer to: where is it?"])


async def test_who_asks_for_a_human_is_offered_with_what_was_understood(system):
    visitor, desk = await system.visitor(), await system.desk()
    conversation = (await visitor.write("asked for a human"))["conversation"]
    shown = await offered(desk, conversation)
    insight = shown.conversation.insight
    assert (insight.intent, insight.confidence, insight.seq) == ("delivery", 0.9, 1)
    assert insight.suggestions == ("suggested for: asked for a human",)
    assert [(message.author, message.text) for message in shown.messages] == [
        ("contact", "asked for a human"),
        ("bot", "a human for: asked for a human"),
    ]
    await until(lambda: visitor.shown == ["a human for: asked for a human"])
    await desk.call("message.send", conversation=conversation, client_id="a", text="good day")
    await until(lambda: visitor.shown[1:] == ["good day"])
    await visitor.write("hello")
    await until(lambda: desk.texts[-1:] == ["hello"])
    assert (await system.record(conversation)).state == "assigned"


async def test_what_the_bot_is_not_sure_of_is_offered(system):
    visitor, desk = await system.visitor(), await system.desk()
    conversation = (await visitor.write("unsure what this is"))["conversation"]
    shown = await offered(desk, conversation)
    assert shown.conversation.insight.confidence == 0.3
    assert visitor.shown == []


async def test_a_model_that_hangs_delays_no_receipt_and_an_offer_by_its_patience(system):
    system.model.open.clear()
    visitor, desk = await system.visitor(), await system.desk()
    started = time.monotonic()
    conversation = (await visitor.write("where is it?"))["conversation"]
    assert time.monotonic() - started < PATIENCE_MS / 1000
    shown = await offered(desk, conversation)
    assert PATIENCE_MS / 1000 <= time.monotonic() - started < PATIENCE_MS / 1000 + A_LITTLE_S
    assert shown.conversation.insight is None
    system.model.open.set()
    assert [message.text for message in await system.messages(conversation)] == ["where is it?"]


async def test_a_model_that_fails_delays_no_offer(systems):
    system = await systems(bot={"patience_ms": 60_000})
    system.model.down = True
    visitor, desk = await system.visitor(), await system.desk()
    conversation = (await visitor.write("where is it?"))["conversation"]
    await offered(desk, conversation, A_LITTLE_S)


async def test_a_model_that_is_gone_is_not_waited_for_and_the_bot_comes_back_with_it(system):
    system.model.down = True
    for number in range(4):
        conversation = await system.write(f"v{number}", "where is it?")
        await system.comes_to("waiting", conversation)
    # not even for the moment in which a call fails
    assert system.actor._hearing.room == 0
    system.model.down = False
    await system.write("v9", "unsure")
    await until(lambda: system.actor._hearing.room)
    visitor = await system.visitor("v10")
    await visitor.write("where is it?")
    await until(lambda: visitor.shown == ["answer to: where is it?"])


async def test_without_room_a_conversation_waits_for_a_human_from_the_start(systems):
    system = await systems(bot={"patience_ms": 60_000, "max_pending": 2})
    system.model.open.clear()
    first, second, third = [await system.write(f"v{number}", "where is it?") for number in range(3)]
    assert [(await system.record(each)).state for each in (first, second, third)] == ["bot", "bot", "waiting"]
    desk = await system.desk()
    await offered(desk, third)
    assert set(desk.state.conversations) == {third}
    # whoever wrote to the bot already goes to a human as well
    await system.write("v0", "please")
    await offered(desk, first)


async def test_with_the_bot_switched_off_agents_still_see_what_was_understood(systems):
    system = await systems(bot={"enabled": False})
    visitor, desk = await system.visitor(), await system.desk()
    conversation = (await visitor.write("where is it?"))["conversation"]
    shown = await offered(desk, conversation)
    # before the offer, or as a change of it
    await until(lambda: desk.state.conversations[conversation].conversation.insight)
    await visitor.write("and the other one?")
    await until(lambda: desk.state.conversations[conversation].conversation.insight.seq == 2)
    assert [message.author for message in shown.messages] == ["contact"]
    assert visitor.shown == []
    assert desk.state == await system.snapshot()


async def test_without_a_model_nothing_is_understood(systems):
    system = await systems(intent={"enabled": False})
    desk = await system.desk()
    conversation = await system.write("v1", "where is it?")
    assert (await offered(desk, conversation)).conversation.insight is None
    assert system.model.calls == []


@pytest.mark.parametrize("account", ["acme", "newcomer"])
async def test_a_router_that_died_before_the_bots_answer_hands_over_late(system, account):
    """Whether or not anybody writes in that account again."""
    await Directory(system.redis).add_account("newcomer")
    system.model.open.clear()
    conversation = await written_to(system, account)
    await system.kill_router()
    assert (await system.record(conversation, account)).state == "bot"
    await system.start_router()
    record = await system.comes_to("waiting", conversation, account=account)
    assert record.owed_seq == 0
    assert not await system.redis.exists(keys.bot(account))
    if account == "acme":
        desk = await system.desk()
        await offered(desk, conversation)


async def written_to(system, account):
    receipt = await system.router.receive(
        Receive(
            account=account,
            contact=contact_id(account, "web", "web", "v1"),
            channel="web",
            inbox="web",
            external_id="v1",
            source_id="1",
            text="where is it?",
            received_at_ms=1,
        )
    )
    return receipt.conversation


async def test_what_the_bot_held_when_it_was_switched_off_goes_to_humans(systems):
    system = await systems(bot={"patience_ms": 60_000})
    answered = await system.write("v1", "where is it?")
    await until(lambda: system.actor.meter.counts.get("bot_answered"))
    await system.kill_router()
    system.settings = system.settings.model_copy(
        update={"bot": system.settings.bot.model_copy(update={"enabled": False})}
    )
    await system.start_router()
    await system.write("v1", "and the other one?")
    assert (await system.record(answered)).state == "waiting"


async def test_a_conversation_that_nobody_goes_on_with_is_resolved(systems):
    system = await systems(bot={"idle_s": 0.3})
    visitor = await system.visitor()
    conversation = (await visitor.write("where is it?"))["conversation"]
    await system.comes_to("resolved", conversation)
    await until(lambda: visitor.shown == ["answer to: where is it?", "conversation.resolved"])
    assert (await visitor.write("another thing"))["conversation"] != conversation


async def test_a_mistake_in_the_bots_rules_costs_one_answer_and_no_message(system):
    poisoned = await system.write("v1", "poison")
    fine = await system.write("v2", "where is it?")
    await system.comes_to("waiting", poisoned)
    await until(lambda: system.actor.meter.counts.get("bot_answered"))
    assert (await system.record(fine)).state == "bot"


async def test_a_router_that_drains_does_not_wait_for_the_model(systems):
    system = await systems(bot={"patience_ms": 60_000})
    system.model.open.clear()
    conversation = await system.write("v1", "where is it?")
    async with asyncio.timeout(A_LITTLE_S):
        await system.actor.drain()
    assert (await system.record(conversation)).state == "bot"


async def test_an_append_that_failed_costs_no_answer(system):
    """The store forgets our fence between the message and the answer, so the answer's turn fails once."""
    system.model.open.clear()
    visitor = await system.visitor()
    await visitor.write("where is it?")
    append, failed = system.actor._store.append, []

    async def fail_once(*batch):
        if not failed:
            failed.append(True)
            raise ConnectionError("the store is gone")
        await append(*batch)

    system.actor._store.append = fail_once
    system.model.open.set()
    await until(lambda: visitor.shown == ["answer to: where is it?"])
    assert failed
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await until(lambda: len(visitor.shown) > 1)
    assert visitor.shown == ["answer to: where is it?"]
