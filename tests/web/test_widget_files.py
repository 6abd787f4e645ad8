"""Files in the widget, on a page of another origin with the strictest rules."""

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.waiting import wait_until
from tests.web.axe import findings
from tests.web.chat import Chat
from tests.web.desk_page import LAPTOP, PHONE, profile
from tests.web.local import ACCOUNT, PASSWORD, LocalSystem
from tests.web.pictures import png
from tests.web.room import pictures_folder
from tests.web.shop import strict_shop

MAX = 2_000_000
PICTURE = png(300, 200)


@pytest.fixture(scope="module")
def local() -> Iterator[LocalSystem]:
    limits = {"logins_per_minute": 10_000, "file_bytes": MAX, "files_per_minute": 1_000}
    with LocalSystem(limits=limits, bot={"enabled": False}) as local:
        yield local


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures_folder(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def shop(local: LocalSystem) -> Iterator[str]:
    with strict_shop(local.base, f"ws://127.0.0.1:{local.port + 2}") as shop:
        yield shop


@pytest.fixture
def page(local: LocalSystem, chromium: Browser, shop: str) -> Iterator[Page]:
    local.clear()
    yield from opened(chromium, shop)


def opened(chromium: Browser, shop: str, size: tuple[int, int] = LAPTOP, **more: Any) -> Iterator[Page]:
    context = profile(chromium, size, **more)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    page.goto(shop)
    yield page
    assert [each for each in complaints if "net::ERR" not in each and "WebSocket" not in each] == []
    context.close()


def choose(chat: Chat, *files: tuple[str, bytes]) -> None:
    given = [{"name": name, "mimeType": "application/octet-stream", "buffer": body} for name, body in files]
    chat.widget.locator(".composer input[type=file]").set_input_files(given)  # type: ignore[arg-type]


def messages(local: LocalSystem) -> list[dict[str, Any]]:
    """Return all messages of the conversation that was opened last."""
    with local.store() as store:
        names = [name.decode().rpartition(":")[2] for name in store.scan_iter(f"{{{ACCOUNT}}}:session:*")]
    return [json.loads(each) for each in local.stored(max(names))] if names else []


def said(local: LocalSystem) -> list[Any]:
    return [each.get("text") or [file["title"] for file in each["attachments"]] for each in messages(local)]


def say(local: LocalSystem, text: str, *files: tuple[str, bytes]) -> None:
    """Answer as a supervisor, with files."""
    with httpx.Client(base_url=local.base) as client:
        body = {"account": ACCOUNT, "name": "carol", "password": PASSWORD}
        client.headers["authorization"] = f"Bearer {client.post('/v1/login', json=body).json()['token']}"
        proofs = [
            client.post("/v1/files", content=data, headers={"x-file-name": quote(name)}).json()["proof"]
            for name, data in files
        ]
        params = {"conversation": messages(local)[-1]["conversation"], "client_id": uuid.uuid4().hex, "text": text}
        call = {"jsonrpc": "2.0", "id": 1, "method": "message.send", "params": params | {"attachments": proofs}}
        assert "result" in client.post("/rpc", json=call).json()


def slow(page: Page, bytes_s: int) -> None:
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_s}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", conditions)


def test_a_visitor_sends_a_picture_and_saves_what_the_agent_sends(page, local, shots):
    chat = Chat(page).open()
    chat.write("my lamp is broken")
    expect(chat.mine).to_have_count(1)
    choose(chat, ("lamp.png", PICTURE))
    expect(chat.mine.locator("button.file", has_text="lamp.png")).to_be_visible()
    wait_until(lambda: said(local) == ["my lamp is broken", ["lamp.png"]], 10, "the picture")
    assert messages(local)[-1]["attachments"][0]["kind"] == "image"
    say(local, "Please fill this in", ("form.pdf", b"%PDF-1.7"))
    row = chat.theirs.locator("button.file")
    expect(row).to_contain_text("form.pdf")
    page.screenshot(path=shots / "files-widget.png")
    asked: list[str] = []
    page.context.on("request", lambda request: asked.append(request.url))
    saved: list[Any] = []
    page.on("popup", lambda tab: tab.on("download", lambda each: saved.append(each)))
    page.on("download", lambda each: saved.append(each))
    row.click()
    wait_until(lambda: page.wait_for_timeout(50) or saved, 10, "the download")
    assert saved[0].suggested_filename == "form.pdf"
    assert Path(saved[0].path()).read_bytes() == b"%PDF-1.7"
    assert page.url.startswith("http://localhost")
    token = page.evaluate("JSON.parse(Object.entries(localStorage).find(([key]) => key.endsWith(' token'))[1])")
    assert not [url for url in asked if token in url]


def test_what_was_sent_stands_there_after_a_reload(page, local):
    chat = Chat(page).open()
    choose(chat, ("lamp.png", PICTURE))
    expect(chat.mine.locator("button.file")).to_be_visible()
    page.reload()
    expect(chat.mine.locator("button.file", has_text="lamp.png")).to_be_visible()
    expect(chat.mine).to_have_count(1)


def test_a_file_can_be_stopped_on_its_way_and_what_follows_goes_out(page, local, shots):
    chat = Chat(page).open()
    chat.write("first")
    wait_until(lambda: said(local) == ["first"], 10, "the first message")
    slow(page, 100_000)
    choose(chat, ("large.bin", os.urandom(1_500_000)))
    chat.write("after the file")
    bar = chat.log.get_by_role("progressbar")
    expect(bar).to_be_visible()
    wait_until(lambda: 0 < bar.evaluate("(each) => each.value") < 1, 10, "some progress")
    page.screenshot(path=shots / "files-widget-progress.png")
    assert said(local) == ["first"]
    chat.log.get_by_role("button", name="Cancel").click()
    wait_until(lambda: said(local) == ["first", "after the file"], 10, "the text behind it")
    expect(chat.log.get_by_text("large.bin")).to_have_count(0)


