"""The pages in a real browser: one system and one Chromium for the whole room, and pages of its own for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from deployments.commands.own_system import OwnSystem
from tests.waiting import wait_until
from tests.web.room import WITHIN_S, Room, pictures_folder

#: The desk of a test gets every conversation of it, and no limit that protects from strangers stands in its way.
_CONFIG: dict[str, Any] = {
    "intent": {"enabled": True},
    "bot": {"enabled": True},
    "dispatcher": {"default_capacity": 50},
    "limits": {"logins_per_minute": 10_000},
}
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a system, and give it the time for that."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.system)
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session")
def system() -> Iterator[OwnSystem]:
    with OwnSystem(_CONFIG, "--demo") as system:
        yield system


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, with a profile folder of its own for the run."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def _room(system: OwnSystem, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Room:
    room = Room(system, chromium, pictures_folder(tmp_path_factory.mktemp("pictures")))
    wait_until(room.bot_answers, WITHIN_S, "the bot to answer")
    return room


@pytest.fixture
def room(_room: Room) -> Iterator[Room]:
    """The room, in which nothing is open; a complaint in a browser's console fails the test."""
    _room.resolve_all()
    _room.complaints.clear()
    yield _room
    _room.close_pages()
    complaints, _room.complaints = _room.complaints, []
    assert not complaints, "\n".join(complaints)
