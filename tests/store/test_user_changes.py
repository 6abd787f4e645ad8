"""Following an account's users: only what changed is read, and whoever may have missed something reads everybody."""

import msgspec
import pytest
from argon2 import PasswordHasher
from redis.asyncio import Redis

from cluster.store import keys, user_changes
from cluster.store.directory import Directory
from models.domain.agent import User
from models.domain.errors import Conflict

pytestmark = pytest.mark.anyio
PASSWORD = "correct horse"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def redis(empty_store_url, anyio_backend):
    async with Redis.from_url(empty_store_url) as client:
        yield client


@pytest.fixture
def directory(redis):
    return Directory(redis, hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


async def users_of(redis, count):
    """Write users as a release did that noted no changes."""
    for number in range(count):
        user = {"name": f"u{number}", "password_hash": "x", "password_set_s": 1}
        await redis.hset(keys.users("demo"), user["name"], msgspec.json.encode(user))


async def test_everybody_is_read_first_and_then_who_changed(directory):
    for name in ("ann", "ben", "cat"):
        await directory.add("demo", User(name=name), PASSWORD)
    first = await directory.changes("demo", "")
    assert (first.whole, sorted(first.users)) == (True, ["ann", "ben", "cat"])
    none = await directory.changes("demo", first.mark)
    assert (none.whole, none.users, none.mark) == (False, {}, first.mark)
    await directory.update("demo", User(name="ben", skills=("refund",), capacity=3))
    await directory.remove("demo", "ann")
    await directory.add("demo", User(name="dan"), PASSWORD)
    await directory.set_password("demo", "ben", PASSWORD * 2)
    then = await directory.changes("demo", first.mark)
    assert not then.whole
    assert then.users == {
        "ann": None,
        "ben": User(name="ben", skills=("refund",), capacity=3),
        "dan": User(name="dan"),
    }
    assert (await directory.changes("demo", then.mark)).users == {}
    assert (await directory.changes("other", "")).users == {}


async def test_what_was_refused_changes_nothing(directory):
    await directory.add("demo", User(name="ann", capacity=2), PASSWORD)
    mark = (await directory.changes("demo", "")).mark
    with pytest.raises(Conflict):
        await directory.add("demo", User(name="ann", capacity=9), PASSWORD)
    assert (await directory.changes("demo", mark)).users.get("ann", User(name="ann", capacity=2)).capacity == 2


async def test_who_did_not_change_is_not_read(directory, redis):
    await users_of(redis, 2_000)
    first = await directory.changes("demo", "")
    assert len(first.users) == 2_000
    await redis.config_resetstat()
    await directory.update("demo", User(name="u7", capacity=7))
    await redis.config_resetstat()
    assert (await directory.changes("demo", first.mark)).users == {"u7": User(name="u7", capacity=7)}
    stats = await redis.info("commandstats")
    assert {name for name in stats if name not in ("cmdstat_info", "cmdstat_config|resetstat")} == {
        "cmdstat_xrange",
        "cmdstat_hmget",
        "cmdstat_hvals",
    }


async def test_more_changes_than_one_read_takes_are_all_found(directory, redis, monkeypatch):
    monkeypatch.setattr(user_changes, "_CHUNK", 4)
    mark = (await directory.changes("demo", "")).mark
    for number in range(14):
        await directory.add("demo", User(name=f"u{number}"), PASSWORD)
        changes = await directory.changes("demo", mark)
        assert (changes.whole, sorted(changes.users)) == (False, sorted(f"u{n}" for n in range(number + 1)))


@pytest.mark.parametrize("loss", ["trimmed", "gone"])
async def test_who_may_have_missed_notes_reads_everybody(directory, redis, loss):
    await directory.add("demo", User(name="ann"), PASSWORD)
    await directory.add("demo", User(name="ben"), PASSWORD)
    mark = (await directory.changes("demo", "")).mark
    await directory.remove("demo", "ann")
    if loss == "trimmed":
        await directory.update("demo", User(name="ben", capacity=1))
        await redis.xtrim(keys.users_changed("demo"), maxlen=1, approximate=False)
    else:
        await redis.delete(keys.users_changed("demo"))
    changes = await directory.changes("demo", mark)
    assert (changes.whole, list(changes.users)) == (True, ["ben"])
    assert not (await directory.changes("demo", changes.mark)).whole


async def test_notes_are_kept_within_bounds(directory, redis, monkeypatch):
    monkeypatch.setattr(user_changes, "NOTES", 100)
    await directory.add("demo", User(name="ann"), PASSWORD)
    for number in range(400):
        await directory.update("demo", User(name="ann", capacity=number))
    assert await redis.xlen(keys.users_changed("demo")) < 250
