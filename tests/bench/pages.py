"""From the visitor's Enter to the paint of the desk, and back: two pages in one Chromium, the whole system beside it.

Bot and intent model run, and another visitor asks the bot something twice a second meanwhile.

    python -m tests.bench.pages

Prints percentiles; asserts nothing about time.
"""

import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from deployments.commands.own_system import OwnSystem
from tests.waiting import wait_until
from tests.web.chat import Chat
from tests.web.conftest import FLAGS
from tests.web.desk_page import DeskPage
from tests.web.room import WITHIN_S, Room

ROUNDS = 100
_PAUSE_MS = 150
_ASK_EVERY_S = 0.5
_CONFIG = {"intent": {"enabled": True}, "bot": {"enabled": True}}
#: Notes when a text that begins with the mark was painted: after the frame that first has it.
_WATCH = """({ mark, selector }) => {
    window.painted = {};
    const roots = [document, ...[...document.querySelectorAll("*")].map((each) => each.shadowRoot).filter(Boolean)];
    const look = () => {
        for (const root of roots) {
            for (const each of root.querySelectorAll(selector)) {
                const text = each.textContent;
                if (!text.startsWith(mark) || window.painted[text]) continue;
                window.painted[text] = Infinity;
                requestAnimationFrame(() => setTimeout(() => {
                    window.painted[text] = performance.timeOrigin + performance.now();
                }));
            }
        }
    };
    for (const root of roots) {
        new MutationObserver(look).observe(root, { subtree: true, childList: true, characterData: true });
    }
}"""
_ENTER = """() => {
    window.entered = [];
    addEventListener("keydown", (event) => {
        if (event.key === "Enter") window.entered.push(performance.timeOrigin + performance.now());
    }, true);
}"""


def measure(writer: Page, reader: Page, mark: str, selector: str) -> list[float]:
    """Write ``ROUNDS`` texts where the focus of ``writer`` is; returns the milliseconds until each was painted."""
    reader.evaluate(_WATCH, {"mark": mark, "selector": selector})
    writer.evaluate(_ENTER)
    for number in range(ROUNDS):
        text = f"{mark} {number}"
        writer.keyboard.insert_text(text)
        writer.keyboard.press("Enter")
        reader.wait_for_function("(text) => window.painted[text] < Infinity", arg=text)
        writer.wait_for_timeout(_PAUSE_MS)
    entered = writer.evaluate("window.entered")
    painted = reader.evaluate("window.painted")
    return sorted(painted[f"{mark} {number}"] - entered[number] for number in range(ROUNDS))


def tell(what: str, took_ms: list[float]) -> None:
    """Print the percentiles of one way."""
    at = {share: took_ms[min(len(took_ms) - 1, int(len(took_ms) * share / 100))] for share in (50, 95, 99)}
    print(f"{what}: p50 {at[50]:.0f} ms, p95 {at[95]:.0f} ms, p99 {at[99]:.0f} ms ({len(took_ms)} messages)")


@contextmanager
def asking_the_bot(room: Room) -> Iterator[list[bool]]:
    """Have other visitors ask the bot, one after the other; gives whether it answered, for each."""
    asked: list[bool] = []
    stopped = threading.Event()

    def go_on_asking() -> None:
        while not stopped.wait(_ASK_EVERY_S):
            asked.append(room.bot_answers())

    asking = threading.Thread(target=go_on_asking)
    asking.start()
    try:
        yield asked
    finally:
        stopped.set()
        asking.join()


def main() -> None:
    """Measure both ways."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        sys.exit("no Chromium here; on Debian: apt-get install chromium")
    with OwnSystem(_CONFIG, "--demo") as system, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        room = Room(system, browser, Path(tempfile.gettempdir()))
        desk = DeskPage(room.context(), room, name="")  # type: ignore[arg-type]
        desk.log_in("alice", room.passwords["alice"])
        desk.online()
        page = room.page("/demo")
        chat = Chat(page).open()
        wait_until(room.bot_answers, WITHIN_S, "the bot to answer")
        room.resolve_all()
        chat.chip("Where is my parcel?").click()
        chat.theirs.first.wait_for()
        chat.chip("Talk to a person").click()
        desk.take()
        desk.say("good day")
        chat.said("good day").wait_for()
        with asking_the_bot(room) as asked:
            chat.input.focus()
            tell("visitor's Enter to desk's paint", measure(page, desk.page, "to desk", ".message .text"))
            desk.composer.focus()
            tell("agent's Enter to visitor's paint", measure(desk.page, page, "to visitor", ".message .text"))
        print(f"meanwhile the bot was asked {len(asked)} times and answered {asked.count(True)}")
        room.close_pages()
        browser.close()


if __name__ == "__main__":
    main()
