"""A visitor, the bot and an agent, while what is between them breaks: nothing is lost, doubled or out of order."""

import os
import re
import signal

import pytest
from playwright.sync_api import expect

from cluster.load.run.strikes import Population
from tests.gateway_client import Socket
from tests.waiting import wait_until
from tests.web.chat import Chat
from tests.web.desk_page import DeskPage, desk_of
from tests.web.room import LOST_CONNECTION, WITHIN_S, Room
from tests.web.test_widget_safe import is_whole

BACK_MS = 30_000
#: Long enough for both pages to notice and to fail several times.
LONG_CUT_S = 20.0
HOSTILE = {
    "markup": '<img src=x onerror="window.broken = 1"><script>window.broken = 1</script>',
    "right to left": "pay \u202egnihton\u202c now \u2066\u200f\u05e9\u05dc\u05d5\u05dd and here",
    "5,000 lines": "top" + "\n" * 4_999 + "the very end of it all",
    "zalgo": "z" + "\u0335\u0321\u0327\u0322\u031b\u0353" * 300 + "algo is what it is called",
}
#: Nothing ran, nothing became markup, nothing stands outside its place.
DESK_IS_WHOLE = """() => {
    const timeline = document.querySelector(".timeline");
    const room = timeline.getBoundingClientRect();
    const inside = [...timeline.querySelectorAll(".bubble")].every((each) => {
        const box = each.getBoundingClientRect();
        return box.left >= room.left - 1 && box.right <= room.right + 1;
    });
    return inside && !timeline.querySelector("img, script, b, iframe, style") && window.broken === undefined
        && document.documentElement.scrollWidth <= innerWidth;
}"""


def kill_gateway(room: Room) -> None:
    with room.system.store() as store:
        gateways = Population(store)
        (found,) = wait_until(lambda: gateways.of("gateway:0"), WITHIN_S, "the gateway to report")
        os.kill(found.pid, signal.SIGKILL)
        wait_until(
            lambda: any(each.pid != found.pid for each in gateways.of("gateway:0")),
            WITHIN_S,
            "another gateway",
        )


def to_a_person(room: Room, chat: Chat) -> tuple[str, Socket]:
    """Ask for a person; returns the conversation, and the desk of Alice, who has it then."""
    desk = room.desk_socket("alice")
    chat.chip("Talk to a person").click()
    offer = desk.until(lambda event: event["type"] == "offered")
    conversation = offer["conversation"]["id"]
    desk.call("message.send", conversation=conversation, client_id="1", text="Good day, this is Alice.")
    expect(chat.said("this is Alice")).to_be_visible()
    return conversation, desk


def stored(room: Room, conversation: str, author: str) -> list[str]:
    page = room.rpc("history.page", conversation=conversation, limit=200)["messages"]
    return [message["text"] for message in page if message["author"] == author]


def both_write_while_cut(chat: Chat, desk: DeskPage, ours: str, theirs: str, cut_s: float) -> None:
    """Cut both networks, have both sides write into the void, and mend them."""
    for each in (chat.page, desk.page):
        each.context.set_offline(True)
    expect(chat.widget.locator(".banner")).to_be_visible(timeout=BACK_MS)
    desk.offline()
    chat.write(ours)
    desk.say(theirs)
    expect(desk.sees(theirs).locator(".tick-waiting")).to_be_visible()
    expect(chat.said(theirs)).to_have_count(0)
    chat.page.wait_for_timeout(cut_s * 1_000)  # the cut itself
    for each in (chat.page, desk.page):
        each.context.set_offline(False)
    desk.online()
    desk.sees(ours)
    expect(chat.said(theirs)).to_be_visible(timeout=BACK_MS)
    expect(desk.sees(theirs).locator(".tick-seen, .tick-stored")).to_be_visible(timeout=BACK_MS)


