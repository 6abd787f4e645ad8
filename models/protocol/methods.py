"""Every method of the sockets and of ``POST /rpc``: its parameters, its result, who may call it.

The protocol documents (OpenRPC and docs/protocol.md) are made from these types, so they cannot disagree.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Where = Literal["desk", "visitor"]

#: A SessionID has 29 characters; a message id some more.
Id = Annotated[str, Meta(min_length=1, max_length=64)]
ClientId = Annotated[
    str, Meta(min_length=1, max_length=128, description="The sender's own id of the message; taken once.")
]
#: Characters; the limit in bytes (``limits.text_bytes``) is checked apart.
Text = Annotated[str, Meta(min_length=1, max_length=100_000, description="What is said.")]
Token = Annotated[str, Meta(min_length=1, max_length=4096)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
Json = msgspec.Raw


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of a call, by name."""


class Nothing(Params, frozen=True):
    """A call without parameters."""


class DeskOpen(Params, frozen=True):
    """Start or go on with a desk; the first call on a desk socket."""

    token: Annotated[Token, Meta(description="An agent's token, from `POST /v1/login`.")]
    cursor: Annotated[int, Meta(ge=0, description="The cursor reached before; absent for a fresh start.")] | None = None
    presence: Literal["online", "away", "offline"] | None = None


class DeskAck(Params, frozen=True):
    """Confirm all events up to a cursor; usually sent as a notification."""

    cursor: Annotated[int, Meta(ge=0, description="The cursor of the newest event shown.")]


class SessionRenew(Params, frozen=True):
    """Go on with a socket whose token is about to expire."""

    token: Annotated[Token, Meta(description="A newer token, from `POST /v1/refresh`.")]


class Say(Params, frozen=True):
    """An agent answers in a conversation; answering an offered one accepts it."""

    conversation: Id
    client_id: ClientId
    text: Text
    channel: Annotated[str, Meta(max_length=32, description="The thread to answer on; default: where they wrote.")] = ""
    reply_to: Annotated[str, Meta(max_length=64, description="Id of the message that this one answers.")] = ""


class Write(Params, frozen=True):
    """A visitor writes."""

    client_id: ClientId
    text: Text
    conversation: Annotated[str, Meta(max_length=64, description="The conversation meant; default: the open one.")] = ""
    reply_to: Annotated[str, Meta(max_length=64, description="Id of the message that this one answers.")] = ""


class ConversationRef(Params, frozen=True):
    """One conversation."""

    conversation: Id


class TransferTo(Params, frozen=True):
    """Hand a conversation to a colleague or to a skill group; exactly one of them."""

    conversation: Id
    to_agent: Annotated[str, Meta(max_length=128)] = ""
    to_skill: Annotated[str, Meta(max_length=64)] = ""


class SnoozeUntil(Params, frozen=True):
    """Lay a conversation aside."""

    conversation: Id
    until_ms: Annotated[int, Meta(ge=0, description="Unix time in milliseconds at which it comes back.")]


class Note(Params, frozen=True):
    """Leave a note that only agents see."""

    conversation: Id
    client_id: ClientId
    text: Text


class PresenceSet(Params, frozen=True):
    """Tell whether new conversations may come."""

    status: Literal["online", "away", "offline"]
    reason: Annotated[str, Meta(max_length=128)] = ""


