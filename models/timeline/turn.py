"""One batch in the making: the clock, the changes so far, and the few acts that every command is made of."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from models.channels.budget import OWN_CHANNELS, Budget, Said, note
from models.domain.commands import Receipt, Refusal
from models.domain.conversation import (
    HELD_STATES,
    OPEN_STATES,
    ContactRecord,
    ConversationRecord,
    Placement,
    placement_of,
)
from models.domain.errors import Conflict, RaydeskError
from models.domain.ids import conversation_id
from models.domain.message import Message
from models.timeline.bot_part import BotPart, Question
from models.timeline.cache import Contact, Conversation
from models.timeline.changes import Changes

_encode = msgspec.json.Encoder().encode
#: What a record keeps of the bot ends with the bot's part in the conversation.
_WITHOUT_BOT: dict[str, Any] = {"owed_seq": 0, "bot_due_ms": 0, "bot": None}


def refuse(error: type[RaydeskError], detail: str) -> Refusal:
    """Answer that it did not happen, and why."""
    return Refusal(name=error.name, detail=detail)


def refuse_state(record: ConversationRecord) -> Refusal:
    """Answer that a conversation does not stand where this could happen."""
    where = "with the bot" if record.state == "bot" else record.state
    return refuse(Conflict, f"this conversation is {where}")


def message_event(data: bytes) -> bytes:
    """Wrap a message's JSON as the event that a desk or visitor gets."""
    return b'{"type":"message","message":' + data + b"}"


def record_event(kind: str, change: str, record: ConversationRecord) -> bytes:
    """Tell that a held conversation ``changed``, or was ``removed`` from a desk, and through what."""
    return b'{"type":"%b","change":"%b","conversation":%b}' % (kind.encode(), change.encode(), _encode(record))


def offered_event(conversation: Conversation) -> bytes:
    """Tell that a conversation came to a desk, with its context already loaded."""
    return b'{"type":"offered","conversation":%b,"messages":[%b]}' % (
        _encode(conversation.record),
        b",".join(conversation.context()),
    )


class Rules(msgspec.Struct, frozen=True):
    """What holds for every turn of a router.

    Args:
        bot: its part in the conversations.
        budgets: inbox -> how many answers its vendor takes until the contact writes again.
    """

    bot: BotPart
    budgets: Mapping[str, Budget]


def _said_by(message: Message) -> Said:
    return Said(message.seq, message.author, message.at_ms, message.channel, message.text, message.internal)


