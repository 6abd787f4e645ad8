"""A full desk, 200 conversations and 10,000 messages, on a laptop and on a phone: nothing is cut off or unlabelled."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from models.domain.commands import Delivered, Tag
from tests.waiting import wait_until
from tests.web.desk_page import LAPTOP, PHONE, DeskPage, profile
from tests.web.local import ACCOUNT, LocalSystem
from tests.web.room import pictures_folder

CONVERSATIONS = 200
LONG = 10_000
TEXTS = (
    "Where is my order 2024118899231? It should have been here on Friday.",
    "我想退货，订单号 2024118800017，鞋子太小了",
    "Can I pay by invoice? We are a school and need 120 pieces by the end of the month, please tell me what to do.",
    "Hi",
)
#: Buttons and fields without a name, and what reaches out of the window or is wider than its own box shows.
_TROUBLE = """() => {
    // what is there for a screen reader alone is cut on purpose
    const seen = (element) => !element.closest(".unseen") && element.checkVisibility({ visibilityProperty: true });
    const trouble = [];
    for (const element of document.querySelectorAll("button, input, textarea, select, a")) {
        if (!seen(element)) continue;
        const label = element.getAttribute("aria-label") || element.textContent.trim() || element.title
            || element.labels?.[0]?.textContent || element.placeholder;
        if (!label) trouble.push(`no name: ${element.outerHTML.slice(0, 120)}`);
        const box = element.getBoundingClientRect();
        if (box.right > innerWidth + 1 || box.left < -1) trouble.push(`outside: ${element.outerHTML.slice(0, 120)}`);
    }
    for (const element of document.querySelectorAll("button > *, .button, h1, h2, h3, dt, dd, p, .tab")) {
        const style = getComputedStyle(element);
        const cut = element.scrollWidth > element.clientWidth + 1 && style.overflowX !== "visible";
        if (cut && style.textOverflow !== "ellipsis" && seen(element)) trouble.push(`cut: ${element.textContent}`);
    }
    if (document.documentElement.scrollWidth > innerWidth) trouble.push("the page is wider than the window");
    return trouble;
}"""
_LOAD_ALL = """(async () => {
    model.select(argument);
    while (model.current.more) await model.loadOlder(argument, 200);
})()"""
_SCROLLED = """async () => {
    const scroller = document.querySelector(".timeline");
    let most = 0;
    for (let step = 0; step < 120; step += 1) {
        scroller.scrollTop -= 900;
        await new Promise((resolve) => requestAnimationFrame(resolve));
        most = Math.max(most, scroller.querySelectorAll(".virtual-row").length);
    }
    return most;
}"""


@pytest.fixture(scope="module")
def local() -> Iterator[LocalSystem]:
    with LocalSystem(capacity=CONVERSATIONS + 20) as local:
        yield local


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory):
    return pictures_folder(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def full(local: LocalSystem, chromium: Browser) -> Iterator[DeskPage]:
    """Alice's desk with all of it, taken."""
    local.clear()
    context = profile(chromium)
    desk = DeskPage(context, local)
    ids = local.write_many([(f"full-{n}", TEXTS[n % len(TEXTS)]) for n in range(CONVERSATIONS)])
    wait_until(lambda: desk.model("model.offers().length") == CONVERSATIONS, 60, "all offers")
    desk.model("(async () => { for (const id of argument) await model.accept(id); })()", ids)
    local.write("full-0", "And from my phone", channel="wechat")
    local.write_many([("full-1", f"message {n} " + "word " * (n % 40)) for n in range(1, LONG)])
    for tag in ("VIP", "late parcel", "退货", "needs a call back"):
        local.ask(Tag(account=ACCOUNT, conversation=ids[0], by="alice", role="agent", add=(tag,)))
    desk.long, desk.first = ids[1], ids[0]
    yield desk
    assert desk.complaints == []
    context.close()


def test_ten_thousand_messages_scroll_with_few_rows_in_the_document(full: DeskPage) -> None:
    full.page.set_viewport_size({"width": LAPTOP[0], "height": LAPTOP[1]})
    wait_until(lambda: full.model("model.case(argument).newestSeq", full.long) == LONG, 60, "all messages")
    full.model(_LOAD_ALL, full.long)
    assert full.model("model.current.messages.length") == LONG
    assert full.page.evaluate(_SCROLLED) < 80
    assert full.page.locator(".row").count() < 60
    assert full.page.evaluate(_TROUBLE) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "size"), [("laptop", LAPTOP), ("phone", PHONE)])
def test_nothing_is_cut_off_or_without_a_name(full: DeskPage, local: LocalSystem, pictures, name, size, scheme) -> None:
    page = full.page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme)

    def look(what: str) -> None:
        page.screenshot(path=pictures / f"deskmore-{name}-{scheme}-{what}.png")
        assert page.evaluate(_TROUBLE) == [], what

    full.model("model.select('')")
    look("list")
    full.model("model.select(argument)", full.first)
    expect(full.composer).to_be_visible()
    if scheme == "light" and name == "laptop":
        full.composer.focus()
        full.say("It is at the depot and comes tomorrow.")
        sent = full.sees("It is at the depot and comes tomorrow.")
        expect(sent.locator(".tick-stored")).to_be_visible()
        seq = full.model("model.current.newestSeq")
        failed = {"message": f"{full.first}-{seq}", "state": "failed", "detail": "45015 response out of time limit"}
        local.ask(Delivered(account=ACCOUNT, conversation=full.first, **failed))
        expect(sent).to_contain_text("45015")
    look("case")
    if name == "phone":
        page.locator("[aria-controls=side]").click()
        look("side")
        page.locator(".side-head button").click()
    for key, what in (("l", "tags"), ("h", "search"), ("c", "join")):
        full.composer.focus()
        full.press(f"Alt+{key}")
        expect(page.locator("dialog")).to_be_visible()
        if what == "search":
            full.type("order")
            expect(page.locator(".search-message").first).to_be_visible()
        look(what)
        full.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