@pytest.mark.parametrize(
    ("locale", "breaks"),
    [
        ("en-US", "nothing"),
        ("zh-CN", "nothing"),
        ("en-US", "the gateway is killed"),
        ("zh-CN", "both networks are cut"),
        pytest.param("zh-CN", "the gateway is killed", marks=pytest.mark.slow),
        pytest.param("en-US", "both networks are cut", marks=pytest.mark.slow),
    ],
)
def test_a_case_from_the_shop_over_the_bot_to_two_agents_and_its_rating(room: Room, locale: str, breaks: str) -> None:
    chinese = locale == "zh-CN"
    question, person = ("我的快递到哪里了", "转人工客服") if chinese else ("Where is my parcel?", "Talk to a person")
    first, then, last = (
        ("您好，我是客服", "好的，谢谢", "已经处理好了") if chinese else ("Hello!", "Thank you", "Done.")
    )
    desk = desk_of(room, "alice", locale)
    page = room.page("/demo", locale=locale)
    chat = Chat(page).open()
    chat.chip(question).click()
    expect(chat.theirs).to_have_count(1)
    chat.chip(person).click()
    desk.take()
    # the context came with the offer: what was asked, what the bot said
    desk.sees(question)
    desk.say(first)
    expect(chat.said(first)).to_be_visible()
    between: set[str] = set()
    if breaks == "the gateway is killed":
        kill_gateway(room)
    elif breaks == "both networks are cut":
        between = {"written in the void", "answered in the void"}
        both_write_while_cut(chat, desk, *sorted(between, reverse=True), cut_s=LONG_CUT_S if chinese else 2.0)
    chat.write(then)
    desk.sees(then)
    other = desk_of(room, "bob", locale)
    desk.press("Alt+t")
    desk.page.locator(".choice", has_text="bob").click()
    other.take()
    other.sees(then)
    other.say(last)
    expect(chat.said(last)).to_be_visible(timeout=BACK_MS)
    room.picture(other.page, f"flow-desk-{locale}")
    conversation = room.open_conversations()[0]
    other.press("Escape", "e")
    expect(chat.widget.locator(".stars")).to_be_visible()
    chat.widget.get_by_role("radio").nth(4).click()
    chat.widget.locator("form.card button.main").click()
    expect(chat.widget.locator(".stars")).to_have_count(0)
    room.picture(page, f"flow-chat-{locale}")
    assert room.rating() == 5
    shown = chat.texts()
    assert shown[:1] == [question]
    assert [text for text in shown if text in (first, then, last)] == [first, then, last]
    assert between <= set(shown)
    assert len(shown) == len(set(shown))
    said = [
        *stored(room, conversation, "contact"),
        *stored(room, conversation, "agent"),
        *stored(room, conversation, "bot"),
    ]
    assert sorted(shown) == sorted(said), "what is shown is what is stored, each once"
    if breaks != "nothing":
        room.expect_complaints(LOST_CONNECTION)


