"""The core of a router: the conversations of one shard, and every change of them as one plain call.

``apply`` takes a batch of commands in order and returns the answers, what must be written, and the
placements a dispatcher must hear of. Nothing counts before the store took it: after a failed append
the caller calls ``forget`` before it owns the shard anew, and conversations are read again.

The flow of a batch::

    commands ── missing() ── (the shell reads the store) ── learn() ── apply() ── (append) ── answers
                                                                                    └─ failed: forget()
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from models.channels.budget import Budget
from models.domain.commands import (
    Accept,
    Adopt,
    AnyCommand,
    AnyReply,
    BotDue,
    Command,
    Decline,
    Delivered,
    Export,
    Fence,
    Move,
    Offer,
    Part,
    Rate,
    Receive,
    Release,
    Reopen,
    Resolve,
    Return,
    Say,
    Snooze,
    Tag,
    TakeOver,
    Transfer,
    Typing,
    Understood,
)
from models.domain.conversation import Placement
from models.domain.errors import BadRequest, InvalidId
from models.domain.ids import slot_of_contact, slot_of_conversation
from models.timeline import agent_side, bot_side, contact_side, dispatcher_side, joining
from models.timeline.bot_part import BotPart, Question
from models.timeline.cache import Contact, Conversation, LoadedContact
from models.timeline.changes import Changes
from models.timeline.turn import Rules, Turn, refuse

_BY_CONTACT: dict[type[Command], Callable[[Turn, Any], AnyReply]] = {
    Receive: contact_side.receive,
    Export: contact_side.export,
    Adopt: contact_side.adopt,
    Move: contact_side.move,
    Return: joining.go_back,
    Part: joining.part,
}
_BY_CONVERSATION: dict[type[Command], Callable[[Turn, Any, agent_side.Held | None], AnyReply]] = {
    Say: agent_side.say,
    Accept: agent_side.accept,
    Decline: agent_side.decline,
    Transfer: agent_side.transfer,
    Resolve: agent_side.resolve,
    Reopen: agent_side.reopen,
    Snooze: agent_side.snooze,
    TakeOver: agent_side.take_over,
    Typing: agent_side.agent_typing,
    Delivered: agent_side.delivered,
    Offer: dispatcher_side.offer,
    Release: dispatcher_side.release,
    Understood: bot_side.understood,
    BotDue: bot_side.bot_due,
    Rate: contact_side.rate,
    Tag: agent_side.tag,
}
#: Nothing is understood here, and whatever the bot holds from before is handed over when it is due.
_NO_BOT = BotPart()


class Missing(NamedTuple):
    """What must be read before a batch can be applied: (account, contact) and (account, conversation) pairs."""

    contacts: set[tuple[str, str]]
    conversations: set[tuple[str, str]]


class Outcome(msgspec.Struct, frozen=True):
    """What a batch came to.

    Args:
        replies: one per command, in order.
        changes: account -> what must be written, atomically per account.
        placements: what dispatchers must hear once it is written.
        questions: what is to be understood once it is written.
        counts: what the bot did, and what was known already -> how often, in all accounts.
    """

    replies: list[AnyReply]
    changes: dict[str, Changes]
    placements: list[Placement]
    questions: list[Question]
    counts: dict[str, int]


def slot_of(command: AnyCommand) -> int:
    """Return the slot that owns what a command is about.

    Raises:
        InvalidId: the contact or conversation it names is not an id.
    """
    if isinstance(command, (Receive, Export, Adopt, Move, Return, Part)):
        return slot_of_contact(command.contact)
    if isinstance(command, Fence):
        return command.slot
    return slot_of_conversation(command.conversation)


def _needs(command: AnyCommand) -> tuple[str, str]:
    """Return the contact and the conversation that must be in memory to decide a command; empty means none."""
    if isinstance(command, Fence):
        return "", ""
    if isinstance(command, (Export, Adopt, Move, Return, Part)):
        return command.contact, ""
    if isinstance(command, (Receive, Typing)):
        return command.contact, command.conversation
    return "", command.conversation


class Shard:
    """One shard's conversations in memory.

    Args:
        entropy: gives that many random bytes from the operating system.
        cached_contacts: how many contacts are kept in memory; the longest untouched are dropped first.
        bot: its part in the conversations.
        budgets: inbox -> how many answers its vendor takes until the contact writes again.
    """

    def __init__(
        self,
        *,
        entropy: Callable[[int], bytes],
        cached_contacts: int = 50_000,
        bot: BotPart = _NO_BOT,
        budgets: Mapping[str, Budget] = MappingProxyType({}),
    ) -> None:
        self._entropy = entropy
        self._rules = Rules(bot, budgets)
        self._cached_contacts = cached_contacts
        self._contacts: dict[str, Contact] = {}
        #: conversation -> its contact, for the conversations in memory.
        self._homes: dict[str, Contact] = {}
        self.dispatcher_epochs: dict[str, int] = {}

    @property
    def contacts(self) -> int:
        """How many contacts are in memory."""
        return len(self._contacts)

    def missing(self, commands: Iterable[AnyCommand]) -> Missing:
        """Tell what of ``commands`` is not in memory."""
        contacts: set[tuple[str, str]] = set()
        conversations: set[tuple[str, str]] = set()
        known = self._contacts
        for command in commands:
            if type(command) is Receive and not command.conversation and command.contact in known:
                continue  # nearly all of them
            contact, conversation = _needs(command)
            if contact and contact not in known:
                contacts.add((command.account, contact))
            elif conversation and conversation not in self._homes:
                conversations.add((command.account, conversation))
        return Missing(contacts, conversations)

    def learn(self, found: Iterable[LoadedContact]) -> None:
        """Take contacts as the store holds them, in place of what memory knew of them."""
        for each in found:
            known = self._drop(each.id)
            contact = self._contacts[each.id] = Contact.loaded(each, slot_of_contact(each.id))
            if known is not None and known.account == contact.account:
                # older conversations, asked for before, may be part of this batch too; they change no more
                contact.conversations = {**known.conversations, **contact.conversations}
            for conversation in contact.conversations:
                self._homes[conversation] = contact

    def apply(self, commands: Sequence[AnyCommand], now_ms: int, bot_room: int = 0) -> Outcome:
        """Decide a batch, in order; everything in ``missing`` must have been learnt before.

        Args:
            commands: what to do, of any accounts of this shard.
            now_ms: Unix time, in milliseconds.
            bot_room: how many messages the bot can take on; 0 while it is off or has too much to do.
        """
        turn = Turn(now_ms, self._entropy, self._contacts, self.dispatcher_epochs, self._rules, bot_room)
        replies: list[AnyReply] = []
        answer = replies.append
        receive = contact_side.receive
        for command in commands:
            if type(command) is Receive:
                answer(receive(turn, command))
            else:
                answer(self._decide(turn, command))
        self._settle(commands, turn, now_ms)
        return Outcome(replies, turn.changes, list(turn.placed.values()), turn.questions, turn.counts)

    def _decide(self, turn: Turn, command: AnyCommand) -> AnyReply:
        if isinstance(command, Fence):
            return dispatcher_side.fence(turn, command)
        if isinstance(command, Typing) and command.contact:
            return contact_side.visitor_typing(turn, command)
        by_contact = _BY_CONTACT.get(type(command))
        if by_contact is not None:
            return by_contact(turn, command)
        by_conversation = _BY_CONVERSATION.get(type(command))
        if by_conversation is None:
            return refuse(BadRequest, f"a router does not know {type(command).__name__}")
        return by_conversation(turn, command, self._find(command.account, getattr(command, "conversation", "")))

    def _find(self, account: str, conversation: str) -> tuple[Contact, Conversation] | None:
        """Return a conversation and its contact, if it is this account's."""
        contact = self._homes.get(conversation)
        if contact is None or contact.account != account:
            return None
        found = contact.conversations.get(conversation)
        return None if found is None else (contact, found)

    def _settle(self, commands: Sequence[AnyCommand], turn: Turn, now_ms: int) -> None:
        """Bring the index of homes up to date and keep memory within its bound."""
        for changes in turn.changes.values():
            for contact_id, conversation in changes.opened:
                self._homes[conversation] = self._contacts[contact_id]
        for conversation in turn.dropped:
            self._homes.pop(conversation, None)
        for command in commands:
            if type(command) is Receive:
                self._contacts[command.contact].touched_ms = now_ms
        if len(self._contacts) > self._cached_contacts:
            self._evict()

    def _evict(self) -> None:
        """Drop the tenth of memory that was touched longest ago, at once, so that it happens rarely."""
        by_age = sorted(self._contacts.values(), key=lambda contact: contact.touched_ms)
        for contact in by_age[: max(1, self._cached_contacts // 10)]:
            self._drop(contact.id)

    def forget(self) -> None:
        """Drop all that is remembered: the store may hold what was never seen here, or not hold what was."""
        self._contacts.clear()
        self._homes.clear()

    def _drop(self, contact_id: str) -> Contact | None:
        contact = self._contacts.pop(contact_id, None)
        if contact is not None:
            for conversation in [key for key in contact.conversations if self._homes.get(key) is contact]:
                del self._homes[conversation]
        return contact


__all__ = ["InvalidId", "Missing", "Outcome", "Shard", "slot_of"]