class Turn:
    """The context of one batch.

    Args:
        now_ms: Unix time of the batch, in milliseconds.
        entropy: gives that many random bytes from the operating system.
        contacts: the shard's cache.
        dispatcher_epochs: account -> the newest dispatcher's epoch.
        rules: what holds for every turn of this router.
        bot_room: how many messages the bot can take on; others go to humans at once.
    """

    __slots__ = (
        "bot",
        "bot_room",
        "budgets",
        "changes",
        "contacts",
        "counts",
        "dispatcher_epochs",
        "dropped",
        "entropy",
        "now_ms",
        "placed",
        "questions",
    )

    def __init__(
        self,
        now_ms: int,
        entropy: Callable[[int], bytes],
        contacts: dict[str, Contact],
        dispatcher_epochs: dict[str, int],
        rules: Rules,
        bot_room: int,
    ) -> None:
        self.now_ms = now_ms
        self.entropy = entropy
        self.contacts = contacts
        self.dispatcher_epochs = dispatcher_epochs
        self.bot = rules.bot
        self.budgets = rules.budgets
        self.bot_room = bot_room
        self.questions: list[Question] = []
        #: what happened -> how often, for the process; an account's own counts are among its changes.
        self.counts: dict[str, int] = {}
        self.changes: dict[str, Changes] = {}
        self.placed: dict[str, Placement] = {}
        #: conversations that left the cache because their contact has newer ones.
        self.dropped: list[str] = []

    def changes_of(self, account: str, slot: int) -> Changes:
        """Return the account's changes, and have ``slot`` fenced."""
        changes = self.changes.get(account)
        if changes is None:
            changes = self.changes[account] = Changes(self.now_ms)
        changes.slots.add(slot)
        return changes

    def bot_takes_one(self) -> bool:
        """Take a place of those that the bot has for messages, if there is one."""
        if self.bot.answers is None or self.bot_room <= 0:
            return False
        self.bot_room -= 1
        return True

    def count(self, what: str) -> None:
        """Count something for the process, whatever account it was in."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def append(self, contact: Contact, conversation: Conversation, message: Message) -> bytes:
        """Add a message that carries the conversation's next number; returns its JSON."""
        data = _encode(message)
        conversation.seq = message.seq
        conversation.recent.appendleft(data)
        if message.source_id:
            conversation.remember((message.inbox, message.source_id), message.seq, message.at_ms)
        if message.channel not in OWN_CHANNELS:
            note(conversation.spent, _said_by(message))
        changes = self.changes_of(contact.account, contact.slot)
        record = conversation.record
        new = changes.messages.get(record.id)
        if new is None:
            changes.messages[record.id] = [data]
        else:
            new.append(data)
        if record.state in HELD_STATES:
            changes.tell_desk(record.agent, message_event(data))
        if message.attachments:
            shown_to = "" if message.internal else contact.id
            changes.files += [(each.file, shown_to, message.id) for each in message.attachments if each.file]
        return data

    def append_system(self, contact: Contact, conversation: Conversation, text: str) -> None:
        """Add a line that nobody said, such as ``conversation.resolved``, and show it to the contact."""
        seq = conversation.seq + 1
        record = conversation.record
        data = self.append(
            contact,
            conversation,
            Message(
                id=f"{record.id}-{seq}",
                conversation=record.id,
                seq=seq,
                author="system",
                text=text,
                at_ms=self.now_ms,
            ),
        )
        self.changes_of(contact.account, contact.slot).tell_visitors(contact.id, message_event(data))

    def append_line(self, contact: Contact, conversation: Conversation, text: str, *, by: str) -> None:
        """Add a line about what an agent did, which only agents see."""
        seq = conversation.seq + 1
        record = conversation.record
        message = Message(
            id=f"{record.id}-{seq}",
            conversation=record.id,
            seq=seq,
            author="system",
            author_id=by,
            text=text,
            at_ms=self.now_ms,
            internal=True,
        )
        self.append(contact, conversation, message)

    def replace(self, contact: Contact, conversation: Conversation, **fields: Any) -> ConversationRecord:
        """Change a conversation's record, keep the indexes in step, and let the dispatcher know.

        The indexes (waiting, held, snoozed, the bot's) follow from the record alone, so they cannot disagree with it.
        """
        before = conversation.record
        if before.state == "bot" != fields.get("state", "bot"):
            fields |= _WITHOUT_BOT
        record = msgspec.structs.replace(before, revision=before.revision + 1, **fields)
        conversation.record = record
        changes = self.changes_of(contact.account, contact.slot)
        changes.conversations[record.id] = record
        states = (before.state, record.state)
        if "waiting" in states:
            changes.waiting[record.id] = record.waiting_since_ms if record.state == "waiting" else None
            _queue(changes, before, record)
        self._hold(changes, before, record)
        if "snoozed" in states:
            changes.snoozed[record.id] = record.snoozed_until_ms if record.state == "snoozed" else None
        if "bot" not in states:
            self.placed[record.id] = placement_of(contact.account, record)
            return record
        changes.bot[record.id] = record.bot_due_ms if record.state == "bot" else None
        if record.state != "bot" and record.state in OPEN_STATES:
            # a dispatcher hears of a conversation when it becomes one for humans, and not of one that never did
            self.placed[record.id] = placement_of(contact.account, record)
        return record

    def keep(self, contact: Contact, conversation: Conversation, **fields: Any) -> None:
        """Change of a record what neither an index nor a dispatcher looks at; the revision stays."""
        record = conversation.record = msgspec.structs.replace(conversation.record, **fields)
        self.changes_of(contact.account, contact.slot).conversations[record.id] = record

    def _hold(self, changes: Changes, before: ConversationRecord, after: ConversationRecord) -> None:
        """Note whose desk it left and whose it came to, over all that happens to it in this batch."""
        left = before.agent if before.state in HELD_STATES else ""
        came = after.agent if after.state in HELD_STATES else ""
        earlier = changes.held.get(after.id)
        if earlier is not None:
            left = earlier[0]
        elif left == came:
            return
        changes.held[after.id] = (left, came)

    def replace_contact(self, contact: Contact, **fields: Any) -> ContactRecord:
        """Change a contact's record."""
        contact.record = msgspec.structs.replace(contact.record, **fields)
        self.changes_of(contact.account, contact.slot).contacts[contact.id] = contact.record
        return contact.record

    def open(self, contact: Contact, **fields: Any) -> Conversation:
        """Open a conversation for a contact that has none.

        Args:
            contact: who has none.
            fields: of its record, ``threads`` among them; it waits for a human unless they say otherwise.
        """
        # a visitor's cursor compares a contact's SessionIDs, so they must sort even if the clock stepped back
        opened_at_ms = max(self.now_ms, contact.last.record.opened_at_ms + 1) if contact.last else self.now_ms
        placed: dict[str, Any] = {"state": "waiting", "waiting_since_ms": self.now_ms} | fields
        record = ConversationRecord(
            id=conversation_id(opened_at_ms, contact.slot, self.entropy(10)),
            contact=contact.id,
            opened_at_ms=opened_at_ms,
            **placed,
        )
        conversation = Conversation(record)
        contact.open = contact.conversations[record.id] = conversation
        self.changes_of(contact.account, contact.slot).opened.append((contact.id, record.id))
        self.replace(contact, conversation)
        identities = contact.record.identities
        added = tuple(thread for thread in record.threads if thread not in identities)
        self.replace_contact(contact, open=record.id, identities=identities + added)
        return conversation

    def close(self, contact: Contact, conversation: Conversation, **fields: Any) -> None:
        """End an open conversation (``state`` is among ``fields``) and make it the contact's last one."""
        self.replace(contact, conversation, agent="", offer_expires_ms=0, **fields)
        if contact.open is conversation:
            contact.open, contact.last = None, conversation
            self.dropped += [each for each in contact.conversations if each != conversation.record.id]
            contact.conversations = {conversation.record.id: conversation}
            self.replace_contact(contact, open="", last=conversation.record.id)

    def reopen(self, contact: Contact, conversation: Conversation, **fields: Any) -> None:
        """Let the contact's last conversation be its open one again, and wait for a human from now on."""
        self.replace(
            contact,
            conversation,
            state="waiting",
            waiting_since_ms=self.now_ms,
            excluded=(),
            snoozed_until_ms=0,
            **fields,
        )
        # nobody expected an answer while it was closed
        conversation.asked_ms = self.now_ms if conversation.asked_ms else 0
        contact.open, contact.last = conversation, None
        self.replace_contact(contact, open=conversation.record.id, last="")

    def leave_desk(self, contact: Contact, conversation: Conversation, change: str, **fields: Any) -> None:
        """Take a held conversation from its agent's desk and tell the desk through what."""
        agent = conversation.record.agent
        record = self.replace(contact, conversation, agent="", offer_expires_ms=0, **fields)
        changes = self.changes_of(contact.account, contact.slot)
        changes.tell_desk(agent, record_event("removed", change, record))

    def receipt(self, conversation: Conversation) -> Receipt:
        """Confirm the message that was appended last."""
        return Receipt(conversation=conversation.record.id, seq=conversation.seq, at_ms=self.now_ms)


def _queue(changes: Changes, before: ConversationRecord, after: ConversationRecord) -> None:
    """Note which queue it left and in which it stands, over all that happens to it in this batch."""
    left = before.skill if before.state == "waiting" else None
    came = after.skill if after.state == "waiting" else None
    earlier = changes.queues.get(after.id)
    changes.queues[after.id] = (left if earlier is None else earlier[0], came)
