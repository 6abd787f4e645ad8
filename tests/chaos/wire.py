"""What stands on the wire, as far as the clients read it."""

import msgspec

#: Errors after which the same call is made again.
RETRYABLE = frozenset(("unavailable", "rate_limited", "internal_error"))
#: Seconds to wait for an HTTP answer.
HTTP_S = 3.0
#: Messages of one page of history.
PAGE = 200
encode = msgspec.json.Encoder().encode


class Reason(msgspec.Struct):
    name: str = ""
    retry_after_s: float = 1.0


class Error(msgspec.Struct):
    code: int
    message: str = ""
    data: Reason = msgspec.field(default_factory=Reason)


class Frame(msgspec.Struct):
    """Any frame of the server: an answer has ``id``, a push has ``method``."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: Error | None = None
    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"")


class Receipt(msgspec.Struct):
    conversation: str
    seq: int
    duplicate: bool = False


class Message(msgspec.Struct):
    conversation: str
    seq: int
    author: str
    source_id: str = ""


class Record(msgspec.Struct):
    id: str
    revision: int = 0


class Event(msgspec.Struct):
    type: str
    message: Message | None = None
    conversation: Record | str = ""
    messages: list[Message] = []
    change: str = ""


class Pushed(msgspec.Struct):
    events: list[Event]
    cursor: int = 0


class Held(msgspec.Struct):
    conversation: Record
    messages: list[Message]


class Opened(msgspec.Struct):
    """The result of ``desk.open``, and the parameters of ``desk.snapshot``."""

    cursor: int
    snapshot: bool = True
    conversations: list[Held] = []


class Visit(msgspec.Struct):
    cursor: str | None = None
    snapshot: bool = False
    messages: list[Message] = []


class Page(msgspec.Struct):
    messages: list[Message]


class LineError(msgspec.Struct):
    code: str


class Line(msgspec.Struct):
    conversation: str = ""
    seq: int = 0
    duplicate: bool = False
    error: LineError | None = None


class Bulk(msgspec.Struct):
    results: list[Line]


frame_of = msgspec.json.Decoder(Frame).decode
receipt_of = msgspec.json.Decoder(Receipt).decode
pushed_of = msgspec.json.Decoder(Pushed).decode
opened_of = msgspec.json.Decoder(Opened).decode
visit_of = msgspec.json.Decoder(Visit).decode
page_of = msgspec.json.Decoder(Page).decode
bulk_of = msgspec.json.Decoder(Bulk).decode
