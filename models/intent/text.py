"""What is done to a text before it is looked at: the same in training, in service and in front of the cache."""

import re
import unicodedata

#: Of a long text the first and last characters are kept: contacts say what they want at the start or at the end.
HEAD_CHARACTERS = 400
TAIL_CHARACTERS = 200

_SPACE = re.compile(r"\s+")
#: Four of a kind say no more than three do.
_REPEATED = re.compile(r"([^\w\s]|[a-z哈啊呵嘻呜])\1{3,}")
_LINK = re.compile(r"https?://\S+")


def normalise(text: str) -> str:
    """Return a text in the one form that the model knows: compatible characters, lower case, single spaces.

    Control and format characters go (line ends count as spaces), links become the word ``link``, long runs of one
    sign are cut, and of a long text only head and tail are kept, so what follows costs the same for any length.
    A text of nothing but such characters gives an empty one.
    """
    if len(text) > HEAD_CHARACTERS + TAIL_CHARACTERS:
        text = text[:HEAD_CHARACTERS] + " " + text[-TAIL_CHARACTERS:]
    plain = _SPACE.sub(" ", text if text.isascii() else unicodedata.normalize("NFKC", text))
    if not plain.isprintable():
        # what stood between two spaces may have gone
        plain = _SPACE.sub(" ", "".join(each for each in plain if unicodedata.category(each)[0] != "C"))
    plain = _LINK.sub("link", plain.lower())
    return _REPEATED.sub(r"\1\1\1", plain).strip()


def language_of(text: str) -> str:
    """Return ``zh`` if a text has Chinese characters, else ``en``: enough to choose the words of an answer."""
    return "zh" if any("\u4e00" <= each <= "\u9fff" or "\u3400" <= each <= "\u4dbf" for each in text) else "en"
