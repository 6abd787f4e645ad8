"""Tags: the short words by which agents sort conversations, and what counts as the same one.

Two spellings that differ in case, width or spaces are one tag; the one that was there first stays as it was written.
"""

from collections.abc import Iterable
from unicodedata import normalize

#: Of one conversation: more of them sort nothing any more.
MOST_TAGS = 20
TAG_CHARS = 32


def tag_of(text: str) -> str:
    """Return a tag as it is kept: without spaces around it, and with one space where there were several."""
    return " ".join(normalize("NFC", text).split())


def same_as(tag: str) -> str:
    """Return what two spellings of one tag have in common."""
    return normalize("NFKC", tag_of(tag)).casefold()


def retagged(tags: tuple[str, ...], *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the tags without some and with others, in the order in which they were added."""
    gone = {same_as(tag) for tag in remove}
    kept = {same_as(tag): tag for tag in tags if same_as(tag) not in gone}
    for tag in add:
        if tag_of(tag):
            kept.setdefault(same_as(tag), tag_of(tag))
    return tuple(kept.values())
