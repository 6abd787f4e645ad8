"""The widget in Chromium: what a visitor sees, and what it does with what others write."""

import pytest
from playwright.sync_api import expect

from tests.web.chat import Chat
from tests.web.room import LAPTOP, PHONE, Room


@pytest.mark.parametrize(
    ("locale", "scheme", "size", "question", "person"),
    [
        ("en-US", "light", LAPTOP, "Where is my parcel?", "Talk to a person"),
        ("zh-CN", "dark", LAPTOP, "我的快递到哪里了", "转人工客服"),
        ("en-US", "dark", PHONE, "Where is my parcel?", "Talk to a person"),
        ("zh-CN", "light", PHONE, "我的快递到哪里了", "转人工客服"),
    ],
)
def test_the_bot_answers_and_a_person_goes_on(
    room: Room, locale: str, scheme: str, size: tuple[int, int], question: str, person: str
) -> None:
    name = f"widget-{locale[:2]}-{scheme}-{'phone' if size == PHONE else 'wide'}"
    page = room.page("/demo", size, locale=locale, scheme=scheme)
    chat = Chat(page)
    expect(chat.bubble).to_be_visible()
    room.picture(page, f"{name}-0")
    chat.open()
    room.picture(page, f"{name}-1")
    chat.chip(question).click()
    expect(chat.theirs).to_have_count(1)
    room.picture(page, f"{name}-2")
    chat.chip(person).click()
    expect(chat.widget.locator(".queue")).to_be_visible()
    room.picture(page, f"{name}-3")
    conversation = room.open_conversations()[0]
    room.say(conversation, "Good day, this is Alice. Let me look: https://shop.example/orders/4471.", "carol")
    expect(chat.said("Good day, this is Alice")).to_be_visible()
    chat.write("Thank you!" if locale == "en-US" else "谢谢！")
    expect(chat.mine).to_have_count(3)
    room.picture(page, f"{name}-4")
    room.rpc("conversation.resolve", "carol", conversation=conversation)
    expect(chat.widget.locator(".stars")).to_be_visible()
    chat.widget.get_by_role("radio").nth(3).click()
    room.picture(page, f"{name}-5")
    chat.widget.locator("form.card button.main").click()
    expect(chat.widget.locator(".stars")).to_have_count(0)
    room.picture(page, f"{name}-6")
