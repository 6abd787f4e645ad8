"""The append against a real Valkey: atomic, fenced, and read back as it was; desks, visits and pages from it."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from cluster.settings import StoreSettings
from cluster.store import keys, reading
from cluster.store.embedded import EmbeddedStore
from cluster.store.reading import Reading
from cluster.store.seen import AgentsSeen
from cluster.store.subscriber import Subscriber
from cluster.store.timeline import TimelineStore
from cluster.store.valkey import connect
from models.desk.state import DeskState
from models.domain.commands import (
    Accept,
    Adopt,
    AnyCommand,
    Decline,
    Delivered,
    Export,
    Exported,
    Move,
    Offer,
    Receive,
    Release,
    Resolve,
    Say,
    Snooze,
    Transfer,
    Typing,
    Understood,
)
from models.domain.conversation import ContactRecord, ConversationRecord
from models.domain.errors import CursorAhead, InvalidId, NotFound, StaleEpoch
from models.domain.ids import contact_id, conversation_id, slot_of_contact, slot_of_conversation
from models.domain.message import Message
from models.domain.outgoing import Outgoing
from models.intent.understanding import Understanding
from models.protocol.events import SeenEvent
from models.timeline.bot_part import BotPart
from models.timeline.changes import Changes
from models.timeline.shard import Missing, Shard
from tests.bots import SURE, UNSURE, PlainBot
from tests.models.timeline.truthful_store import TruthfulStore

pytestmark = pytest.mark.anyio
ALL_SLOTS = range(1024)
NOWHERE = conversation_id(1, 5, bytes(10))
LOG_ENTRIES = 1_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def redis(empty_store_url: str, anyio_backend: str) -> AsyncIterator[Redis]:
    async with connect(StoreSettings(url=empty_store_url)) as client:
        yield client


class World:
    """A router core that writes to the real store and to its model at once."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.store = TimelineStore(redis, log_entries=LOG_ENTRIES)
        self.model = TruthfulStore()
        self.reading = Reading(redis)
        self.serial = count(1)
        self.now_ms = 1_000
        self.core = self.new_core()
        self.epoch = 0
        self.claimed: set[str] = set()

    def new_core(self) -> Shard:
        return Shard(entropy=lambda size: next(self.serial).to_bytes(size, "big"), bot=BotPart(answers=PlainBot()))

    async def take_over(self) -> None:
        """Another incarnation begins, with nothing in memory."""
        self.core = self.new_core()
        self.epoch = await self.store.next_epoch()
        self.claimed = set()

    async def ask(self, *commands: AnyCommand, bot_room: int = 0) -> list:
        self.now_ms += 1
        if not self.epoch:
            await self.take_over()
        for account in {command.account for command in commands} - self.claimed:
            await self.store.claim(account, self.epoch, ALL_SLOTS)
            self.model.claim(account, self.epoch, ALL_SLOTS)
            self.claimed.add(account)
        missing = self.core.missing(commands)
        found = await self.store.load(missing)
        assert by_id(found) == by_id(self.model.load(missing))
        self.core.learn(found)
        outcome = self.core.apply(commands, self.now_ms, bot_room)
        for account, changes in outcome.changes.items():
            if not changes.empty:
                await self.store.append(account, self.epoch, changes)
                self.model.append(account, self.epoch, changes)
        return outcome.replies

    def contact(self, who: str, channel: str = "web", account: str = "acme") -> str:
        return contact_id(account, channel, channel, who)

    async def write(
        self,
        text: str,
        who: str = "v1",
        channel: str = "web",
        account: str = "acme",
        *,
        bot_room: int = 0,
        skill: str = "",
    ) -> str:
        command = Receive(
            account=account,
            contact=self.contact(who, channel, account),
            channel=channel,
            inbox=channel,
            external_id=who,
            source_id=text,
            text=text,
            received_at_ms=1,
            skill=skill,
        )
        (reply,) = await self.ask(command, bot_room=bot_room)
        return reply.conversation

    async def understood(self, conversation: str, text: str, understanding: Understanding) -> None:
        command = Understood(account="acme", conversation=conversation, seq=1, text=text, understanding=understanding)
        await self.ask(command)

    async def offer(self, conversation: str, agent: str = "ann") -> None:
        await self.ask(Offer(account="acme", conversation=conversation, agent=agent, epoch=0, expires_at_ms=99))

    async def by(self, kind: type, conversation: str, by: str = "ann", **more) -> None:
        await self.ask(kind(account="acme", conversation=conversation, by=by, role="agent", **more))

    async def say(self, conversation: str, text: str, **more) -> None:
        await self.by(Say, conversation, client_id=text, text=text, received_at_ms=1, **more)

    async def link(self, who: str, into: str) -> None:
        source, target = self.contact(who), self.contact(into)
        (exported,) = await self.ask(Export(account="acme", contact=source))
        assert isinstance(exported, Exported)
        messages = await self.store.messages("acme", exported.record.id)
        assert messages == self.model.messages("acme", exported.record.id)
        (adopted,) = await self.ask(
            Adopt(
                account="acme",
                contact=target,
                source=source,
                channel="web",
                inbox="web",
                external_id=who,
                record=exported.record,
                messages=messages,
            )
        )
        await self.ask(
            Move(
                account="acme",
                contact=source,
                into=target,
                conversation=exported.record.id,
                into_conversation=adopted.conversation,
                length=exported.length,
            )
        )

    async def a_days_work(self) -> None:
        """Every kind of change at least once."""
        first, second = await self.write("one"), await self.write("two", "v2", "wechat")
        await self.write("elsewhere", account="bolt")
        await self.offer(first)
        await self.by(Accept, first)
        await self.say(first, "an answer")
        await self.say(first, "a note", internal=True)
        await self.offer(second, "bob")
        await self.say(second, "to wechat", by="bob")
        await self.ask(Delivered(account="acme", conversation=second, message=f"{second}-2", state="sent"))
        await self.by(Transfer, first, to_agent="bob")
        await self.offer(first, "bob")
        await self.by(Decline, first, by="bob")
        await self.by(Snooze, second, by="bob", until_ms=10**6)
        third = await self.write("three", "v3")
        await self.offer(third)
        await self.ask(Release(account="acme", conversation=third, agent="ann", epoch=0, reason="offer_expired"))
        await self.offer(third)
        await self.by(Resolve, third)
        await self.write("three again", "v3")
        await self.link("v1", "v3")
        await self.write("wakes it", "v2", "wechat")
        fourth = await self.write("four", "v4")
        await self.offer(fourth)
        await self.ask(Typing(account="acme", conversation=fourth, contact=self.contact("v4")))
        answered = await self.write("five", "v5", "wechat", bot_room=1)
        await self.understood(answered, "five", SURE)
        unsure = await self.write("six", "v6", bot_room=1)
        await self.understood(unsure, "six", UNSURE)
        await self.write("seven", "v7", bot_room=1)

    async def desk(self, agent: str, cursor: int | None = None) -> DeskState:
        state = await self.reading.desk("acme", agent, cursor)
        assert state.held is not None
        held = [
            {"conversation": msgspec.Raw(record), "messages": [msgspec.Raw(message) for message in messages]}
            for record, messages in state.held
        ]
        return DeskState.from_snapshot(msgspec.json.encode({"cursor": state.cursor, "conversations": held}))


