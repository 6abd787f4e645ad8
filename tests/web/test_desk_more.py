"""Tags, the search in all that was said, and the reply budget, at the desk in Chromium."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from cluster.store import searching
from models.domain.commands import Delivered, Resolve
from tests.waiting import wait_until
from tests.web.desk_page import WITHIN_MS, DeskPage, profile
from tests.web.local import ACCOUNT, LocalSystem


@pytest.fixture(scope="module")
def local() -> Iterator[LocalSystem]:
    with LocalSystem() as local:
        yield local


@pytest.fixture
def desk(local: LocalSystem, chromium: Browser) -> Iterator[DeskPage]:
    local.clear()
    context = profile(chromium)
    desk = DeskPage(context, local)
    yield desk
    assert desk.complaints == []
    context.close()


def end(local: LocalSystem, *conversations: str) -> None:
    for each in conversations:
        local.ask(Resolve(account=ACCOUNT, conversation=each, by="carol", role="supervisor"))


# -- tags -------------------------------------------------------------------------------------------------


def test_tags_by_keyboard_with_completion_and_in_every_tab(desk, local):
    first = local.write("tag-1", "hello")
    desk.take()
    second_tab = DeskPage(desk.page.context, local, name="")
    second_tab.online()
    desk.press("Alt+l")
    field = desk.page.get_by_label("Add a tag", exact=True)
    expect(field).to_be_focused()
    desk.type("VIP")
    desk.press("Enter")
    expect(desk.page.locator("dialog .tag-chip")).to_have_text(["VIP"])
    desk.type("late parcel")
    desk.press("Enter")
    expect(desk.page.locator("dialog .tag-chip")).to_have_text(["VIP", "late parcel"])
    desk.press("Escape")
    expect(desk.page.locator("dialog")).to_have_count(0)
    assert local.record(first)["tags"] == ["VIP", "late parcel"]
    expect(desk.page.locator("rd-side .tag-chip")).to_have_text(["VIP", "late parcel"])
    expect(desk.rows.first).to_contain_text("#VIP #late parcel")
    expect(second_tab.rows.first).to_contain_text("#VIP #late parcel")

    second = local.write("tag-2", "hello too")
    desk.take()
    desk.press("Alt+l")
    desk.type("vi")
    expect(desk.page.locator(".tag-option")).to_have_text(["vi new".replace(" ", ""), "VIP"])
    desk.press("ArrowDown", "Enter")
    wait_until(lambda: local.record(second).get("tags") == ["VIP"], 20, "the tag in use to be chosen")
    expect(desk.page.locator("dialog .tag-chip")).to_have_text(["VIP"])
    desk.press("Backspace")
    wait_until(lambda: not local.record(second).get("tags"), 20, "the last tag to be removed")
    desk.press("Escape")


def test_a_tag_is_removed_from_the_side_pane_and_a_resolved_case_is_tagged(desk, local):
    conversation = local.write("tag-3", "hello")
    desk.take()
    desk.press("Alt+l")
    desk.type("wrong")
    desk.press("Enter")
    expect(desk.page.locator("dialog .tag-chip")).to_have_count(1)
    desk.press("Escape")
    desk.page.get_by_role("button", name="Remove wrong").click()
    expect(desk.page.locator("rd-side .tag-chip")).to_have_count(0)
    desk.press("Escape", "e")
    desk.left.first.click()
    desk.press("Escape", "l")
    desk.type("done")
    desk.press("Enter")
    wait_until(lambda: local.record(conversation).get("tags") == ["done"], 20, "the tag on what was resolved")
    desk.press("Escape")
    expect(desk.page.locator("rd-side .tag-chip")).to_have_text(["done"])


def test_one_tag_too_many_is_refused_in_words(desk, local):
    local.write("tag-4", "hello")
    desk.take()
    desk.press("Alt+l")
    for number in range(20):
        desk.type(f"t{number}")
        desk.press("Enter")
        expect(desk.page.locator("dialog .tag-chip")).to_have_count(number + 1)
    desk.type("one more")
    desk.press("Enter")
    expect(desk.page.get_by_role("alert")).to_contain_text("at most 20 tags")
    expect(desk.page.locator("dialog .tag-chip")).to_have_count(20)
    desk.press("Escape")


# -- search -----------------------------------------------------------------------------------------------


def test_what_was_said_long_ago_is_found_and_opened_at_its_message(desk, local):
    long_ago = local.write("old-1", "the Needle in the hay")
    local.write_many([("old-1", f"hay {number}") for number in range(450)])
    end(local, long_ago)
    end(local, local.write("old-2", "我的退款还没到"))
    desk.press("h")
    field = desk.page.get_by_label("Words in what was said")
    expect(field).to_be_focused()
    desk.type("needle")
    found = desk.page.locator(".search-message")
    expect(found).to_have_count(1)
    expect(found.locator("mark")).to_have_text("Needle")
    expect(desk.page.locator(".search-status")).to_contain_text("conversations were searched.")
    desk.press("ArrowDown", "ArrowDown", "Enter")
    expect(desk.page.locator("dialog")).to_have_count(0)
    expect(desk.page.locator(".message:focus .text")).to_have_text("the Needle in the hay", timeout=WITHIN_MS)
    expect(desk.composer).to_be_hidden()
    desk.press("h")
    desk.type("退款")
    expect(found).to_have_count(1)
    expect(found.locator("mark")).to_have_text("退款")
    desk.press("Enter")
    desk.sees("我的退款还没到")


def test_a_search_says_how_far_back_it_went_and_goes_on(desk, local, monkeypatch):
    monkeypatch.setattr(searching, "MOST_SEARCHED", 4)
    end(local, local.write("far-0", "xylophone"), *[local.write(f"far-{n}", "hay") for n in range(1, 6)])
    desk.press("h")
    desk.type("xylophone")
    status = desk.page.locator(".search-status")
    expect(status).to_contain_text("Nothing found. Searched the newest 4, back to")
    desk.page.get_by_role("button", name="Search further back").click()
    expect(status).to_contain_text("One conversation found.")
    expect(status).to_contain_text("8")
    desk.press("Escape")


def test_a_search_within_one_contact_and_by_tag(desk, local):
    end(local, local.write("own-1", "zebra of mine"), local.write("own-2", "zebra of another"))
    local.write("own-1", "hello again")
    desk.take()
    desk.press("Alt+h")
    desk.type("zebra")
    found = desk.page.locator(".search-message")
    expect(found).to_have_count(2)
    desk.page.get_by_role("checkbox").check()
    expect(found).to_have_count(1)
    expect(found).to_contain_text("zebra of mine")
    desk.press("Escape")


# -- the reply budget -------------------------------------------------------------------------------------


def test_the_reply_budget_is_told_before_and_when_it_is_used_up(desk, local):
    conversation = local.write("bud-1", "hello", channel="wechat")
    desk.take()
    budget = desk.page.locator(".budget")
    expect(budget).to_contain_text("WeChat takes 5 of 5 answers")
    for number in range(3):
        desk.say(f"answer {number}")
    expect(budget).to_contain_text("WeChat takes 2 more answers until")
    desk.say("answer 3")
    desk.say("answer 4")
    expect(budget).to_contain_text("WeChat takes no more answers until")
    desk.type("one too many")
    expect(desk.page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    desk.press("Enter")
    expect(desk.composer).to_have_value("one too many")
    assert len(local.stored(conversation)) == 6
    refused = desk.model(
        "await model.line.call('message.send', argument).then(() => 'sent', (error) => error.message)",
        {"conversation": conversation, "client_id": "past-the-page", "text": "one too many"},
    )
    assert "takes 5 answers within 48 hours" in refused
    failed = {"message": f"{conversation}-3", "state": "failed", "detail": "busy"}
    local.ask(Delivered(account=ACCOUNT, conversation=conversation, **failed))
    expect(budget).to_contain_text("one more answer")
    local.write("bud-1", "I am back", channel="wechat")
    expect(budget).to_contain_text("5 of 5 answers")
    desk.press("Enter")
    desk.sees("one too many")


def test_when_one_channel_takes_no_more_the_answer_goes_on_another(desk, local):
    conversation = local.write("bud-2", "from the page")
    local.write("bud-2", "from wechat", channel="wechat")
    desk.take()
    for number in range(5):
        desk.say(f"answer {number}")
    expect(desk.page.locator(".budget")).to_contain_text("Or answer on another channel.")
    desk.page.get_by_label("Channel of the answer").select_option("web")
    expect(desk.page.locator(".budget")).to_be_hidden()
    desk.say("on the page then")
    desk.sees("on the page then")
    wait_until(lambda: len(local.stored(conversation)) == 8, 20, "the answer to be stored")
    assert json.loads(local.stored(conversation)[-1])["channel"] == "web"


# -- two contacts that are one ------------------------------------------------------------------------------


def test_two_contacts_are_joined_after_a_look_and_parted_again(desk, local):
    first = local.write("join-1", "here I am on the page")
    desk.take()
    second = local.write("join-2", "and here my umbrella order", channel="wechat")
    desk.take()
    desk.rows.filter(has_text="here I am on the page").click()
    desk.page.get_by_role("button", name="Join with another contact").click()
    desk.page.get_by_label("Words in what the other contact said").fill("umbrella")
    choice = desk.page.locator("dialog .choice", has_text="umbrella")
    expect(choice).to_have_count(1)
    choice.click()
    dialog = desk.page.locator("dialog")
    expect(dialog).to_contain_text("becomes the same person as")
    expect(dialog).to_contain_text("Their open conversation goes on in this one.")
    dialog.get_by_role("button", name="Join", exact=True).click()
    desk.sees("and here my umbrella order")
    expect(desk.page.locator("rd-side .joined")).to_contain_text("joined by alice")
    expect(desk.page.locator("rd-side .identities li")).to_have_count(2)
    expect(desk.rows).to_have_count(1)
    assert local.record(second)["state"] == "merged"
    assert [each["channel"] for each in local.record(first)["threads"]] == ["wechat", "web"]
    desk.page.once("dialog", lambda dialog: dialog.accept())
    desk.page.get_by_role("button", name="Undo: ").click()
    expect(desk.page.locator("rd-side .joined")).to_contain_text("parted again by alice")
    expect(desk.page.locator("rd-side .identities li")).to_have_count(1)
    expect(desk.offers.first).to_contain_text("umbrella")
    assert [each["channel"] for each in local.record(first)["threads"]] == ["web"]


# -- who looks elsewhere ------------------------------------------------------------------------------------

_RECORDS = """
globalThis.told = [];
globalThis.tones = 0;
globalThis.Notification = class extends Notification {
    constructor(title, options) {
        super(title, options);
        globalThis.told.push([title, options.body]);
    }
};
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...when) {
    globalThis.tones += 1;
    return start.apply(this, when);
};
"""


def test_an_agent_who_looks_elsewhere_is_told_by_notification_sound_and_title(local, chromium):
    local.clear()
    context = profile(chromium)
    context.grant_permissions(["notifications"])
    context.add_init_script(_RECORDS)
    desk = DeskPage(context, local)
    desk.page.get_by_role("button", name="Desktop notifications are off").click()
    expect(desk.page.get_by_role("button", name="Desktop notifications are on")).to_be_visible()
    desk.page.evaluate("document.hasFocus = () => false")
    local.write("news-1", "is anybody there?")
    expect(desk.page).to_have_title("(2) raydesk · Desk", timeout=WITHIN_MS)
    told = desk.page.evaluate("globalThis.told")
    assert [body for _, body in told] == ["is anybody there?"]
    assert told[0][0].startswith("New offer: Visitor ")
    wait_until(lambda: desk.page.evaluate("globalThis.tones") >= 2, 20, "the two tones of an offer")
    assert desk.complaints == []
    context.close()