def test_the_same_case_with_two_tabs_on_each_side(room: Room) -> None:
    desk = desk_of(room, "alice")
    second = DeskPage(desk.page.context, room, name="")  # type: ignore[arg-type]
    second.online()
    context = room.context()
    one, two = (Chat(page) for page in (context.new_page(), context.new_page()))
    for chat in (one, two):
        chat.page.goto("/demo")
        chat.open()
    one.chip("Where is my parcel?").click()
    expect(two.said("Where is my parcel?")).to_be_visible()
    expect(two.theirs).to_have_count(1)
    two.chip("Talk to a person").click()
    desk.take()
    second.rows.first.click()
    second.press("Alt+r")
    second.say("from the second desk")
    for chat in (one, two):
        expect(chat.said("from the second desk")).to_be_visible()
    one.write("from the first chat")
    two.write("from the second chat")
    for tab in (desk, second):
        tab.sees("from the first chat")
        tab.sees("from the second chat")
        assert tab.messages() == desk.messages()
    other = desk_of(room, "bob")
    second.press("Alt+t")
    second.page.locator(".choice", has_text="bob").click()
    other.take()
    for tab in (desk, second):
        expect(tab.rows).to_have_count(0)
    other.say("Done.")
    for chat in (one, two):
        expect(chat.said("Done.")).to_be_visible()
    other.press("Escape", "e")
    expect(two.widget.locator(".stars")).to_be_visible()
    two.widget.get_by_role("radio").nth(2).click()
    two.widget.locator("form.card button.main").click()
    expect(two.widget.locator(".stars")).to_have_count(0)
    assert room.rating() == 3
    assert one.texts() == two.texts()
    assert len(one.texts()) == len(set(one.texts())) == 8


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_go_all_the_way_and_stay_text_on_both_pages(room: Room, name: str) -> None:
    text = HOSTILE[name]
    desk = desk_of(room, "alice")
    page = room.page("/demo")
    chat = Chat(page).open()
    chat.chip("Talk to a person").click()
    desk.take()
    chat.write(text)
    shown = desk.page.locator(".message.by-contact .text").last
    # a very long one is folded
    expect(shown).to_contain_text(text[:200], use_inner_text=False)
    assert desk.page.evaluate(DESK_IS_WHOLE)
    desk.composer.fill(text)
    desk.press("Enter")
    answer = chat.log.locator(".message:not(.mine) .text").last
    expect(answer).to_contain_text(text[-20:], use_inner_text=False)
    assert answer.evaluate("(each) => each.textContent") == text
    assert desk.page.evaluate(DESK_IS_WHOLE)
    assert is_whole(page)
    conversation = room.open_conversations()[0]
    assert stored(room, conversation, "contact")[-1] == text
    assert stored(room, conversation, "agent")[-1] == text
    room.picture(page, f"flow-hostile-{name.replace(' ', '-')}-chat")
    room.picture(desk.page, f"flow-hostile-{name.replace(' ', '-')}-desk")


def test_a_message_counts_as_read_once_an_agent_has_looked_at_it(room: Room) -> None:
    desk = desk_of(room, "alice")
    chats = [Chat(room.page("/demo")).open() for _ in range(2)]
    for number, chat in enumerate(chats):
        chat.chip("Talk to a person").click()
        expect(chat.log.locator(".foot.own").last).to_contain_text("Sent")
        desk.take()
        desk.say(f"Hello number {number}")
        expect(chat.said(f"Hello number {number}")).to_be_visible()
        expect(chat.log.locator(".foot.own").last).to_contain_text("Read")
    first, second = chats
    # the desk looks at the second one
    first.write("are you still there?")
    expect(desk.rows.filter(has_text="are you still there?").locator(".badge")).to_have_text("1")
    second.write("and what about me?")
    expect(second.log.locator(".foot.own").last).to_contain_text("Read")
    expect(first.log.locator(".foot.own").last).to_contain_text("Sent")
    desk.rows.filter(has_text="are you still there?").click()
    expect(first.log.locator(".foot.own").last).to_contain_text("Read")
    room.picture(first.page, "read")
    first.page.reload()
    expect(first.log.locator(".foot.own").last).to_contain_text("Read")


def test_who_reads_further_up_has_not_read_what_came_below(room: Room) -> None:
    desk = desk_of(room, "alice")
    chat = Chat(room.page("/demo")).open()
    chat.chip("Talk to a person").click()
    desk.take()
    chat.write("\n".join(f"line {number}" for number in range(150)))
    expect(chat.log.locator(".foot.own").last).to_contain_text("Read")
    desk.page.locator(".timeline").evaluate("(each) => each.scrollTo(0, 0)")
    chat.write("below")
    expect(desk.page.locator(".to-end")).to_contain_text("One new message")
    # what the visitor has seen of this comes by the same way, and later
    answer = room.say(room.open_conversations()[0], "somebody else answers", "carol")
    wait_until(lambda: desk.model("model.current.seenSeq") >= answer["seq"], WITHIN_S, "the visitor to have seen it")
    expect(chat.log.locator(".foot.own").last).to_contain_text("Answered")
    desk.page.locator(".to-end").click()
    expect(chat.log.locator(".foot.own").last).to_contain_text("Read")


