"""What the tests of the running parts share: the real store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.settings_sections import StoreSettings
from cluster.store.embedded import EmbeddedStore


@pytest.fixture(scope="session")
def store_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    """A running embedded store, one for all tests of this folder."""
    folder: Path = tmp_path_factory.mktemp("store")
    settings = StoreSettings(data_dir=folder, appendfsync="everysec")
    with EmbeddedStore(settings):
        yield settings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