@pytest.fixture
async def world(redis: Redis) -> World:
    return World(redis)


def by_id(found: list) -> dict:
    """Loaded contacts, and their conversations in the same order."""
    return {
        (each.account, each.id): (each.record, {loaded.record.id: loaded for loaded in each.conversations})
        for each in found
    }


async def everything(redis: Redis) -> dict[bytes, object]:
    """Every key with its value, except the fences and epochs."""
    read = {
        b"string": redis.get,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"set": redis.smembers,
        b"hash": redis.hgetall,
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        b"stream": redis.xrange,
    }
    found = {}
    for key in await redis.keys("*"):
        if not key.endswith(b":fence") and b"epoch" not in key:
            found[key] = await read[await redis.type(key)](key)
    return found


# -- the bot's index ----------------------------------------------------------------------------------------


async def test_what_the_bot_is_due_for_is_found_by_the_router_that_owns_it(world: World) -> None:
    conversations = [await world.write(f"m{which}", f"v{which}", bot_room=1) for which in range(6)]
    dues = {each: world.model.accounts["acme"].bot[each] for each in conversations}
    assert sorted(dues.values()) == list(dues.values())
    last = dues[conversations[3]]
    assert await world.store.bot_due("acme", ALL_SLOTS, last, 10) == conversations[:4]
    assert await world.store.bot_due("acme", ALL_SLOTS, last, 2) == conversations[:2]
    assert await world.store.bot_due("bolt", ALL_SLOTS, last, 10) == []
    slots = {each: slot_of_conversation(each) for each in conversations}
    for each in conversations[:4]:
        assert each in await world.store.bot_due("acme", range(slots[each], slots[each] + 1), last, 10)
    others = range(max(slots.values()) + 1, 1025)
    assert await world.store.bot_due("acme", others, last, 10) == []


