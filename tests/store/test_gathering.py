"""Questions that are asked together: few commands, each answer its own, and nobody pays for another's fate."""

import asyncio

import pytest
from redis.asyncio import Redis

from cluster.store import keys
from cluster.store.gathering import Gathering, GatheringByAccount
from cluster.store.reading import Reading

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Store:
    """Answers each question with its double, when it is let."""

    def __init__(self):
        self.asked = []
        self.open = asyncio.Event()
        self.open.set()
        self.failing = None

    async def carry(self, questions):
        self.asked.append(list(questions))
        await self.open.wait()
        if self.failing is not None:
            raise self.failing
        return [question * 2 for question in questions]


async def test_what_is_asked_while_commands_are_under_way_leaves_with_the_next_one():
    store = Store()
    store.open.clear()
    gathering = Gathering(store.carry, most=100)
    answers = []
    for number in range(30):
        answers.append(asyncio.ensure_future(gathering.ask(number)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert store.asked == [[0], [1]]
    store.open.set()
    assert await asyncio.gather(*answers) == [number * 2 for number in range(30)]
    assert store.asked == [[0], [1], list(range(2, 30))]


async def test_no_command_carries_more_than_it_may():
    store = Store()
    gathering = Gathering(store.carry, most=4)
    assert await asyncio.gather(*map(gathering.ask, range(10))) == [number * 2 for number in range(10)]
    assert max(map(len, store.asked)) == 4
    assert sorted(number for asked in store.asked for number in asked) == list(range(10))


async def test_a_failure_is_told_to_those_whom_it_concerns_and_the_next_are_asked():
    store = Store()
    gathering = Gathering(store.carry, most=100)
    store.failing = ConnectionError("gone")
    failed = await asyncio.gather(*map(gathering.ask, range(3)), return_exceptions=True)
    assert [type(error) for error in failed] == [ConnectionError] * 3
    store.failing = None
    assert await gathering.ask(4) == 8


async def test_one_who_leaves_takes_nobody_along_and_is_not_asked_for():
    store = Store()
    store.open.clear()
    gathering = Gathering(store.carry, most=100)
    asks = []
    for number in range(4):
        asks.append(asyncio.ensure_future(gathering.ask(number)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    asks[0].cancel()
    asks[2].cancel()
    store.open.set()
    assert await asyncio.gather(asks[1], asks[3]) == [2, 6]
    assert store.asked == [[0], [1], [3]]
    assert asks[0].cancelled()


async def test_accounts_are_not_mixed_in_one_command():
    asked = []

    async def carry(account, questions):
        asked.append((account, list(questions)))
        return questions

    gathering = GatheringByAccount(carry, most=100)
    await asyncio.gather(*(gathering.ask(account, n) for n in range(3) for account in ("a", "b")))
    assert sorted(asked) == [("a", [0, 1, 2]), ("b", [0, 1, 2])]


async def test_visits_that_begin_together_share_their_reads(empty_store_url):
    async with Redis.from_url(empty_store_url) as redis:
        reading = Reading(redis)
        before = (await redis.info("commandstats")).get("cmdstat_mget", {}).get("calls", 0)
        states = await asyncio.gather(*(reading.visit("acme", f"c{n}", None) for n in range(200)))
        assert [state.contact for state in states] == [f"c{n}" for n in range(200)]
        stats = await redis.info("commandstats")
        assert stats["cmdstat_mget"]["calls"] - before <= 2
        await redis.set(keys.contact("acme", "c7"), '{"id": "c7", "moved_to": "c8"}')
        assert (await reading.visit("acme", "c7", None)).contact == "c8"
