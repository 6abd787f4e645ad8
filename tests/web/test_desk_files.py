"""Files at the desk: chosen, pasted and dropped; sent in order through every break; shown only when asked for."""

import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from models.domain.commands import Receive
from models.domain.files import visitor_owner
from models.domain.ids import contact_id
from models.domain.message import Attachment
from tests.waiting import wait_until
from tests.web.axe import findings
from tests.web.desk_page import PHONE, WITHIN_MS, DeskPage, profile
from tests.web.local import ACCOUNT, LocalSystem
from tests.web.pictures import png
from tests.web.room import pictures_folder

MAX = 3_000_000
SLOW_BYTES_S = 200_000
PICTURE = png(320, 200)
HOSTILE = ["<img src=x onerror=window.broken=1>.txt", "invoice\u202egpj.exe", "x" * 300 + ".pdf", "发票 2026 年.pdf"]


@pytest.fixture(scope="module")
def local() -> Iterator[LocalSystem]:
    limits = {"logins_per_minute": 10_000, "file_bytes": MAX, "files_per_minute": 1_000}
    with LocalSystem(limits=limits) as local:
        yield local


@pytest.fixture
def desk(local: LocalSystem, chromium: Browser) -> Iterator[DeskPage]:
    local.clear()
    context = profile(chromium)
    desk = DeskPage(context, local)
    yield desk
    assert desk.complaints == []
    assert desk.page.evaluate("window.broken") is None
    context.close()


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures_folder(tmp_path_factory.mktemp("pictures"))


def stored(local: LocalSystem, conversation: str) -> list[Any]:
    """Return the text or the names of the files of each message."""
    messages = [json.loads(each) for each in local.stored(conversation)]
    return [each.get("text") or [file["title"] for file in each["attachments"]] for each in messages]


def choose(desk: DeskPage, *files: tuple[str, bytes]) -> None:
    given = [{"name": name, "mimeType": "application/octet-stream", "buffer": body} for name, body in files]
    desk.page.locator("rd-composer input[type=file]").set_input_files(given)  # type: ignore[arg-type]


def chips(desk: DeskPage) -> Locator:
    return desk.page.locator("rd-composer .files .file")


def slow(desk: DeskPage, bytes_s: int = SLOW_BYTES_S) -> None:
    """Let uploads crawl; -1 ends that."""
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_s}
    desk.page.context.new_cdp_session(desk.page).send("Network.emulateNetworkConditions", conditions)


def sent_in_by_contact(local: LocalSystem, who: str, name: str, body: bytes) -> Attachment:
    async def chunks() -> Any:
        yield body

    record = local.do(local.files.take(ACCOUNT, visitor_owner("demo-web", who), name, chunks()))
    return Attachment(kind=record.kind, title=record.name, file=record.id, bytes=record.bytes)


def test_files_that_are_chosen_go_with_the_answer(desk, local, shots):
    conversation = local.write("f-1", "send me the form")
    desk.take()
    choose(desk, ("form.pdf", b"%PDF-1.7"), ("photo.png", PICTURE))
    expect(chips(desk)).to_have_count(2)
    expect(chips(desk).filter(has_text="form.pdf")).to_have_class(re.compile("is-kept"))
    desk.type("Here it is")
    desk.page.screenshot(path=shots / "files-desk-draft.png")
    desk.press("Enter")
    message = desk.sees("Here it is")
    expect(message.locator(".tick-stored")).to_be_visible()
    expect(message.locator(".file")).to_have_count(2)
    expect(chips(desk)).to_have_count(0)
    expect(desk.composer).to_be_focused()
    last = json.loads(local.stored(conversation)[-1])
    assert [(each["kind"], each["title"]) for each in last["attachments"]] == [
        ("file", "form.pdf"),
        ("image", "photo.png"),
    ]
    assert last["attachments"][1]["bytes"] == len(PICTURE)


def test_a_file_alone_is_a_message_and_a_note(desk, local):
    conversation = local.write("f-2", "hello")
    desk.take()
    expect(desk.page.get_by_role("button", name="Send")).to_be_disabled()
    choose(desk, ("alone.txt", b"1"))
    desk.press("Enter")
    wait_until(lambda: stored(local, conversation)[-1] == ["alone.txt"], 10, "the file")
    desk.press("Alt+n")
    choose(desk, ("for-us.txt", b"2"))
    expect(chips(desk)).to_have_count(1)
    desk.press("Enter")
    wait_until(lambda: stored(local, conversation)[-1] == ["for-us.txt"], 10, "the note")
    assert json.loads(local.stored(conversation)[-1])["internal"]
    expect(desk.page.locator(".message.is-note .file")).to_be_visible()


