"""The board as a supervisor uses it, in a real browser."""

from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, expect

from tests.web.desk_page import WITHIN_MS
from tests.web.local import ACCOUNT, PASSWORD, LocalSystem


class BoardPage:
    """One tab with the board.

    Args:
        context: the browser profile.
        local: the system.
        name: who logs in; empty leaves the log-in to the test.
    """

    def __init__(self, context: BrowserContext, local: LocalSystem, name: str = "carol") -> None:
        self.local = local
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.goto(f"{local.base}/board")
        if name:
            self.log_in(name)
            self.fresh()

    def _on_console(self, message: ConsoleMessage) -> None:
        # what the browser itself says of a request that a test has fail
        expected = "net::ERR" in message.text or "status of 403" in message.text
        if message.type in ("error", "warning") and not expected:
            self.complaints.append(f"{message.type}: {message.text}")

    def log_in(self, name: str) -> None:
        """Fill the log-in and press Enter."""
        self.page.locator("#login-account").fill(ACCOUNT)
        self.page.locator("#login-name").fill(name)
        self.page.locator("#login-password").fill(PASSWORD)
        self.page.keyboard.press("Enter")

    def fresh(self) -> None:
        """Wait until the page says that its numbers are of now."""
        expect(self.page.locator(".connection.is-open")).to_be_visible(timeout=WITHIN_MS)

    def tile(self, name: str) -> Locator:
        """One of the numbers on top."""
        return self.page.locator(f"rd-live .tile-{name} .tile-value")

    @property
    def cases(self) -> Locator:
        """The rows of conversations."""
        return self.page.locator(".case-row")

    @property
    def case(self) -> Locator:
        """The conversation that is listened to."""
        return self.page.locator(".case-panel")

    def said(self) -> list[str]:
        """What is heard in it, in order."""
        return self.case.locator(".said-text").all_inner_texts()

    def model(self, expression: str) -> Any:
        """Ask the page what it knows: ``expression`` is of ``model``."""
        return self.page.evaluate(
            f"async () => {{ const {{ model }} = await import('/board/main.js'); return {expression}; }}"
        )
