"""The desk tells the truth: cut networks, restarts, two tabs and wrong clocks cost nothing and double nothing."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from models.domain.commands import Accept, Typing
from tests.waiting import wait_until
from tests.web.desk_page import WITHIN_MS, DeskPage, profile
from tests.web.local import ACCOUNT, LocalSystem

SHOWN = "[...model.replica.cases.values()].map((found) => [found.record, found.messages.slice(-5)])"


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


def texts_of(local: LocalSystem, conversation: str) -> list[str]:
    return [json.loads(each)["text"] for each in local.stored(conversation)]


def same_as_a_fresh_desk(desk: DeskPage) -> bool:
    """Tell whether the page shows what a desk shows that opens now."""
    again = DeskPage(desk.page.context, desk.local, name="")
    again.online()
    try:
        mine, fresh = (json.dumps(sorted(each.model(SHOWN), key=str), sort_keys=True) for each in (desk, again))
        return mine == fresh
    finally:
        again.page.close()


def test_what_is_written_offline_waits_and_goes_out_once(desk, local):
    conversation = local.write("off-1", "hello")
    desk.take()
    desk.say("before")
    desk.sees("before")
    desk.page.context.set_offline(True)
    desk.offline()
    expect(desk.page.locator(".banner")).to_be_visible()
    for text in ("first while offline", "second while offline"):
        desk.say(text)
        expect(desk.sees(text).locator(".tick-waiting")).to_be_visible()
    expect(desk.page.get_by_role("button", name="Resolve")).to_be_disabled()
    local.write_many([("off-1", f"meanwhile {n}") for n in range(20)])
    desk.page.context.set_offline(False)
    desk.online()
    expect(desk.sees("second while offline").locator(".tick-stored")).to_be_visible()
    written = texts_of(local, conversation)
    assert written[-2:] == ["first while offline", "second while offline"]
    assert len(written) == len(set(written)) == 24
    assert desk.model("model.current.messages.map((message) => message.text)") == written
    assert same_as_a_fresh_desk(desk)


def test_what_is_written_offline_outlives_a_reload(desk, local):
    conversation = local.write("off-2", "hello")
    desk.take()
    local.cut()
    desk.say("written into a dead cable")
    desk.page.on("dialog", lambda dialog: dialog.accept())
    desk.page.reload()
    local.mend()
    desk.online()
    wait_until(lambda: texts_of(local, conversation) == ["hello", "written into a dead cable"], 20, "the answer")
    desk.rows.first.click()
    desk.sees("written into a dead cable")
    assert desk.page.locator(".message.by-agent").count() == 1


def test_a_cable_that_swallows_everything_is_noticed_and_loses_nothing(desk, local):
    conversation = local.write("cut-1", "hello")
    desk.take()
    local.cut()
    desk.say("is anybody there?")
    # nothing closes: the page itself must find that nobody answers
    desk.offline()
    local.write("cut-1", "I am still here")
    local.mend()
    desk.online()
    expect(desk.sees("is anybody there?").locator(".tick-stored")).to_be_visible(timeout=WITHIN_MS)
    assert sorted(texts_of(local, conversation)) == ["I am still here", "hello", "is anybody there?"]
    assert desk.model("model.current.messages.map((message) => message.text)") == texts_of(local, conversation)
    assert same_as_a_fresh_desk(desk)


def test_a_gateway_that_restarts_leaves_no_gap_and_no_double(desk, local):
    conversation = local.write("gw-1", "0")
    desk.take()
    for round_ in range(1, 4):
        local.restart_gateway()
        local.write_many([("gw-1", f"{round_}.{n}") for n in range(10)])
        desk.say(f"answer {round_}")
        expect(desk.sees(f"answer {round_}").locator(".tick-stored")).to_be_visible(timeout=WITHIN_MS)
    wait_until(lambda: len(texts_of(local, conversation)) == 34, 20, "all messages")
    wait_until(
        lambda: desk.model("model.current.messages.map((message) => message.text)") == texts_of(local, conversation),
        20,
        "the page to show them",
    )
    assert same_as_a_fresh_desk(desk)


def test_a_second_tab_needs_no_log_in_and_is_in_step(desk, local):
    local.write("tab-1", "hello")
    desk.take()
    second = DeskPage(desk.page.context, local, name="")
    second.online()
    second.rows.first.click()
    second.sees("hello")
    desk.page.bring_to_front()
    desk.say("from the first tab")
    assert "from the first tab" in second.sees("from the first tab").inner_text()
    desk.composer.fill("a draft for both")
    expect(second.composer).to_have_value("a draft for both")
    desk.press("Escape", "p")
    desk.page.locator(".choice", has_text="Away").click()
    expect(second.page.locator(".presence")).to_contain_text("Away")
    local.write("tab-1", "seen in one tab")
    desk.sees("seen in one tab")
    second.sees("seen in one tab")
    expect(second.rows.first.locator(".badge")).to_be_hidden()
    desk.page.get_by_role("button", name="Log out").click()
    expect(desk.page.locator("rd-login")).to_be_visible()
    expect(second.page.locator("rd-login")).to_be_visible()
    assert second.complaints == []


def test_unread_messages_are_counted_in_the_list_and_in_the_title(desk, local):
    local.write("un-1", "the one that is open")
    desk.take()
    other = local.write("un-2", "one")
    expect(desk.offers).to_have_count(1)
    local.ask(Accept(account=ACCOUNT, conversation=other, by="alice", role="agent"))
    local.write_many([("un-2", "two"), ("un-2", "three")])
    row = desk.rows.filter(has_text="three")
    expect(row.locator(".badge")).to_have_text("3")
    expect(desk.page).to_have_title("(3) raydesk · Desk")
    row.click()
    expect(row.locator(".badge")).to_be_hidden()
    expect(desk.page).to_have_title("raydesk · Desk")


@pytest.mark.parametrize("wrong_by_h", [-9, 30])
def test_the_clock_of_the_browser_does_not_matter(local, chromium, wrong_by_h):
    local.clear()
    context = profile(chromium)
    context.add_init_script(
        f"""{{ const Real = Date; const shift = {wrong_by_h} * 3_600_000;
        globalThis.Date = class extends Real {{
            constructor(...given) {{ super(...(given.length ? given : [Real.now() + shift])); }}
            static now() {{ return Real.now() + shift; }}
        }}; }}"""
    )
    desk = DeskPage(context, local)
    local.write("cl-1", "what time is it?")
    seconds = int(desk.offers.first.locator(".offer-left").inner_text().split()[0])
    assert 20 <= seconds <= 31
    desk.take()
    expect(desk.rows.first.locator(".time")).to_contain_text(" s")
    expect(desk.page.locator(".line-day")).to_have_text("Today")
    context.close()


def test_both_sides_see_the_other_type(desk, local):
    conversation = local.write("ty-1", "hello")
    desk.take()
    local.ask(Typing(account=ACCOUNT, conversation=conversation, contact=local.record(conversation)["contact"]))
    expect(desk.page.locator(".typing")).to_contain_text("is typing")
    desk.composer.press_sequentially("I am")

    desk.press("Enter")
    expect(desk.sees("I am").locator(".tick-stored")).to_be_visible()
    # what is stored was written after it, so the router has heard of every letter by now
    told = [each for each in local.router.commands if isinstance(each, Typing) and each.by]
    assert [each.by for each in told if each.conversation == conversation] == ["alice"]


def test_a_long_conversation_is_read_page_by_page_and_never_all_in_the_document(desk, local):
    local.write_many([("long-1", f"line {n}") for n in range(1_000)])
    desk.take()
    desk.sees("line 999")
    rows = desk.page.locator(".timeline .virtual-row")
    for _ in range(40):
        desk.page.locator(".timeline").evaluate("element => element.scrollTo(0, 0)")
        assert rows.count() < 120
        if desk.page.locator(".line-start").count():
            break
        desk.page.wait_for_timeout(50)
    expect(desk.page.locator(".line-start")).to_be_visible()
    assert desk.model("model.current.messages.map((message) => message.seq)") == list(range(1, 1_001))
    desk.press("Escape", "g")
    desk.sees("line 999")


def test_what_the_reader_looks_at_stays_where_it_is(desk, local):
    local.write_many([("st-1", f"line {n} " + "word " * (n % 60)) for n in range(400)])
    desk.take()
    timeline = desk.page.locator(".timeline")
    timeline.evaluate("element => element.scrollBy(0, -1500)")
    place = """element => {
        const top = element.getBoundingClientRect().top;
        const below = (each) => each.getBoundingClientRect().top > top + 50;
        const seen = [...element.querySelectorAll(".message")].find(below);
        return [seen.querySelector(".text").textContent, Math.round(seen.getBoundingClientRect().top)];
    }"""
    desk.page.wait_for_timeout(300)
    before = timeline.evaluate(place)
    local.write_many([("st-1", f"newer {n}") for n in range(5)])
    expect(desk.page.locator(".to-end")).to_contain_text("5 new messages")
    text, top = timeline.evaluate(place)
    assert text == before[0]
    assert abs(top - before[1]) <= 2
    desk.page.locator(".to-end").click()
    desk.sees("newer 4")
