"""A desk's replica: what one open desk of an agent shows, kept up by the events of the agent's log.

The log is the truth and a replica only follows it. A client starts from a snapshot (the result of
``desk.open`` with ``snapshot`` true, or the parameters of ``desk.snapshot``), applies each entry in the
order of its cursor and, after any break, opens again with the cursor it has reached. Promises:

* an entry that was applied before changes nothing, so an overlap of replay and live events is harmless;
* an entry that would leave a gap is refused with `OutOfStep` and nothing of it is applied;
* a stale replica to which the entries since its cursor are applied equals a fresh snapshot.

Typing carries no cursor and never reaches a replica. What became of an answer (``delivery``) is told
once, by its event; a snapshot does not repeat it.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from models.domain.conversation import ConversationRecord
from models.domain.message import Message

#: A snapshot carries this many of a conversation's newest messages; a replica may know more.
SNAPSHOT_MESSAGES = 5


class OutOfStep(Exception):
    """This entry does not follow from what the replica knows: open again with its cursor."""


class OnDesk(msgspec.Struct, frozen=True):
    """A conversation on the desk, and its messages as far as known, oldest first."""

    conversation: ConversationRecord
    messages: tuple[Message, ...]

    def as_in_snapshot(self) -> "OnDesk":
        """Return it with as many messages as a snapshot has."""
        return OnDesk(self.conversation, self.messages[-SNAPSHOT_MESSAGES:])


class _Snapshot(msgspec.Struct, frozen=True):
    cursor: int
    conversations: tuple[OnDesk, ...] = ()


class _Kind(msgspec.Struct, frozen=True):
    type: str


class _Said(msgspec.Struct, frozen=True):
    message: Message


class _Changed(msgspec.Struct, frozen=True):
    conversation: ConversationRecord


class _Delivery(msgspec.Struct, frozen=True):
    message: str
    state: Literal["sent", "failed"]


_snapshot = msgspec.json.Decoder(_Snapshot)
_events = msgspec.json.Decoder(list[msgspec.Raw])
_kind = msgspec.json.Decoder(_Kind)
_said = msgspec.json.Decoder(_Said)
_offered = msgspec.json.Decoder(OnDesk)
_changed = msgspec.json.Decoder(_Changed)
_delivery = msgspec.json.Decoder(_Delivery)


class DeskState:
    """What a desk shows.

    Attributes:
        cursor: the newest entry that was applied.
        conversations: what the desk holds, by SessionID.
        deliveries: message id -> what became of it, as far as events told.
    """

    def __init__(self, cursor: int, conversations: dict[str, OnDesk]) -> None:
        self.cursor = cursor
        self.conversations = conversations
        self.deliveries: dict[str, str] = {}

    @classmethod
    def from_snapshot(cls, snapshot: bytes | str) -> "DeskState":
        """Start from the JSON of a snapshot.

        Raises:
            msgspec.DecodeError: it is none.
        """
        found = _snapshot.decode(snapshot)
        return cls(found.cursor, {each.conversation.id: each for each in found.conversations})

    def copy(self) -> "DeskState":
        """Return a replica of its own that knows the same."""
        copied = DeskState(self.cursor, dict(self.conversations))
        copied.deliveries = dict(self.deliveries)
        return copied

    def __eq__(self, other: object) -> bool:
        """Tell whether two desks show the same, in the newest messages of each conversation."""
        if not isinstance(other, DeskState):
            return NotImplemented
        return (self.cursor, self._shown()) == (other.cursor, other._shown())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show cursor and conversations."""
        return f"DeskState({self.cursor}, {self._shown()})"

    def _shown(self) -> dict[str, OnDesk]:
        return {name: each.as_in_snapshot() for name, each in self.conversations.items()}

    def apply(self, cursor: int, events: bytes | str) -> bool:
        """Apply one entry of the log, whole or not at all.

        Args:
            cursor: its number.
            events: JSON array of its events.

        Returns:
            False when it had been applied before.

        Raises:
            OutOfStep: entries before it are missing, or it is about what this desk does not hold.
        """
        if cursor <= self.cursor:
            return False
        if cursor != self.cursor + 1:
            raise OutOfStep(f"entry {cursor} does not follow {self.cursor}")
        draft = self.copy()
        for event in _events.decode(events):
            # a kind that this version does not know is none that it shows
            take = _TAKE.get(_kind.decode(event).type)
            if take is not None:
                take(draft, event)
        self.cursor, self.conversations, self.deliveries = cursor, draft.conversations, draft.deliveries
        return True

    def _held(self, conversation: str) -> OnDesk:
        found = self.conversations.get(conversation)
        if found is None:
            raise OutOfStep(f"conversation {conversation} is not on this desk")
        return found

    def _offered(self, event: msgspec.Raw) -> None:
        offered = _offered.decode(event)
        self.conversations[offered.conversation.id] = offered

    def _changed(self, event: msgspec.Raw) -> None:
        record = _changed.decode(event).conversation
        held = self._held(record.id)
        if record.revision <= held.conversation.revision:
            raise OutOfStep(f"revision {record.revision} of {record.id} is not newer than what is shown")
        self.conversations[record.id] = OnDesk(record, held.messages)

    def _removed(self, event: msgspec.Raw) -> None:
        record = _changed.decode(event).conversation
        self._held(record.id)
        del self.conversations[record.id]

    def _said(self, event: msgspec.Raw) -> None:
        message = _said.decode(event).message
        held = self._held(message.conversation)
        newest = held.messages[-1].seq if held.messages else 0
        if message.seq != newest + 1:
            raise OutOfStep(f"message {message.id} does not follow number {newest}")
        self.conversations[message.conversation] = OnDesk(held.conversation, (*held.messages, message))

    def _delivered(self, event: msgspec.Raw) -> None:
        delivery = _delivery.decode(event)
        self.deliveries[delivery.message] = delivery.state


_TAKE: dict[str, Callable[[DeskState, msgspec.Raw], None]] = {
    "offered": DeskState._offered,  # pyright: ignore[reportPrivateUsage]
    "changed": DeskState._changed,  # pyright: ignore[reportPrivateUsage]
    "removed": DeskState._removed,  # pyright: ignore[reportPrivateUsage]
    "message": DeskState._said,  # pyright: ignore[reportPrivateUsage]
    "delivery": DeskState._delivered,  # pyright: ignore[reportPrivateUsage]
}
