"""A real embedded store for the tests of what speaks to it.

``store_url`` is one server for the whole run; ``store`` is a client of it whose database is empty at the
start of each test. Tests that kill or stop a server make one of their own in ``short_folder``.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cluster.store.embedded import EmbeddedStore


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A fresh folder with a short path, so that the socket of a store in it fits the system's limit."""
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    with EmbeddedStore(folder) as server:
        yield server.url
    shutil.rmtree(folder)


@pytest.fixture
def empty_store_url(store_url: str) -> str:
    """The address of the store, emptied for this test; for tests that make their own clients."""
    with redis.Redis.from_url(store_url) as client:
        client.flushall()
        client.script_flush()
    return store_url


@pytest.fixture
def store(empty_store_url: str) -> Iterator[redis.Redis]:
    """A blocking client of the emptied store; bytes in, bytes out."""
    with redis.Redis.from_url(empty_store_url) as client:
        yield client
