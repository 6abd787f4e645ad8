"""The supervisor's board in Chromium: it shows what happens, when it happened, and nothing to who may not see it."""

import csv
import io
import json
import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from cluster.store import keys
from models.board.hours import hour_of
from models.domain.commands import Accept, Say
from tests.waiting import wait_until
from tests.web.board_page import BoardPage
from tests.web.desk_page import PHONE, WITHIN_MS, DeskPage, profile
from tests.web.local import ACCOUNT, LocalSystem
from tests.web.room import pictures_folder

#: Long enough for a test to see somebody wait, short enough to see them wait too long.
ANSWER_WITHIN_S = 6
HOSTILE = "<img src=x onerror=\"document.title='hacked'\">\u202egnp.exe"


@pytest.fixture(scope="module")
def local() -> Iterator[LocalSystem]:
    options = {"accounts": {ACCOUNT: {"vouch_secret": "v" * 40, "answer_within_s": ANSWER_WITHIN_S}}}
    with LocalSystem(**options) as local:
        yield local


@pytest.fixture
def board(local: LocalSystem, chromium: Browser) -> Iterator[BoardPage]:
    local.clear()
    context = profile(chromium)
    board = BoardPage(context, local)
    yield board
    assert board.complaints == []
    context.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory):
    return pictures_folder(tmp_path_factory.mktemp("pictures"))


def say(local: LocalSystem, conversation: str, text: str, by: str = "alice", *, internal: bool = False) -> None:
    local.ask(
        Say(
            account=ACCOUNT,
            conversation=conversation,
            by=by,
            role="supervisor" if by == "carol" else "agent",
            client_id=text,
            text=text,
            received_at_ms=time.time_ns() // 1_000_000,
            internal=internal,
        )
    )


def test_a_visitor_who_waits_too_long_turns_red_and_calms_down_when_answered(board, local):
    expect(board.tile("waiting")).to_have_text("0")
    conversation = local.write("late-1", "Where is my order 2024118899231?")
    expect(board.tile("waiting")).to_have_text("1", timeout=WITHIN_MS)
    row = board.cases.first
    expect(row).to_contain_text("Where is my order 2024118899231?")
    expect(row).to_contain_text("waiting")
    expect(board.tile("late")).to_have_text("0")
    expect(row).to_have_class(re.compile("is-late"), timeout=WITHIN_MS)
    expect(board.tile("late")).to_have_text("1", timeout=WITHIN_MS)
    expect(board.page.locator(".tile-late.is-late")).to_be_visible()
    expect(row).to_contain_text("Order status")
    with local.open_desk("alice"):
        wait_until(lambda: local.record(conversation)["agent"] == "alice", 20, "the offer")
        local.ask(Accept(account=ACCOUNT, conversation=conversation, by="alice", role="agent"))
        expect(row).to_contain_text("alice", timeout=WITHIN_MS)
        expect(board.tile("held")).to_have_text("1", timeout=WITHIN_MS)
        # who has it makes no difference to who waits
        expect(row).to_have_class(re.compile("is-late"))
        say(local, conversation, "On its way.")
        expect(row).to_contain_text("answered", timeout=WITHIN_MS)
        expect(row).not_to_have_class(re.compile("is-late"))
        agent = board.page.locator(".table-agents tr", has_text="alice")
        expect(agent).to_contain_text("1 / 50")
        expect(agent).to_contain_text("online")
    expect(board.page.locator(".tile-answer .tile-hint")).to_have_text("1 of 1 too late", timeout=WITHIN_MS)


def test_a_supervisor_listens_in_and_takes_over(board, local, chromium):
    context = profile(chromium)
    desk = DeskPage(context, local, "alice")
    conversation = local.write("take-1", "I want to return my shoes")
    desk.take()
    desk.say("One moment.")
    expect(board.cases).to_have_count(1, timeout=WITHIN_MS)
    board.cases.first.locator(".case-open").click()
    expect(board.case).to_be_visible()
    expect(board.case.locator(".listening")).to_have_text("Listening", timeout=WITHIN_MS)
    expect(board.case.locator(".said")).to_have_count(2)
    local.write("take-1", HOSTILE)
    desk.press("Alt+n")
    desk.say("She sounds angry.")
    expect(board.case.locator(".said")).to_have_count(4, timeout=WITHIN_MS)
    assert board.said() == ["I want to return my shoes", "One moment.", HOSTILE, "She sounds angry."]
    expect(board.case.locator(".said.is-note")).to_contain_text("Note · alice")
    assert board.page.title() == "raydesk · Board"
    board.case.get_by_role("button", name="Take over").click()
    expect(board.case.locator(".case-line", has_text="Taken over by carol")).to_be_visible(timeout=WITHIN_MS)
    expect(board.case.get_by_role("link", name="Answer at the desk")).to_be_visible()
    expect(desk.left.first).to_contain_text("A supervisor took it over")
    assert (local.record(conversation)["state"], local.record(conversation)["agent"]) == ("assigned", "carol")
    own = board.page.context.new_page()
    own.goto(f"{local.base}/desk")
    expect(own.locator(".row:not(.is-left)")).to_contain_text(HOSTILE[:20], timeout=WITHIN_MS)
    board.page.bring_to_front()
    board.page.keyboard.press("Escape")
    expect(board.case).to_be_hidden()
    expect(board.cases.first.locator(".case-open")).to_be_focused()
    context.close()


