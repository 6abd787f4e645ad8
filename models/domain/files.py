"""Files that people send: what they may be called, what they are, and who has shown which.

A file's name and kind come from strangers. The name is cleaned once, when the file comes in; what it is follows from
its first bytes alone, never from its name or from what its sender called it. Only pictures of pixels are ever shown
inside a page: what can hold a script (SVG, HTML, PDF) is a file to download.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Literal

import msgspec

from models.domain.ids import encode_base32, is_base32

#: What is read of a file to know what it is; a JPEG from a camera may begin with a preview of 64 KB.
HEAD_BYTES = 262_144
#: A picture of more pixels is a file like any other: a small one can unpack to gigabytes in the browser that shows it.
MOST_PIXELS = 50_000_000
#: How many files one message may bring.
MOST_FILES = 10
OCTETS = "application/octet-stream"

_NAME_CHARS = 100
_SUFFIX_CHARS = 12
_ID_CHARS = 33
#: Not allowed in a name by one of the systems on which it may be kept.
_NOT_IN_NAMES = re.compile(r'[<>:"|?*]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
#: Joiners that words of Persian and many emoji need; all other characters without a shape of their own go.
_JOINERS = frozenset("\u200c\u200d")
_DROPPED = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))

Kind = Literal["image", "file"]


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is kept.

    Args:
        id: cannot be guessed (160 random bits).
        owner: who sent it in: `agent_owner` or `visitor_owner`.
        name: cleaned.
        media_type: of a picture that a page may show; else ``application/octet-stream``.
        bytes: how long it is.
        at_ms: Unix time at which it came in, in milliseconds.
    """

    id: str
    owner: str
    name: str
    media_type: str
    bytes: int
    at_ms: int

    @property
    def kind(self) -> Kind:
        """Return what it is as an attachment."""
        return "file" if self.media_type == OCTETS else "image"


def file_id(entropy: bytes) -> str:
    """Make a file's id of 20 random bytes."""
    return "f" + encode_base32(int.from_bytes(entropy[:20], "big"), _ID_CHARS - 1)


def is_file_id(text: str) -> bool:
    """Tell whether ``text`` has the form of a file's id; such a text is safe as the name of a file."""
    return len(text) == _ID_CHARS and text[0] == "f" and is_base32(text[1:])


def agent_owner(agent: str) -> str:
    """Name an agent as an owner."""
    return f"agent:{agent}"


def visitor_owner(inbox: str, external_id: str) -> str:
    """Name a visitor as an owner: by its identity, which stays the same when the person turns out to be another."""
    return f"visitor:{inbox}:{external_id}"


def is_agents(owner: str) -> bool:
    """Tell whether an agent sent the file in."""
    return owner.startswith("agent:")


def clean_name(given: str) -> str:
    """Return a file's name that deceives nobody and fits every system.

    Folders, control characters and marks of direction go, which could make ``exe.jpg`` of ``gpj.exe``; so do characters
    that a system forbids. A long name keeps its suffix.
    """
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", given)[-1])
    kept = [char for char in name if char in _JOINERS or unicodedata.category(char) not in _DROPPED]
    name = _NOT_IN_NAMES.sub("_", "".join(kept))
    name = " ".join(name.split()).strip(". \u200c\u200d")
    stem, dot, suffix = name.rpartition(".")
    if len(name) > _NAME_CHARS:
        short = dot + suffix if stem and len(suffix) <= _SUFFIX_CHARS else ""
        name = name[: _NAME_CHARS - len(short)].rstrip(". ") + short
    return f"_{name}" if _DEVICES.match(name) else name or "file"


def media_type_of(head: bytes) -> str:
    """Return the type of a picture that a page may show, by the first bytes of the file; else ``OCTETS``."""
    for magic, media_type, size_of in _PICTURES:
        if not magic.match(head):
            continue
        try:
            width, height = size_of(head)
        except IndexError:
            return OCTETS
        return media_type if 0 < width * height <= MOST_PIXELS else OCTETS
    return OCTETS


def _big(head: bytes, start: int, length: int) -> int:
    return _number(head, start, length, "big")


def _little(head: bytes, start: int, length: int) -> int:
    return _number(head, start, length, "little")


def _number(head: bytes, start: int, length: int, order: Literal["big", "little"]) -> int:
    if start + length > len(head):
        raise IndexError(start)
    return int.from_bytes(head[start : start + length], order)


def _png(head: bytes) -> tuple[int, int]:
    return _big(head, 16, 4), _big(head, 20, 4)


def _gif(head: bytes) -> tuple[int, int]:
    return _little(head, 6, 2), _little(head, 8, 2)


def _jpeg(head: bytes) -> tuple[int, int]:
    """Go from segment to segment to the start of the frame (ITU T.81, annex B)."""
    place = 2
    while True:
        if head[place] != 0xFF:
            return 0, 0
        marker = head[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker in _JPEG_FRAMES:
            return _big(head, place + 7, 2), _big(head, place + 5, 2)
        else:
            place += 2 + max(2, _big(head, place + 2, 2))


def _webp(head: bytes) -> tuple[int, int]:
    """Read the first chunk (RFC 9649, section 2.5 and 2.7)."""
    chunk = head[12:16]
    if chunk == b"VP8X":
        return _little(head, 24, 3) + 1, _little(head, 27, 3) + 1
    if chunk == b"VP8L":
        bits = _little(head, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        return _little(head, 26, 2) & 0x3FFF, _little(head, 28, 2) & 0x3FFF
    return 0, 0


_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PICTURES: tuple[tuple[re.Pattern[bytes], str, Callable[[bytes], tuple[int, int]]], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n.{4}IHDR", re.DOTALL), "image/png", _png),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg", _jpeg),
    (re.compile(rb"GIF8[79]a"), "image/gif", _gif),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp", _webp),
)
