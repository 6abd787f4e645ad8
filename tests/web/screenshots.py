"""The pictures of the documents, made anew: the real system, real pages, and people who talk.

    python -m tests.web.screenshots docs/pictures

Each picture is of what the pages show at that moment; a page that is added gets a function in `PICTURES`.
"""

import shutil
import sys
import tempfile
from base64 import b64decode
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Locator, Page, expect, sync_playwright
from websockets.sync.client import connect

from deployments.commands.demo import ACCOUNT, INBOX
from deployments.commands.own_system import OwnSystem
from tests.gateway_client import Socket, said_by
from tests.waiting import wait_until
from tests.web.chat import Chat
from tests.web.conftest import FLAGS
from tests.web.desk_page import DeskPage, desk_of
from tests.web.room import LAPTOP, PHONE, WITHIN_S, Room
from tests.web.test_widget_hours import Opening

MOST_BYTES = 150_000
#: Of WebP, from 0 to 100: letters stay sharp.
_QUALITY = 90
_SETTLED_MS = 400
_CONFIG = {"intent": {"enabled": True}, "bot": {"enabled": True}, "dispatcher": {"offer_timeout_s": 120.0}}
#: Who else writes: what they ask, and whether Alice takes it.
_OTHERS = (
    ("The cup arrived broken, the handle is off. Can I get another one?", True),
    ("怎么申请退货？订单号 2024110755310", True),
    ("Can I still change the address of order 2024118801177?", True),
    ("Do you ship to Portugal, and what does it cost?", False),
)


class Stage:
    """One system with people who talk in it.

    Args:
        room: the system and the browser.
        stack: closes what is open at the end.
    """

    def __init__(self, room: Room, stack: ExitStack) -> None:
        self.room = room
        self._stack = stack
        self.desk: DeskPage = desk_of(room, "alice")
        self.chat = Chat(room.page("/demo"))

    def play(self) -> None:
        """Have the conversations that the pictures show."""
        chat, desk = self.chat, self.desk
        chat.open()
        chat.page.get_by_role("button", name="Log in as Mei").click()
        expect(chat.page.get_by_role("button", name="Mei Lin")).to_be_visible()
        chat.chip("Where is my parcel?").click()
        expect(chat.theirs).to_have_count(1)
        chat.chip("Talk to a person").click()
        desk.take()
        desk.say("Good morning Mei, this is Alice. May I have the order number?")
        expect(chat.theirs).to_have_count(3)
        chat.write("Of course: 2024118899231. It was due on Friday.")
        desk.sees("It was due on Friday")
        for text, taken in _OTHERS:
            self._visitor(text)
            if taken:
                desk.take()
                desk.press("Escape")
        self._show("due on Friday")
        desk.press("Alt+r")
        desk.say("It left our depot this morning and comes tomorrow: https://shop.example/t/SF1402")
        expect(chat.said("It left our depot")).to_be_visible()
        chat.write("Great, thank you!")
        desk.sees("Great, thank you!")
        expect(chat.log.locator(".foot.own").last).to_contain_text("Read")

    def picture(self, page: Page, name: str, part: Locator | None = None) -> None:
        """Keep what a page shows, or a part of it, as ``<name>.webp``."""
        # what has just changed may still move
        page.wait_for_timeout(_SETTLED_MS)
        options: dict[str, Any] = {"format": "webp", "quality": _QUALITY}
        if part is not None and (box := part.bounding_box()) is not None:
            options["clip"] = {**box, "scale": 1}
        session = page.context.new_cdp_session(page)
        found = session.send("Page.captureScreenshot", options)
        session.detach()
        (self.room.pictures / f"{name}.webp").write_bytes(b64decode(found["data"]))

    def _visitor(self, text: str) -> None:
        """Have somebody ask, and then ask for a person."""
        visit = httpx.post(f"{self.room.base}/v1/connect", json={"inbox": INBOX}).raise_for_status().json()
        socket = Socket(self._stack.enter_context(connect(visit["gateway"])))
        socket.call("visit.open", token=visit["token"])
        socket.write(text)
        socket.until(said_by("bot"))
        if socket.call("visit.place")["state"] == "bot":
            socket.write("转人工" if text > "一" else "I want to talk to a person")

    def _show(self, text: str) -> None:
        self.desk.rows.filter(has_text=text).click()
        self.desk.sees(text)


