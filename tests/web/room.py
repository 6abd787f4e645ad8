"""What the tests of the pages stand on: one system with the demo account and the bot, one Chromium, clean pages."""

import os
import re
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page
from websockets.sync.client import connect

from cluster.store import keys
from deployments.commands.demo import ACCOUNT, INBOX, load_demo
from deployments.commands.own_system import OwnSystem
from tests.gateway_client import Socket, said_by
from tests.waiting import wait_until

#: Of a 2-core machine that runs the system and the browser at once.
WITHIN_S = 30.0
LAPTOP = (1280, 800)
PHONE = (390, 844)
#: What the browser itself prints when a connection is lost; tests that cut connections expect it.
LOST_CONNECTION = re.compile(r"WebSocket connection to|Failed to load resource: net::ERR_|ERR_INTERNET_DISCONNECTED")


class Room:
    """One system, one browser, and the pages that a test opened.

    Args:
        system: it runs, with the demo account.
        browser: Chromium.
        pictures: the folder for screenshots.
    """

    def __init__(self, system: OwnSystem, browser: Browser, pictures: Path) -> None:
        self.system = system
        self.browser = browser
        self.pictures = pictures
        self.complaints: list[str] = []
        self._contexts: list[BrowserContext] = []
        self._sockets = ExitStack()
        demo = load_demo(system.settings.store.data_dir)
        self.passwords = demo.passwords
        self.vouch_secret = demo.vouch_secret

    @property
    def base(self) -> str:
        """Where the pages are."""
        return self.system.base

    # -- pages ----------------------------------------------------------------------------------------

    def context(
        self, size: tuple[int, int] = LAPTOP, *, scheme: str = "light", locale: str = "en-US", **more: Any
    ) -> BrowserContext:
        """Make a browser profile of its own, as another person's; closed after the test."""
        context = self.browser.new_context(
            base_url=self.base,
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,  # type: ignore[arg-type]
            locale=locale,
            **more,
        )
        context.set_default_timeout(WITHIN_S * 1000)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error.stack or error.error}"))
        self._contexts.append(context)
        return context

    def page(self, path: str, size: tuple[int, int] = LAPTOP, **more: Any) -> Page:
        """Open a page in a profile of its own; ``more`` as for `context`."""
        page = self.context(size, **more).new_page()
        page.goto(path)
        return page

    def picture(self, page: Page, name: str) -> Path:
        """Keep what a page shows as ``<name>.png``."""
        path = self.pictures / f"{name}.png"
        page.screenshot(path=path)
        return path

    def expect_complaints(self, pattern: re.Pattern[str]) -> None:
        """Forget what the browsers complained of, as far as it is what a test brought about."""
        self.complaints = [each for each in self.complaints if not pattern.search(each)]

    def close_pages(self) -> None:
        """Close what the test opened."""
        for context in self._contexts:
            context.close()
        self._contexts.clear()
        self._sockets.close()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    # -- the system -----------------------------------------------------------------------------------

    def login(self, name: str = "alice") -> str:
        """Return a token of a demo user."""
        body = {"account": ACCOUNT, "name": name, "password": self.passwords[name]}
        return httpx.post(f"{self.base}/v1/login", json=body).raise_for_status().json()["token"]

    def rpc(self, method: str, name: str = "alice", **params: Any) -> Any:
        """Call a method of a desk as a demo user; returns its result."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {"Authorization": f"Bearer {self.login(name)}"}
        answer = httpx.post(f"{self.base}/rpc", json=body, headers=headers).raise_for_status().json()
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def say(self, conversation: str, text: str, name: str = "alice") -> dict[str, Any]:
        """Answer in a conversation as a demo user; returns the receipt."""
        return self.rpc("message.send", name, conversation=conversation, client_id=uuid.uuid4().hex, text=text)

    def desk_socket(self, name: str = "alice") -> Socket:
        """Open a desk without a browser, which gets what waits; closed after the test."""
        token = self.login(name)
        headers = {"Authorization": f"Bearer {token}"}
        seat = httpx.post(f"{self.base}/v1/connect", headers=headers).raise_for_status().json()
        socket = Socket(self._sockets.enter_context(connect(seat["gateway"])))
        socket.call("desk.open", token=token, presence="online")
        return socket

    def open_conversations(self) -> list[str]:
        """List all conversations of the demo account that are not resolved."""
        with self.system.store() as store:
            waiting = store.zrange(keys.waiting(ACCOUNT), 0, -1)
            with_bot = store.zrange(keys.bot(ACCOUNT), 0, -1)
            snoozed = store.zrange(keys.snoozed(ACCOUNT), 0, -1)
            held = store.hkeys(keys.held(ACCOUNT))
        found = [*waiting, *with_bot, *snoozed, *held]  # type: ignore[misc]
        return sorted({name.decode() for name in found})

    def rating(self) -> int:
        """Return the rating of the conversation that was opened last."""
        with self.system.store() as store:
            names = list(store.scan_iter(keys.conversation(ACCOUNT, "*")))
            records = [msgspec.json.decode(data) for data in store.mget(names) if data]  # type: ignore[union-attr]
        return max(records, key=lambda record: record["opened_at_ms"]).get("rating", 0)

    def resolve_all(self) -> None:
        """Resolve every open conversation, so that no test meets those of another."""
        if not (names := self.open_conversations()):
            return
        headers = {"Authorization": f"Bearer {self.login('carol')}"}
        for name in names:
            call = {"jsonrpc": "2.0", "id": 1, "method": "conversation.resolve", "params": {"conversation": name}}
            httpx.post(f"{self.base}/rpc", json=call, headers=headers).raise_for_status()
        wait_until(lambda: not self.open_conversations(), WITHIN_S, "all conversations to be resolved")

    def bot_answers(self) -> bool:
        """Tell whether the routers have found the model: the first questions after a start go to humans."""
        visit = httpx.post(f"{self.base}/v1/connect", json={"inbox": INBOX}).raise_for_status().json()
        with connect(visit["gateway"]) as connection:
            socket = Socket(connection, within_s=3.0)
            socket.call("visit.open", token=visit["token"])
            socket.write("Where is my parcel?")
            try:
                socket.until(said_by("bot"))
            except TimeoutError:
                return False
            return True


def pictures_folder(fallback: Path) -> Path:
    """Return where screenshots go: the folder that ``SCREENSHOTS`` names, else ``fallback``."""
    folder = Path(os.environ["SCREENSHOTS"]) if os.environ.get("SCREENSHOTS") else fallback
    folder.mkdir(parents=True, exist_ok=True)
    return folder