async def test_what_other_routers_are_due_for_hides_nothing(world: World, redis: Redis) -> None:
    theirs = {conversation_id(1, 5, which.to_bytes(10, "big")): 1 for which in range(2_500)}
    ours = {conversation_id(1, 900, which.to_bytes(10, "big")): 2 for which in range(3)}
    await redis.zadd(keys.bot("acme"), theirs | ours)
    assert await world.store.bot_due("acme", range(512, 1024), 9, 10) == sorted(ours)


# -- the append ---------------------------------------------------------------------------------------------


async def test_the_store_holds_what_its_model_holds(world: World) -> None:
    await world.a_days_work()
    for account in ("acme", "bolt"):
        model = world.model.accounts[account]
        names = {
            **{keys.session(account, name): ("list", session) for name, session in model.sessions.items()},
            **{keys.conversation(account, name): ("record", each) for name, each in model.conversations.items()},
            **{keys.contact(account, name): ("record", each) for name, each in model.contacts.items()},
        }
        for name, (kind, expected) in names.items():
            if kind == "list":
                assert (await world.redis.lrange(name, 0, -1))[::-1] == expected
            else:
                assert msgspec.json.decode(await world.redis.get(name), type=type(expected)) == expected
        for contact, cases in model.cases.items():
            found = await world.redis.lrange(keys.cases(account, contact), 0, -1)
            assert [each.decode() for each in found[::-1]] == cases
        assert await world.redis.hgetall(keys.held(account)) == {
            name.encode(): agent.encode() for name, agent in model.held.items()
        }
        for index, expected in (
            (keys.waiting(account), model.waiting),
            *((keys.queue(account, skill), queue) for skill, queue in model.queues.items()),
            (keys.snoozed(account), model.snoozed),
            (keys.bot(account), model.bot),
        ):
            found = await world.redis.zrange(index, 0, -1, withscores=True)
            assert {name.decode(): int(score) for name, score in found} == expected
        for agent in ("ann", "bob"):
            holds = await world.redis.smembers(keys.holds(account, agent))
            assert {each.decode() for each in holds} == model.holds[agent]
            entries = await world.redis.xrange(keys.desk_log(account, agent))
            assert [(name, fields[b"e"]) for name, fields in entries] == [
                (b"0-%d" % cursor, events) for cursor, events in enumerate(model.logs[agent], start=1)
            ]
        sent = [fields[b"m"] for _, fields in await world.redis.xrange(keys.outbox(account))]
        assert [msgspec.json.decode(each, type=Outgoing) for each in sent] == model.outbox
    assert world.model.accounts["acme"].outbox
    assert world.model.accounts["acme"].snoozed == {}
    assert world.model.accounts["acme"].held
    assert len(world.model.accounts["acme"].bot) == 2


async def test_what_is_loaded_is_what_was_in_memory(world: World) -> None:
    await world.a_days_work()
    before = world.core
    await world.take_over()
    contacts = {("acme", world.contact(who)) for who in ("v1", "v3", "v4")} | {
        ("acme", world.contact("v2", "wechat")),
        ("bolt", world.contact("v1", account="bolt")),
    }
    world.core.learn(await world.store.load(Missing(contacts, set())))
    for _, name in contacts:
        old, new = before._contacts[name], world.core._contacts[name]
        assert (old.account, old.record, old.slot) == (new.account, new.record, new.slot)
        for which in ("open", "last"):
            one, other = getattr(old, which), getattr(new, which)
            if one is None:
                assert other is None
            else:
                assert (one.record, one.seq, one.seen, list(one.recent)) == (
                    other.record,
                    other.seq,
                    other.seen,
                    list(other.recent),
                )


async def test_a_contact_or_conversation_that_does_not_exist_is_loaded_as_such(world: World) -> None:
    await world.write("one")
    nobody = world.contact("nobody")
    found = await world.store.load(Missing({("acme", nobody)}, {("acme", NOWHERE), ("bolt", NOWHERE)}))
    assert [(each.id, each.record, each.conversations) for each in found] == [(nobody, None, ())]


async def test_another_accounts_conversation_is_not_loaded(world: World) -> None:
    conversation = await world.write("one")
    assert await world.store.load(Missing(set(), {("bolt", conversation)})) == []


