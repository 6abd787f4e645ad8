"""Search over a real store: everything that was said is found, stretch by stretch, and never what it must not."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from cluster.clients import RouterClient
from cluster.linking import Linker
from cluster.store import searching
from cluster.store.searching import SearchStore
from models.domain.commands import Resolve, Say, Tag
from models.domain.errors import BadRequest, NotFound
from models.domain.identity import Identity
from models.domain.ids import opened_at_ms, user_contact_id
from models.protocol.search import MOST_FOUND, MOST_SHOWN, SearchResult
from models.search.words import query_of
from tests.fakes import LocalRouter
from tests.store.test_linking import write

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def redis(empty_store_url: str, anyio_backend: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(empty_store_url) as client:
        yield client


class Shop:
    """An account whose contacts write."""

    def __init__(self, redis: Redis) -> None:
        self.router = RouterClient(
            LocalRouter(redis).carry, shards=1, batch_bytes=80_000, queue_limit=1000, deadline_s=5
        )
        self.store = SearchStore(redis)
        self.serial = 0

    def who(self, name: str, account: str = "demo") -> Identity:
        return Identity(account=account, channel="web", inbox="web", external_id=name)

    async def wrote(self, name: str, text: str, account: str = "demo") -> str:
        return (await write(self.router, self.who(name, account), text)).conversation

    async def by_sue(self, kind: Any, conversation: str, **more: Any) -> None:
        self.serial += 1
        said: dict[str, Any] = {"client_id": f"d{self.serial}", "received_at_ms": 1} if kind is Say else {}
        await self.router.ask(
            kind(account="demo", conversation=conversation, by="sue", role="supervisor", **said, **more)
        )

    async def find(self, text: str, **more: str) -> SearchResult:
        return await self.store.search("demo", query_of(text), **more)


@pytest.fixture
def shop(redis: Redis) -> Shop:
    return Shop(redis)


def texts(result: SearchResult) -> list[list[str]]:
    return [[message.excerpt for message in each.messages] for each in result.found]


async def test_what_contacts_and_agents_said_is_found_in_open_and_in_closed_conversations(shop: Shop) -> None:
    older = await shop.wrote("v1", "Where is my parcel?")
    await shop.by_sue(Say, older, text="The PARCEL is at the customs")
    await shop.by_sue(Say, older, text="a parcel note", internal=True)
    await shop.by_sue(Resolve, older)
    await shop.wrote("v2", "another parcel")
    await shop.wrote("v3", "nothing of it")
    result = await shop.find("parcel")
    assert texts(result) == [
        ["another parcel"],
        ["a parcel note", "The PARCEL is at the customs", "Where is my parcel?"],
    ]
    assert [message.internal for message in result.found[1].messages] == [True, False, False]
    assert (result.searched, result.cursor, result.until_ms) == (3, "", opened_at_ms(older))


async def test_nothing_of_another_account_is_found(shop: Shop) -> None:
    await shop.wrote("v1", "the secret word")
    result = await shop.store.search("other", query_of("secret"))
    assert (result.found, result.searched, result.until_ms) == ([], 0, 0)


async def test_stretches_come_to_all_and_to_each_once_while_new_ones_are_opened(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MOST_SEARCHED", 7)
    for number in range(25):
        await shop.wrote(f"v{number}", f"needle {number}")
    found: list[str] = []
    cursor, stretches = "", 0
    while True:
        result = await shop.find("needle", cursor=cursor)
        found += [each for lines in texts(result) for each in lines]
        stretches += 1
        await shop.wrote(f"late{stretches}", "a needle that came later")
        cursor = result.cursor
        if not cursor:
            break
    assert found == [f"needle {number}" for number in reversed(range(25))]
    assert stretches == 4


async def test_a_result_is_full_when_it_has_enough_and_goes_on_behind_it(shop: Shop) -> None:
    for number in range(MOST_FOUND + 3):
        await shop.wrote(f"v{number}", f"needle {number}")
    first = await shop.find("needle")
    assert len(first.found) == MOST_FOUND
    rest = await shop.find("needle", cursor=first.cursor)
    assert texts(rest) == [["needle 2"], ["needle 1"], ["needle 0"]]
    assert rest.cursor == ""


async def test_a_search_that_took_its_time_tells_where_to_go_on(redis: Redis, shop: Shop) -> None:
    for number in range(40):
        await shop.wrote(f"v{number}", "hay")
    time_s = iter(range(1_000))
    slow = SearchStore(redis, monotonic=lambda: next(time_s) * 0.3)
    result = await slow.search("demo", query_of("needle"))
    assert (result.found, result.searched, result.cursor) == ([], 16, "24")


async def test_a_long_conversation_is_looked_through_page_by_page(shop: Shop) -> None:
    await shop.wrote("v1", "the needle")
    for number in range(450):
        await shop.wrote("v1", f"hay {number}")
    assert texts(await shop.find("needle")) == [["the needle"]]
    result = await shop.find("hay")
    assert texts(result) == [["hay 449", "hay 448", "hay 447"]]
    assert len(result.found[0].messages) == MOST_SHOWN


async def test_tags_narrow_a_search_and_are_found_alone(shop: Shop) -> None:
    first, second = await shop.wrote("v1", "refund me"), await shop.wrote("v2", "refund me too")
    await shop.by_sue(Tag, first, add=("late parcel",))
    assert texts(await shop.find("refund #Late_Parcel")) == [["refund me"]]
    assert texts(await shop.find("#late_parcel")) == [[]]
    assert texts(await shop.find("parcel")) == []
    assert second


async def test_a_contacts_search_has_what_its_joined_identities_said_before(shop: Shop) -> None:
    user = user_contact_id("demo", "42")
    before = await shop.wrote("v1", "needle from before")
    await shop.by_sue(Resolve, before)
    await shop.wrote("v1", "needle while open")
    await shop.wrote("stranger", "needle of a stranger")
    assert await Linker(shop.router).link(shop.who("v1"), user) == user
    result = await shop.find("needle", contact=shop.who("v1").contact)
    assert texts(result) == [["needle while open"], ["needle from before"]]
    assert texts(await shop.find("needle", contact=user, cursor=before)) == []
    with pytest.raises(NotFound):
        await shop.find("needle", contact=user_contact_id("demo", "nobody"))


@pytest.mark.parametrize("cursor", ["x", "-1", "1" * 13, "１"])
async def test_what_is_no_cursor_is_refused(shop: Shop, cursor: str) -> None:
    with pytest.raises(BadRequest):
        await shop.find("needle", cursor=cursor)


async def test_an_empty_query_is_refused(shop: Shop) -> None:
    with pytest.raises(BadRequest):
        await shop.find("  ")