def test_what_was_written_while_the_network_was_cut_goes_out_once_and_in_order(room: Room) -> None:
    page = room.page("/demo")
    chat = Chat(page).open()
    conversation, _ = to_a_person(room, chat)
    page.context.set_offline(True)
    expect(chat.widget.locator(".banner")).to_be_visible()
    for number in range(5):
        chat.write(f"offline {number}")
    expect(chat.widget.get_by_text("Waiting for a connection").first).to_be_visible()
    room.picture(page, "offline")
    for number in range(3):
        room.say(conversation, f"meanwhile {number}")
    page.wait_for_timeout(5_000)  # the cut itself: long enough for several attempts to fail
    assert not [text for text in stored(room, conversation, "contact") if "offline" in text]
    page.context.set_offline(False)
    expect(chat.said("meanwhile 2")).to_be_visible(timeout=BACK_MS)
    expect(chat.log.get_by_text("Sending")).to_have_count(0)
    expect(chat.widget.locator(".banner")).to_be_hidden()
    wait_until(lambda: len(stored(room, conversation, "contact")) == 6, WITHIN_S, "all to be stored")
    assert stored(room, conversation, "contact")[1:] == [f"offline {number}" for number in range(5)]
    shown = chat.texts()
    assert [text for text in shown if "offline" in text] == [f"offline {number}" for number in range(5)]
    assert [text for text in shown if "meanwhile" in text] == [f"meanwhile {number}" for number in range(3)]
    room.expect_complaints(LOST_CONNECTION)


def test_a_gateway_that_is_killed_costs_and_doubles_nothing(room: Room) -> None:
    page = room.page("/demo")
    chat = Chat(page).open()
    conversation, _ = to_a_person(room, chat)
    chat.write("before")
    expect(chat.log.get_by_text("Sending")).to_have_count(0)
    kill_gateway(room)
    chat.write("right after")
    room.say(conversation, "still here")
    expect(chat.said("still here")).to_be_visible(timeout=BACK_MS)
    chat.write("and on")
    wait_until(lambda: len(stored(room, conversation, "contact")) == 4, WITHIN_S, "all to be stored")
    assert stored(room, conversation, "contact")[1:] == ["before", "right after", "and on"]
    expect(chat.log.get_by_text("Sending")).to_have_count(0)
    shown = chat.texts()
    assert len(shown) == len(set(shown)) == len(stored(room, conversation, "contact")) + 3
    room.expect_complaints(LOST_CONNECTION)


def test_two_tabs_are_one_visitor_and_in_step(room: Room) -> None:
    context = room.context()
    first, second = context.new_page(), context.new_page()
    for page in (first, second):
        page.goto("/demo")
    one, two = Chat(first), Chat(second)
    # both at once: neither has a token yet
    one.bubble.click()
    two.bubble.click()
    expect(one.panel).to_be_visible()
    expect(two.panel).to_be_visible()
    one.write("from the first")
    expect(two.said("from the first")).to_be_visible()
    expect(two.theirs).not_to_have_count(0)
    two.write("from the second")
    expect(one.said("from the second")).to_be_visible()
    assert len(room.open_conversations()) == 1
    room.say(room.open_conversations()[0], "to both", "carol")
    for chat in (one, two):
        expect(chat.said("to both")).to_be_visible()
    assert one.texts() == two.texts()


def test_the_history_goes_along_from_page_to_page_and_visit_to_visit(room: Room) -> None:
    context = room.context()
    page = context.new_page()
    page.goto("/demo")
    chat = Chat(page).open()
    chat.chip("Where is my parcel?").click()
    expect(chat.theirs).to_have_count(1)
    chat.input.fill("half a sent")
    page.goto("/demo/order.html")
    expect(chat.panel).to_be_visible()
    expect(chat.theirs).to_have_count(1)
    expect(chat.input).to_have_value("half a sent")
    page.close()
    again = context.new_page()
    again.goto("/demo")
    chat = Chat(again).open()
    expect(chat.said("Where is my parcel?")).to_have_count(1)
    expect(chat.theirs).to_have_count(1)