def changes_of_everything(contact: str, conversation: str) -> Changes:
    changes = Changes()
    changes.slots = {slot_of_contact(contact), 7}
    record = ConversationRecord(
        id=conversation, contact=contact, state="assigned", agent="ann", opened_at_ms=1, waiting_since_ms=1
    )
    changes.messages = {
        conversation: [
            msgspec.json.encode(
                Message(id=f"{conversation}-{seq}", conversation=conversation, seq=seq, author="contact", at_ms=1)
            )
            for seq in (1, 2)
        ]
    }
    changes.conversations = {conversation: record}
    changes.contacts = {contact: ContactRecord(id=contact, open=conversation)}
    changes.opened = [(contact, conversation)]
    changes.desk = {"ann": [b'{"type":"offered"}'], "bob": [b'{"type":"removed"}']}
    changes.desk_live = {"ann": [b'{"type":"typing"}']}
    changes.visitors = {contact: [b'{"type":"message"}']}
    changes.waiting = {conversation: 5}
    changes.held = {conversation: ("", "ann")}
    changes.snoozed = {conversation: 9}
    changes.bot = {conversation: 7}
    changes.tags = {"vip": 8}
    changes.outgoing = [
        Outgoing(
            account="acme",
            conversation=conversation,
            message=f"{conversation}-1",
            channel="wechat",
            inbox="wx",
            external_id="o",
            text="t",
            at_ms=1,
        )
    ]
    return changes


async def test_a_stale_epoch_writes_and_says_nothing_at_all(world: World, redis: Redis) -> None:
    contact = world.contact("v1")
    changes = changes_of_everything(contact, conversation_id(1, slot_of_contact(contact), bytes(10)))
    old = await world.store.next_epoch()
    await world.store.claim("acme", old, ALL_SLOTS)
    before = await everything(redis)
    async with redis.pubsub() as heard:
        await heard.psubscribe("*")
        assert (await heard.get_message(timeout=5))["type"] == "psubscribe"
        for slot in changes.slots:
            # one of the slots is enough, whichever it is
            old = await world.store.next_epoch()
            await world.store.claim("acme", old, ALL_SLOTS)
            new = await world.store.next_epoch()
            await world.store.claim("acme", new, range(slot, slot + 1))
            with pytest.raises(StaleEpoch):
                await world.store.append("acme", old, changes)
        assert await everything(redis) == before
        await redis.publish("end", "")
        assert (await heard.get_message(timeout=5))["channel"] == b"end"
        # and the owner of all of them writes everything
        await world.store.claim("acme", new, ALL_SLOTS)
        await world.store.append("acme", new, changes)
        said = [(await heard.get_message(timeout=5))["channel"] for _ in range(4)]
    assert len(await everything(redis)) == len(before) + 14
    assert sorted(said) == sorted(
        name.encode()
        for name in (
            keys.visit_channel("acme", contact),
            keys.desk_channel("acme", "ann"),
            keys.desk_channel("acme", "ann"),
            keys.desk_channel("acme", "bob"),
        )
    )


async def test_an_epoch_that_never_claimed_writes_nothing(world: World, redis: Redis) -> None:
    contact = world.contact("v1")
    with pytest.raises(StaleEpoch):
        await world.store.append("acme", 1, changes_of_everything(contact, NOWHERE))
    assert await everything(redis) == {}


async def test_an_older_epoch_cannot_take_a_slot_back(world: World) -> None:
    old, new = await world.store.next_epoch(), await world.store.next_epoch()
    await world.store.claim("acme", new, range(100, 101))
    with pytest.raises(StaleEpoch):
        await world.store.claim("acme", old, range(90, 110))
    assert await world.redis.hgetall(keys.fence("acme")) == {b"100": str(new).encode()}
    assert await world.store.claim("acme", new, range(90, 110)) == 0
    assert await world.store.claim("bolt", old, ALL_SLOTS) == 0


async def test_a_claim_tells_the_newest_dispatchers_epoch(world: World) -> None:
    await world.redis.incr(keys.dispatcher_epoch("acme"))
    assert await world.store.claim("acme", await world.store.next_epoch(), ALL_SLOTS) == 1


async def test_an_append_survives_a_store_that_lost_its_scripts(world: World) -> None:
    await world.write("one")
    await world.redis.script_flush()
    conversation = await world.write("two")
    assert len(await world.store.messages("acme", conversation)) == 2


