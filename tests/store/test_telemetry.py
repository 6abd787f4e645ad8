"""What a process tells of itself, against a real store."""

import asyncio

import redis
from redis.asyncio import Redis

from cluster.store import keys
from cluster.telemetry import Beacon


async def _told(store: redis.Redis) -> None:
    while not store.exists(keys.alive("gateway", "0")):
        await asyncio.sleep(0.01)


def test_a_beacon_outlives_a_store_that_takes_no_writes(store, empty_store_url, monkeypatch) -> None:
    monkeypatch.setattr("cluster.telemetry.REPORT_EVERY_S", 0.01)
    refused = 0

    def describe() -> dict[str, int]:
        nonlocal refused
        refused += 1
        if refused > 2:
            store.config_set("min-replicas-to-write", 0)
        return {}

    async def main() -> None:
        async with Redis.from_url(empty_store_url) as client:
            telling = asyncio.ensure_future(Beacon(client, "gateway", "0", describe).run())
            async with asyncio.timeout(5):
                await _told(store)
            assert not telling.done()
            telling.cancel()

    # refuses each write as a full disk does, with an answer and not with a broken connection
    store.config_set("min-replicas-to-write", 1)
    try:
        asyncio.run(main())
    finally:
        store.config_set("min-replicas-to-write", 0)
    assert refused > 2
