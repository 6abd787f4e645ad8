"""What others write is shown as they wrote it and does nothing; the widget stands on the strictest page."""

import re
import uuid

import httpx
import pytest
from playwright.sync_api import Page, expect

from deployments.http.pages import BUNDLES, WEB_FOLDER, WebFolder
from tests.web.chat import Chat
from tests.web.room import Room
from tests.web.shop import strict_shop

HOSTILE = {
    "image": '<img src=x onerror="window.broken = 1">',
    "script": "</textarea><script>window.broken = 1</script>",
    "link": "javascript:window.broken=1 https://shop.example/?q=<b>x</b> data:text/html,<img onerror=window.broken=1>",
    "template": "${window.broken = 1} {{window.broken = 1}} {name}",
    "right to left": "pay \u202egnihton\u202c now \u2066\u200f\u05e9\u05dc\u05d5\u05dd",
    "zalgo": "z" + "\u0335\u0321\u0327\u0322\u031b\u0353" * 200 + "algo",
    "one word": "x" * 4_000,
    "lines": "\n".join(f"line {number}" for number in range(1_500)),
    "emoji": "👩‍👩‍👧‍👦🏴󠁧󠁢󠁳󠁣󠁴󠁿 😀" * 20,
    "ideographs": "退款" * 500,
}
#: What the first page needs of the widget, by gzip.
BUDGET_BYTES = 25_000
#: What a chat needs besides, once it is open at a server that takes files.
FILES_BUDGET_BYTES = 6_500