async def test_texts_of_any_kind_come_back_as_they_were(world: World) -> None:
    texts = ["\0\x01\x7f", "grüße 你好 👩‍👩‍👧", '"\\\n\r\t', "{}[]%s KEYS[1] ]]--", "x" * 20_000]
    for text in texts:
        conversation = await world.write(text)
    stored = await world.store.messages("acme", conversation)
    assert [msgspec.json.decode(each, type=Message).text for each in stored] == texts


async def test_a_long_batch_for_one_conversation_is_one_append(world: World) -> None:
    commands = [
        Receive(
            account="acme",
            contact=world.contact("v1"),
            channel="web",
            inbox="web",
            external_id="v1",
            source_id=str(number),
            text=str(number),
            received_at_ms=1,
        )
        for number in range(9_000)
    ]
    replies = await world.ask(*commands)
    assert [reply.seq for reply in replies] == list(range(1, 9_001))
    assert await world.redis.llen(keys.session("acme", replies[0].conversation)) == 9_000


# -- desks --------------------------------------------------------------------------------------------------


async def test_a_desk_replays_from_any_cursor_and_equals_a_fresh_one(world: World) -> None:
    await world.a_days_work()
    for agent in ("ann", "bob"):
        fresh = await world.desk(agent)
        assert fresh == DeskState.from_snapshot(world.model.snapshot("acme", agent))
        replica = DeskState(0, {})
        for cursor in range(fresh.cursor + 1):
            state = await world.reading.desk("acme", agent, cursor)
            assert (state.held, state.cursor) == (None, fresh.cursor)
            assert [entry[0] for entry in state.entries] == list(range(cursor + 1, fresh.cursor + 1))
            stale = replica.copy()
            for entry in state.entries:
                assert stale.apply(*entry)
            assert stale == fresh
            if state.entries:
                replica.apply(*state.entries[0])


async def test_a_cursor_ahead_of_the_log_is_refused(world: World) -> None:
    for cursor in (1, 2**80):
        with pytest.raises(CursorAhead):
            await world.reading.desk("acme", "ann", cursor)
    await world.offer(await world.write("one"))
    with pytest.raises(CursorAhead, match="at 1"):
        await world.reading.desk("acme", "ann", 2)


async def test_an_agent_without_a_log_has_an_empty_desk(world: World) -> None:
    assert await world.desk("nobody") == DeskState(0, {})
    state = await world.reading.desk("acme", "nobody", 0)
    assert (state.cursor, state.entries, state.held) == (0, [], None)


async def test_a_trimmed_log_gives_a_snapshot(world: World) -> None:
    await world.offer(await world.write("one"))
    for number in range(5):
        await world.write(str(number))
    await world.redis.xtrim(keys.desk_log("acme", "ann"), maxlen=2, approximate=False)
    assert (await world.reading.desk("acme", "ann", 4)).held is None
    fresh = await world.desk("ann", 3)
    assert fresh.cursor == 6
    (held,) = fresh.conversations.values()
    assert [message.text for message in held.messages] == list("01234")


async def test_a_desk_far_behind_gets_a_snapshot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "REPLAY_ENTRIES", 3)
    await world.offer(await world.write("one"))
    for number in range(4):
        await world.write(str(number))
    assert (await world.reading.desk("acme", "ann", 1)).held is not None
    assert (await world.reading.desk("acme", "ann", 2)).held is None


# -- visits and pages ---------------------------------------------------------------------------------------


def texts(messages: list[bytes]) -> list[str]:
    return [msgspec.json.decode(each, type=Message).text for each in messages]


async def test_history_pages_have_no_gap_and_no_overlap(world: World) -> None:
    for number in range(1, 12):
        conversation = await world.write(str(number))
    for limit in (1, 3, 11, 50):
        before, shown, more = None, [], True
        for _ in range(11):
            messages, more = await world.reading.history("acme", conversation, before, limit)
            shown = texts(messages) + shown
            if not more:
                break
            before = msgspec.json.decode(messages[0], type=Message).seq
        assert not more
        assert shown == [str(number) for number in range(1, 12)]
    assert await world.reading.history("acme", conversation, 1, 5) == ([], False)
    messages, more = await world.reading.history("acme", conversation, 10**6, 2)
    assert (texts(messages), more) == (["10", "11"], True)


