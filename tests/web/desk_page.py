"""The desk as an agent uses it, in a real browser: what they press and what they see."""

from typing import TYPE_CHECKING, Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from tests.web.local import ACCOUNT, PASSWORD, LocalSystem

if TYPE_CHECKING:
    from tests.web.room import Room

LAPTOP = (1280, 800)
PHONE = (390, 844)
WITHIN_MS = 20_000


class DeskPage:
    """One tab with the desk.

    Args:
        context: the browser profile; tabs of one profile share it.
        local: the system.
        name: who logs in; empty leaves the log-in to the test.
    """

    def __init__(self, context: BrowserContext, local: LocalSystem, name: str = "alice") -> None:
        self.local = local
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.goto(f"{local.base}/desk")
        if name:
            self.log_in(name)

    def _on_console(self, message: ConsoleMessage) -> None:
        # a connection that a test cuts is reported by the browser itself
        lost = "net::ERR" in message.text or message.text.startswith("WebSocket connection to")
        if message.type in ("error", "warning") and not lost:
            self.complaints.append(f"{message.type}: {message.text}")

    def log_in(self, name: str, password: str = PASSWORD) -> None:
        """Fill the log-in and press Enter."""
        self.page.locator("#login-account").fill(ACCOUNT)
        self.page.locator("#login-name").fill(name)
        self.page.locator("#login-password").fill(password)
        self.page.keyboard.press("Enter")
        if password == PASSWORD:
            self.online()

    def online(self) -> None:
        """Wait until the page says that it is connected."""
        expect(self.page.locator(".connection.is-open")).to_be_visible(timeout=WITHIN_MS)

    def offline(self) -> None:
        """Wait until the page says that it is not."""
        expect(self.page.locator("body.is-offline")).to_be_attached(timeout=WITHIN_MS)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        """Type where the focus is."""
        self.page.keyboard.insert_text(text)

    def say(self, text: str) -> None:
        """Write into the field that has the focus, and press Enter."""
        expect(self.composer).to_be_focused(timeout=WITHIN_MS)
        self.type(text)
        self.press("Enter")

    def take(self) -> None:
        """Accept the first offer by its key, and stand in the answer."""
        expect(self.offers.first).to_be_visible(timeout=WITHIN_MS)
        offered = self.offers.count()
        self.press("Alt+a")
        # the answer to the conversation before may have the focus still
        expect(self.offers).to_have_count(offered - 1, timeout=WITHIN_MS)
        expect(self.composer).to_be_focused(timeout=WITHIN_MS)

    @property
    def offers(self) -> Locator:
        """The cards of what is offered."""
        return self.page.locator(".offer")

    @property
    def rows(self) -> Locator:
        """The rows of conversations on the desk."""
        return self.page.locator(".row:not(.is-left)")

    @property
    def left(self) -> Locator:
        """The rows of those that left it."""
        return self.page.locator(".row.is-left")

    @property
    def composer(self) -> Locator:
        """Where the agent writes."""
        return self.page.locator("textarea.compose")

    def messages(self) -> list[str]:
        """The texts of all messages in the document, in the order of the document."""
        return self.page.locator(".message .text").all_inner_texts()

    def sees(self, text: str) -> Locator:
        """Wait for a message of exactly this text."""
        found = self.page.locator(".message", has=self.page.locator(".text", has_text=text)).last
        expect(found).to_be_visible(timeout=WITHIN_MS)
        return found

    def model(self, expression: str, argument: Any = None) -> Any:
        """Ask the page what it knows: ``expression`` is of ``model`` and ``argument``."""
        script = f"async (argument) => {{ const {{ model }} = await import('/desk/main.js'); return {expression}; }}"
        return self.page.evaluate(script, argument)


def desk_of(room: "Room", name: str, locale: str = "en-US") -> DeskPage:
    """Open the desk of a demo user of a whole system, in a browser profile of its own."""
    desk = DeskPage(room.context(locale=locale), room, name="")  # type: ignore[arg-type]
    desk.log_in(name, room.passwords[name])
    desk.online()
    return desk


def profile(browser: Browser, size: tuple[int, int] = LAPTOP, *, scheme: str = "light", locale: str = "en-US") -> Any:
    """Make a browser profile of its own, as another person's."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
        locale=locale,
    )
    context.set_default_timeout(WITHIN_MS)
    return context
