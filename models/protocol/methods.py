"""Every method of the sockets and of ``POST /rpc``: its parameters, its result, who may call it.

The protocol documents (OpenRPC and docs/protocol.md) are made from these types, so they cannot disagree.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Where = Literal["desk", "visitor"]
#: Where a method can be called: on one of the two kinds of socket, or by ``POST /rpc``.
Door = Literal["desk", "visitor", "http"]
Status = Literal["online", "away", "offline"]

_REFERENCE = "#/components/schemas/"
#: A SessionID has 29 characters; a message id some more.
_ID_CHARS = 64
Conversation = Annotated[str, Meta(min_length=1, max_length=_ID_CHARS, description="Id of the conversation.")]
ClientId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="The sender's own id of the message: sent again with the same one, it is taken once.",
    ),
]
#: Characters; the limit in bytes (``limits.text_bytes``) is checked apart.
Text = Annotated[
    str,
    Meta(min_length=1, max_length=100_000, description="What is said; at most `limits.text_bytes` bytes of UTF-8."),
]
Token = Annotated[str, Meta(min_length=1, max_length=4096)]
ReplyTo = Annotated[str, Meta(max_length=_ID_CHARS, description="Id of the message that this one answers; or empty.")]
AgentName = Annotated[str, Meta(description="Name of the agent.")]
#: What the store holds as JSON goes out as it is; the schema tells what it is.
MessageJson = Annotated[msgspec.Raw, Meta(extra_json_schema={"$ref": _REFERENCE + "Message"})]
RecordJson = Annotated[
    msgspec.Raw,
    Meta(description="The conversation's record.", extra_json_schema={"$ref": _REFERENCE + "ConversationRecord"}),
]


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of a call, by name."""


class Nothing(Params, frozen=True):
    """A call without parameters."""


class DeskOpen(Params, frozen=True):
    """How a desk starts or goes on."""

    token: Annotated[Token, Meta(description="An agent's token, from `POST /v1/login`.")]
    cursor: Annotated[int, Meta(ge=0, description="The newest cursor shown before; null for a fresh start.")] | None = (
        None
    )
    presence: Annotated[
        Status | None, Meta(description="The presence to choose at once; null leaves it as it was.")
    ] = None


class DeskAck(Params, frozen=True):
    """How far a desk has shown its events."""

    cursor: Annotated[int, Meta(ge=0, description="The cursor of the newest event shown.")]


class SessionRenew(Params, frozen=True):
    """What a socket goes on with."""

    token: Annotated[Token, Meta(description="A newer token of the same agent, from `POST /v1/refresh`.")]


class Say(Params, frozen=True):
    """An agent's answer."""

    conversation: Conversation
    client_id: ClientId
    text: Text
    channel: Annotated[
        str, Meta(max_length=32, description="The thread to answer on; empty: where the contact wrote last.")
    ] = ""
    reply_to: ReplyTo = ""


class Write(Params, frozen=True):
    """A visitor's message."""

    client_id: ClientId
    text: Text
    conversation: Annotated[
        str,
        Meta(
            max_length=_ID_CHARS,
            description="Id of the conversation meant, refused if it is not the open one; "
            "empty: the open one, or a new one.",
        ),
    ] = ""
    reply_to: ReplyTo = ""


class ConversationRef(Params, frozen=True):
    """One conversation."""

    conversation: Conversation


class TransferTo(Params, frozen=True):
    """Where a conversation goes: to a colleague or to a skill group; exactly one of them."""

    conversation: Conversation
    to_agent: Annotated[str, Meta(max_length=128, description="Name of the colleague.")] = ""
    to_skill: Annotated[str, Meta(max_length=64, description="The skill that the next agent must have.")] = ""


class SnoozeUntil(Params, frozen=True):
    """How long a conversation is laid aside."""

    conversation: Conversation
    until_ms: Annotated[
        int, Meta(ge=0, description="Unix time in milliseconds at which it comes back; must lie in the future.")
    ]


class Note(Params, frozen=True):
    """A note that only agents see."""

    conversation: Conversation
    client_id: ClientId
    text: Text


class PresenceSet(Params, frozen=True):
    """Whether new conversations may come."""

    status: Annotated[
        Status,
        Meta(
            description="`online`: new conversations come; `away`: none come, those held stay; "
            "`offline`: as if no desk were open."
        ),
    ]
    reason: Annotated[str, Meta(max_length=128, description="Why, in the agent's words.")] = ""


