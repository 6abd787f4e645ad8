"""What a router remembers of its conversations: a cache of the store, dropped at any doubt.

A router applies a batch to this memory and then appends it. If the append fails, all is forgotten
and read again under a new epoch, so memory never claims what the store does not hold.
"""

from collections import deque

import msgspec

from models.channels.budget import Said, Spent, spent_of
from models.domain.conversation import ContactRecord, ConversationRecord, Thread
from models.domain.message import Claim, Spoken
from models.timeline.waits import waits_since

#: How many of a conversation's newest messages are known as duplicates at least. It holds all that one
#: sender may repeat at once: the batches under way (`cluster.clients`), the lines of a body (``limits.bulk_lines``).
SEEN_MESSAGES = 2048
#: The preload: how many messages of context an offer carries.
CONTEXT_MESSAGES = 5

_claim = msgspec.json.Decoder(Claim)
_said = msgspec.json.Decoder(Said)
_spoken = msgspec.json.Decoder(Spoken)


class LoadedConversation(msgspec.Struct, frozen=True):
    """A conversation as read from the store.

    Args:
        record: its record.
        length: how many messages it has.
        newest: JSON of its newest messages, newest first, at most ``SEEN_MESSAGES``.
    """

    record: ConversationRecord
    length: int
    newest: list[bytes]


class LoadedContact(msgspec.Struct, frozen=True):
    """A contact as read from the store; ``record`` is None when nobody by that id ever wrote."""

    account: str
    id: str
    record: ContactRecord | None = None
    conversations: tuple[LoadedConversation, ...] = ()


class Conversation:
    """One conversation in memory."""

    __slots__ = ("asked_ms", "recent", "record", "seen", "seq", "spent")

    def __init__(self, record: ConversationRecord) -> None:
        self.record = record
        self.seq = 0
        #: since when the contact waits for an answer, as Unix time in milliseconds; 0 when it does not.
        self.asked_ms = 0
        #: (inbox, source id) -> (seq, at_ms) of the messages that count as seen.
        self.seen: dict[tuple[str, str], tuple[int, int]] = {}
        #: JSON of the newest messages, newest first.
        self.recent: deque[bytes] = deque(maxlen=CONTEXT_MESSAGES)
        #: vendor's channel -> what was answered there since the contact wrote.
        self.spent: dict[str, Spent] = {}

    @classmethod
    def loaded(cls, found: LoadedConversation) -> "Conversation":
        """Rebuild a conversation from what the store holds."""
        conversation = cls(found.record)
        conversation.seq = found.length
        conversation.recent.extend(found.newest[:CONTEXT_MESSAGES])
        seen = conversation.seen
        for data in reversed(found.newest):
            claim = _claim.decode(data)
            if claim.source_id:
                seen[claim.inbox, claim.source_id] = (claim.seq, claim.at_ms)
        conversation.spent = spent_of(map(_said.decode, found.newest), (each.channel for each in found.record.threads))
        conversation.asked_ms = waits_since(
            found.record, map(_spoken.decode, found.newest), whole=len(found.newest) == found.length
        )
        return conversation

    def remember(self, key: tuple[str, str], seq: int, at_ms: int) -> None:
        """Count the message ``key`` as seen; the oldest are dropped in bulk, not one by one."""
        seen = self.seen
        seen[key] = (seq, at_ms)
        if len(seen) > 2 * SEEN_MESSAGES:
            for old in list(seen)[:SEEN_MESSAGES]:
                del seen[old]

    def context(self) -> list[bytes]:
        """Return the newest messages' JSON, oldest first."""
        return list(reversed(self.recent))

    def thread_on(self, channel: str) -> Thread | None:
        """Return the newest thread on ``channel``, or the one where the contact wrote last if it is empty."""
        for thread in reversed(self.record.threads):
            if not channel or thread.channel == channel:
                return thread
        return None


class Contact:
    """One contact in memory, with the conversations that matter: the open one and the one before."""

    __slots__ = ("account", "conversations", "id", "last", "open", "record", "slot", "touched_ms")

    def __init__(self, account: str, slot: int, record: ContactRecord) -> None:
        self.account = account
        self.id = record.id
        self.slot = slot
        self.record = record
        self.open: Conversation | None = None
        self.last: Conversation | None = None
        self.conversations: dict[str, Conversation] = {}
        self.touched_ms = 0

    @classmethod
    def loaded(cls, found: LoadedContact, slot: int) -> "Contact":
        """Rebuild a contact, or make a new one, from what the store holds."""
        contact = cls(found.account, slot, found.record or ContactRecord(id=found.id))
        for each in found.conversations:
            contact.conversations[each.record.id] = Conversation.loaded(each)
        contact.open = contact.conversations.get(contact.record.open)
        contact.last = contact.conversations.get(contact.record.last)
        return contact

    def seen(self, key: tuple[str, str]) -> tuple[Conversation, int, int] | None:
        """Return (conversation, seq, at_ms) of the message known by ``key``, if it was taken before."""
        for conversation in (self.open, self.last):
            if conversation is not None:
                hit = conversation.seen.get(key)
                if hit is not None:
                    return conversation, *hit
        return None
