"""What uploads cost the messages beside them: bytes kept in a folder, and bytes kept in the store.

``python -m tests.bench.files`` starts an embedded store of its own and appends small entries one after the other, each
with its fsync, while files of 10 MB come in; alternating, in one run.
"""

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from redis.asyncio import Redis

from cluster.store.embedded import EmbeddedStore
from cluster.store.files import FileStore

FILE_BYTES = 10_485_760
CHUNK = 65_536
PHASE_S = 3.0
ROUNDS = 3
AT_ONCE = 2


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), CHUNK):
        yield body[start : start + CHUNK]
        await asyncio.sleep(0)


async def measure(redis: Redis, upload: Callable[[], Awaitable[None]] | None) -> tuple[list[float], int]:
    """Append for a while beside uploads; returns the milliseconds of each append, and how many files came in."""
    ends, taken, took_ms = time.monotonic() + PHASE_S, 0, []

    async def go_on() -> None:
        nonlocal taken
        while upload is not None and time.monotonic() < ends:
            await upload()
            taken += 1

    uploading = [asyncio.ensure_future(go_on()) for _ in range(AT_ONCE)]
    while time.monotonic() < ends:
        began = time.perf_counter()
        await redis.xadd("log", {"e": b"x" * 300}, maxlen=10_000)
        took_ms.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.001)
    await asyncio.gather(*uploading)
    return took_ms, taken


async def run(folder: Path, url: str) -> None:
    body = os.urandom(FILE_BYTES)
    async with Redis.from_url(url) as redis:
        files = FileStore(redis, folder / "files", max_bytes=FILE_BYTES, keep_free_bytes=0)

        async def to_folder() -> None:
            record = await files.take("demo", "agent:ann", "a", chunks(body))
            found = await files.find("demo", record.id)
            assert found is not None
            found.path.unlink()

        async def to_store() -> None:
            name = os.urandom(8).hex()
            parts = [f"{name}:{n}" for n in range(0, FILE_BYTES, 4 * CHUNK)]
            for n, part in enumerate(parts):
                await redis.set(part, body[n * 4 * CHUNK : (n + 1) * 4 * CHUNK])
            await redis.delete(*parts)

        print("| beside the appends | p50 | p95 | p99 | files/s |\n|---|---:|---:|---:|---:|")
        ways = {"nothing": None, "files into the folder": to_folder, "files into the store": to_store}
        found: dict[str, list[float]] = {name: [] for name in ways}
        counts = dict.fromkeys(ways, 0)
        for _ in range(ROUNDS):
            for name, way in ways.items():
                took_ms, taken = await measure(redis, way)
                found[name] += took_ms
                counts[name] += taken
        for name, took_ms in found.items():
            cuts = statistics.quantiles(took_ms, n=100)
            rate = counts[name] / PHASE_S / ROUNDS
            print(f"| {name} | {cuts[49]:.2f} ms | {cuts[94]:.2f} ms | {cuts[98]:.2f} ms | {rate:.1f} |")


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    try:
        with EmbeddedStore(folder) as store:
            asyncio.run(run(folder, store.url))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