def test_an_agent_is_refused_and_shown_the_way_to_the_desk(local, chromium):
    context = profile(chromium)
    board = BoardPage(context, local, name="")
    board.log_in("alice")
    expect(board.page.get_by_role("alert")).to_contain_text("alice is an agent", timeout=WITHIN_MS)
    expect(board.page.locator("rd-live")).to_have_count(0)
    asked: list[str] = []
    board.page.on("request", lambda request: asked.append(request.url))
    board.page.wait_for_timeout(3_000)
    assert asked == []
    assert board.complaints == []
    context.close()


def test_history_its_table_and_its_csv_have_the_same_numbers(board, local):
    first, second = local.write("hist-1", "hello"), local.write("hist-2", "where is my parcel?")
    local.write("hist-1", "again")
    for conversation in (first, second):
        say(local, conversation, f"yes? {conversation}", by="carol", internal=True)
    board.page.get_by_role("button", name="History").click()
    table = board.page.locator(".card-chart-messages .numbers")
    table.locator("summary").click()
    expect(table.locator("tbody tr").last).to_be_visible(timeout=WITHIN_MS)
    cells = [int(each) for each in table.locator("tbody tr").last.locator("td").all_inner_texts()]
    with local.store() as store:
        counted = store.hgetall(keys.hour(ACCOUNT, hour_of(time.time_ns() // 1_000_000)))
    assert cells == [int(counted.get(name, 0)) for name in (b"contact", b"agent", b"bot")]
    assert cells[0] >= 3
    with board.page.expect_download() as download:
        board.page.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == "raydesk-hour-1.csv"
    text = download.value.path().read_text(encoding="utf-8-sig")
    last = list(csv.DictReader(io.StringIO(text)))[-1]
    assert [int(last[name]) for name in ("contact", "agent", "bot")] == cells
    assert int(last["note"]) >= 2
    chart = board.page.locator(".card-chart-messages svg.chart")
    expect(chart).to_have_attribute("role", "img")
    assert chart.evaluate(
        """(svg) => svg.getAttribute('aria-labelledby').split(' ')
            .every((id) => document.getElementById(id).textContent)"""
    )
    board.page.get_by_role("button", name="31 days").click()
    expect(table.locator("tbody tr").last.locator("td").first).not_to_have_text("", timeout=WITHIN_MS)


def test_skill_groups_change_and_the_queue_follows(board, local):
    bob = board.page.locator(".table-agents tr", has_text="bob")
    bob.get_by_role("button", name="Skill groups of bob").click()
    dialog = board.page.locator("dialog")
    expect(dialog.get_by_label("returns", exact=True)).to_be_checked()
    dialog.get_by_label("returns", exact=True).uncheck()
    dialog.get_by_label("Another skill group").fill("billing")
    board.page.keyboard.press("Enter")
    expect(dialog.get_by_label("billing", exact=True)).to_be_checked()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0, timeout=WITHIN_MS)
    expect(bob.locator(".tags")).to_have_text("billing", timeout=WITHIN_MS)
    expect(board.page.locator(".table-groups tr", has_text="billing")).to_be_visible()
    user = local.do(local.directory.get(ACCOUNT, "bob"))
    assert (user.skills, user.role) == (("billing",), "agent")
    local.do(local.directory.set_skills(ACCOUNT, "bob", ["returns"]))


def test_numbers_that_are_old_say_so_and_are_new_again_after_the_break(board, local):
    local.write("cut-1", "hello")
    expect(board.tile("waiting")).to_have_text("1", timeout=WITHIN_MS)
    board.page.context.set_offline(True)
    expect(board.page.locator(".connection")).to_contain_text("s old", timeout=WITHIN_MS)
    expect(board.page.locator(".banner")).to_contain_text("No connection to the server", timeout=WITHIN_MS)
    expect(board.tile("waiting")).to_have_text("1")
    local.write("cut-2", "hello")
    board.page.context.set_offline(False)
    expect(board.tile("waiting")).to_have_text("2", timeout=WITHIN_MS)
    board.fresh()
    expect(board.page.locator(".banner")).to_be_hidden()


def test_the_log_in_is_shared_with_the_desk_and_so_is_the_leaving(local, chromium):
    context = profile(chromium)
    desk = DeskPage(context, local, "carol")
    board = BoardPage(context, local, name="")
    board.fresh()
    kept = board.page.evaluate("JSON.stringify([{...localStorage}, document.cookie, location.href])")
    token = json.loads(board.page.evaluate("sessionStorage['raydesk.desk.session']"))["token"]
    assert token not in kept
    desk.page.get_by_role("button", name="Log out").click()
    expect(board.page.locator("#login-password")).to_be_visible(timeout=WITHIN_MS)
    context.close()


def test_rates_and_stretches_are_computed_from_what_was_counted(board):
    found = board.page.evaluate(
        """async () => {
            const { Rate, filled, share, ticks, totalOf } = await import('/board/rows.js');
            const row = (from_ms, n) => ({ from_ms, contact: n, agent: 0, bot: 0 });
            const hour = 3600000;
            const rate = new Rate();
            const seen = [rate.perMinute];
            rate.take(hour - 20000, row(0, 100), row(-hour, 7));
            rate.take(hour - 10000, row(0, 110), row(-hour, 7));
            seen.push(rate.perMinute);
            rate.take(hour + 10000, row(hour, 5), row(0, 115));
            seen.push(rate.perMinute);
            const whole = (from_ms, n) => ({ ...row(from_ms, n), rated: n, rating: 3, intents: { a: n } });
            const rows = filled([whole(0, 1), whole(3 * hour, 2)], (ms) => ms + hour, 4.5 * hour);
            return [seen, rows.map((each) => [each.from_ms / hour, each.contact]), share(1, 0), share(1, 4),
                    ticks(0), ticks(7), ticks(1234), totalOf(rows).intents.a, totalOf(rows).rating];
        }"""
    )
    seen, rows, nothing, quarter, none, seven, many, intents, rating = found
    assert seen == [None, 60, 40]
    assert rows == [[0, 1], [1, 0], [2, 0], [3, 2], [4, 0]]
    assert (nothing, quarter, intents, rating) == (None, 25, 3, 3)
    assert (none, seven, many) == ([0, 1], [0, 2, 4, 6, 8], [0, 500, 1000, 1500])


def test_every_word_stands_in_both_languages(board):
    missing, different = board.page.evaluate(
        """async () => {
            const { DICTIONARIES: { en, zh } } = await import('/board/words.js');
            const places = (word) => (typeof word === 'string' ? (word.match(/\\{\\w+\\}/g) ?? []).sort().join() : '');
            const both = Object.keys(en).filter((key) => typeof en[key] === 'string' && typeof zh[key] === 'string');
            return [
                [...Object.keys(en).filter((key) => !(key in zh)), ...Object.keys(zh).filter((key) => !(key in en))],
                both.filter((key) => places(en[key]) !== places(zh[key])),
            ];
        }"""
    )
    assert missing == []
    assert different == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("size", "locale"), [((1280, 800), "en-US"), (PHONE, "zh-CN")])
def test_pictures(local, chromium, pictures, scheme, size, locale):
    """What a designer looks at; a page that is wider than the window fails."""
    local.clear()
    for who, text in enumerate(
        ("Where is my order?", "I want my money back", "hello", "发票怎么开", "Do you ship to Japan?")
    ):
        local.write(f"pic-{who}", text)
    context = profile(chromium, size, scheme=scheme, locale=locale)
    with local.open_desk("alice"):
        wait_until(lambda: local.store().hlen(keys.held(ACCOUNT)) >= 5, 20, "the offers")
        board = BoardPage(context, local)
        expect(board.cases).to_have_count(5, timeout=WITHIN_MS)
        name = f"board-{size[0]}-{scheme}"
        board.page.screenshot(path=pictures / f"{name}.png", full_page=True)
        board.cases.first.locator(".case-open").click()
        expect(board.case.locator(".said")).to_have_count(1)
        board.page.screenshot(path=pictures / f"{name}-case.png")
        board.page.keyboard.press("Escape")
        board.page.locator(".top .tabs-line .tab").nth(1).click()
        expect(board.page.locator("svg.chart").first).to_be_visible(timeout=WITHIN_MS)
        board.page.screenshot(path=pictures / f"{name}-history.png")
        assert board.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert board.complaints == []
    context.close()
