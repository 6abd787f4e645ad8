"""The store as a router and a desk see it, kept in plain Python: atomic, fenced, and with nothing else to it.

tests/store/test_timeline.py holds it against the real one.
"""

from collections import Counter, defaultdict
from typing import Any

import msgspec

from models.domain.errors import StaleEpoch
from models.timeline.cache import SEEN_MESSAGES, LoadedContact, LoadedConversation
from models.timeline.changes import Changes
from models.timeline.shard import Missing

_encode = msgspec.json.Encoder().encode


class Account:
    """All keys of one account."""

    def __init__(self) -> None:
        self.fence: dict[int, int] = {}
        self.dispatcher_epoch = 0
        #: conversation -> JSON of its messages, oldest first
        self.sessions: dict[str, list[bytes]] = defaultdict(list)
        self.conversations: dict[str, Any] = {}
        self.contacts: dict[str, Any] = {}
        #: contact -> its conversations, oldest first
        self.cases: dict[str, list[str]] = defaultdict(list)
        self.waiting: dict[str, int] = {}
        #: skill -> those of its queue
        self.queues: dict[str, dict[str, int]] = defaultdict(dict)
        self.held: dict[str, str] = {}
        self.holds: dict[str, set[str]] = defaultdict(set)
        self.snoozed: dict[str, int] = {}
        #: conversation -> when the bot's time is up
        self.bot: dict[str, int] = {}
        self.outbox: list[Any] = []
        #: tag -> when it was used last
        self.tags: dict[str, int] = {}
        #: what was counted in all hours -> how often
        self.counts: Counter[str] = Counter()
        #: how long each contact had waited that was answered
        self.waits_ms: list[int] = []
        #: agent -> its entries; the one at index i has cursor i + 1
        self.logs: dict[str, list[bytes]] = defaultdict(list)
        #: agent -> how many of its oldest entries are gone
        self.trimmed: dict[str, int] = defaultdict(int)
        #: contact -> JSON arrays of events its open sockets got
        self.shown: dict[str, list[bytes]] = defaultdict(list)


class TruthfulStore:
    """Every account's keys."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = defaultdict(Account)
        self._epoch = 0

    def next_epoch(self) -> int:
        self._epoch += 1
        return self._epoch

    def claim(self, account: str, epoch: int, slots: range) -> int:
        keys = self.accounts[account]
        if any(keys.fence.get(slot, 0) > epoch for slot in slots):
            raise StaleEpoch("superseded")
        keys.fence.update(dict.fromkeys(slots, epoch))
        return keys.dispatcher_epoch

    def append(self, account: str, epoch: int, changes: Changes) -> None:
        keys = self.accounts[account]
        if any(keys.fence.get(slot) != epoch for slot in changes.slots):
            raise StaleEpoch("superseded")
        for conversation, messages in changes.messages.items():
            keys.sessions[conversation] += messages
        keys.conversations |= changes.conversations
        keys.contacts |= changes.contacts
        for contact, conversation in changes.opened:
            keys.cases[contact].append(conversation)
        _index(keys.waiting, changes.waiting)
        for conversation, (left, came) in changes.queues.items():
            if left is not None:
                keys.queues[left].pop(conversation, None)
            if came is not None:
                keys.queues[came][conversation] = changes.waiting[conversation]
        _index(keys.snoozed, changes.snoozed)
        _index(keys.bot, changes.bot)
        for conversation, (left, came) in changes.held.items():
            keys.holds[left].discard(conversation)
            if came:
                keys.holds[came].add(conversation)
            _index(keys.held, {conversation: came or None})
        keys.outbox += changes.outgoing
        keys.tags |= changes.tags
        keys.counts.update(changes.counts)
        keys.waits_ms += changes.waits_ms
        for contact, events in changes.visitors.items():
            keys.shown[contact].append(_array(events))
        for agent, events in changes.desk.items():
            keys.logs[agent].append(_array(events))

    def load(self, missing: Missing) -> list[LoadedContact]:
        wanted: dict[tuple[str, str], list[str]] = {pair: [] for pair in missing.contacts}
        for account, name in missing.conversations:
            record = self.accounts[account].conversations.get(name)
            if record is not None:
                wanted.setdefault((account, record.contact), []).append(name)
        return [self._contact(*pair, names) for pair, names in wanted.items()]

    def _contact(self, account: str, contact: str, names: list[str]) -> LoadedContact:
        keys = self.accounts[account]
        record = keys.contacts.get(contact)
        named = [record.open, record.last, *names] if record else names
        return LoadedContact(
            account,
            contact,
            record,
            tuple(
                LoadedConversation(
                    keys.conversations[name], len(keys.sessions[name]), keys.sessions[name][: -SEEN_MESSAGES - 1 : -1]
                )
                for name in dict.fromkeys(named)
                if name in keys.conversations
            ),
        )

    def messages(self, account: str, conversation: str) -> tuple[str, ...]:
        return tuple(data.decode() for data in self.accounts[account].sessions[conversation][-SEEN_MESSAGES:])

    def snapshot(self, account: str, agent: str) -> bytes:
        """What a desk gets that starts afresh."""
        keys = self.accounts[account]
        held = [
            {
                "conversation": keys.conversations[name],
                "messages": [msgspec.Raw(data) for data in keys.sessions[name][-5:]],
            }
            for name in sorted(keys.holds[agent])
        ]
        return _encode({"cursor": len(keys.logs[agent]), "conversations": held})

    def replay(self, account: str, agent: str, cursor: int) -> list[tuple[int, bytes]] | None:
        """What a desk at ``cursor`` gets; None when the log does not reach back so far."""
        keys = self.accounts[account]
        if cursor < keys.trimmed[agent]:
            return None
        return list(enumerate(keys.logs[agent], start=1))[cursor:]


def _index(index: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if value is None:
            index.pop(name, None)
        else:
            index[name] = value


def _array(events: list[bytes]) -> bytes:
    return b"[" + b",".join(events) + b"]"
