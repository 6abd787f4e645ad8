"""The frames of raydesk's sockets as the harness reads and writes them, with nothing in them that it does not need.

Texts are encoded once and remembered, as the same ones are said again and again; a message is one formatting of
bytes. A client's frame is masked with zeros, which leaves the text as it is: a mask is there to confuse proxies, not
to keep secrets (RFC 6455, section 10.3), and the server unmasks as always.
"""

import msgspec

from cluster.load.targets.said import Held, Receipt, Record, Refusal, Said

#: Errors that say "not now".
AGAIN = frozenset(("unavailable", "rate_limited", "internal_error"))
#: Texts that are remembered; more are encoded each time.
_MOST_TEXTS = 50_000

encode = msgspec.json.Encoder().encode


class ErrorReason(msgspec.Struct, gc=False):
    """What programs act on."""

    name: str = ""
    retry_after_s: float = 1.0


class Error(msgspec.Struct, gc=False):
    """An error of JSON-RPC."""

    code: int = 0
    message: str = ""
    data: ErrorReason | None = None

    def refusal(self) -> Refusal:
        """Return it as the harness knows it."""
        reason = self.data or ErrorReason(str(self.code))
        return Refusal(reason.name, reason.name in AGAIN, reason.retry_after_s, self.message)


class VisitorEvent(msgspec.Struct):
    """What is pushed to a visitor."""

    type: str
    message: Said | None = None


class VisitorParams(msgspec.Struct):
    """Of ``event`` and of ``visit.snapshot``."""

    events: list[VisitorEvent] = []
    messages: list[Said] = []
    cursor: str | None = None


class VisitorFrame(msgspec.Struct):
    """What a visitor's socket brings once it is open; each call but `message.send` is a notification."""

    id: int | None = None
    result: Receipt | None = None
    error: Error | None = None
    method: str = ""
    params: VisitorParams | None = None


class VisitOpened(msgspec.Struct):
    """The result of ``visit.open``."""

    cursor: str | None = None
    snapshot: bool = False
    messages: list[Said] = []


class VisitOpening(msgspec.Struct):
    """The first frame of a visitor's socket."""

    id: int | None = None
    result: VisitOpened | None = None
    error: Error | None = None


class DeskEvent(msgspec.Struct):
    """What is pushed to a desk; ids where somebody types, or a vendor tells what became of an answer."""

    type: str
    change: str = ""
    message: Said | str | None = None
    conversation: Record | str = ""
    messages: list[Said] = []


class DeskParams(msgspec.Struct):
    """Of ``event`` and of ``desk.snapshot``."""

    events: list[DeskEvent] = []
    cursor: int = 0
    conversations: list[Held] = []


class DeskFrame(msgspec.Struct):
    """What a desk's socket brings once it is open."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: Error | None = None
    method: str = ""
    params: DeskParams | None = None


class DeskOpened(msgspec.Struct):
    """The result of ``desk.open``."""

    cursor: int = 0
    snapshot: bool = False
    conversations: list[Held] = []


class DeskOpening(msgspec.Struct):
    """The first frame of a desk's socket."""

    id: int | None = None
    result: DeskOpened | None = None
    error: Error | None = None


class Page(msgspec.Struct):
    """A page of history: oldest first on a socket, newest first over HTTP."""

    messages: list[Said]
    more: bool = False


visitor_frame = msgspec.json.Decoder(VisitorFrame).decode
visit_opening = msgspec.json.Decoder(VisitOpening).decode
desk_frame = msgspec.json.Decoder(DeskFrame).decode
desk_opening = msgspec.json.Decoder(DeskOpening).decode
record_of = msgspec.json.Decoder(Record).decode
page_of = msgspec.json.Decoder(Page).decode
receipt_of = msgspec.json.Decoder(Receipt).decode


class Texts:
    """Texts as JSON, each encoded once."""

    def __init__(self) -> None:
        self._encoded: dict[str, bytes] = {}

    def encoded(self, text: str) -> bytes:
        """Return a text as JSON."""
        found = self._encoded.get(text)
        if found is None:
            found = encode(text)
            if len(self._encoded) < _MOST_TEXTS:
                self._encoded[text] = found
        return found


def framed(text: bytes) -> bytes:
    """Return a client's text frame (RFC 6455, section 5.2)."""
    size = len(text)
    if size < 126:
        return b"\x81" + bytes((0x80 | size,)) + b"\0\0\0\0" + text
    if size < 65_536:
        return b"\x81\xfe" + size.to_bytes(2, "big") + b"\0\0\0\0" + text
    return b"\x81\xff" + size.to_bytes(8, "big") + b"\0\0\0\0" + text


def call(number: int, method: str, params: object) -> bytes:
    """Return a call."""
    return encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def notification(method: str, params: object) -> bytes:
    """Return a call that wants no answer."""
    return encode({"jsonrpc": "2.0", "method": method, "params": params})
