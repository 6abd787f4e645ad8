"""What admins change while raydesk runs, in a real store."""

import msgspec
import pytest
from redis.asyncio import Redis

from cluster.store import keys
from cluster.store.administration import hours_of_inbox, read_inbox
from models.administration.hours import Hours, Span
from models.administration.inboxes import WebInbox

pytestmark = pytest.mark.anyio
WORKDAYS = Hours(zone="Asia/Shanghai", week=((Span(opens="09:00", closes="18:00"),),) * 5 + ((), ()))


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def redis(empty_store_url, anyio_backend):
    async with Redis.from_url(empty_store_url) as client:
        yield client


async def put(redis, section, name, value):
    await redis.hset(keys.administration("demo", section), name, msgspec.json.encode(value))


async def test_the_hours_of_an_inbox_are_those_that_it_names(redis):
    assert await hours_of_inbox(redis, "demo", "web") is None
    await put(redis, "inboxes", "web", WebInbox(title="Shop"))
    assert await hours_of_inbox(redis, "demo", "web") is None
    await put(redis, "inboxes", "web", WebInbox(title="Shop", hours="main"))
    assert await hours_of_inbox(redis, "demo", "web") is None, "what it names is not there: always open"
    await put(redis, "hours", "main", WORKDAYS)
    assert await hours_of_inbox(redis, "demo", "web") == WORKDAYS
    assert await read_inbox(redis, "demo", "web") == WebInbox(title="Shop", hours="main")
    assert await read_inbox(redis, "other", "web") is None