class HistoryPage(Params, frozen=True):
    """Which stretch of a conversation."""

    conversation: Conversation
    before: (
        Annotated[int, Meta(ge=1, description="Only messages with a smaller `seq` than this; null: the newest.")] | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=200, description="How many messages at most.")] = 50


class VisitOpen(Params, frozen=True):
    """How a visit starts or goes on."""

    token: Annotated[Token, Meta(description="A visitor's token, from `POST /v1/connect`.")]
    cursor: (
        Annotated[
            str, Meta(max_length=_ID_CHARS, description="Id of the newest message seen before; null for a fresh start.")
        ]
        | None
    ) = None


class VisitAck(Params, frozen=True):
    """How far a contact has seen its conversation."""

    cursor: Annotated[str, Meta(min_length=1, max_length=_ID_CHARS, description="Id of the newest message seen.")]


class Ok(msgspec.Struct, frozen=True):
    """It happened, or had happened already."""

    ok: Annotated[bool, Meta(description="Always true.")] = True


class ReceiptResult(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The message is stored and survives the death of any process and of the machine."""

    message: Annotated[str, Meta(description="Id of the message: `<conversation>-<seq>`.")]
    conversation: Annotated[str, Meta(description="Id of its conversation.")]
    seq: Annotated[int, Meta(description="Its number in the conversation, from 1.")]
    at_ms: Annotated[int, Meta(description="Unix time in milliseconds at which it was numbered.")]
    duplicate: Annotated[
        bool, Meta(description="It had been taken before; the other fields are those of the first time.")
    ] = False


class Held(msgspec.Struct, frozen=True):
    """A conversation on a desk."""

    conversation: RecordJson
    messages: Annotated[list[MessageJson], Meta(description="Its newest messages, at most five, oldest first.")]


class DeskOpened(msgspec.Struct, frozen=True, omit_defaults=True):
    """A desk's start: everything after ``cursor`` follows as events."""

    agent: AgentName
    role: Annotated[str, Meta(description="`agent`, `supervisor` or `admin`.")]
    cursor: Annotated[int, Meta(description="Where the events begin that follow.")]
    presence: Annotated[str, Meta(description="`online`, `away` or `offline`, as chosen last.")]
    snapshot: Annotated[bool, Meta(description="Whether `conversations` replaces all that the desk knew.")]
    conversations: Annotated[
        list[Held], Meta(description="All that is offered or assigned to the agent; only with `snapshot`.")
    ] = msgspec.field(default_factory=list[Held])


class DeskSnapshot(msgspec.Struct, frozen=True):
    """A fresh start that the server had to make; replaces all that the desk knew."""

    cursor: Annotated[int, Meta(description="Where the events begin that follow.")]
    conversations: Annotated[list[Held], Meta(description="All that is offered or assigned to the agent.")]


class VisitOpened(msgspec.Struct, frozen=True):
    """A visit's start."""

    contact: Annotated[str, Meta(description="Id of the contact that the visitor is, after all links.")]
    conversation: Annotated[
        str | None, Meta(description="Id of the open conversation, else of the last one; null: there was none.")
    ]
    state: Annotated[str | None, Meta(description="The `state` of that conversation.")]
    cursor: Annotated[str | None, Meta(description="Id of the newest message; null: there is none.")]
    snapshot: Annotated[bool, Meta(description="Whether `messages` replace all that was shown.")]
    messages: Annotated[
        list[MessageJson],
        Meta(description="What follows the cursor given, the visitor's own messages among it, oldest first."),
    ]


class Page(msgspec.Struct, frozen=True):
    """Messages of a conversation."""

    messages: Annotated[list[MessageJson], Meta(description="A stretch without gaps, oldest first.")]
    more: Annotated[bool, Meta(description="Whether older ones exist.")]


class Method(msgspec.Struct, frozen=True):
    """One method.

    Args:
        name: as it stands in the call.
        where: the sockets it may be called on.
        params, result: their types.
        http: whether ``POST /rpc`` takes it too.
        errors: names of the errors it can end in, beside those of every call.
        summary: what it does, in a sentence or two.
    """

    name: str
    where: tuple[Where, ...]
    params: type[Params]
    result: Any
    http: bool = False
    errors: tuple[str, ...] = ()
    summary: str = ""


_OWN = ("not_found", "forbidden", "conflict", "unavailable")
METHODS: tuple[Method, ...] = (
    Method(
        "rpc.discover",
        ("desk", "visitor"),
        Nothing,
        dict[str, Any],
        http=True,
        summary="Return the OpenRPC document of what can be called here; needs no open session.",
    ),
    Method(
        "desk.open",
        ("desk",),
        DeskOpen,
        DeskOpened,
        errors=("cursor_ahead", "unavailable"),
        summary="Start or go on with a desk; the first call on a desk socket, and only once.",
    ),
    Method(
        "desk.ack",
        ("desk",),
        DeskAck,
        Ok,
        errors=("cursor_ahead",),
        summary="Confirm all events up to a cursor; usually sent as a notification.",
    ),
    Method(
        "session.renew",
        ("desk",),
        SessionRenew,
        Ok,
        summary="Go on with a socket whose token is about to expire.",
    ),
    Method(
        "message.send",
        ("desk",),
        Say,
        ReceiptResult,
        http=True,
        errors=(*_OWN, "too_large"),
        summary="Answer in a conversation; the result is the receipt. Answering an offered one accepts it.",
    ),
    Method(
        "conversation.accept",
        ("desk",),
        ConversationRef,
        Ok,
        http=True,
        errors=_OWN,
        summary="Take a conversation that was offered; taking it twice is once.",
    ),
    Method(
        "conversation.decline",
        ("desk",),
        ConversationRef,
        Ok,
        http=True,
        errors=_OWN,
        summary="Give a conversation back to the queue, in its old place; others are asked first.",
    ),
    Method(
        "conversation.transfer",
        ("desk",),
        TransferTo,
        Ok,
        http=True,
        errors=_OWN,
        summary="Hand a conversation to a colleague or to a skill group, through the queue.",
    ),
    Method(
        "conversation.resolve",
        ("desk",),
        ConversationRef,
        Ok,
        http=True,
        errors=_OWN,
        summary="Close a case; the contact's next message opens another. Closing it twice is once.",
    ),
    Method(
        "conversation.snooze",
        ("desk",),
        SnoozeUntil,
        Ok,
        http=True,
        errors=_OWN,
        summary="Lay a conversation aside until a time, or until the contact writes.",
    ),
    Method(
        "conversation.note",
        ("desk",),
        Note,
        ReceiptResult,
        http=True,
        errors=(*_OWN, "too_large"),
        summary="Leave a note that only agents see; the result is the receipt.",
    ),
    Method(
        "presence.set",
        ("desk",),
        PresenceSet,
        Ok,
        http=True,
        errors=("unavailable",),
        summary="Choose one's presence, for all desks of the agent.",
    ),
    Method(
        "typing",
        ("desk",),
        ConversationRef,
        Ok,
        errors=_OWN,
        summary="Show the contact that the agent types; never stored. Usually sent as a notification.",
    ),
    Method(
        "history.page",
        ("desk",),
        HistoryPage,
        Page,
        http=True,
        errors=("not_found", "unavailable"),
        summary="Read messages of any conversation of the account, notes among them.",
    ),
    Method(
        "visit.open",
        ("visitor",),
        VisitOpen,
        VisitOpened,
        errors=("cursor_ahead", "not_found", "unavailable"),
        summary="Start or go on with a visit; the first call on a visitor socket, and only once.",
    ),
    Method(
        "visit.ack",
        ("visitor",),
        VisitAck,
        Ok,
        errors=("not_found",),
        summary="Confirm that the contact saw all messages up to one; usually sent as a notification.",
    ),
    Method(
        "message.send",
        ("visitor",),
        Write,
        ReceiptResult,
        errors=("not_found", "conflict", "too_large", "unavailable"),
        summary="Write; the result is the receipt.",
    ),
    Method(
        "typing",
        ("visitor",),
        ConversationRef,
        Ok,
        errors=("forbidden", "not_found", "unavailable"),
        summary="Show the agent that the contact types; never stored. Usually sent as a notification.",
    ),
    Method(
        "history.page",
        ("visitor",),
        HistoryPage,
        Page,
        errors=("not_found", "unavailable"),
        summary="Read older messages of one of the visitor's own conversations, notes left out.",
    ),
)


def methods_on(where: Where) -> dict[str, Method]:
    """Return the methods of one kind of socket, by name."""
    return {method.name: method for method in METHODS if where in method.where}


def http_methods() -> dict[str, Method]:
    """Return the methods of ``POST /rpc``, by name."""
    return {method.name: method for method in METHODS if method.http}


def methods_at(door: Door) -> dict[str, Method]:
    """Return the methods that can be called at one door, by name."""
    return http_methods() if door == "http" else methods_on(door)
