"""The settings page in a real browser: what an admin changes there counts, is told, and can be taken back."""

import contextlib
import json
import os
import re
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, expect
from websockets.sync.client import connect

from cluster.store.administration import AdministrationStore
from models.administration.changes import Draft
from models.administration.sections import Skill
from models.domain.agent import User
from tests.gateway_client import Socket
from tests.waiting import wait_until
from tests.web.chat import Chat
from tests.web.desk_page import LAPTOP, PHONE, DeskPage, profile
from tests.web.local import ACCOUNT, PASSWORD, LocalSystem

WITHIN_S = 20.0
SECTIONS = ("users", "teams", "skills", "inboxes", "hours", "canned", "replies", "trail")
_GRAVE = ("serious", "critical", "moderate")


@pytest.fixture(scope="module")
def local() -> Iterator[LocalSystem]:
    config: dict[str, Any] = {"app_id": "wx1", "token": "hidden-token", "app_secret": "hidden-secret", "mode": "plain"}
    inboxes = {
        "demo-web": {"account": ACCOUNT, "channel": "web"},
        "wx": {"account": ACCOUNT, "channel": "wechat", **config},
    }
    with LocalSystem(inboxes=inboxes) as local:
        for name in ("olga", "pia"):
            local.do(local.directory.add(ACCOUNT, User(name=name, role="admin"), PASSWORD))
        yield local


class SettingsPage:
    """One tab with the settings page, as an admin uses it."""

    def __init__(self, context: BrowserContext, local: LocalSystem, name: str = "olga") -> None:
        self.local = local
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.goto(f"{local.base}/settings")
        if name:
            self.log_in(name)

    def _on_console(self, message: ConsoleMessage) -> None:
        # the browser reports each refusal that the page asked for and shows
        refused = "Failed to load resource" in message.text
        if message.type in ("error", "warning") and not refused:
            self.complaints.append(f"{message.type}: {message.text}")

    def log_in(self, name: str) -> None:
        self.page.locator("#login-account").fill(ACCOUNT)
        self.page.locator("#login-name").fill(name)
        self.page.locator("#login-password").fill(PASSWORD)
        self.page.keyboard.press("Enter")

    def go(self, section: str) -> None:
        self.page.locator(f'.section-link[href="#{section}"]').click()
        expect(self.page.locator(f'.section-link[href="#{section}"]')).to_have_attribute("aria-current", "page")

    def entry(self, name: str) -> Locator:
        return self.page.locator(f'.entry[data-entry="{name}"]')

    @property
    def dialog(self) -> Locator:
        return self.page.locator("dialog")

    def field(self, label: str) -> Locator:
        return self.dialog.get_by_label(label, exact=True)

    def new(self) -> None:
        self.page.locator(".section-head .button.primary").click()

    def save(self) -> None:
        self.dialog.get_by_role("button", name="Save", exact=True).click()

    def saved(self) -> None:
        expect(self.dialog).to_have_count(0)

    def tag(self, place: str, *names: str) -> None:
        """Put tags into the field of a place."""
        field = self.dialog.locator(f'[data-place="{place}"] input')
        for name in names:
            field.press_sequentially(name)
            field.press("Enter")

    @property
    def errors(self) -> Locator:
        return self.dialog.locator(".field-error:not(:empty)")


@pytest.fixture
def contexts(chromium: Browser) -> Iterator[list[BrowserContext]]:
    opened: list[BrowserContext] = []
    yield opened
    for context in opened:
        context.close()


@pytest.fixture
def visits() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.fixture
def admin(local: LocalSystem, chromium: Browser, contexts: list[BrowserContext]) -> Iterator[SettingsPage]:
    local.clear()
    contexts.append(profile(chromium))
    page = SettingsPage(contexts[-1], local)
    expect(page.entry("alice")).to_be_visible()
    yield page
    assert page.complaints == []


