"""The widget while nobody is there: when people are back, what is left for them, and the bot as ever."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from playwright.sync_api import expect
from websockets.sync.client import connect

from cluster.store import keys
from deployments.commands.demo import ACCOUNT, INBOX
from models.administration.hours import Day, Hours, Span
from models.administration.inboxes import WebInbox
from tests.gateway_client import Socket
from tests.waiting import wait_until
from tests.web.chat import Chat
from tests.web.room import WITHIN_S, Room
from tests.web.test_access import findings


class Opening:
    """The hours of the demo shop's inbox; each change returns once gateways know it."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def closed_until(self, back: datetime) -> None:
        """Close it until an instant, to the minute, and for a day after that."""
        span = Span(opens=f"{back:%H:%M}", closes="24:00")
        self._put(Hours(zone="UTC", week=((),) * 7, days=(Day(date=f"{back:%Y-%m-%d}", spans=(span,)),)), closed=True)

    def open(self) -> None:
        """Open it for ever."""
        self._put(Hours(zone="UTC", week=((Span(opens="00:00", closes="24:00"),),) * 7), closed=False)

    def forget(self) -> None:
        """Take the hours away."""
        with self._room.system.store() as store:
            store.delete(keys.administration(ACCOUNT, "hours"), keys.administration(ACCOUNT, "inboxes"))
        self._known(closed=False)

    def _put(self, hours: Hours, *, closed: bool) -> None:
        with self._room.system.store() as store:
            store.hset(keys.administration(ACCOUNT, "hours"), "test", msgspec.json.encode(hours))
            store.hset(keys.administration(ACCOUNT, "inboxes"), INBOX, msgspec.json.encode(WebInbox(hours="test")))
        self._known(closed=closed)

    def _known(self, *, closed: bool) -> None:
        with self._room.system.store() as store:
            store.incr(keys.administration_revision(ACCOUNT))
        visit = httpx.post(f"{self._room.base}/v1/connect", json={"inbox": INBOX}).raise_for_status().json()
        with connect(visit["gateway"]) as connection:
            socket = Socket(connection)
            socket.call("visit.open", token=visit["token"])
            wait_until(lambda: socket.call("visit.place")["closed"] is closed, WITHIN_S, "the gateway to know it")


@pytest.fixture
def opening(room: Room) -> Iterator[Opening]:
    opening = Opening(room)
    yield opening
    opening.forget()


def in_two_days() -> datetime:
    return (datetime.now(UTC) + timedelta(days=2)).replace(hour=9, minute=0)


WORDS: dict[str, dict[str, Any]] = {
    "en-US": {
        "back": lambda at: f"{at:%A} {at.day} {at:%B} at 09:00",
        "leave": "Leave a message",
        "name": "Name",
        "email": "E-mail",
        "question": "Your question",
        "send": "Send to our team",
        "left": "Your message waits for our team.",
        "ask": "Where is my parcel?",
    },
    "zh-CN": {
        "back": lambda at: f"{at.month}月{at.day}日",
        "leave": "留言给客服",
        "name": "姓名",
        "email": "邮箱",
        "question": "您的问题",
        "send": "提交留言",
        "left": "留言已收到",
        "ask": "我的快递到哪里了",
    },
}


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_off_hours_a_message_is_left_and_waits_while_the_bot_answers_as_ever(
    room: Room, opening: Opening, locale: str
) -> None:
    words, back = WORDS[locale], in_two_days()
    opening.closed_until(back)
    page = room.page("/demo", locale=locale, timezone_id="UTC")
    chat = Chat(page).open()
    expect(chat.widget.locator(".head p")).to_contain_text(words["back"](back))
    chat.chip(words["ask"]).click()
    expect(chat.theirs).to_have_count(1)
    room.picture(page, f"off-hours-bot-{locale}")
    chat.chip(words["leave"]).click()
    form = chat.widget.locator("form.card")
    expect(form).to_contain_text(words["back"](back))
    assert findings(page) == []
    form.get_by_role("button", name=words["send"]).click()
    expect(form.locator("[aria-invalid=true]")).to_have_count(3)
    expect(form.get_by_label(words["name"])).to_be_focused()
    form.get_by_label(words["name"]).fill("Mei Lin")
    form.get_by_label(words["email"]).fill("mei@shop.example")
    form.get_by_label(words["question"]).fill(words["ask"])
    expect(form.locator("[aria-invalid=true]")).to_have_count(0)
    room.picture(page, f"off-hours-form-{locale}")
    form.get_by_role("button", name=words["send"]).click()
    expect(chat.widget.locator(".queue")).to_contain_text(words["left"])
    expect(form).to_have_count(0)
    expect(chat.widget.locator(".typing")).to_have_count(0)
    expect(chat.widget.locator(".queue")).to_be_in_viewport(ratio=1)
    room.picture(page, f"off-hours-left-{locale}")
    (conversation,) = room.open_conversations()
    with room.system.store() as store:
        assert [each.decode() for each in store.zrange(keys.waiting(ACCOUNT), 0, -1)] == [conversation]  # type: ignore[union-attr]
    said = room.rpc("history.page", conversation=conversation)["messages"]
    assert [each["author"] for each in said] == ["contact", "bot", "contact"], "the bot is silent about what is left"
    assert said[-1]["text"] == f"{words['ask']}\n\n{words['name']}: Mei Lin\n{words['email']}: mei@shop.example"
    # in the morning it is offered like any other, with what was understood of it
    desk = room.desk_socket("alice")
    offer = desk.until(lambda event: event["type"] == "offered")
    assert offer["conversation"]["id"] == conversation
    room.say(conversation, "Good morning, Mei Lin!")
    expect(chat.said("Good morning, Mei Lin!")).to_be_visible()
    expect(chat.widget.locator(".queue")).to_have_count(0)


