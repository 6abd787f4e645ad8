"""The chat for those who see little, or use no mouse: what axe-core finds, and the whole flow by keyboard."""

import pytest
from playwright.sync_api import expect

from tests.web.axe import findings
from tests.web.chat import Chat
from tests.web.room import LAPTOP, PHONE, Room


@pytest.mark.parametrize(
    ("size", "scheme", "locale"),
    [(LAPTOP, "light", "en-US"), (LAPTOP, "dark", "zh-CN"), (PHONE, "light", "zh-CN"), (PHONE, "dark", "en-US")],
)
def test_axe_finds_nothing_in_the_shop_and_its_chat(
    room: Room, locale: str, scheme: str, size: tuple[int, int]
) -> None:
    page = room.page("/demo", size, locale=locale, scheme=scheme)
    chat = Chat(page)
    expect(chat.bubble).to_be_visible()
    assert findings(page) == []
    chat.open()
    assert findings(page) == []
    chat.widget.locator(".chips .person").click()
    expect(chat.widget.locator(".queue")).to_be_visible()
    expect(chat.theirs).to_have_count(1)
    assert findings(page) == []
    room.rpc("conversation.resolve", "carol", conversation=room.open_conversations()[0])
    expect(chat.widget.locator(".stars")).to_be_visible()
    assert findings(page) == []


def test_a_chat_by_keyboard_alone(room: Room) -> None:
    page = room.page("/demo/order.html")
    chat = Chat(page)
    expect(chat.bubble).to_be_visible()
    for _ in range(20):
        if chat.bubble.evaluate("(each) => each.matches(':focus')"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(chat.input).to_be_focused()
    page.keyboard.type("Where is my parcel?")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("It is late.")
    page.keyboard.press("Enter")
    expect(chat.mine).to_have_count(1)
    assert chat.texts()[0] == "Where is my parcel?\nIt is late."
    expect(chat.theirs).to_have_count(1)
    expect(chat.input).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(chat.widget.get_by_role("button", name="Talk to a person")).to_be_focused()
    page.keyboard.press("Enter")
    expect(chat.widget.locator(".queue")).to_be_visible()
    expect(chat.input).to_be_focused()
    room.rpc("conversation.resolve", "carol", conversation=room.open_conversations()[0])
    expect(chat.widget.locator(".stars")).to_be_visible()
    for _ in range(6):
        if chat.widget.get_by_role("radio").last.evaluate("(each) => each.matches(':focus')"):
            break
        page.keyboard.press("Shift+Tab")
    for key in ("Space", "ArrowLeft", "ArrowLeft", "Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    expect(chat.widget.get_by_text("Thank you for your rating.")).to_be_visible()
    assert room.rating() == 3
    page.keyboard.press("Escape")
    expect(chat.panel).to_be_hidden()
    expect(chat.bubble).to_be_focused()


def test_an_input_method_may_use_enter_for_itself(room: Room) -> None:
    page = room.page("/demo", locale="zh-CN")
    chat = Chat(page).open()
    chat.input.fill("退款")
    chat.input.dispatch_event("keydown", {"key": "Enter", "keyCode": 229, "isComposing": True, "bubbles": True})
    expect(chat.mine).to_have_count(0)
    expect(chat.input).to_have_value("退款")
    chat.input.press("Enter")
    expect(chat.mine).to_have_count(1)