def test_what_was_not_sent_yet_goes_along_to_the_next_page_and_is_taken_once(room: Room) -> None:
    page = room.page("/demo")
    chat = Chat(page).open()
    conversation, _ = to_a_person(room, chat)
    page.route("**/v1/connect", lambda route: route.abort())
    kill_gateway(room)
    expect(chat.widget.locator(".banner")).to_be_visible()
    chat.write("to be sent on the next page")
    page.unroute("**/v1/connect")
    page.goto("/demo/order.html")
    expect(chat.said("to be sent on the next page")).to_have_count(1, timeout=BACK_MS)
    wait_until(lambda: stored(room, conversation, "contact").count("to be sent on the next page") == 1, WITHIN_S, "it")
    page.reload()
    expect(chat.said("to be sent on the next page")).to_have_count(1)
    assert stored(room, conversation, "contact").count("to be sent on the next page") == 1
    room.expect_complaints(LOST_CONNECTION)


def test_what_comes_while_the_chat_is_closed_is_counted_on_its_bubble(room: Room) -> None:
    page = room.page("/demo")
    chat = Chat(page).open()
    conversation, _ = to_a_person(room, chat)
    page.keyboard.press("Escape")
    expect(chat.panel).to_be_hidden()
    expect(chat.bubble).to_be_focused()
    room.say(conversation, "are you there?")
    room.say(conversation, "hello?")
    expect(chat.bubble).to_have_accessible_name("Open chat, 2 new messages")
    room.picture(page, "unread")
    chat.open()
    expect(chat.said("hello?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(chat.bubble).to_have_accessible_name("Open chat")


def test_a_signed_user_finds_the_history_on_another_device_and_nobody_else_does(room: Room) -> None:
    laptop, phone = room.page("/demo"), room.page("/demo/order.html")
    chat = Chat(laptop).open()
    chat.write("Where is my parcel?")
    expect(chat.theirs).to_have_count(1)
    laptop.get_by_role("button", name="Log in as Mei").click()
    expect(laptop.get_by_role("button", name="Mei Lin")).to_be_visible()
    expect(chat.said("Where is my parcel?")).to_have_count(1)
    other = Chat(phone)
    phone.get_by_role("button", name="Log in as Mei").click()
    expect(phone.get_by_role("button", name="Mei Lin")).to_be_visible()
    other.open()
    expect(other.said("Where is my parcel?")).to_have_count(1)
    other.write("I want to talk to a person")
    expect(other.theirs).to_have_count(2)
    expect(chat.theirs).to_have_count(2)
    # what was written on the other device has a number that is missing here
    expect(chat.said("I want to talk to a person")).to_have_count(1)
    kept = laptop.evaluate("Object.keys(localStorage).filter((key) => key.endsWith('token'))")
    assert kept == []
    laptop.get_by_role("button", name="Mei Lin").click()
    expect(laptop.get_by_role("button", name="Log in as Mei")).to_be_visible()
    expect(chat.panel).to_be_visible()
    expect(chat.mine).to_have_count(0)


def test_typing_shows_both_ways(room: Room) -> None:
    page = room.page("/demo")
    chat = Chat(page).open()
    conversation, desk = to_a_person(room, chat)
    desk.call("typing", conversation=conversation)
    expect(chat.widget.locator(".typing")).to_be_visible()
    room.picture(page, "typing")
    chat.input.press_sequentially("hm", delay=50)
    event = desk.until(lambda event: event["type"] == "typing")
    assert (event["conversation"], event["author"]) == (conversation, "contact")
    room.say(conversation, "there you are")
    expect(chat.said("there you are")).to_be_visible()
    expect(chat.widget.locator(".typing")).to_have_count(0)


@pytest.mark.parametrize(("locale", "ahead"), [("en-US", "1 person is ahead of you"), ("zh-CN", "您前面还有 1 位")])
def test_who_waits_is_told_the_place_in_the_queue(room: Room, locale: str, ahead: str) -> None:
    first, second = Chat(room.page("/demo", locale=locale)), Chat(room.page("/demo", locale=locale))
    person = re.compile("Talk to a person|转人工客服")
    for chat in (first, second):
        chat.open()
        chat.widget.locator(".chips").get_by_role("button", name=person).click()
        expect(chat.widget.locator(".queue")).to_be_visible()
    expect(second.widget.locator(".queue")).to_contain_text(ahead)
    room.picture(second.page, f"queue-{locale}")