class HistoryPage(Params, frozen=True):
    """Read older messages of a conversation."""

    conversation: Id
    before: Annotated[int, Meta(ge=1, description="Messages with a smaller `seq` than this; default: newest.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=200, description="How many at most.")] = 50


class VisitOpen(Params, frozen=True):
    """Start or go on with a visit; the first call on a visitor socket."""

    token: Annotated[Token, Meta(description="A visitor's token, from `POST /v1/connect`.")]
    cursor: Annotated[str, Meta(max_length=64, description="Id of the newest message seen before.")] | None = None


class VisitAck(Params, frozen=True):
    """Confirm that the contact saw all messages up to one; usually sent as a notification."""

    cursor: Annotated[Id, Meta(description="Id of the newest message seen.")]


class Ok(msgspec.Struct, frozen=True):
    """It happened."""

    ok: bool = True


class ReceiptResult(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The message is stored and survives the death of any process and of the machine."""

    message: str
    conversation: str
    seq: int
    at_ms: int
    duplicate: bool = False


class Held(msgspec.Struct, frozen=True):
    """A conversation on a desk, with its newest five messages, oldest first."""

    conversation: Json
    messages: list[Json]


class DeskOpened(msgspec.Struct, frozen=True, omit_defaults=True):
    """A desk's start: everything after ``cursor`` follows as events.

    With ``snapshot`` true, ``conversations`` replaces all that the desk knew.
    """

    agent: str
    role: str
    cursor: int
    presence: str
    snapshot: bool
    conversations: list[Held] = msgspec.field(default_factory=list[Held])


class VisitOpened(msgspec.Struct, frozen=True):
    """A visit's start: ``messages`` follow the cursor given; with ``snapshot`` they replace all that was shown."""

    contact: str
    conversation: str | None
    state: str | None
    cursor: str | None
    snapshot: bool
    messages: list[Json]


class Page(msgspec.Struct, frozen=True):
    """Messages of a conversation, oldest first; ``more`` tells whether older ones exist."""

    messages: list[Json]
    more: bool


class Method(msgspec.Struct, frozen=True):
    """One method.

    Args:
        name: as it stands in the call.
        where: the sockets it may be called on.
        params, result: their types.
        http: whether ``POST /rpc`` takes it too.
        errors: names of the errors it can end in, beside those of every call.
    """

    name: str
    where: tuple[Where, ...]
    params: type[Params]
    result: Any
    http: bool = False
    errors: tuple[str, ...] = ()


_OWN = ("not_found", "forbidden", "conflict", "unavailable")
METHODS: tuple[Method, ...] = (
    Method("rpc.discover", ("desk", "visitor"), Nothing, dict[str, Any], True),
    Method("desk.open", ("desk",), DeskOpen, DeskOpened, False, ("unauthorized", "cursor_ahead", "unavailable")),
    Method("desk.ack", ("desk",), DeskAck, Ok, False, ("cursor_ahead",)),
    Method("session.renew", ("desk",), SessionRenew, Ok, False, ("unauthorized",)),
    Method("message.send", ("desk",), Say, ReceiptResult, True, (*_OWN, "too_large")),
    Method("conversation.accept", ("desk",), ConversationRef, Ok, True, _OWN),
    Method("conversation.decline", ("desk",), ConversationRef, Ok, True, _OWN),
    Method("conversation.transfer", ("desk",), TransferTo, Ok, True, (*_OWN, "bad_request")),
    Method("conversation.resolve", ("desk",), ConversationRef, Ok, True, _OWN),
    Method("conversation.snooze", ("desk",), SnoozeUntil, Ok, True, (*_OWN, "bad_request")),
    Method("conversation.note", ("desk",), Note, ReceiptResult, True, (*_OWN, "too_large")),
    Method("presence.set", ("desk",), PresenceSet, Ok, True, ("unavailable",)),
    Method("typing", ("desk",), ConversationRef, Ok, False, _OWN),
    Method("history.page", ("desk",), HistoryPage, Page, True, ("not_found", "unavailable")),
    Method("visit.open", ("visitor",), VisitOpen, VisitOpened, False, ("unauthorized", "cursor_ahead", "unavailable")),
    Method("visit.ack", ("visitor",), VisitAck, Ok, False, ("not_found",)),
    Method(
        "message.send", ("visitor",), Write, ReceiptResult, False, ("not_found", "conflict", "too_large", "unavailable")
    ),
    Method("typing", ("visitor",), ConversationRef, Ok, False, ("forbidden", "unavailable")),
    Method("history.page", ("visitor",), HistoryPage, Page, False, ("not_found", "unavailable")),
)


def methods_on(where: Where) -> dict[str, Method]:
    """Return the methods of one kind of socket, by name."""
    return {method.name: method for method in METHODS if where in method.where}


def http_methods() -> dict[str, Method]:
    """Return the methods of ``POST /rpc``, by name."""
    return {method.name: method for method in METHODS if method.http}