def test_files_are_pasted_and_dropped(desk, local):
    conversation = local.write("f-3", "hello")
    desk.take()
    bring = """([kind, name]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File(["body"], name, { type: "image/png" }));
        const target = document.querySelector(kind === "paste" ? "textarea.compose" : "rd-timeline");
        const event = kind === "paste"
            ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
            : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
        return !target.dispatchEvent(event);
    }"""
    assert desk.page.evaluate(bring, ["paste", "pasted.png"])
    assert desk.page.evaluate(bring, ["dragover", "dropped.png"])
    expect(desk.page.get_by_text("Drop files here")).to_be_visible()
    assert desk.page.evaluate(bring, ["drop", "dropped.png"])
    expect(desk.page.get_by_text("Drop files here")).to_be_hidden()
    expect(chips(desk)).to_have_count(2)
    desk.press("Enter")
    wait_until(lambda: stored(local, conversation)[-1] == ["pasted.png", "dropped.png"], 10, "both files")


def test_a_drop_beside_the_answer_does_not_replace_the_page(desk, local):
    drop = """() => {
        const transfer = new DataTransfer();
        transfer.items.add(new File(["body"], "a.html"));
        const more = { dataTransfer: transfer, bubbles: true, cancelable: true };
        return ["dragover", "drop"].map((kind) => !document.body.dispatchEvent(new DragEvent(kind, more)));
    }"""
    assert desk.page.evaluate(drop) == [True, True]
    expect(chips(desk)).to_have_count(0)


def test_progress_shows_and_a_file_can_be_stopped(desk, local, shots):
    conversation = local.write("f-4", "hello")
    desk.take()
    slow(desk)
    choose(desk, ("large.bin", os.urandom(2_500_000)), ("small.bin", b"x"))
    bar = chips(desk).first.get_by_role("progressbar")
    expect(bar).to_be_visible()
    wait_until(lambda: 0 < bar.evaluate("(each) => each.value") < 1, 10, "some progress")
    desk.page.screenshot(path=shots / "files-desk-progress.png")
    chips(desk).first.get_by_role("button", name="Cancel").click()
    expect(chips(desk)).to_have_count(1)
    slow(desk, -1)
    desk.press("Alt+r", "Enter")
    wait_until(lambda: stored(local, conversation)[-1] == ["small.bin"], 10, "the other file")


def test_a_message_waits_for_its_file_and_nothing_overtakes_it(desk, local, shots):
    conversation = local.write("f-5", "hello")
    desk.take()
    slow(desk, 500_000)
    choose(desk, ("large.bin", os.urandom(1_500_000)))
    desk.say("look at this")
    desk.say("and tell me")
    message = desk.sees("look at this")
    expect(message.get_by_role("progressbar")).to_be_visible()
    expect(desk.sees("and tell me").locator(".tick-waiting")).to_be_visible()
    desk.page.screenshot(path=shots / "files-desk-waiting.png")
    wait_until(lambda: len(stored(local, conversation)) == 3, 20, "both messages")
    assert stored(local, conversation)[1:] == ["look at this", "and tell me"]
    assert json.loads(local.stored(conversation)[1])["attachments"][0]["bytes"] == 1_500_000


def test_what_is_attached_offline_waits_and_goes_out_once_and_in_order(desk, local):
    conversation = local.write("f-6", "hello")
    desk.take()
    desk.page.context.set_offline(True)
    desk.offline()
    choose(desk, ("offline.png", PICTURE))
    expect(chips(desk).get_by_text("Waiting for the connection")).to_be_visible()
    desk.say("with a file")
    desk.say("without one")
    expect(desk.sees("with a file").locator(".tick-waiting")).to_be_visible()
    desk.page.context.set_offline(False)
    desk.online()
    expect(desk.sees("without one").locator(".tick-stored")).to_be_visible(timeout=WITHIN_MS)
    assert stored(local, conversation)[1:] == ["with a file", "without one"]
    assert len(json.loads(local.stored(conversation)[1])["attachments"]) == 1


def test_a_server_that_fails_for_a_while_costs_no_file(desk, local):
    conversation = local.write("f-7", "hello")
    desk.take()
    failures = iter(
        [lambda route: route.abort(), lambda route: route.fulfill(status=503, headers={"retry-after": "1"})]
    )
    desk.page.route("**/v1/files", lambda route: next(failures, lambda each: each.continue_())(route))
    choose(desk, ("again.bin", b"x"))
    desk.press("Enter")
    expect(desk.page.locator(".message.by-agent .tick-stored")).to_be_visible(timeout=WITHIN_MS)
    assert stored(local, conversation)[1:] == [["again.bin"]]
    assert next(failures, None) is None
    desk.complaints[:] = [each for each in desk.complaints if "503" not in each]


