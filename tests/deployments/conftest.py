"""What the tests of the running parts share: the real store, emptied for each test, and a clock that is set by hand."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from cluster.store.embedded import EmbeddedStore


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    with EmbeddedStore(folder) as server:
        yield server.url
    shutil.rmtree(folder)


@pytest.fixture
async def redis(store_url: str, anyio_backend: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(store_url) as client:
        await client.flushall()
        await client.script_flush()
        yield client


class Clock:
    """A clock that moves only when told to."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)
