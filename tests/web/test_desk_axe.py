"""What axe-core finds in the desk: nothing serious, in light and dark, in each of its states."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.desk_page import PHONE, DeskPage
from tests.web.local import LocalSystem

_RUN = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
    .filter((each) => ["serious", "critical"].includes(each.impact))
    .map((each) => `${each.id}: ${each.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`)"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core: of ``AXE_CORE``, or of the package in ``node_modules``."""
    path = Path(os.environ.get("AXE_CORE") or "node_modules/axe-core/axe.min.js")
    if not path.exists():
        pytest.skip("no axe-core here: npm install axe-core, or AXE_CORE=<path of axe.min.js>")
    return path.read_text()


@pytest.fixture(scope="module")
def local() -> Iterator[LocalSystem]:
    with LocalSystem() as local:
        yield local


def violations(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    return page.evaluate(_RUN)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), PHONE])
def test_axe_finds_nothing_serious(local, chromium: Browser, axe, scheme, size):
    local.clear()
    local.can("hello", "Good morning!")
    # the policy of the page keeps axe out, as it should keep everybody out
    width, height = size
    viewport = {"width": width, "height": height}
    context = chromium.new_context(viewport=viewport, color_scheme=scheme, bypass_csp=True, locale="en-US")
    desk = DeskPage(context, local, name="")
    assert violations(desk.page, axe) == []
    desk.log_in("alice")
    assert violations(desk.page, axe) == []
    local.write("ax-1", "Where is my order 2024118899231? https://shop.example")
    expect(desk.offers).to_have_count(1)
    assert violations(desk.page, axe) == []
    desk.take()
    desk.say("I am looking.")
    desk.press("Alt+n")
    desk.say("a note")
    desk.sees("a note")
    assert violations(desk.page, axe) == []
    for key in ("t", "s", "p", "?"):
        desk.press("Escape") if size == (1280, 800) else desk.page.locator("body").focus()
        desk.press(f"Alt+{key}" if key != "?" else "Alt+/")
        expect(desk.page.locator("dialog")).to_be_visible()
        assert violations(desk.page, axe) == [], key
        desk.press("Escape")
    context.set_offline(True)
    desk.offline()
    assert violations(desk.page, axe) == []
    context.close()