async def test_history_is_the_accounts_and_the_contacts_own(world: World) -> None:
    conversation, other = await world.write("one"), await world.write("two", "v2")
    for account, name, contact in (
        ("bolt", conversation, None),
        ("acme", NOWHERE, None),
        ("acme", "x", None),
        ("acme", other, world.contact("v1")),
    ):
        with pytest.raises(NotFound):
            await world.reading.history(account, name, None, 5, contact=contact)
    messages, _ = await world.reading.history("acme", conversation, None, 5, contact=world.contact("v1"))
    assert texts(messages) == ["one"]


async def visit(world: World, who: str, cursor: str | None = None) -> tuple[bool, list[str]]:
    state = await world.reading.visit("acme", world.contact(who), cursor)
    return state.snapshot, texts(state.messages)


async def test_a_visit_goes_on_from_its_own_cursor(world: World) -> None:
    conversation = await world.write("one")
    await world.offer(conversation)
    await world.say(conversation, "two")
    await world.say(conversation, "a note", internal=True)
    await world.write("three")
    assert await visit(world, "v1") == (True, ["one", "two", "three"])
    assert await visit(world, "v1", f"{conversation}-0") == (False, ["one", "two", "three"])
    assert await visit(world, "v1", f"{conversation}-1") == (False, ["two", "three"])
    assert await visit(world, "v1", f"{conversation}-4") == (False, [])
    assert (await world.reading.visit("acme", world.contact("v1"), None)).cursor == (conversation, 4)


async def test_a_visit_of_nobody_is_empty(world: World) -> None:
    state = await world.reading.visit("acme", world.contact("v1"), None)
    assert (state.record, state.messages, state.cursor, state.snapshot) == (None, [], None, True)
    with pytest.raises(CursorAhead):
        await visit(world, "v1", f"{NOWHERE}-1")


async def test_a_foreign_forged_or_wild_cursor_is_refused(world: World) -> None:
    conversation, foreign = await world.write("one"), await world.write("two", "v2")
    for cursor in (f"{conversation}-2", f"{foreign}-1", f"{NOWHERE}-1"):
        with pytest.raises(CursorAhead):
            await visit(world, "v1", cursor)
    for cursor in ("x", conversation, f"{conversation}-", f"{conversation}-\u0663"):
        with pytest.raises(InvalidId):
            await visit(world, "v1", cursor)


async def test_a_cursor_in_the_conversation_before_goes_on_into_the_open_one(world: World) -> None:
    before = await world.write("one")
    await world.offer(before)
    await world.by(Resolve, before)
    assert await visit(world, "v1", f"{before}-1") == (False, ["conversation.resolved"])
    current = await world.write("two")
    assert current != before
    assert await visit(world, "v1", f"{before}-1") == (False, ["conversation.resolved", "two"])
    with pytest.raises(CursorAhead):
        await visit(world, "v1", f"{before}-3")
    await world.offer(current)
    await world.by(Resolve, current)
    await world.write("three")
    assert await visit(world, "v1", f"{before}-1") == (True, ["three"])


async def test_a_visit_far_behind_is_shown_afresh(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "VISIT_REPLAY", 6)
    monkeypatch.setattr(reading, "VISIT_MESSAGES", 4)
    for number in range(10):
        conversation = await world.write(str(number))
    assert await visit(world, "v1", f"{conversation}-4") == (False, list("456789"))
    assert await visit(world, "v1", f"{conversation}-3") == (True, list("6789"))


async def test_a_contact_that_moved_is_followed(world: World) -> None:
    old = await world.write("one", "guest")
    await world.write("mine", "user")
    await world.link("guest", "user")
    state = await world.reading.visit("acme", world.contact("guest"), f"{old}-1")
    assert (state.contact, state.snapshot) == (world.contact("user"), True)
    assert texts(state.messages) == ["mine", "one"]
    messages, _ = await world.reading.history("acme", old, None, 5, contact=world.contact("user"))
    assert texts(messages) == ["one"]


# -- the subscription ---------------------------------------------------------------------------------------


class Heard:
    """What a subscriber told."""

    def __init__(self, redis: Redis) -> None:
        self.messages: list[tuple[bytes, bytes]] = []
        self.restored = 0
        self.known_at_restore: list[int] = []
        self.subscriber = Subscriber(redis, on_message=self.take, on_restored=self.restore)

    def take(self, channel: bytes, payload: bytes) -> None:
        self.messages.append((channel, payload))

    def restore(self) -> None:
        self.restored += 1
        self.known_at_restore.append(len(self.messages))


