"""What the server pushes, as types: the events of desks and visitors, told apart by ``type``.

Routers write events as bytes (`models.timeline.turn`), since most of an event is JSON that is stored
already. These types are what clients may rely on; a test decodes every kind of event that a router writes.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.protocol.results import MessageJson, RecordJson


class Event(msgspec.Struct, frozen=True, tag_field="type"):
    """Anything that is pushed."""


class MessageEvent(Event, frozen=True, tag="message"):
    """Something was said.

    At a desk: in a conversation that it holds, by the contact, the system, or an agent, this one among
    them. At a visitor: by an agent, the bot or the system, or by the contact itself on another channel.
    """

    message: Annotated[MessageJson, Meta(description="The message as stored.")]


class OfferedEvent(Event, frozen=True, tag="offered"):
    """A conversation came to the desk and awaits acceptance until its ``offer_expires_ms``.

    One that was taken over is ``assigned`` already.
    """

    conversation: RecordJson
    messages: Annotated[list[MessageJson], Meta(description="Its newest messages, at most five, oldest first.")]


class ChangedEvent(Event, frozen=True, tag="changed"):
    """A conversation on the desk changed."""

    change: Annotated[
        Literal["accepted", "thread", "insight", "tags"],
        Meta(
            description="`accepted`: the agent took it; `thread`: the contact writes on another channel now; "
            "`insight`: what the contact wants was understood; `tags`: an agent sorted it by other words."
        ),
    ]
    conversation: RecordJson


class RemovedEvent(Event, frozen=True, tag="removed"):
    """A conversation left the desk."""

    change: Annotated[
        Literal[
            "declined", "transferred", "resolved", "snoozed", "merged", "offer_expired", "agent_away", "taken_over"
        ],
        Meta(description="Through what. `merged`: it goes on as `merged_into`; `taken_over`: a supervisor has it."),
    ]
    conversation: RecordJson


class DeliveryEvent(Event, frozen=True, tag="delivery"):
    """What became of an answer that went out through a vendor's channel."""

    message: Annotated[str, Meta(description="Id of the answer.")]
    state: Annotated[Literal["sent", "failed"], Meta(description="Taken by the vendor, or given up.")]
    detail: Annotated[str, Meta(description="Why it failed, in the vendor's words where there are any.")] = ""


class SeenEvent(Event, frozen=True, tag="seen"):
    """The other side has seen a conversation up to a message; told within about a second, and without a cursor."""

    conversation: Annotated[str, Meta(description="Id of the conversation.")]
    seq: Annotated[int, Meta(description="Number of the newest message that it has seen.")]


class TypingEvent(Event, frozen=True, tag="typing"):
    """The other side types; never stored, and so without a cursor at a desk."""

    conversation: Annotated[str, Meta(description="Id of the conversation.")]
    author: Annotated[Literal["contact", "agent"], Meta(description="Who types.")]


DESK_EVENTS: tuple[type[Event], ...] = (
    MessageEvent,
    OfferedEvent,
    ChangedEvent,
    RemovedEvent,
    DeliveryEvent,
    SeenEvent,
    TypingEvent,
)
VISITOR_EVENTS: tuple[type[Event], ...] = (MessageEvent, SeenEvent, TypingEvent)
