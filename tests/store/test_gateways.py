"""Live gateways: who is alive, and who gets which of them."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from cluster.gateways import LiveGateway, LiveGateways, choose_gateway
from cluster.store import keys
from cluster.telemetry import Beacon


def gateway(name: str, *, draining: bool = False) -> LiveGateway:
    return LiveGateway(name=name, url=f"ws://{name}", at_ms=1, draining=draining)


names = st.sets(st.text("abcdef", min_size=1, max_size=4), min_size=1, max_size=8)


@given(names, st.text(), st.randoms())
def test_everybody_agrees_whatever_the_order(found: set[str], key: str, random: object) -> None:
    gateways = [gateway(name) for name in found]
    chosen = choose_gateway(gateways, key)
    random.shuffle(gateways)
    assert choose_gateway(gateways, key) == chosen


@given(names, st.lists(st.text(), max_size=20))
def test_when_one_dies_only_its_own_move(found: set[str], wanted: list[str]) -> None:
    gateways = [gateway(name) for name in sorted(found)]
    dead, left = gateways[0], gateways[1:]
    for key in wanted:
        before = choose_gateway(gateways, key)
        if before != dead:
            assert choose_gateway(left, key) == before


def test_the_load_is_spread() -> None:
    gateways = [gateway(f"gateway:{n}") for n in range(4)]
    counts = dict.fromkeys((each.name for each in gateways), 0)
    for n in range(4000):
        counts[choose_gateway(gateways, f"c{n}").name] += 1
    assert all(800 < count < 1200 for count in counts.values())


def test_a_draining_gateway_gets_nobody_while_another_lives() -> None:
    assert choose_gateway([gateway("a", draining=True), gateway("b")], "x").name == "b"
    assert choose_gateway([gateway("a", draining=True)], "x").name == "a"
    assert choose_gateway([], "x") is None


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def redis(empty_store_url: str, anyio_backend: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(empty_store_url) as client:
        yield client


@pytest.mark.anyio
async def test_beacons_are_found_until_they_fall_silent(redis: Redis) -> None:
    now = [100.0]
    live = LiveGateways(redis, monotonic=lambda: now[0])
    assert await live() == []
    for name in ("0", "1"):
        await Beacon(redis, "gateway", name, lambda: {"url": "ws://127.0.0.1:7410", "sockets": 3}).tell()
    assert await live() == []  # remembered for a second
    now[0] += 1
    assert [each.name for each in await live()] == ["0", "1"]
    await redis.delete(keys.alive("gateway", "0"))
    now[0] += 1
    assert [(each.name, each.url) for each in await live()] == [("1", "ws://127.0.0.1:7410")]


@pytest.mark.anyio
async def test_a_crowd_that_asks_at_once_reads_once_and_one_that_leaves_spoils_it_for_nobody(redis: Redis) -> None:
    await Beacon(redis, "gateway", "0", lambda: {"url": "ws://127.0.0.1:7410"}).tell()
    now = [0.0]
    live = LiveGateways(redis, monotonic=lambda: now[0])
    await redis.config_resetstat()
    asks = [asyncio.ensure_future(live()) for _ in range(300)]
    await asyncio.sleep(0)
    asks[0].cancel()
    found = await asyncio.gather(*asks[1:])
    assert {each.name for gateways in found for each in gateways} == {"0"}
    assert (await redis.info("commandstats"))["cmdstat_smembers"]["calls"] == 1


@pytest.mark.anyio
async def test_a_reading_that_failed_is_told_to_all_and_tried_again(redis: Redis) -> None:
    await redis.set(keys.alive_names("gateway"), "no set")
    live = LiveGateways(redis, monotonic=lambda: 0.0)
    failed = await asyncio.gather(live(), live(), return_exceptions=True)
    assert [type(error) for error in failed] == [ResponseError, ResponseError]
    await redis.delete(keys.alive_names("gateway"))
    assert await live() == []


@pytest.mark.anyio
async def test_a_report_of_another_form_hides_no_other_gateway(redis: Redis) -> None:
    await Beacon(redis, "gateway", "0", lambda: {"url": "ws://127.0.0.1:7410"}).tell()
    await redis.sadd(keys.alive_names("gateway"), "1")
    await redis.set(keys.alive("gateway", "1"), msgspec.json.encode({"name": "1"}))
    assert [each.name for each in await LiveGateways(redis, monotonic=lambda: 0.0)()] == ["0"]