async def until(condition, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


async def test_what_is_published_after_subscribe_returned_arrives_in_order(empty_store_url: str, redis: Redis) -> None:
    async with Redis.from_url(empty_store_url, protocol=2) as client:
        heard = Heard(client)
        early = asyncio.ensure_future(heard.subscriber.subscribe("early"))
        await heard.subscriber.start()
        await early
        for number in range(50):
            await heard.subscriber.subscribe(f"c{number}")
            await redis.publish(f"c{number}", "first")
        await redis.publish("early", "last")
        await until(lambda: len(heard.messages) == 51)
        assert heard.messages == [(b"c%d" % number, b"first") for number in range(50)] + [(b"early", b"last")]
        heard.subscriber.unsubscribe("early")
        await until_subscribers(redis, "early", 0)
        assert heard.restored == 0
        await heard.subscriber.aclose()
        await heard.subscriber.aclose()


async def test_a_crowd_of_channels_goes_out_in_few_commands(empty_store_url: str, redis: Redis) -> None:
    async with Redis.from_url(empty_store_url, protocol=2) as client:
        heard = Heard(client)
        await heard.subscriber.start()
        await heard.subscriber.subscribe("first")
        await redis.config_resetstat()
        channels = [f"c{number}" for number in range(1_200)]
        await asyncio.gather(*map(heard.subscriber.subscribe, channels))
        for channel in channels[:600]:
            heard.subscriber.unsubscribe(channel)
        await heard.subscriber.subscribe("last")
        counts = await redis.pubsub_numsub(*channels)
        assert [number for _, number in counts] == [0] * 600 + [1] * 600
        stats = await redis.info("commandstats")
        assert (stats["cmdstat_subscribe"]["calls"], stats["cmdstat_unsubscribe"]["calls"]) == (4, 2)
        await heard.subscriber.aclose()


async def test_a_channel_that_goes_and_comes_again_at_once_is_heard_once_subscribe_returned(
    empty_store_url: str, redis: Redis
) -> None:
    """The confirmation of what was asked for first must not pass for that of what was asked for last."""
    async with Redis.from_url(empty_store_url, protocol=2) as client:
        heard = Heard(client)
        await heard.subscriber.start()
        await heard.subscriber.subscribe("other")
        for number in range(60):
            left = asyncio.ensure_future(heard.subscriber.subscribe("c"))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            heard.subscriber.unsubscribe("c")
            for _ in range(number % 3):
                await asyncio.sleep(0)
            await heard.subscriber.subscribe("c")
            assert await redis.publish("c", f"{number}") == 1
            heard.subscriber.unsubscribe("c")
            await asyncio.gather(left, return_exceptions=True)
            await until_subscribers(redis, "c", 0)
        await until(lambda: [payload for _, payload in heard.messages] == [b"%d" % number for number in range(60)])
        await heard.subscriber.aclose()


async def until_subscribers(redis: Redis, channel: str, expected: int) -> None:
    async with asyncio.timeout(20):
        while (await redis.pubsub_numsub(channel))[0][1] != expected:
            await asyncio.sleep(0.005)


async def test_a_killed_store_is_subscribed_again_whole(anyio_backend: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    server = EmbeddedStore(folder)
    server.start()
    try:
        async with Redis.from_url(server.url, protocol=2) as client:
            heard = Heard(client)
            await heard.subscriber.start()
            channels = [f"c{number}" for number in range(1_203)]
            await asyncio.gather(*map(heard.subscriber.subscribe, channels))
            heard.subscriber.unsubscribe("c7")
            for times in (1, 2):
                os.kill((await client.info("server"))["process_id"], signal.SIGKILL)
                await until(lambda: not heard.subscriber._connected.is_set())
                late = asyncio.ensure_future(heard.subscriber.subscribe(f"late{times}"))
                await asyncio.sleep(0)
                assert not late.done()
                await asyncio.to_thread(server.ensure_alive)
                await until(lambda times=times: heard.restored == times)
                await late
                counts = await client.pubsub_numsub(*channels, f"late{times}")
                assert [number for _, number in counts] == [int(name != "c7") for name in channels] + [1]
                await client.publish("c1202", f"after {times}")
                await until(lambda times=times: (b"c1202", b"after %d" % times) in heard.messages)
            await heard.subscriber.aclose()
    finally:
        server.stop()
        shutil.rmtree(folder)


async def test_a_busy_channel_does_not_make_a_restored_subscription_incomplete(
    empty_store_url: str, redis: Redis
) -> None:
    """What is published while the channels are subscribed again must not be counted as their confirmation."""
    async with Redis.from_url(empty_store_url, protocol=2) as client:
        heard = Heard(client)
        await heard.subscriber.start()
        channels = [f"c{number}" for number in range(501)]
        await asyncio.gather(*map(heard.subscriber.subscribe, channels))
        flooding = True

        async def flood() -> None:
            while flooding:
                pipeline = redis.pipeline(transaction=False)
                for _ in range(200):
                    pipeline.publish("c0", "busy")
                await pipeline.execute()

        flooder = asyncio.ensure_future(flood())
        for times in range(1, 6):
            await redis.client_kill_filter(_type="pubsub")
            await until(lambda times=times: heard.restored == times)
            # at the moment of `on_restored` the store sends us every channel
            assert all(number == 1 for _, number in await redis.pubsub_numsub(*channels))
        flooding = False
        await flooder
        await heard.subscriber.aclose()


async def test_a_subscription_outlives_a_defect_of_whom_it_tells(empty_store_url: str, redis: Redis) -> None:
    async with Redis.from_url(empty_store_url, protocol=2) as client:
        heard = Heard(client)
        restore, failures = heard.restore, ["once"]

        def fail_once() -> None:
            if failures:
                raise ValueError(failures.pop())
            restore()

        heard.subscriber._on_restored = fail_once
        await heard.subscriber.start()
        await heard.subscriber.subscribe("c")
        await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: heard.restored == 1, within_s=5)
        await redis.publish("c", "after")
        await until(lambda: heard.messages == [(b"c", b"after")])
        await heard.subscriber.aclose()


# -- what visitors are told ----------------------------------------------------------------------------------


async def test_the_place_is_that_in_the_queue_of_ones_own_skill(world: World) -> None:
    for who, skill in (("v1", ""), ("v2", "tax"), ("v3", ""), ("v4", "tax"), ("v5", "tax")):
        await world.write("hello", who, skill=skill)
    places = {who: await world.reading.place("acme", world.contact(who)) for who in ("v1", "v2", "v3", "v4", "v5")}
    assert {who: place.ahead for who, place in places.items()} == {"v1": 0, "v2": 0, "v3": 1, "v4": 1, "v5": 2}
    await world.offer(places["v2"].record.id)
    assert (await world.reading.place("acme", world.contact("v2"))).ahead is None
    assert (await world.reading.place("acme", world.contact("v5"))).ahead == 1
    await world.by(Transfer, places["v2"].record.id, to_skill="law")
    assert (await world.reading.place("acme", world.contact("v2"))).ahead == 0
    assert (await world.reading.place("acme", world.contact("v5"))).ahead == 1


async def test_the_estimate_is_of_ones_own_queue(world: World) -> None:
    await world.write("hello", "v1", skill="tax")
    world.now_ms += 100_000
    await world.write("hello", "v2")
    world.now_ms += 30_000
    await world.write("hello", "v3")
    place = await world.reading.place("acme", world.contact("v3"))
    assert (place.ahead, place.estimate_s) == (1, 30)


async def test_what_the_agent_has_seen_is_kept_for_the_contact_and_only_of_the_own_desk(world: World) -> None:
    seen = AgentsSeen(world.redis)
    conversation = await world.write("one")
    await world.write("two")

    async def told(agent: str, seq: int) -> int:
        await seen.tell({("acme", agent, conversation): seq})
        return (await world.reading.place("acme", world.contact("v1"))).seen_seq

    assert await told("ann", 1) == 0, "nobody has it"
    await world.offer(conversation)
    assert await told("bob", 1) == 0, "another one has it"
    assert await told("ann", 1) == 1
    assert await told("ann", 9) == 2, "no further than what was said"
    assert await told("ann", 1) == 2, "nothing goes backwards"
    await world.by(Accept, conversation)
    await world.by(Resolve, conversation)
    assert await world.write("another case") != conversation
    assert (await world.reading.place("acme", world.contact("v1"))).seen_seq == 0


async def test_the_contacts_sockets_are_told_what_the_agent_has_seen(world: World) -> None:
    conversation = await world.write("one")
    await world.offer(conversation)
    async with world.redis.pubsub() as heard:
        await heard.subscribe(keys.visit_channel("acme", world.contact("v1")))
        await heard.get_message(timeout=5.0)
        await AgentsSeen(world.redis).tell({("acme", "ann", conversation): 1})
        while (message := await heard.get_message(timeout=5.0)) is None or message["type"] != "message":
            pass
    (event,) = msgspec.json.decode(message["data"], type=list[SeenEvent])
    assert (event.conversation, event.seq) == (conversation, 1)
