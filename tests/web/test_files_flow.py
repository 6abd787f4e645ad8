"""Files through a whole system, every process and proxy of it: from the visitor's disk to the agent's, and back."""

import os
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.waiting import wait_until
from tests.web.chat import Chat
from tests.web.room import WITHIN_S, Room

#: Just under the usual limit, so that a proxy which keeps bodies back or cuts them would show.
BODY = os.urandom(10_000_000)


def test_a_large_file_goes_from_the_visitor_to_the_agent_and_one_comes_back(room: Room) -> None:
    shop = room.page("/demo")
    chat = Chat(shop).open()
    chat.chip("Talk to a person").click()
    expect(chat.theirs).to_have_count(1)
    choose = chat.widget.locator(".composer input[type=file]")
    choose.set_input_files({"name": "scan.bin", "mimeType": "application/octet-stream", "buffer": BODY})
    expect(chat.mine.locator("button.file", has_text="scan.bin")).to_be_visible()

    desk = room.page("/desk")
    desk.locator("#login-account").fill("demo")
    desk.locator("#login-name").fill("alice")
    desk.locator("#login-password").fill(room.passwords["alice"])
    desk.keyboard.press("Enter")
    expect(desk.locator(".offer").first).to_be_visible()
    desk.keyboard.press("Alt+a")
    row = desk.locator(".message .file", has_text="scan.bin")
    expect(row).to_contain_text("10 MB")
    with desk.expect_download() as download:
        row.get_by_role("button", name=re.compile("^Save")).click()
    assert Path(download.value.path()).read_bytes() == BODY

    desk.locator("rd-composer input[type=file]").set_input_files(
        {"name": "answer.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7"}
    )
    desk.keyboard.insert_text("Please sign this")
    desk.keyboard.press("Enter")
    expect(chat.said("Please sign this").locator("button.file", has_text="answer.pdf")).to_be_visible()
    saved: list[Any] = []
    shop.on("popup", lambda tab: tab.on("download", lambda each: saved.append(each)))
    shop.on("download", lambda each: saved.append(each))
    chat.theirs.locator("button.file").click()
    wait_until(lambda: shop.wait_for_timeout(50) or saved, WITHIN_S, "the download")
    assert Path(saved[0].path()).read_bytes() == b"%PDF-1.7"
