"""The widget on a page as a visitor uses it."""

from playwright.sync_api import Locator, Page, expect

expect.set_options(timeout=10_000)


class Chat:
    """The chat of one page; found by roles and words, as people and screen readers find it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.widget = page.locator("raydesk-widget")
        self.bubble = self.widget.locator("button.bubble")
        self.panel = self.widget.get_by_role("dialog")
        self.log = self.widget.get_by_role("log")
        self.input = self.widget.locator(".composer textarea")
        self.messages = self.log.locator(".message")
        self.mine = self.log.locator(".message.mine")
        self.theirs = self.log.locator(".message:not(.mine)")

    def open(self) -> "Chat":
        """Open the chat by its bubble."""
        self.bubble.click()
        expect(self.panel).to_be_visible()
        return self

    def write(self, text: str) -> None:
        """Type a text and send it by Enter."""
        self.input.fill(text)
        self.input.press("Enter")

    def chip(self, name: str) -> Locator:
        """Return an answer that is given by one press."""
        return self.widget.locator(".chips").get_by_role("button", name=name)

    def said(self, text: str) -> Locator:
        """Return the messages with a text."""
        return self.messages.filter(has_text=text)

    def texts(self) -> list[str]:
        """List what stands in the bubbles, without the names for screen readers."""
        return self.log.locator(".message .text").all_inner_texts()