def test_what_never_comes_through_is_said_and_can_be_tried_again(desk, local):
    conversation = local.write("f-16", "hello")
    desk.take()
    desk.page.route("**/v1/files", lambda route: route.abort())
    choose(desk, ("blocked.bin", b"x"))
    expect(chips(desk).get_by_text("does not come through")).to_be_visible(timeout=WITHIN_MS)
    expect(desk.page.get_by_role("button", name="Send")).to_be_disabled()
    desk.page.unroute("**/v1/files")
    chips(desk).get_by_role("button", name="Try again").click()
    expect(chips(desk)).to_have_class(re.compile("is-kept"))
    desk.press("Alt+r", "Enter")
    wait_until(lambda: stored(local, conversation)[-1] == ["blocked.bin"], 10, "the file")


def test_a_router_that_dies_costs_no_file_and_doubles_none(desk, local):
    conversation = local.write("f-8", "hello")
    desk.take()
    local.router.down = True
    choose(desk, ("dies.bin", b"x"))
    desk.say("while it is down")
    time.sleep(0.5)
    local.router.down = False
    expect(desk.sees("while it is down").locator(".tick-stored")).to_be_visible(timeout=WITHIN_MS)
    assert len(stored(local, conversation)) == 2


def test_a_reload_loses_a_file_that_was_not_in_and_says_so(desk, local):
    conversation = local.write("f-9", "hello")
    desk.take()
    slow(desk, 100_000)
    choose(desk, ("lost.bin", os.urandom(2_000_000)))
    desk.say("with a file that is lost")
    desk.page.on("dialog", lambda dialog: dialog.accept())
    desk.page.reload()
    desk.online()
    desk.rows.first.click()
    message = desk.sees("with a file that is lost")
    expect(message.locator(".trouble")).to_contain_text("Attach it again")
    assert stored(local, conversation) == ["hello"]
    message.get_by_role("button", name="Take back").click()
    expect(desk.composer).to_have_value("with a file that is lost")
    expect(chips(desk)).to_have_count(0)
    desk.press("Alt+r", "Enter")
    wait_until(lambda: len(stored(local, conversation)) == 2, 10, "the text")


def test_what_is_too_large_or_empty_holds_the_answer_back_until_it_is_removed(desk, local, shots):
    local.write("f-10", "hello")
    desk.take()
    choose(desk, ("large.bin", b"x" * (MAX + 1)), ("empty.txt", b""))
    expect(chips(desk).filter(has_text="Too large: at most 3 MB")).to_be_visible()
    expect(chips(desk).filter(has_text="There is nothing in this file")).to_be_visible()
    desk.type("text")
    expect(desk.page.get_by_role("button", name="Send")).to_be_disabled()
    desk.page.screenshot(path=shots / "files-desk-refused.png")
    for _ in range(2):
        chips(desk).first.get_by_role("button", name="Remove").click()
    expect(chips(desk)).to_have_count(0)
    expect(desk.page.get_by_role("button", name="Send")).to_be_enabled()


def test_one_message_brings_ten_files_and_not_more(desk, local):
    conversation = local.write("f-11", "hello")
    desk.take()
    choose(desk, *((f"{n}.txt", b"x") for n in range(12)))
    expect(desk.page.get_by_text("at most 10 files")).to_be_visible()
    expect(chips(desk)).to_have_count(10)
    desk.press("Enter")
    wait_until(lambda: len(stored(local, conversation)[-1]) == 10, 10, "ten files")


def test_what_a_contact_sent_is_loaded_when_asked_for_and_not_before(desk, local, shots):
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    picture = sent_in_by_contact(local, "f-12", "photo.png", PICTURE)
    local.write("f-12", "look", attachments=(picture,))
    desk.take()
    message = desk.sees("look")
    expect(message.locator(".file")).to_contain_text("photo.png")
    assert not [url for url in asked if "/files/" in url]
    message.get_by_role("button", name="Show: photo.png").click()
    shown = message.get_by_role("img", name="photo.png")
    expect(shown).to_be_visible()
    wait_until(lambda: shown.evaluate("(each) => each.naturalWidth") == 320, 10, "the picture")
    desk.page.screenshot(path=shots / "files-desk-picture.png")
    loaded = [url for url in asked if "/files/" in url]
    token = desk.model("model.session.value.token")
    assert len(loaded) == 2
    assert not [url for url in asked if token in url]
    message.get_by_role("button", name="Hide: photo.png").click()
    expect(shown).to_have_count(0)
    with desk.page.expect_download() as download:
        message.get_by_role("button", name="Save: photo.png").click()
    assert download.value.suggested_filename == "photo.png"
    assert Path(download.value.path()).read_bytes() == PICTURE


