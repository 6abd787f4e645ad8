"""Measure the desk in Chromium: from a visitor's word to its paint, opening a conversation, scrolling, memory.

``python -m tests.bench.desk_page`` prints a table; names behind it choose some of its parts. Store, gateway,
dispatcher, router core and ingress are real and run in this one process (`tests/web/local.py`), beside the browser on
the same machine; without Ray, so without its calls.
"""

import json
import shutil
import statistics
import sys
import time
from collections.abc import Sequence

import httpx
from playwright.sync_api import Browser, CDPSession, sync_playwright
from websockets.sync.client import connect

from tests.waiting import wait_until
from tests.web.conftest import FLAGS
from tests.web.desk_page import DeskPage, profile
from tests.web.local import LocalSystem

MESSAGES = 300
CONVERSATIONS = 200
LONG = 10_000
CAPACITY = 1_000
_PAINTED = """async () => {
    const { model } = await import("/desk/main.js");
    globalThis.painted = [];
    model.on("case", () => requestAnimationFrame(() => setTimeout(() => {
        const message = model.current?.messages.at(-1);
        if (message && !globalThis.painted[message.seq]) {
            globalThis.painted[message.seq] = [message.text, performance.timeOrigin + performance.now()];
        }
    })));
}"""
_OPEN_ALL = """async ([ids, preloaded]) => {
    const { model } = await import("/desk/main.js");
    const took = [];
    for (const id of ids) {
        if (!preloaded) model.case(id).messages = [];
        const start = performance.now();
        model.select(id);
        const shown = () => document.querySelector(".timeline .message");
        while (!shown() || !model.case(id).messages.length) await new Promise((resolve) => setTimeout(resolve));
        await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
        took.push(performance.now() - start);
        model.select("");
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return took;
}"""
_SCROLL = """async (seconds) => {
    const scroller = document.querySelector(".timeline");
    const gaps = [];
    let last = 0, direction = -1;
    const end = performance.now() + seconds * 1000;
    await new Promise((resolve) => {
        const step = (now) => {
            if (last) gaps.push(now - last);
            last = now;
            scroller.scrollTop += direction * 240;
            if (scroller.scrollTop < 500) direction = 1;
            if (now < end) requestAnimationFrame(step);
            else resolve();
        };
        requestAnimationFrame(step);
    });
    return gaps;
}"""


def main() -> None:
    """Measure all and print it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with LocalSystem(capacity=CAPACITY) as local, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        for measure in (from_word_to_paint, opening, scrolling, memory):
            if sys.argv[1:] and measure.__name__ not in sys.argv[1:]:
                continue
            local.clear()
            measure(local, browser)
        browser.close()


def show(what: str, values: Sequence[float], unit: str = "ms") -> None:
    """Print how a quantity is spread."""
    parts = statistics.quantiles(values, n=100, method="inclusive")
    print(f"{what:<52} p50 {parts[49]:7.1f}  p95 {parts[94]:7.1f}  max {max(values):7.1f} {unit}  n={len(values)}")


def from_word_to_paint(local: LocalSystem, browser: Browser) -> None:
    """Send from a visitor's socket, and look when the desk has painted it."""
    context = profile(browser)
    desk = DeskPage(context, local)
    shown = httpx.post(f"{local.base}/v1/connect", json={"inbox": "demo-web"}).raise_for_status().json()
    with connect(shown["gateway"], legacy=True) as visitor:
        _call(visitor, "visit.open", token=shown["token"])
        _call(visitor, "message.send", client_id="first", text="hello")
        desk.take()
        desk.page.evaluate(_PAINTED)
        sent: dict[str, float] = {}
        for number in range(MESSAGES):
            text = f"message {number}"
            sent[text] = time.time() * 1000
            _call(visitor, "message.send", client_id=text, text=text)
            time.sleep(0.03)
        desk.sees(f"message {MESSAGES - 1}")
        painted = desk.page.evaluate("globalThis.painted.filter(Boolean)")
    show("visitor's frame sent to desk painted", [at - sent[text] for text, at in painted if text in sent])
    context.close()


def _call(visitor, method: str, **params: object) -> dict:
    visitor.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    while "id" not in (frame := json.loads(visitor.recv(timeout=20))):
        pass
    return frame["result"]


def opening(local: LocalSystem, browser: Browser) -> None:
    """Open conversations whose context came with the offer, and such whose context must be fetched."""
    context = profile(browser)
    desk = DeskPage(context, local)
    ids = _take_many(local, desk, CONVERSATIONS)
    for preloaded in (True, False):
        took = desk.page.evaluate(_OPEN_ALL, [ids[:100], preloaded])
        show(f"opening to paint, context {'preloaded' if preloaded else 'fetched'}", took)
    context.close()


def _take_many(local: LocalSystem, desk: DeskPage, count: int) -> list[str]:
    lines = [(f"bench-{time.time()}-{number}", "Where is my order?") for number in range(count)]
    ids = local.write_many(lines)
    wait_until(lambda: desk.model("model.offers().length") == count, 60, "all offers")
    desk.model("(async () => { for (const id of argument) await model.accept(id); })()", ids)
    return ids


def scrolling(local: LocalSystem, browser: Browser) -> None:
    """Scroll through a conversation of 10,000 messages, all of them read."""
    context = profile(browser)
    desk = DeskPage(context, local)
    local.write("long", "hello")
    desk.take()
    local.write_many([("long", f"message {number} " + "word " * (number % 40)) for number in range(1, LONG)])
    wait_until(lambda: desk.model("model.current.newestSeq") == LONG, 60, "all messages")
    desk.model("(async () => { while (model.current.more) await model.loadOlder(model.selected, 200); })()")
    assert desk.model("model.current.messages.length") == LONG
    gaps = desk.page.evaluate(_SCROLL, 6)
    rows = desk.page.locator(".timeline .virtual-row").count()
    show(f"frames of a scroll over {LONG:,} messages", gaps)
    print(f"{'':<52} {1000 / statistics.mean(gaps):.1f} frames/s, {rows} rows in the document")
    context.close()


def memory(local: LocalSystem, browser: Browser) -> None:
    """Compare the heap before and after 2,000 messages in 20 conversations, and after these are resolved."""
    context = profile(browser)
    desk = DeskPage(context, local)
    ids = _take_many(local, desk, 20)
    client = context.new_cdp_session(desk.page)
    before = _heap(client)
    contacts = [local.record(each)["threads"][0]["external_id"] for each in ids]
    local.write_many([(contacts[number % 20], f"message {number}") for number in range(2_000)])
    desk.page.wait_for_timeout(1_500)
    after = _heap(client)
    for conversation in ids:
        desk.model("model.line.call('conversation.resolve', { conversation: argument })", conversation)
    desk.page.wait_for_timeout(500)
    resolved = _heap(client)
    print(f"heap: {before:.1f} MB before, {after:.1f} MB with 2,000 messages more, {resolved:.1f} MB when resolved")
    context.close()


def _heap(client: CDPSession) -> float:
    client.send("HeapProfiler.collectGarbage")
    return client.send("Runtime.getHeapUsage")["usedSize"] / 1e6


if __name__ == "__main__":
    main()
