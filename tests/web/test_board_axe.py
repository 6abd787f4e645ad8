"""What axe-core finds in the board: nothing serious, in light and dark, in each of its states."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.web.axe import findings
from tests.web.board_page import BoardPage
from tests.web.desk_page import PHONE, WITHIN_MS
from tests.web.local import LocalSystem


@pytest.fixture(scope="module")
def local() -> Iterator[LocalSystem]:
    with LocalSystem() as local:
        yield local


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), PHONE])
def test_axe_finds_nothing_serious(local, chromium: Browser, scheme, size):
    local.clear()
    local.write("axe-1", "Where is my order?")
    width, height = size
    # the policy of the page keeps axe out, as it should keep everybody out
    context = chromium.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True, locale="en-US"
    )
    board = BoardPage(context, local, name="")
    expect(board.page.locator("#login-password")).to_be_visible(timeout=WITHIN_MS)
    assert findings(board.page) == []
    board.log_in("carol")
    expect(board.cases).to_have_count(1, timeout=WITHIN_MS)
    assert findings(board.page) == []
    board.cases.first.locator(".case-open").click()
    expect(board.case.locator(".said")).to_have_count(1, timeout=WITHIN_MS)
    assert findings(board.page) == []
    board.page.keyboard.press("Escape")
    board.page.get_by_role("button", name="Skill groups of bob").click()
    assert findings(board.page) == []
    board.page.keyboard.press("Escape")
    board.page.get_by_role("button", name="History").click()
    expect(board.page.locator("svg.chart").first).to_be_visible(timeout=WITHIN_MS)
    board.page.locator(".numbers summary").first.click()
    assert findings(board.page) == []
    context.close()
