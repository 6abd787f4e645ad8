"""Measure the search in what was said: how long a call takes, and how much it looks through meanwhile.

``python -m tests.bench.desk_search`` fills a store of its own and prints a table. Store and search are real; whatever
else asks the same store meanwhile is played by one client that reads a small key over and over.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from redis.asyncio import Redis

from cluster.clients import RouterClient
from cluster.store.embedded import EmbeddedStore
from cluster.store.searching import SearchStore
from models.domain.commands import Receive
from models.domain.ids import contact_id
from models.search.words import query_of
from tests.fakes import LocalRouter

CONVERSATIONS = 5_000
MESSAGES = 8
CALLS = 20
ACCOUNT = "demo"
TEXTS = (
    "Where is my order 2024118899231? It should have been here on Friday.",
    "我想退货，订单号 2024118800017，鞋子太小了，可以换一双大一点的吗？谢谢",
    "Can I pay by invoice? We are a school and need 120 pieces by the end of the month.",
    "Thank you, that helped me a lot!",
)


async def fill(redis: Redis) -> None:
    """Let many contacts write."""
    router = RouterClient(LocalRouter(redis).carry, shards=1, batch_bytes=80_000, queue_limit=10_000, deadline_s=20)
    for number in range(CONVERSATIONS):
        who = f"v{number}"
        text = "the one needle" if number == CONVERSATIONS - 150 else ""
        await router.receive_many(
            [
                Receive(
                    account=ACCOUNT,
                    contact=contact_id(ACCOUNT, "web", "web", who),
                    channel="web",
                    inbox="web",
                    external_id=who,
                    source_id=f"{number}-{seq}",
                    text=text or TEXTS[(number + seq) % len(TEXTS)],
                    received_at_ms=1,
                )
                for seq in range(MESSAGES)
            ]
        )


async def calls(store: SearchStore, text: str) -> tuple[list[float], list[int]]:
    """Search many times; returns milliseconds, and conversations looked through."""
    took, searched = [], []
    for _ in range(CALLS):
        start = time.perf_counter()
        result = await store.search(ACCOUNT, query_of(text))
        took.append((time.perf_counter() - start) * 1000)
        searched.append(result.searched)
    return took, searched


async def reads(redis: Redis, during: asyncio.Future[None]) -> list[float]:
    """Read a small key while something else is under way; returns milliseconds."""
    took: list[float] = []
    while not during.done():
        start = time.perf_counter()
        await redis.get("x")
        took.append((time.perf_counter() - start) * 1000)
        await asyncio.sleep(0.002)
    return took


def show(what: str, values: Sequence[float]) -> None:
    """Print how a quantity is spread."""
    parts = statistics.quantiles(values, n=100, method="inclusive")
    print(f"{what:<58} p50 {parts[49]:7.1f}  p95 {parts[94]:7.1f}  max {max(values):7.1f} ms  n={len(values)}")


async def measure(url: str) -> None:
    """Measure all and print it."""
    async with Redis.from_url(url) as redis, Redis.from_url(url) as other:
        await fill(redis)
        store = SearchStore(redis)
        for what, text in (
            ("found 150 conversations back", "needle"),
            ("20 found among the newest", "order"),
            ("nothing found", "nowhere"),
            ("nothing found, Chinese", "发票抬头"),
        ):
            took, searched = await calls(store, text)
            show(f"{what} (looked through {statistics.median(searched):.0f})", took)
        searching = asyncio.ensure_future(calls(store, "nowhere"))
        done: asyncio.Future[None] = asyncio.ensure_future(_ends(searching))
        show("a small read by others in this process meanwhile", await reads(other, done))


async def _ends(work: asyncio.Future[tuple[list[float], list[int]]]) -> None:
    await work


def main() -> None:
    """Fill a store and measure."""
    with tempfile.TemporaryDirectory(prefix="rd-") as folder, EmbeddedStore(Path(folder)) as store:
        asyncio.run(measure(store.url))


if __name__ == "__main__":
    main()