def test_what_the_bot_hands_over_off_hours_asks_where_the_answer_goes(room: Room, opening: Opening) -> None:
    opening.closed_until(in_two_days())
    chat = Chat(room.page("/demo", timezone_id="UTC")).open()
    chat.write("I want to talk to a person")
    form = chat.widget.locator("form.card")
    expect(form).to_contain_text("Your messages wait for them. How do they reach you?")
    expect(form.get_by_label("Your question")).to_have_count(0)
    form.get_by_label("Name").fill("Tom Berger")
    form.get_by_label("E-mail").fill("tom@shop.example")
    form.get_by_role("button", name="Send to our team").click()
    expect(chat.widget.locator(".queue")).to_contain_text("Your message waits for our team.")
    chat.page.reload()
    expect(chat.widget.locator(".queue")).to_contain_text("Your message waits for our team.")
    (conversation,) = room.open_conversations()
    assert room.rpc("history.page", conversation=conversation)["messages"][-1]["text"].startswith("Name: Tom Berger\n")


def test_once_people_are_back_the_widget_says_so_by_itself(room: Room, opening: Opening) -> None:
    opening.closed_until(in_two_days())
    chat = Chat(room.page("/demo")).open()
    expect(chat.chip("Leave a message")).to_be_visible()
    opening.open()
    expect(chat.chip("Talk to a person")).to_be_visible(timeout=15_000)
    expect(chat.widget.locator(".head p")).to_have_text("We answer here")


def test_without_any_further_hour_it_says_that_nobody_is_there(room: Room, opening: Opening) -> None:
    opening.closed_until(datetime.now(UTC) - timedelta(days=3))
    chat = Chat(room.page("/demo")).open()
    expect(chat.widget.locator(".head p")).to_have_text("Our team is away at the moment.")


def test_back_today_names_the_hour_alone(room: Room, opening: Opening) -> None:
    # on the visitor's own clock, wherever the inbox is: a zone in which the day is young
    now = datetime.now(UTC)
    zone = f"Etc/GMT{'+' if now.hour >= 6 else '-'}{now.hour - 6 if now.hour >= 6 else 6 - now.hour}"
    opening.closed_until(now + timedelta(minutes=90))
    chat = Chat(room.page("/demo", timezone_id=zone)).open()
    expect(chat.widget.locator(".head p")).to_have_text(re.compile(r"^Our team is back at \d\d:\d\d\.$"))


def test_going_back_to_the_chat_keeps_what_was_begun_there(room: Room, opening: Opening) -> None:
    opening.closed_until(in_two_days())
    chat = Chat(room.page("/demo")).open()
    chat.input.fill("half a sent")
    for _ in range(2):
        chat.chip("Leave a message").click()
        expect(chat.widget.get_by_label("Name")).to_be_focused()
        chat.widget.get_by_role("button", name="Back to the chat").click()
        expect(chat.input).to_be_focused()
    expect(chat.input).to_have_value("half a sent")
    expect(chat.widget.locator("form.card")).to_have_count(0)