def is_whole(page: Page) -> bool:
    """Tell that nothing ran, and nothing stands outside its place."""
    return page.evaluate(
        """() => {
            const root = document.querySelector("raydesk-widget").shadowRoot;
            const scroll = root.querySelector(".scroll").getBoundingClientRect();
            const inside = [...root.querySelectorAll(".message")].every((each) => {
                const box = each.getBoundingClientRect();
                return box.left >= scroll.left - 1 && box.right <= scroll.right + 1;
            });
            const markup = root.querySelector(".log img, .log script, .log b, .log iframe, .log style");
            return inside && !markup && window.broken === undefined
                && document.documentElement.scrollWidth <= innerWidth;
        }"""
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_of_an_agent_is_shown_as_text_and_does_nothing(room: Room, name: str) -> None:
    page = room.page("/demo")
    chat = Chat(page).open()
    chat.chip("Talk to a person").click()
    expect(chat.theirs).to_have_count(1)
    text = HOSTILE[name]
    room.say(room.open_conversations()[0], text, "carol")
    expect(chat.theirs).to_have_count(2)
    shown = chat.log.locator(".message:not(.mine) .text").last
    assert shown.evaluate("(each) => each.textContent") == text
    assert is_whole(page)
    assert shown.evaluate("(each) => getComputedStyle(each).unicodeBidi") == "isolate"
    for link in shown.locator("a").all():
        assert re.match("https?://", link.get_attribute("href") or "")
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"
    assert chat.messages.last.evaluate("(each) => each.getBoundingClientRect().height") < 700
    room.picture(page, f"hostile-{name.replace(' ', '-')}")


@pytest.mark.parametrize("name", ["image", "right to left", "lines"])
def test_hostile_text_of_the_visitor_itself_arrives_unchanged(room: Room, name: str) -> None:
    page = room.page("/demo")
    chat = Chat(page).open()
    text = HOSTILE[name][:8_000]
    chat.write(text)
    expect(chat.log.locator(".foot.own .quiet", has_text="Sent")).to_be_visible()
    conversation = room.open_conversations()[0]
    kept = room.rpc("history.page", conversation=conversation)["messages"][0]["text"]
    assert kept == text
    assert is_whole(page)


def test_a_text_over_the_limit_is_said_to_be_too_long_and_stays_in_the_visitors_hand(room: Room) -> None:
    page = room.page("/demo")
    chat = Chat(page).open()
    chat.write("好" * 8_000)
    expect(chat.widget.get_by_text("the message is too long")).to_be_visible()
    room.picture(page, "too-long")
    chat.widget.get_by_role("button", name="Edit").click()
    expect(chat.mine).to_have_count(0)
    expect(chat.input).to_have_value("好" * 8_000)
    chat.write("shorter")
    expect(chat.mine).to_have_count(1)


def test_the_widget_works_on_a_page_of_another_origin_with_the_strictest_rules(room: Room) -> None:
    gateway = room.system.settings.gateway
    with strict_shop(room.base, f"ws://{gateway.host}:{gateway.port}", 'data-color="rebeccapurple"') as shop:
        page = room.page(shop)
        chat = Chat(page).open()
        chat.chip("Where is my parcel?").click()
        expect(chat.theirs).to_have_count(1)
        room.picture(page, "strict-page")
        assert page.evaluate("document.cookie") == ""
        page.reload()
        expect(chat.theirs).to_have_count(1)


def test_the_form_before_the_chat_asks_what_the_page_wants(room: Room) -> None:
    gateway = room.system.settings.gateway
    socket = f"ws://{gateway.host}:{gateway.port}"
    with strict_shop(room.base, socket, 'data-pre-chat="name email order?" data-side="left"') as shop:
        page = room.page(shop)
        chat = Chat(page).open()
        expect(chat.input).to_be_hidden()
        form = chat.widget.locator("form.card")
        form.get_by_role("button", name="Start chat").click()
        expect(form.get_by_text("Please fill this in.").first).to_be_visible()
        form.get_by_label("Name").fill("Mei Lin")
        form.get_by_label("E-mail").fill("not an address")
        form.get_by_label("Your question").fill("Where is my parcel?")
        form.get_by_role("button", name="Start chat").click()
        expect(form.get_by_text("does not look like")).to_be_visible()
        room.picture(page, "pre-chat")
        form.get_by_label("E-mail").fill("mei@shop.example")
        form.get_by_role("button", name="Start chat").click()
        expect(chat.mine).to_have_count(1)
        expect(chat.input).to_be_visible()
        # once something was said, nothing is asked again
        expect(chat.theirs).to_have_count(1)
        page.reload()
        expect(chat.mine).to_have_count(1)
        expect(form).to_have_count(0)
    first = room.rpc("history.page", conversation=room.open_conversations()[0])["messages"][0]
    assert first["text"] == "Where is my parcel?\n\nName: Mei Lin\nE-mail: mei@shop.example"


def test_nobody_becomes_a_visitor_by_looking_at_a_page(room: Room) -> None:
    page = room.page("/demo")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    expect(Chat(page).bubble).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert not [url for url in asked if "/v1/connect" in url]
    assert all(url.startswith(room.base) for url in asked)


def test_the_widget_is_small() -> None:
    folder = WebFolder()
    script, widget, files = (folder.get(name) for name in ("widget.js", *BUNDLES))
    assert script is not None
    assert widget is not None
    assert files is not None
    for each in (WEB_FOLDER / "widget").glob("*.js"):
        bundle = files if each.name == "files.js" else widget
        assert all(f"class {found}" in str(bundle) for found in re.findall("class (\\w+)", each.read_text()))
    assert len(script.packed) + len(widget.packed) < BUDGET_BYTES
    # a chat that is open loads the rest
    assert len(files.packed) < FILES_BUDGET_BYTES


def test_the_page_asks_for_the_widget_in_one_piece(room: Room) -> None:
    page = room.page("/demo/order.html")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(room.base)))
    page.reload()
    Chat(page).open()
    page.wait_for_load_state("networkidle")
    scripts = sorted(url for url in asked if url.startswith(("/widget", "/shared/")))
    assert scripts == ["/widget.js", "/widget/all.js", "/widget/files.js"]


def test_the_demo_shop_vouches_for_its_own_customers_alone(room: Room) -> None:
    assert httpx.post(f"{room.base}/demo/customers/mei").status_code == 200
    assert httpx.post(f"{room.base}/demo/customers/{uuid.uuid4().hex}").status_code == 404