def test_what_only_calls_itself_a_picture_is_never_shown(desk, local):
    body = b"<svg xmlns='http://www.w3.org/2000/svg' onload='parent.broken=1'/>"
    local.write("f-13", "look", attachments=(sent_in_by_contact(local, "f-13", "photo.svg", body),))
    desk.take()
    message = desk.sees("look")
    expect(message.get_by_role("button", name="Save: photo.svg")).to_be_visible()
    expect(message.get_by_role("button", name="Show")).to_have_count(0)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_and_stays_in_its_place(desk, local, name):
    local.write(f"f-14-{HOSTILE.index(name)}", "look")
    desk.take()
    choose(desk, (name, b"x"))
    expect(chips(desk)).to_have_class(re.compile("is-kept"))
    desk.press("Enter")
    row = desk.page.locator(".message .file").last
    expect(row).to_be_visible()
    shown = row.locator(".file-name").evaluate("(each) => each.textContent")
    assert not set(shown) & set("<>\u202e")
    assert desk.page.evaluate(
        """() => {
            const pane = document.querySelector(".timeline").getBoundingClientRect();
            return [...document.querySelectorAll(".message .file, .message .file *")].every((each) => {
                const box = each.getBoundingClientRect();
                return box.left >= pane.left && box.right <= pane.right;
            });
        }"""
    )


def test_a_channel_that_carries_no_files_says_so_before_anything_is_sent(desk, local, shots):
    who = uuid.uuid4().hex

    async def write() -> None:
        await local.client.receive(
            Receive(
                account=ACCOUNT,
                contact=contact_id(ACCOUNT, "wechat", "wx", who),
                channel="wechat",
                inbox="wx",
                external_id=who,
                source_id=who,
                text="hello",
                received_at_ms=time.time_ns() // 1_000_000,
            )
        )

    local.do(write())
    desk.take()
    button = desk.page.get_by_role("button", name="Attach files")
    expect(button).to_be_disabled()
    expect(button).to_have_attribute("title", re.compile("WeChat carries no files"))
    desk.press("Alt+n")
    expect(button).to_be_enabled()
    choose(desk, ("for-us.txt", b"x"))
    expect(chips(desk)).to_have_count(1)
    desk.press("Alt+r")
    expect(desk.page.get_by_text("WeChat carries no files")).to_be_visible()
    expect(desk.page.get_by_role("button", name="Send")).to_be_disabled()
    desk.page.screenshot(path=shots / "files-desk-wechat.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_files(local, chromium, scheme):
    local.clear()
    # the policy of the page keeps axe out, as it should keep everybody out
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, color_scheme=scheme, bypass_csp=True)
    desk = DeskPage(context, local)
    local.write(f"f-17-{scheme}", "look", attachments=(sent_in_by_contact(local, "f-17", "photo.png", PICTURE),))
    desk.take()
    choose(desk, ("sent.txt", b"x"))
    desk.say("with a file")
    desk.page.get_by_role("button", name="Show: photo.png").click()
    expect(desk.page.get_by_role("img", name="photo.png")).to_be_visible()
    slow(desk, 50_000)
    choose(desk, ("empty.txt", b""), ("large.bin", os.urandom(1_000_000)))
    expect(chips(desk).get_by_role("progressbar")).to_be_visible()
    assert findings(desk.page) == []
    desk.press("Alt+n")
    assert findings(desk.page) == []
    context.close()


def test_files_look_right_in_the_dark_on_a_phone_and_in_chinese(local, chromium, shots):
    local.clear()
    context = profile(chromium, PHONE, scheme="dark", locale="zh-CN")
    desk = DeskPage(context, local)
    picture = sent_in_by_contact(local, "f-15", "订单截图.png", PICTURE)
    local.write("f-15", "请看截图", attachments=(picture,))
    expect(desk.offers.first).to_be_visible(timeout=WITHIN_MS)
    desk.press("Alt+a")
    message = desk.sees("请看截图")
    message.get_by_role("button", name="查看").click()
    expect(message.get_by_role("img")).to_be_visible()
    choose(desk, ("回执.pdf", b"x"), ("空.txt", b""))
    expect(chips(desk)).to_have_count(2)
    desk.page.screenshot(path=shots / "files-desk-phone.png")
    assert desk.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert desk.complaints == []
    context.close()
