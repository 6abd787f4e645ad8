"""What axe-core finds in the desk: nothing but trifles, in light and dark, in each of its states."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.web.axe import findings
from tests.web.desk_page import PHONE, DeskPage
from tests.web.local import LocalSystem


@pytest.fixture(scope="module")
def local() -> Iterator[LocalSystem]:
    with LocalSystem() as local:
        yield local


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), PHONE])
def test_axe_finds_nothing_in_the_desk(local, chromium: Browser, scheme, size):
    local.clear()
    local.can("hello", "Good morning!")
    # the policy of the page keeps axe out, as it should keep everybody out
    width, height = size
    viewport = {"width": width, "height": height}
    context = chromium.new_context(viewport=viewport, color_scheme=scheme, bypass_csp=True, locale="en-US")
    desk = DeskPage(context, local, name="")
    expect(desk.page.locator("#login-name")).to_be_visible()
    assert findings(desk.page) == []
    desk.log_in("alice")
    assert findings(desk.page) == []
    local.write("ax-1", "Where is my order 2024118899231? https://shop.example")
    expect(desk.offers).to_have_count(1)
    assert findings(desk.page) == []
    desk.take()
    desk.press("Alt+l")
    desk.type("vip")
    desk.press("Enter", "Escape")
    desk.composer.focus()
    desk.say("I am looking.")
    desk.press("Alt+n")
    desk.say("a note")
    desk.sees("a note")
    assert findings(desk.page) == []
    for key in ("t", "s", "p", "l", "h", "c", "?"):
        desk.press("Escape") if size == (1280, 800) else desk.page.locator("body").focus()
        desk.press(f"Alt+{key}" if key != "?" else "Alt+/")
        expect(desk.page.locator("dialog")).to_be_visible()
        assert findings(desk.page) == [], key
        desk.press("Escape")
    context.set_offline(True)
    desk.offline()
    assert findings(desk.page) == []
    context.close()