@contextlib.contextmanager
def visitor(local: LocalSystem) -> Iterator[Socket]:
    """Open a visit at the demo's inbox, as the widget does."""
    request = urllib.request.Request(
        f"{local.base}/v1/connect", json.dumps({"inbox": "demo-web"}).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        connected = json.load(answer)
    with connect(connected["gateway"]) as connection:
        socket = Socket(connection)
        socket.call("visit.open", token=connected["token"])
        yield socket


def said_of_inbox(local: LocalSystem) -> Any:
    return local.gateway.following.inbox(ACCOUNT, "demo-web")


def test_what_an_admin_says_of_an_inbox_decides_who_gets_the_next_conversation(
    admin: SettingsPage,
    local: LocalSystem,
    chromium: Browser,
    contexts: list[BrowserContext],
    visits: contextlib.ExitStack,
):
    contexts.append(profile(chromium))
    bob = DeskPage(contexts[-1], local, "bob")
    contexts.append(profile(chromium))
    alice = DeskPage(contexts[-1], local, "alice")
    before = visits.enter_context(visitor(local))
    admin.go("teams")
    admin.new()
    admin.field("Name").fill("night")
    admin.tag("members", "bob")
    admin.tag("skills", "vip")
    admin.save()
    admin.saved()
    expect(admin.entry("night")).to_contain_text("one member")
    admin.go("inboxes")
    expect(admin.entry("demo-web")).to_contain_text("as in the config file")
    admin.entry("demo-web").click()
    admin.field("Skill").fill("vip")
    admin.save()
    admin.saved()
    expect(admin.entry("demo-web")).to_contain_text("vip")
    wait_until(lambda: said_of_inbox(local) is not None, WITHIN_S, "the gateway to hear of it")
    # of a visit that was open before, too
    before.write("my parcel is lost")
    expect(bob.offers).to_have_count(1)
    visits.enter_context(visitor(local)).write("my parcel is lost as well")
    expect(bob.offers).to_have_count(2)
    expect(alice.offers).to_have_count(0)

    admin.page.locator(".toast").get_by_role("button", name="Undo").last.click()
    expect(admin.entry("demo-web")).to_contain_text("as in the config file")
    wait_until(lambda: said_of_inbox(local) is None, WITHIN_S, "the gateway to hear of the undoing")
    conversation = visits.enter_context(visitor(local)).write("hello")
    assert local.record(conversation).get("skill", "") == ""

    admin.go("trail")
    changes = admin.page.locator(".change")
    expect(changes.first).to_contain_text("olga took back a change of the inbox demo-web")
    expect(changes.nth(1)).to_contain_text("olga changed the inbox demo-web")
    expect(changes.nth(1).get_by_role("button")).to_be_disabled()
    expect(changes.nth(2)).to_contain_text("olga added the team night")
    changes.nth(2).get_by_role("button").click()
    expect(changes.first).to_contain_text("took back a change of the team night")
    admin.go("teams")
    expect(admin.entry("night")).to_have_count(0)
    assert bob.complaints == alice.complaints == []


def test_visitors_read_what_an_admin_says(
    admin: SettingsPage, local: LocalSystem, chromium: Browser, contexts: list[BrowserContext]
):
    admin.go("inboxes")
    admin.entry("demo-web").click()
    admin.field("Name shown").fill("Moon & Sons")
    admin.field("Greeting in English").fill("Good evening. <b>We</b> are here.")
    admin.save()
    admin.saved()
    following = local.ingress.state.following
    wait_until(lambda: following.inbox(ACCOUNT, "demo-web") is not None, WITHIN_S, "the ingress to hear of it")
    contexts.append(profile(chromium))
    page = contexts[-1].new_page()
    page.goto(f"{local.base}/demo")
    chat = Chat(page).open()
    expect(chat.widget.get_by_role("heading", name="Moon & Sons")).to_be_visible()
    expect(chat.log).to_contain_text("Good evening. <b>We</b> are here.")
    admin.entry("demo-web").click()
    admin.dialog.get_by_role("button", name="As in the config file").click()
    admin.saved()


def test_who_is_no_admin_sees_nothing(local: LocalSystem, chromium: Browser, contexts: list[BrowserContext]):
    for name in ("alice", "carol"):
        contexts.append(profile(chromium))
        page = SettingsPage(contexts[-1], local, name)
        expect(page.page.get_by_role("heading")).to_have_text("These pages are for admins")
        expect(page.page.locator(".entry")).to_have_count(0)
        assert page.complaints == []


def test_a_user_is_added_and_logs_in_and_is_kept_out(
    admin: SettingsPage, local: LocalSystem, chromium: Browser, contexts: list[BrowserContext]
):
    name = f"u{uuid.uuid4().hex[:6]}"
    admin.new()
    admin.field("Name").fill(name)
    admin.field("Password").fill("short")
    admin.save()
    expect(admin.errors).to_have_text("a password has 8 to 1024 characters")
    expect(admin.field("Password")).to_be_focused()
    admin.field("Password").fill(PASSWORD)
    admin.tag("skills", "orders")
    admin.save()
    admin.saved()
    contexts.append(profile(chromium))
    DeskPage(contexts[-1], local, name)
    admin.entry(name).click()
    admin.dialog.get_by_label("New password").fill("another horse")
    admin.dialog.get_by_role("button", name="Set password").click()
    admin.saved()
    assert local.do(local.directory.verify(ACCOUNT, name, PASSWORD)) is None
    admin.entry(name).click()
    admin.dialog.get_by_label("May log in").uncheck()
    admin.save()
    admin.saved()
    expect(admin.entry(name)).to_contain_text("may not log in")
    assert local.do(local.directory.verify(ACCOUNT, name, "another horse")) is None
    admin.go("trail")
    expect(admin.page.locator(".change").nth(1)).to_contain_text(f"olga set the password of the user {name}")
    assert "horse" not in admin.page.content()


def test_what_the_server_refuses_is_shown_at_its_field(admin: SettingsPage):
    admin.go("hours")
    admin.new()
    admin.field("Name").fill("main")
    admin.field("Tuesday").fill("9 to 5")
    admin.save()
    expect(admin.errors).to_have_text("Times look like 09:00-12:00, 13:30-18:00.")
    expect(admin.field("Tuesday")).to_be_focused()
    admin.field("Tuesday").fill("9:00-12:00, 11:00–17:00")
    admin.save()
    expect(admin.errors).to_have_text("after the time before it closes")
    expect(admin.field("Tuesday")).to_be_focused()
    expect(admin.field("Tuesday")).to_have_attribute("aria-invalid", "true")
    admin.field("Tuesday").fill("9:00-12:00, 13:00–17:00")
    admin.field("Time zone").fill("Mars/Olympus")
    admin.save()
    expect(admin.errors).to_contain_text("not a time zone")
    admin.field("Time zone").fill("Asia/Shanghai")
    for date, label in (("2026-12-31", "Stocktaking"), ("2026-12-25", "Holiday")):
        admin.dialog.get_by_role("button", name="Add a day").click()
        admin.dialog.get_by_label("Date").last.fill(date)
        admin.dialog.get_by_label("What it is").last.fill(label)
    admin.save()
    admin.saved()
    expect(admin.entry("main")).to_contain_text("Asia/Shanghai")
    expect(admin.entry("main")).to_contain_text("Tuesday 09:00-12:00, 13:00-17:00")
    admin.entry("main").click()
    assert admin.dialog.get_by_label("Date").first.input_value() == "2026-12-25"


def test_of_two_admins_the_second_is_told_and_chooses(admin: SettingsPage, local: LocalSystem):
    name = f"s{uuid.uuid4().hex[:6]}"
    store = AdministrationStore(local.redis, local.directory, lambda: 0.0)

    def theirs(before: str | None, after: str) -> None:
        known = None if before is None else Skill(description=before)
        draft = Draft(section="skills", name=name, before=known, after=Skill(description=after), by="pia")
        local.do(store.change(ACCOUNT, draft))

    theirs(None, "one")
    admin.page.reload()
    admin.go("skills")
    admin.entry(name).click()
    theirs("one", "two")
    admin.field("Description").fill("mine")
    admin.save()
    expect(admin.dialog.get_by_role("alert").filter(has_text="Somebody changed this")).to_be_visible()
    admin.dialog.get_by_role("button", name="Show what is there now").click()
    expect(admin.field("Description")).to_have_value("two")
    theirs("two", "three")
    admin.field("Description").fill("mine")
    admin.save()
    admin.dialog.get_by_role("button", name="Save mine over it").click()
    admin.saved()
    expect(admin.entry(name)).to_contain_text("mine")
    # the name of a new one is no quarrel
    admin.new()
    admin.field("Name").fill(name)
    admin.save()
    expect(admin.dialog.get_by_role("alert").filter(has_text="There is one of this name already")).to_be_visible()
    expect(admin.dialog.get_by_role("button", name="Save mine over it")).to_have_count(0)


def test_a_change_that_was_changed_since_is_not_taken_back(admin: SettingsPage, local: LocalSystem):
    admin.go("canned")
    admin.new()
    admin.field("Name").fill("/hello")
    admin.field("Text").fill("Hello!")
    admin.save()
    admin.saved()
    expect(admin.entry("hello")).to_be_visible()
    local.can("hello", "Good day!")
    admin.page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(admin.page.get_by_role("alert").filter(has_text="changed since")).to_be_visible()
    admin.page.reload()
    expect(admin.entry("hello")).to_contain_text("Good day!")


def test_the_bots_answers_are_changed_and_are_as_shipped_again(admin: SettingsPage):
    admin.go("replies")
    row = admin.page.locator(".entry", has_text="as shipped").filter(has_text="English").filter(has_text="wordings")
    name = row.first.get_attribute("data-entry")
    assert name
    admin.entry(name).click()
    areas = admin.dialog.locator("textarea")
    first = areas.first.input_value()
    areas.first.fill("Only with {nothing}.")
    admin.save()
    expect(admin.errors).to_contain_text("which is none of")
    areas.first.fill("Ask the owl about {order_number}.")
    admin.save()
    admin.saved()
    expect(admin.entry(name)).to_contain_text("Ask the owl")
    expect(admin.entry(name)).to_contain_text("changed here")
    admin.entry(name).click()
    admin.dialog.get_by_role("button", name="As shipped").click()
    admin.saved()
    expect(admin.entry(name)).to_contain_text(first[:40])


def test_a_vendors_inbox_is_shown_without_its_secrets(admin: SettingsPage):
    admin.go("inboxes")
    admin.entry("wx").click()
    expect(admin.dialog).to_contain_text("AppSecret")
    expect(admin.dialog).to_contain_text("set")
    expect(admin.dialog.locator("form")).to_have_count(0)
    assert "hidden-" not in admin.page.content()


def test_hostile_names_stay_text(admin: SettingsPage):
    admin.go("skills")
    admin.new()
    admin.field("Name").fill("<img src=x onerror=alert(1)>")
    admin.field("Description").fill("\u202e</li><script>alert(1)</script>")
    admin.save()
    admin.saved()
    expect(admin.page.locator(".entry-name", has_text="<img src=x onerror=alert(1)>")).to_be_visible()
    assert admin.page.locator(".section-body img, .section-body script").count() == 0
    admin.go("trail")
    expect(admin.page.locator(".change").first).to_contain_text("<img src=x")
    assert admin.page.locator(".section-body img, .section-body script").count() == 0


def test_everything_by_keyboard(admin: SettingsPage):
    press = admin.page.keyboard.press

    def until_focused(found: Locator) -> None:
        for _ in range(60):
            if found.count() and found.first.evaluate("(each) => each.matches(':focus')"):
                return
            press("Tab")
        raise AssertionError("not reached by Tab")

    admin.page.locator("body").click(position={"x": 2, "y": 400})
    until_focused(admin.page.locator('.section-link[href="#canned"]'))
    press("Enter")
    expect(admin.page.get_by_role("heading", name="Canned answers")).to_be_focused()
    until_focused(admin.page.locator(".section-head .button.primary"))
    press("Enter")
    expect(admin.field("Name")).to_be_focused()
    admin.page.keyboard.type("keys")
    press("Tab")
    admin.page.keyboard.type("By keyboard.")
    until_focused(admin.dialog.get_by_role("button", name="Save"))
    press("Enter")
    admin.saved()
    expect(admin.entry("keys")).to_be_visible()
    until_focused(admin.entry("keys"))
    press("Enter")
    expect(admin.dialog).to_be_visible()
    press("Escape")
    expect(admin.entry("keys")).to_be_focused()


def test_both_languages_have_every_word(admin: SettingsPage):
    script = """async () => {
        const { DICTIONARIES: { en, zh } } = await import('/settings/words.js');
        const other = (one, two) => Object.keys(one).filter((key) => !(key in two));
        return [...other(en, zh), ...other(zh, en)];
    }"""
    assert admin.page.evaluate(script) == []
    admin.page.get_by_label("Language").select_option("zh")
    for section in SECTIONS:
        admin.go(section)
        expect(admin.page.get_by_role("heading", level=1)).to_have_text(re.compile(r"^[\u4e00-\u9fff]+$"))


def test_the_policy_of_the_page_is_strict(local: LocalSystem):
    with urllib.request.urlopen(f"{local.base}/settings") as answer:
        policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_axe_finds_nothing(
    local: LocalSystem, chromium: Browser, contexts: list[BrowserContext], scheme: str, size: tuple[int, int]
):
    # the policy of the page keeps axe out, as it should keep everybody out
    viewport = {"width": size[0], "height": size[1]}
    contexts.append(chromium.new_context(viewport=viewport, color_scheme=scheme, bypass_csp=True, locale="en-US"))  # type: ignore[arg-type]
    page = SettingsPage(contexts[-1], local)
    expect(page.entry("alice")).to_be_visible()
    for section in SECTIONS:
        page.go(section)
        if section != "trail":
            expect(page.page.locator(".entry, .nothing-here").first).to_be_visible()
        assert findings(page) == [], section
        _picture(page, f"{section}-{scheme}-{size[0]}")
        if section not in ("trail", "inboxes", "replies"):
            page.new()
        elif section != "trail":
            page.page.locator(".entry").first.click()
        if section != "trail":
            expect(page.dialog).to_be_visible()
            assert findings(page) == [], f"the form of {section}"
            _picture(page, f"{section}-form-{scheme}-{size[0]}")
            page.page.keyboard.press("Escape")


def findings(page: SettingsPage) -> list[str]:
    violations = Axe().run(page.page).response["violations"]
    return [
        f"{each['impact']} {each['id']}: {node['html'][:160]}"
        for each in violations
        if each["impact"] in _GRAVE
        for node in each["nodes"]
    ]


def _picture(page: SettingsPage, name: str) -> None:
    folder = os.environ.get("PICTURES")
    if folder:
        page.page.screenshot(path=str(Path(folder) / f"{name}.png"))
