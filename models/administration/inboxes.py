"""What an admin says of a web inbox: its name, whom it is for, what it says first, and when it is open."""

import re

import msgspec

from models.domain.errors import InvalidField

MAX_TITLE_CHARS = 64
MAX_GREETING_CHARS = 500
MAX_ORIGINS_CHARS = 4_096
_ORIGIN = re.compile(r"https?://[^\s/@]+")


class Greeting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What visitors read before anybody wrote, by language; an empty one is the widget's own."""

    en: str = ""
    zh: str = ""


class WebInbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A web inbox, in place of what the config file says of it.

    Args:
        title: what visitors see above the chat; empty: the widget's own.
        skill: what an agent must know to take its conversations; empty: any agent.
        origins: the pages that may open a visit; none: any.
        greeting: what visitors read first.
        hours: name of the account's hours that count here; empty: always open.
    """

    title: str = ""
    skill: str = ""
    origins: tuple[str, ...] = ()
    greeting: Greeting = Greeting()
    hours: str = ""


def check_inbox(inbox: WebInbox) -> None:
    """Check what the types alone do not say.

    Raises:
        InvalidField: a text is too long, or an origin is none.
    """
    if len(inbox.title) > MAX_TITLE_CHARS:
        raise InvalidField(f"at most {MAX_TITLE_CHARS} characters", "title")
    for language, text in (("en", inbox.greeting.en), ("zh", inbox.greeting.zh)):
        if len(text) > MAX_GREETING_CHARS:
            raise InvalidField(f"at most {MAX_GREETING_CHARS} characters", f"greeting.{language}")
    for index, origin in enumerate(inbox.origins):
        if not _ORIGIN.fullmatch(origin):
            raise InvalidField("not an origin; allowed: one like https://shop.example", f"origins.{index}")
    if len(" ".join(inbox.origins)) > MAX_ORIGINS_CHARS:
        raise InvalidField(f"at most {MAX_ORIGINS_CHARS} characters in all", "origins")
