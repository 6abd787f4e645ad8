"""The parameters of every method, with their limits and units."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.domain.files import MOST_FILES
from models.domain.tags import MOST_TAGS, TAG_CHARS

Status = Literal["online", "away", "offline"]

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
#: Characters; the limit in bytes (``limits.text_bytes``) is checked apart, and so is that files stand in its place.
MaybeText = Annotated[
    str,
    Meta(
        max_length=100_000,
        description="What is said, at most `limits.text_bytes` bytes of UTF-8; may be empty beside attachments.",
    ),
]
#: As many as one message may bring.
Attachments = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=2_048)], ...],
    Meta(
        max_length=MOST_FILES,
        description=f"Proofs of the files that it brings, from `POST /v1/files`; at most {MOST_FILES}.",
    ),
]
Token = Annotated[str, Meta(min_length=1, max_length=4096)]
ReplyTo = Annotated[str, Meta(max_length=_ID_CHARS, description="Id of the message that this one answers; or empty.")]


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
    text: MaybeText
    channel: Annotated[
        str, Meta(max_length=32, description="The thread to answer on; empty: where the contact wrote last.")
    ] = ""
    reply_to: ReplyTo = ""
    attachments: Attachments = ()


class Write(Params, frozen=True):
    """A visitor's message."""

    client_id: ClientId
    text: MaybeText
    conversation: Annotated[
        str,
        Meta(
            max_length=_ID_CHARS,
            description="Id of the conversation meant, refused if it is not the open one; "
            "empty: the open one, or a new one.",
        ),
    ] = ""
    reply_to: ReplyTo = ""
    attachments: Attachments = ()
    for_agents: Annotated[
        bool, Meta(description="Whether it is left for agents: the conversation waits for one, and the bot is silent.")
    ] = False


class ConversationRef(Params, frozen=True):
    """One conversation."""

    conversation: Conversation


class ConversationSeen(Params, frozen=True):
    """How far an agent has seen a conversation on its desk."""

    conversation: Conversation
    seq: Annotated[int, Meta(ge=1, description="Number of the newest message seen.")]


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


TagText = Annotated[
    str,
    Meta(
        min_length=1, max_length=TAG_CHARS, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*(?![\s\S])"
    ),
]


class Retag(Params, frozen=True):
    """Which tags a conversation gets and loses; two spellings that differ in case or spaces are one tag."""

    conversation: Conversation
    add: Annotated[list[TagText], Meta(max_length=MOST_TAGS, description="Tags that it shall have.")] = []
    remove: Annotated[list[TagText], Meta(max_length=MOST_TAGS, description="Tags that it shall not have.")] = []


class Note(Params, frozen=True):
    """A note that only agents see."""

    conversation: Conversation
    client_id: ClientId
    text: MaybeText
    attachments: Attachments = ()


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


class ConversationRate(Params, frozen=True):
    """What a contact thinks of a conversation that ended."""

    conversation: Conversation
    score: Annotated[int, Meta(ge=1, le=5, description="From 1, bad, to 5, good.")]
    comment: Annotated[str, Meta(max_length=1_000, description="In the contact's own words.")] = ""


class VisitAck(Params, frozen=True):
    """How far a contact has seen its conversation."""

    cursor: Annotated[str, Meta(min_length=1, max_length=_ID_CHARS, description="Id of the newest message seen.")]
