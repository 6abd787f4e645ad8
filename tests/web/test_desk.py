"""The agent's desk in Chromium: the whole of a case by keyboard alone, what is shown, and what is never shown."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from cluster.store import keys
from models.domain.commands import Delivered
from models.domain.message import Attachment
from tests.waiting import wait_until
from tests.web.desk_page import PHONE, WITHIN_MS, DeskPage, profile
from tests.web.local import ACCOUNT, LocalSystem
from tests.web.room import pictures_folder

HOSTILE = (
    '<img src=x onerror="document.title=\'hacked\'"><script>document.title="hacked"</script>',
    "\u202egnihtemos \u2066left\u2069 to right\u202c",
    "Z̸̢͔̝̈́͂ā̶̲͓͊l̵͙̆g̸̘̈́ö̷̼́" * 20,
    "https://shop.example/a?b=<b>&c=1 javascript:alert(1)",
    "\n".join(f"line {n}" for n in range(1_200)),
)


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


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory):
    return pictures_folder(tmp_path_factory.mktemp("pictures"))


def test_a_wrong_password_is_told_and_the_right_one_opens_the_desk(local, chromium):
    context = profile(chromium)
    desk = DeskPage(context, local, name="")
    desk.log_in("alice", "not this one")
    expect(desk.page.get_by_role("alert")).to_have_text("Account, name or password is wrong.")
    desk.log_in("alice")
    kept = desk.page.evaluate(
        "JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie, location.href])"
    )
    session, local_storage, cookie, url = json.loads(kept)
    token = json.loads(session["raydesk.desk.session"])["token"]
    assert token not in json.dumps([local_storage, cookie, url])
    assert "password" not in json.dumps(session)
    context.close()


def test_a_case_from_offer_to_resolve_by_keyboard_alone(desk, local):
    conversation = local.write("kb-1", "Where is my order 2024118899231?")
    card = desk.offers.first
    expect(card).to_contain_text("Where is my order 2024118899231?")
    expect(card).to_contain_text("Order status")
    expect(card).to_contain_text(re.compile(r"\d+ s left"))
    desk.press("a")
    desk.say("I am looking, one moment.")
    mine = desk.sees("I am looking, one moment.")
    expect(mine.locator(".tick-stored")).to_be_visible()
    desk.press("Alt+n")
    desk.say("The parcel is at the depot.")
    expect(desk.sees("The parcel is at the depot.")).to_have_class(re.compile("is-note"))
    local.write("kb-1", "Thank you!")
    desk.sees("Thank you!")
    expect(desk.page.locator("rd-side")).to_contain_text("2024118899231")
    stored = [json.loads(each) for each in local.stored(conversation)]
    assert [(each["text"], each.get("internal", False)) for each in stored] == [
        ("Where is my order 2024118899231?", False),
        ("I am looking, one moment.", False),
        ("The parcel is at the depot.", True),
        ("Thank you!", False),
    ]
    desk.press("Escape", "e")
    expect(desk.left.first).to_contain_text("Resolved")
    assert local.record(conversation)["state"] == "resolved"


def test_an_offer_is_declined_by_its_key_and_its_countdown_runs(desk, local):
    conversation = local.write("no-1", "hello")
    left = desk.offers.first.locator(".offer-left")
    first = int(left.inner_text().split()[0])
    assert 0 < first <= 30
    expect(left).not_to_have_text(f"{first} s left", timeout=WITHIN_MS)
    desk.press("d")
    expect(desk.offers).to_have_count(0)
    assert "alice" in local.record(conversation)["excluded"]


def test_transfer_to_a_colleague_who_is_there(desk, local, chromium):
    context = profile(chromium)
    other = DeskPage(context, local, "bob")
    conversation = local.write("tr-1", "I want to return my shoes")
    taker, giver = (desk, other) if desk.offers.count() else (other, desk)
    wait_until(lambda: desk.offers.count() + other.offers.count(), 20, "the offer")
    if other.offers.count():
        taker, giver = desk, other
    else:
        taker, giver = other, desk
    giver.take()
    giver.press("Alt+t")
    name = "alice" if taker is desk else "bob"
    choice = giver.page.locator(".choice", has_text=name)
    expect(choice).to_contain_text("Online")
    choice.focus()
    giver.press("Enter")
    expect(giver.left.first).to_contain_text("Transferred")
    taker.take()
    taker.sees("I want to return my shoes")
    assert local.record(conversation)["agent"] == name
    context.close()


def test_snooze_lays_aside_until_the_contact_writes(desk, local):
    conversation = local.write("sn-1", "I will send you the number later")
    desk.take()
    desk.press("Alt+s")
    expect(desk.page.locator("dialog")).to_be_visible()
    desk.press("ArrowDown", "Enter")
    expect(desk.left.first).to_contain_text("Snoozed")
    record = local.record(conversation)
    assert record["state"] == "snoozed"
    local.write("sn-1", "here it is: 2024118899231")
    expect(desk.offers.first).to_contain_text("here it is")


def test_a_resolved_conversation_is_reopened(desk, local):
    conversation = local.write("re-1", "hello")
    desk.take()
    desk.press("Escape", "e")
    desk.left.first.click()
    desk.page.get_by_role("button", name="Re-open").click()
    expect(desk.offers).to_have_count(1)
    desk.take()
    desk.sees("hello")
    expect(desk.page.locator(".line-system").last).to_contain_text("Conversation re-opened")
    assert local.record(conversation)["state"] == "assigned"


def test_suggested_and_canned_answers_go_into_the_draft(desk, local):
    local.can("thanks", "Thank you for your patience.")
    local.can("hours", "We are here from nine to six.")
    local.write("ca-1", "Where is my order?")
    desk.take()
    desk.page.reload()
    desk.online()
    desk.press("j", "Enter")
    first = desk.page.locator(".suggestion").first.get_attribute("title")
    desk.press("Alt+1")
    expect(desk.composer).to_have_value(first)
    desk.composer.fill("")
    desk.composer.press_sequentially("/th")
    expect(desk.page.locator(".canned-option")).to_have_count(1)
    desk.press("Enter")
    expect(desk.composer).to_have_value("Thank you for your patience.")
    desk.press("Enter")
    desk.sees("Thank you for your patience.")


def test_each_conversation_keeps_its_draft_over_a_reload(desk, local):
    for who in ("dr-1", "dr-2"):
        local.write(who, f"this is {who}")
        desk.take()
        desk.type(f"draft for {who}")
    expect(desk.composer).to_have_value("draft for dr-2")
    desk.page.reload()
    desk.online()
    seen = {}
    for place in range(2):
        desk.rows.nth(place).click()
        seen[desk.messages()[0]] = desk.composer.input_value()
    assert seen == {"this is dr-1": "draft for dr-1", "this is dr-2": "draft for dr-2"}


def test_hostile_texts_are_only_ever_text(desk, local):
    for text in HOSTILE:
        local.write("bad-1", text, attachments=(Attachment(kind="link", url="javascript:alert(1)", title="<b>x</b>"),))
    desk.take()
    for text in HOSTILE[:4]:
        desk.page.locator(".timeline").evaluate("element => element.scrollTo(0, 0)")
        shown = desk.page.locator(".message .text", has_text=text[:40].split("<")[0] or "<img").first
        expect(shown).to_be_attached()
    assert desk.page.title() != "hacked"
    assert desk.page.locator(".message img, .message script, .message b, a[href^='javascript']").count() == 0
    links = desk.page.locator(".message a")
    assert all(link.get_attribute("rel") == "noopener noreferrer" for link in links.all())


def test_a_failed_delivery_is_told_in_the_vendors_words_and_sent_again(desk, local):
    conversation = local.write("fa-1", "hello")
    desk.take()
    desk.say("an answer that fails")
    failed = desk.sees("an answer that fails")
    expect(failed.locator(".tick-stored")).to_be_visible()
    local.ask(
        Delivered(
            account=ACCOUNT,
            conversation=conversation,
            message=f"{conversation}-2",
            state="failed",
            detail="45015 out of time",
        )
    )
    expect(failed).to_contain_text("Not delivered: 45015 out of time")
    failed.get_by_role("button", name="Send again").click()
    wait_until(lambda: len(local.stored(conversation)) == 3, 20, "the answer to be sent again")


def test_an_earlier_conversation_is_shown_but_not_to_be_changed(desk, local):
    first = local.write("past-1", "the first case")
    desk.take()
    desk.say("done")
    desk.press("Escape", "e")
    wait_until(lambda: local.record(first)["state"] == "resolved", 20, "the end of the first case")
    local.write("past-1", "the second case")
    desk.take()
    desk.page.locator(".tree-row").nth(1).click()
    desk.sees("the first case")
    expect(desk.composer).to_be_hidden()


def test_the_same_desk_in_chinese_dark_and_on_a_phone(local, chromium, pictures):
    local.clear()
    context = profile(chromium, PHONE, scheme="dark", locale="zh-CN")
    desk = DeskPage(context, local)
    expect(desk.page.locator("html")).to_have_attribute("lang", "zh-CN")
    local.write("zh-1", "我想退货，订单号 2024118800017，鞋子太小了")
    expect(desk.offers.first).to_contain_text("退")
    desk.page.get_by_role("button", name="接入").click()
    desk.composer.fill("您好，马上为您处理。")
    desk.page.get_by_role("button", name="发送").click()
    desk.sees("您好，马上为您处理。")
    assert desk.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    desk.page.screenshot(path=pictures / "desk-phone-zh-dark.png")
    desk.page.get_by_role("button", name="返回列表").click()
    expect(desk.rows).to_have_count(1)
    assert desk.complaints == []
    context.close()


def test_both_languages_have_every_word(desk):
    missing = desk.page.evaluate(
        """async () => {
            const { DICTIONARIES: { en, zh } } = await import('/desk/words.js');
            return [...Object.keys(en).filter((key) => !(key in zh)), ...Object.keys(zh).filter((key) => !(key in en))];
        }"""
    )
    assert missing == []


def test_the_first_load_is_small(local, chromium):
    context = profile(chromium)
    page = context.new_page()
    client = context.new_cdp_session(page)
    client.send("Network.enable")
    received = []
    client.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    page.goto(f"{local.base}/desk")
    expect(page.locator("rd-login")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert len(received) > 20
    assert sum(received) < 150_000
    context.close()


def test_presence_is_chosen_with_a_reason(desk, local):
    desk.press("p")
    desk.page.get_by_label("Reason (optional)").fill("Lunch")
    desk.page.locator(".choice", has_text="Away").click()
    expect(desk.page.locator(".presence")).to_contain_text("Away · Lunch")

    def kept() -> bool:
        with local.store() as store:
            return json.loads(store.hget(keys.presence(ACCOUNT), "alice")) | {"at_ms": 0} == {
                "status": "away",
                "reason": "Lunch",
                "at_ms": 0,
            }

    wait_until(kept, 20, "the presence to be kept")
    local.write("aw-1", "hello")
    desk.press("p")
    desk.page.locator(".choice", has_text="Online").click()
    expect(desk.offers).to_have_count(1)
