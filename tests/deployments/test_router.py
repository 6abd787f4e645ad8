"""The router actor in this process, with the real store: its turns, its order, and what one bad command costs."""

import asyncio
import os

import pytest
from redis.asyncio import Redis

from cluster.codec import decode_placements, decode_replies, encode_commands
from cluster.settings import Settings
from cluster.store import keys
from deployments.router import NOT_NOW, RouterActor
from models.domain.commands import Receipt, Receive, Refusal
from models.domain.ids import contact_id
from models.timeline.shard import Shard

pytestmark = pytest.mark.anyio


class QuietDispatcher:
    """Keeps what it is told."""

    def __init__(self):
        self.placed = []

    async def call(self, method, *args):
        if method == "place":
            self.placed += decode_placements(args[0])


class BrittleShard(Shard):
    """A core with a mistake: it fails half way through whatever says "poison"."""

    def apply(self, commands, now_ms, bot_room=0):
        outcome = super().apply(commands, now_ms, bot_room)
        if any(getattr(command, "text", "") == "poison" for command in commands):
            raise ZeroDivisionError
        return outcome


def message(text, source_id, who="v1", account="acme"):
    return Receive(
        account=account,
        contact=contact_id(account, "web", "web", who),
        channel="web",
        inbox="web",
        external_id=who,
        source_id=source_id,
        text=text,
        received_at_ms=1,
    )


@pytest.fixture
async def router(redis: Redis, store_url: str):
    settings = Settings.model_validate(
        {"store": {"url": store_url}, "router": {"count": 1}, "accounts": {"acme": {}}, "intent": {"enabled": False}}
    )
    dispatcher = QuietDispatcher()
    actor = RouterActor(settings, 0, dispatcher=dispatcher, core=BrittleShard(entropy=os.urandom))
    actor.told = dispatcher.placed
    async with asyncio.timeout(10):
        while not await actor.ready():
            await asyncio.sleep(0.005)
    yield actor
    await actor.drain()
    for task in actor._tasks:
        task.cancel()
    await asyncio.gather(*actor._tasks, return_exceptions=True)


async def ask(router, number, *commands, sender="s", generation=0):
    answer = await router.apply(sender, generation, number, encode_commands(commands))
    return answer if answer == NOT_NOW else decode_replies(answer)


async def test_a_receipt_names_what_the_store_holds(router, redis):
    (receipt,) = await ask(router, 0, message("hello", "1"))
    stored = await redis.lrange(keys.session("acme", receipt.conversation), 0, -1)
    assert len(stored) == receipt.seq == 1
    assert b'"text":"hello"' in stored[0]


async def test_batches_of_several_senders_share_a_turn_and_keep_their_answers(router):
    first = asyncio.ensure_future(ask(router, 0, message("a", "1"), message("b", "2"), sender="x"))
    second = asyncio.ensure_future(ask(router, 0, message("c", "3", who="v2"), sender="y"))
    assert [reply.seq for reply in await first] == [1, 2]
    assert [reply.seq for reply in await second] == [1]
    assert router.meter.counts["turns"] == 1


async def test_a_batch_out_of_turn_is_not_taken(router):
    await ask(router, 0, message("a", "1"))
    assert await ask(router, 2, message("c", "3")) == NOT_NOW
    (receipt,) = await ask(router, 1, message("b", "2"))
    assert receipt.seq == 2


async def test_batches_that_arrive_the_other_way_round_are_taken_in_order(router):
    later = [asyncio.ensure_future(ask(router, number, message(str(number), str(number)))) for number in (2, 1)]
    await asyncio.sleep(0)
    (first,) = await ask(router, 0, message("0", "0"))
    assert first.seq == 1
    assert [(await answer)[0].seq for answer in later] == [3, 2]


async def test_the_dispatcher_hears_of_a_new_conversation(router):
    (receipt,) = await ask(router, 0, message("hello", "1"))
    async with asyncio.timeout(5):
        while not router.told:
            await asyncio.sleep(0.005)
    assert [placement.conversation for placement in router.told] == [receipt.conversation]


async def test_a_command_that_the_core_fails_on_is_refused_alone(router, redis):
    before = message("before", "1")
    commands = [before, message("poison", "2"), message("other", "3", who="v2"), message("after", "4")]
    replies = await ask(router, 0, *commands)
    assert [type(reply) for reply in replies] == [Receipt, Refusal, Receipt, Receipt]
    assert replies[1].name == "internal_error"
    assert [reply.seq for reply in (replies[0], replies[3])] == [1, 2]
    stored = await redis.lrange(keys.session("acme", replies[0].conversation), 0, -1)
    assert [b"before" in stored[1], b"after" in stored[0], len(stored)] == [True, True, 2]
    (again,) = await ask(router, 1, before)
    assert (again.seq, again.duplicate) == (1, True)


async def test_a_router_that_drains_finishes_what_it_has_and_takes_no_more(router):
    under_way = asyncio.ensure_future(ask(router, 0, message("last", "1")))
    await asyncio.sleep(0)
    await router.drain()
    assert (await under_way)[0].seq == 1
    assert await ask(router, 1, message("late", "2")) == NOT_NOW
