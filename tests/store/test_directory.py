"""The directory on a real store: who may come in, and that secrets are not kept."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from argon2 import PasswordHasher
from redis.asyncio import Redis

from cluster.store import keys, passwords
from cluster.store.directory import Directory
from models.domain.agent import User
from models.domain.errors import BadRequest, Conflict, NotFound, Overloaded, Unauthorized

pytestmark = pytest.mark.anyio
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
ANN = User(name="ann", skills=("billing",), capacity=3)
PASSWORD = "correct horse"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def redis(empty_store_url: str, anyio_backend: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(empty_store_url) as client:
        yield client


@pytest.fixture
def directory(redis: Redis) -> Directory:
    return Directory(redis, hasher=QUICK)


async def test_a_user_comes_in_with_the_right_password_only(directory: Directory) -> None:
    await directory.add("demo", ANN, PASSWORD)
    assert await directory.verify("demo", "ann", PASSWORD) == ANN
    assert await directory.get("demo", "ann") == ANN
    for account, name, password in (
        ("demo", "ann", "wrong horse"),
        ("demo", "ann", ""),
        ("demo", "ann", PASSWORD * 1000),
        ("demo", "bob", PASSWORD),
        ("other", "ann", PASSWORD),
        ("demo", "", PASSWORD),
    ):
        assert await directory.verify(account, name, password) is None


async def test_only_an_argon2id_hash_is_kept(directory: Directory, redis: Redis) -> None:
    await directory.add("demo", ANN, PASSWORD)
    data = await redis.hget(keys.users("demo"), "ann")
    assert b"$argon2id$" in data
    assert PASSWORD.encode() not in data


async def test_the_default_parameters_are_those_of_rfc_9106() -> None:
    hasher = Directory(Redis()).passwords._hasher
    assert (hasher.time_cost, hasher.memory_cost, hasher.parallelism) == (3, 65536, 4)


async def test_an_unknown_user_takes_as_much_work_as_a_known_one(redis: Redis) -> None:
    checked: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:
            checked.append(str(hash))
            return super().verify(hash, password)

    directory = Directory(redis, hasher=Counting(time_cost=1, memory_cost=8, parallelism=1))
    await directory.add("demo", ANN, PASSWORD)
    await directory.verify("demo", "nobody", PASSWORD)
    await directory.verify("demo", "ann", "wrong horse")
    first, second = (each.rpartition("$")[0].rpartition("$")[0] for each in checked)
    assert first == second == "$argon2id$v=19$m=8,t=1,p=1"


async def test_a_name_is_taken_once_even_by_two_at_the_same_time(directory: Directory) -> None:
    outcomes = await asyncio.gather(
        *(directory.add("demo", ANN, f"{PASSWORD} {n}") for n in range(4)), return_exceptions=True
    )
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 3


async def test_two_changes_at_the_same_time_are_both_kept(directory: Directory) -> None:
    await directory.add("demo", ANN, PASSWORD)
    changed = msgspec.structs.replace(ANN, role="admin")
    await asyncio.gather(directory.update("demo", changed), directory.set_password("demo", "ann", "another horse"))
    assert await directory.verify("demo", "ann", "another horse") == changed


async def test_somebody_who_left_does_not_come_in_and_stays_listed(directory: Directory) -> None:
    await directory.add("demo", User(name="zoe"), PASSWORD)
    await directory.add("demo", ANN, PASSWORD)
    await directory.update("demo", msgspec.structs.replace(ANN, active=False))
    assert await directory.verify("demo", "ann", PASSWORD) is None
    assert [(user.name, user.active) for user in await directory.list("demo")] == [("ann", False), ("zoe", True)]


async def test_a_hash_of_older_parameters_is_replaced_at_the_next_log_in(redis: Redis) -> None:
    await Directory(redis, hasher=QUICK).add("demo", ANN, PASSWORD)
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    assert await Directory(redis, hasher=stronger).verify("demo", "ann", "wrong horse") is None
    assert b"m=8,t=1" in await redis.hget(keys.users("demo"), "ann")
    assert await Directory(redis, hasher=stronger).verify("demo", "ann", PASSWORD) == ANN
    assert b"m=16,t=2" in await redis.hget(keys.users("demo"), "ann")
    assert await Directory(redis, hasher=stronger).verify("demo", "ann", PASSWORD) == ANN


async def test_a_new_password_set_during_a_rehash_stays(redis: Redis) -> None:
    await Directory(redis, hasher=QUICK).add("demo", ANN, PASSWORD)
    hashing, go_on = threading.Event(), threading.Event()

    class Waiting(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            if password == PASSWORD:
                hashing.set()
                go_on.wait(5)
            return super().hash(password, salt=salt)

    directory = Directory(redis, hasher=Waiting(time_cost=2, memory_cost=16, parallelism=1))
    log_in = asyncio.create_task(directory.verify("demo", "ann", PASSWORD))
    assert await asyncio.to_thread(hashing.wait, 5)
    await Directory(redis, hasher=QUICK).set_password("demo", "ann", "another horse")
    go_on.set()
    assert await log_in == ANN
    assert await directory.verify("demo", "ann", PASSWORD) is None
    assert await directory.verify("demo", "ann", "another horse") == ANN


async def test_a_session_ends_with_a_new_password_and_with_the_user(redis: Redis) -> None:
    now = [1000.0]
    directory = Directory(redis, hasher=QUICK, now=lambda: now[0])
    await directory.add("demo", ANN, PASSWORD)
    assert await directory.session_user("demo", "ann", 1000) == ANN
    now[0] = 1001.0
    await directory.set_password("demo", "ann", "another horse")
    with pytest.raises(Unauthorized):
        await directory.session_user("demo", "ann", 1000)
    assert await directory.session_user("demo", "ann", 1001) == ANN
    await directory.update("demo", msgspec.structs.replace(ANN, active=False))
    with pytest.raises(Unauthorized):
        await directory.session_user("demo", "ann", 2000)
    with pytest.raises(Unauthorized):
        await directory.session_user("demo", "nobody", 2000)


async def test_the_same_password_typed_in_another_unicode_form_is_right(directory: Directory) -> None:
    await directory.add("demo", ANN, "caf\u00e9 caf\u00e9")
    assert await directory.verify("demo", "ann", "cafe\u0301 cafe\u0301") == ANN


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 65, "a\n", "{x}", "añ"])
async def test_a_name_that_keys_cannot_carry_is_refused(directory: Directory, name: str) -> None:
    with pytest.raises(BadRequest):
        await directory.add("demo", User(name=name), PASSWORD)


async def test_bad_passwords_and_unknown_users_are_refused(directory: Directory) -> None:
    with pytest.raises(BadRequest, match="8 to 1024"):
        await directory.add("demo", ANN, "short")
    with pytest.raises(BadRequest, match="8 to 1024"):
        await directory.add("demo", ANN, "x" * 1025)
    with pytest.raises(NotFound):
        await directory.set_password("demo", "ann", PASSWORD)
    with pytest.raises(NotFound):
        await directory.update("demo", ANN)


async def test_a_flood_of_log_ins_is_refused_and_the_loop_stays_free(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_HASHING_WAITING", 4)

    class Slow(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:
            time.sleep(0.05)
            return super().verify(hash, password)

    directory = Directory(redis, hasher=Slow(time_cost=1, memory_cost=8, parallelism=1))
    await directory.add("demo", ANN, PASSWORD)
    await directory.verify("demo", "ann", PASSWORD)
    attempts = [asyncio.create_task(directory.verify("demo", "ann", PASSWORD)) for _ in range(8)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(outcome, Overloaded) for outcome in outcomes) == 4
    assert await directory.verify("demo", "ann", PASSWORD) == ANN


async def test_an_api_key_is_shown_once_and_opens_its_account(directory: Directory, redis: Redis) -> None:
    key, kept = await directory.create_key("demo", "shop")
    assert key.startswith(f"rdk_{kept.id}_")
    assert await directory.verify_key(key) == kept
    assert kept.account == "demo"
    stored = await redis.hget(keys.API_KEYS, kept.id)
    assert key.rpartition("_")[2].encode() not in stored


async def test_forged_keys_open_nothing(directory: Directory) -> None:
    key, kept = await directory.create_key("demo", "shop")
    other, _ = await directory.create_key("demo", "till")
    swapped = f"rdk_{kept.id}_{other.rpartition('_')[2]}"
    for forged in ("", "rdk_", key[:-1], key + "0", key[:-1] + ("0" if key[-1] != "0" else "1"), swapped, key.upper()):
        assert await directory.verify_key(forged) is None
    assert await directory.verify_key("é" * len(key)) is None


async def test_a_revoked_key_opens_nothing_and_only_its_account_revokes_it(directory: Directory) -> None:
    key, kept = await directory.create_key("demo", "shop")
    with pytest.raises(NotFound):
        await directory.revoke_key("other", kept.id)
    assert await directory.list_keys("demo") == [kept]
    assert await directory.list_keys("other") == []
    await directory.revoke_key("demo", kept.id)
    assert await directory.verify_key(key) is None
    with pytest.raises(NotFound):
        await directory.revoke_key("demo", kept.id)


async def test_accounts_are_listed_once(directory: Directory) -> None:
    for account in ("b", "a", "b"):
        await directory.add_account(account)
    assert await directory.accounts() == ["a", "b"]


async def test_who_was_taken_out_is_forgotten_and_nobody_else(directory: Directory, redis: Redis) -> None:
    for name in ("ann", "bob", "eve"):
        await redis.xadd(keys.desk_log("demo", name), {"e": "[]"}, id="0-1")
        await redis.hset(keys.desk_acked("demo"), name, "1")
        await redis.hset(keys.presence("demo"), name, "{}")
    await directory.add("demo", ANN, PASSWORD)
    await redis.sadd(keys.holds("demo", "bob"), "s1")
    assert await directory.forget("demo", ["ann", "bob", "eve", "nobody"]) == 2
    for name, kept in (("ann", True), ("bob", True), ("eve", False)):
        assert await redis.exists(keys.desk_log("demo", name)) == kept
        assert await redis.hexists(keys.desk_acked("demo"), name) == kept
        assert await redis.hexists(keys.presence("demo"), name) == kept
    await directory.remove("demo", "ann")
    await redis.delete(keys.holds("demo", "bob"))
    assert await directory.forget("demo", ["ann", "bob"]) == 2
    assert [key async for key in redis.scan_iter("{demo}:*")] == [keys.users_changed("demo").encode()]
    assert await directory.forget("demo", []) == 0
