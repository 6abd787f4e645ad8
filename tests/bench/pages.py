"""From the visitor's Enter to the paint of the desk, and back: two pages in one Chromium, the whole system beside it.

    python -m tests.bench.pages

Prints percentiles; asserts nothing about time.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from deployments.commands.own_system import OwnSystem
from tests.web.chat import Chat
from tests.web.conftest import FLAGS
from tests.web.desk_page import DeskPage
from tests.web.room import Room

ROUNDS = 100
_PAUSE_MS = 150
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


def main() -> None:
    """Measure both ways."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        sys.exit("no Chromium here; on Debian: apt-get install chromium")
    with OwnSystem({}, "--demo") as system, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        room = Room(system, browser, Path(tempfile.gettempdir()))
        desk = DeskPage(room.context(), room, name="")  # type: ignore[arg-type]
        desk.log_in("alice", room.passwords["alice"])
        desk.online()
        page = room.page("/demo")
        chat = Chat(page).open()
        chat.write("hello")
        desk.take()
        desk.say("good day")
        chat.said("good day").wait_for()
        chat.input.focus()
        tell("visitor's Enter to desk's paint", measure(page, desk.page, "to desk", ".message .text"))
        desk.composer.focus()
        tell("agent's Enter to visitor's paint", measure(desk.page, page, "to visitor", ".message .text"))
        room.close_pages()
        browser.close()


if __name__ == "__main__":
    main()