def test_a_file_without_a_connection_waits_in_its_place(page, local):
    chat = Chat(page).open()
    chat.write("first")
    wait_until(lambda: said(local) == ["first"], 10, "the first message")
    page.context.set_offline(True)
    expect(chat.widget.locator(".banner")).to_be_visible()
    choose(chat, ("offline.bin", b"x"))
    chat.write("last")
    expect(chat.log.get_by_text("Waiting for a connection").first).to_be_visible()
    page.context.set_offline(False)
    wait_until(lambda: said(local) == ["first", ["offline.bin"], "last"], 20, "all in order")
    expect(chat.mine).to_have_count(3)


def test_what_never_comes_through_is_said_and_can_be_tried_again(page, local):
    chat = Chat(page).open()
    page.route("**/v1/files", lambda route: route.abort())
    choose(chat, ("blocked.bin", b"x"))
    chat.log.get_by_role("button", name="Try again").wait_for()
    page.unroute("**/v1/files")
    chat.log.get_by_role("button", name="Try again").click()
    wait_until(lambda: said(local) == [["blocked.bin"]], 10, "the file")


def test_what_is_too_large_or_empty_is_told_and_holds_nothing_back(page, local, shots):
    chat = Chat(page).open()
    expect(chat.widget.locator("button.attach")).to_be_visible()
    choose(chat, ("large.bin", b"x" * (MAX + 1)), ("empty.txt", b""))
    expect(chat.log.get_by_text("a file may have at most 2 MB")).to_be_visible()
    expect(chat.log.get_by_text("the file is empty")).to_be_visible()
    page.screenshot(path=shots / "files-widget-refused.png")
    chat.write("hello")
    wait_until(lambda: said(local) == ["hello"], 10, "the text")
    for _ in range(2):
        chat.log.get_by_role("button", name="Remove").first.click()
    expect(chat.mine).to_have_count(1)


def test_files_are_pasted_and_dropped(page, local):
    chat = Chat(page).open()
    expect(chat.widget.locator("button.attach")).to_be_visible()
    bring = """(kind) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File(["body"], `${kind}.png`, { type: "image/png" }));
        const input = document.querySelector("raydesk-widget").shadowRoot.querySelector("textarea");
        const more = { bubbles: true, cancelable: true, composed: true };
        const event = kind === "paste"
            ? new ClipboardEvent(kind, { clipboardData: transfer, ...more })
            : new DragEvent(kind, { dataTransfer: transfer, ...more });
        return !input.dispatchEvent(event);
    }"""
    assert page.evaluate(bring, "paste")
    assert page.evaluate(bring, "drop")
    wait_until(lambda: said(local) == [["paste.png"], ["drop.png"]], 10, "both")


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>.txt", "a\u202egpj.exe", "x" * 300])
def test_a_hostile_name_is_text_and_stays_in_its_bubble(page, local, name):
    chat = Chat(page).open()
    chat.write("hello")
    wait_until(lambda: said(local)[-1:] == ["hello"], 10, "the message")
    say(local, "", (name, b"x"))
    row = chat.theirs.locator("button.file")
    expect(row).to_be_visible()
    assert not set(row.text_content() or "") & set("<>\u202e")
    inside = "(each) => each.closest('.message').getBoundingClientRect().right >= each.getBoundingClientRect().right"
    assert row.evaluate(inside)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_files_look_right_in_the_dark_on_a_phone_and_in_chinese(local, chromium, shop, shots):
    local.clear()
    for page in opened(chromium, shop, PHONE, scheme="dark", locale="zh-CN"):
        expect(Chat(page).bubble).to_be_visible()
        page.evaluate("document.querySelector('raydesk-widget').setAttribute('language', 'zh')")
        chat = Chat(page).open()
        expect(chat.widget.get_by_role("button", name="发送文件")).to_be_visible()
        choose(chat, ("订单截图.png", PICTURE), ("空.txt", b""))
        wait_until(lambda: said(local) == [["订单截图.png"]], 10, "the picture")
        say(local, "收到，请填写这张表", ("退货申请表.pdf", b"x"))
        expect(chat.theirs.locator("button.file")).to_be_visible()
        page.screenshot(path=shots / "files-widget-phone.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_files(local, chromium, shop, scheme):
    local.clear()
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(shop)
    chat = Chat(page).open()
    choose(chat, ("kept.txt", b"x"), ("empty.txt", b""))
    wait_until(lambda: said(local) == [["kept.txt"]], 10, "the file")
    say(local, "", ("form.pdf", b"x"))
    expect(chat.theirs.locator("button.file")).to_be_visible()
    slow(page, 50_000)
    choose(chat, ("large.bin", os.urandom(1_000_000)))
    expect(chat.log.get_by_role("progressbar")).to_be_visible()
    assert findings(page) == []
    context.close()


def test_a_page_without_an_open_chat_loads_nothing_of_files(local, chromium, shop):
    for page in opened(chromium, shop):
        asked: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.reload()
        expect(Chat(page).bubble).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert not [url for url in asked if "files.js" in url or "upload.js" in url]
