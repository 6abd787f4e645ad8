"""The result of every method, with its units."""

from typing import Annotated

import msgspec
from msgspec import Meta

_REFERENCE = "#/components/schemas/"
AgentName = Annotated[str, Meta(description="Name of the agent.")]
#: What the store holds as JSON goes out as it is; the schema tells what it is.
MessageJson = Annotated[msgspec.Raw, Meta(extra_json_schema={"$ref": _REFERENCE + "Message"})]
RecordJson = Annotated[
    msgspec.Raw,
    Meta(description="The conversation's record.", extra_json_schema={"$ref": _REFERENCE + "ConversationRecord"}),
]


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
    now_ms: Annotated[
        int, Meta(description="Unix time of the gateway in milliseconds, for clients whose own clock may be wrong.")
    ]
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
    file_bytes: Annotated[int, Meta(description="Bytes in one file that the visitor may send; 0: no files.")] = 0


class VisitPlace(msgspec.Struct, frozen=True):
    """Where the visitor's conversation stands."""

    conversation: Annotated[
        str | None, Meta(description="Id of the open conversation, else of the last one; null: there was none.")
    ]
    state: Annotated[str | None, Meta(description="The `state` of that conversation.")]
    agent: Annotated[str, Meta(description="Name of the agent who has it; empty: nobody has.")] = ""
    ahead: Annotated[
        int | None,
        Meta(
            description="While it waits: how many wait longer in its queue, which is of those that ask for the same "
            "skill."
        ),
    ] = None
    estimate_s: Annotated[
        int | None, Meta(description="About how many seconds it still waits; null: nothing can be said.")
    ] = None
    rating: Annotated[int, Meta(description="What the contact gave it, 1 to 5; 0: nothing.")] = 0
    seen_seq: Annotated[
        int, Meta(description="Number of the newest message in it that an agent has seen; 0: none.")
    ] = 0
    closed: Annotated[bool, Meta(description="Whether the inbox has hours, and it is none of them now.")] = False
    opens_at_ms: Annotated[
        int | None, Meta(description="While it is closed: Unix time in milliseconds of its next hour; null: none.")
    ] = None


class Page(msgspec.Struct, frozen=True):
    """Messages of a conversation."""

    messages: Annotated[list[MessageJson], Meta(description="A stretch without gaps, oldest first.")]
    more: Annotated[bool, Meta(description="Whether older ones exist.")]
