"""What an agent looks for, and whether a text has it.

A query is words with spaces between them; a message fits when every word stands somewhere in it, within a longer
word too, so that Chinese needs no dictionary. Case and width do not count. A word behind ``#`` is a tag that the
conversation must have.
"""

from collections.abc import Iterable
from unicodedata import normalize

import msgspec

from models.domain.tags import same_as

#: More words find no less than these would.
MOST_WORDS = 8
#: Characters of a message that are shown of it.
EXCERPT_CHARS = 160
_BEFORE_CHARS = 48


class Query(msgspec.Struct, frozen=True):
    """What is looked for.

    Args:
        words: as `folded` makes them; each must stand in the message.
        tags: as `same_as` makes them; the conversation must have each.
    """

    words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is looked for."""
        return not (self.words or self.tags)

    def has_tags(self, tags: Iterable[str]) -> bool:
        """Tell whether a conversation with these tags is one."""
        return not self.tags or {same_as(tag) for tag in tags}.issuperset(self.tags)

    def fits(self, text: str) -> bool:
        """Tell whether a message of this text is one."""
        text = folded(text)
        return all(word in text for word in self.words)


def folded(text: str) -> str:
    """Return a text in which case and width do not count."""
    return text.lower() if text.isascii() else normalize("NFKC", text).casefold()


def query_of(text: str) -> Query:
    """Read what somebody typed; only the first words of very many count."""
    words: dict[str, None] = {}
    tags: dict[str, None] = {}
    for part in text.split()[:MOST_WORDS]:
        if part[0] in "#\uff03" and len(part) > 1:
            # a tag may have spaces in it, which a query cannot: an underscore stands for one
            tags[same_as(part[1:].replace("_", " "))] = None
        elif folded(part).strip():
            words[folded(part)] = None
    return Query(tuple(words), tuple(tags))


def excerpt(text: str, query: Query) -> str:
    """Return the part of a text around the first of the words, in one line."""
    plain = " ".join(text.split())
    if len(plain) <= EXCERPT_CHARS:
        return plain
    found = folded(plain)
    # folding keeps the length of nearly every text; where it does not, the part begins a little off
    first = min((at for at in (found.find(word) for word in query.words) if at >= 0), default=0)
    start = max(0, min(first - _BEFORE_CHARS, len(plain) - EXCERPT_CHARS))
    end = start + EXCERPT_CHARS
    return f"{'…' if start else ''}{plain[start:end]}{'…' if end < len(plain) else ''}"