def desk(stage: Stage) -> None:
    """Take the desk in light and dark, in Chinese, and on a phone."""
    page = stage.desk.page
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        stage.picture(page, f"desk-{scheme}")
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    page.emulate_media(color_scheme="light")
    stage.picture(page, "desk-phone")
    page.set_viewport_size({"width": LAPTOP[0], "height": LAPTOP[1]})
    chinese = desk_of(stage.room, "alice", "zh-CN")
    chinese.rows.filter(has_text="Great, thank you!").click()
    chinese.sees("Great, thank you!")
    stage.picture(chinese.page, "desk-zh")


def board(stage: Stage) -> None:
    """Take the supervisors' board in light and dark."""
    page = stage.room.page("/board")
    for field, value in (("account", ACCOUNT), ("name", "carol"), ("password", stage.room.passwords["carol"])):
        page.locator(f"#login-{field}").fill(value)
    page.keyboard.press("Enter")
    expect(page.locator(".connection.is-open")).to_be_visible()
    expect(page.locator(".case-row").first).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        stage.picture(page, f"board-{scheme}")


def widget(stage: Stage) -> None:
    """Take the widget in light and dark on the shop's page, in Chinese, and each of its cards."""
    page = stage.chat.page
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        stage.picture(page, f"widget-{scheme}")
    chinese = Chat(stage.room.page("/demo", locale="zh-CN")).open()
    chinese.chip("怎么申请退货").click()
    expect(chinese.theirs).to_have_count(1)
    stage.picture(chinese.page, "widget-zh", chinese.panel)
    waiting = Chat(stage.room.page("/demo", PHONE)).open()
    waiting.chip("Talk to a person").click()
    expect(waiting.widget.locator(".queue")).to_be_visible()
    stage.picture(waiting.page, "widget-phone")


def widget_off_hours(stage: Stage) -> None:
    """Take the widget while nobody is there."""
    opening = Opening(stage.room)
    opening.closed_until((datetime.now(UTC) + timedelta(days=2)).replace(hour=9, minute=0))
    chat = Chat(stage.room.page("/demo", timezone_id="UTC")).open()
    chat.chip("When do I get my refund?").click()
    expect(chat.theirs).to_have_count(1)
    chat.chip("Leave a message").click()
    expect(chat.widget.get_by_label("Name")).to_be_focused()
    stage.picture(chat.page, "widget-off-hours", chat.panel)
    opening.forget()


def widget_rating(stage: Stage) -> None:
    """Take the widget after the end."""
    chat = stage.chat
    chat.page.emulate_media(color_scheme="light")
    conversation = stage.desk.model("model.selected")
    stage.room.rpc("conversation.resolve", "carol", conversation=conversation)
    expect(chat.widget.locator(".stars")).to_be_visible()
    chat.widget.get_by_role("radio").nth(3).click()
    stage.picture(chat.page, "widget-rating", chat.panel)


PICTURES: tuple[Callable[[Stage], None], ...] = (desk, board, widget, widget_off_hours, widget_rating)


def take(folder: Path) -> None:
    """Make all pictures.

    Raises:
        SystemExit: there is no Chromium, or a picture is too large for a document.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        sys.exit("no Chromium here; on Debian: apt-get install chromium fonts-noto-cjk")
    folder.mkdir(parents=True, exist_ok=True)
    with OwnSystem(_CONFIG, "--demo") as system, sync_playwright() as playwright, ExitStack() as stack:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        stack.callback(browser.close)
        made = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        room = Room(system, browser, made)
        wait_until(room.bot_answers, WITHIN_S, "the bot to answer")
        room.resolve_all()
        stage = Stage(room, stack)
        stage.play()
        for picture in PICTURES:
            picture(stage)
        room.close_pages()
        for each in sorted(made.glob("*.webp")):
            if each.stat().st_size > MOST_BYTES:
                sys.exit(f"{each.name} has {each.stat().st_size} bytes; {MOST_BYTES} are allowed")
            shutil.copy(each, folder / each.name)
            sys.stdout.write(f"{each.name}: {each.stat().st_size / 1_000:.0f} kB\n")


if __name__ == "__main__":
    take(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures"))
