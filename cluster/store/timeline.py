"""A router's side of the store: claim slots, read conversations, append what a batch decided.

An append is atomic and fenced: it happens whole and only while the epoch is ours, and it returns
after the fsync (``appendfsync always``). When its outcome is unknown (time-out, lost connection) the
router must take a new epoch before it reads again; the old append can then no longer happen late.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from cluster.store import keys
from cluster.store.valkey import script
from models.board.buckets import bucket_of
from models.board.hours import KEPT_S, WAIT, hour_of
from models.domain.conversation import ContactRecord, ConversationRecord
from models.domain.errors import StaleEpoch
from models.domain.ids import slot_of_conversation
from models.timeline.cache import SEEN_MESSAGES, LoadedContact, LoadedConversation
from models.timeline.changes import Changes
from models.timeline.shard import Missing

_pack = msgspec.msgpack.Encoder().encode
_json = msgspec.json.Encoder().encode
_contact = msgspec.json.Decoder(ContactRecord)
_conversation = msgspec.json.Decoder(ConversationRecord)
_Command = list[str | int]
#: Lua puts every argument of a command on its stack, which takes 8,000 (LUAI_MAXCSTACK in luaconf.h).
_MOST_ARGUMENTS = 4_000
#: Names of due conversations read at once: 30 KB.
_DUE_PAGE = 1_000
#: Tags that are offered again; of those that nobody used for long, the oldest are forgotten first.
_TAGS_REMEMBERED = 500


class TimelineStore:
    """The store as one router uses it.

    Args:
        redis: a client that does not retry by itself.
        log_entries: how many entries a desk's log keeps, about.
        answer_within_s: account -> seconds after which an answer counts as late.
    """

    def __init__(
        self, redis: Redis, *, log_entries: int, answer_within_s: Callable[[str], float] = lambda _: 120.0
    ) -> None:
        self._redis = redis
        self._log_entries = log_entries
        self._answer_within_s = answer_within_s
        #: account -> the hour whose counts are known to end some day.
        self._ending: dict[str, int] = {}
        self._append = redis.register_script(script("append"))
        self._claim = redis.register_script(script("claim"))

    async def next_epoch(self) -> int:
        """Take an epoch that is higher than any before."""
        return int(await self._redis.incr(keys.EPOCH))

    async def claim(self, account: str, epoch: int, slots: range) -> int:
        """Own ``slots`` of an account under ``epoch``; returns the epoch of the account's dispatcher.

        Raises:
            StaleEpoch: a newer router owns one of them.
        """
        found = await self._claim(
            keys=[keys.fence(account), keys.dispatcher_epoch(account)],
            args=[epoch, slots[0], slots[-1]],
        )
        if int(found) < 0:
            raise StaleEpoch(f"epoch {epoch} was superseded")
        return int(found)

    async def append(self, account: str, epoch: int, changes: Changes) -> None:
        """Make a batch's changes durable, all of them or none.

        Raises:
            StaleEpoch: a newer router owns one of the slots; nothing was written.
        """
        if changes.waits_ms:
            count_waits(changes, self._answer_within_s(account))
        hour = hour_of(changes.at_ms)
        new_hour = bool(changes.counts) and self._ending.get(account) != hour
        slots, commands, entries = encode_changes(account, changes, new_hour=new_hour)
        done = await self._append(
            keys=[keys.fence(account)],
            args=[epoch, slots, commands, entries, self._log_entries],
        )
        if not done:
            raise StaleEpoch(f"epoch {epoch} was superseded")
        if new_hour:
            self._ending[account] = hour

    async def load(self, missing: Missing) -> list[LoadedContact]:
        """Read the contacts that a batch needs, with their open and their last conversation.

        A contact that does not exist is returned empty; a conversation that does not exist is left out.
        """
        records = await self._conversations(missing.conversations)
        asked: dict[tuple[str, str], list[str]] = {pair: [] for pair in missing.contacts}
        for account, record in records:
            asked.setdefault((account, record.contact), []).append(record.id)
        contacts = await self._contacts(list(asked))
        named = {(account, record.id) for account, record in records}
        for account, _, contact in contacts:
            if contact is not None:
                named.update((account, each) for each in (contact.open, contact.last) if each)
        loaded = await self._messages(named)
        return [
            LoadedContact(
                account,
                contact_id,
                contact,
                tuple(
                    loaded[account, each]
                    for each in _named_by(contact, asked[account, contact_id])
                    if (account, each) in loaded
                ),
            )
            for account, contact_id, contact in contacts
        ]

    async def bot_due(self, account: str, slots: range, until_ms: int, most: int) -> list[str]:
        """List conversations of ``slots`` for which the bot's time is up, longest overdue first.

        Those of other slots are read and left out: they are many only while their router is down.

        Args:
            account, slots: whose.
            until_ms: Unix time in milliseconds; what is due later is left out.
            most: how many at most.
        """
        due: list[str] = []
        start = 0
        while True:
            page = await cast(
                "Awaitable[list[bytes]]",
                self._redis.zrangebyscore(keys.bot(account), "-inf", until_ms, start=start, num=_DUE_PAGE),
            )
            names = [name.decode() for name in page]
            due += [name for name in names if slot_of_conversation(name) in slots]
            if len(due) >= most or len(page) < _DUE_PAGE:
                return due[:most]
            start += _DUE_PAGE

    async def messages(self, account: str, conversation: str, most: int = SEEN_MESSAGES) -> tuple[str, ...]:
        """Return the JSON of a conversation's newest messages, oldest first."""
        found = await cast(
            "Awaitable[list[bytes]]", self._redis.lrange(keys.session(account, conversation), 0, most - 1)
        )
        return tuple(each.decode() for each in reversed(found))

    async def _conversations(self, names: Iterable[tuple[str, str]]) -> list[tuple[str, ConversationRecord]]:
        pairs = list(names)
        found = await self._get([keys.conversation(*pair) for pair in pairs])
        return [(pair[0], _conversation.decode(data)) for pair, data in zip(pairs, found, strict=True) if data]

    async def _contacts(self, pairs: list[tuple[str, str]]) -> list[tuple[str, str, ContactRecord | None]]:
        found = await self._get([keys.contact(*pair) for pair in pairs])
        return [(*pair, _contact.decode(data) if data else None) for pair, data in zip(pairs, found, strict=True)]

    async def _get(self, names: list[str]) -> list[bytes | None]:
        if not names:
            return []
        pipeline = self._redis.pipeline(transaction=False)
        for name in names:
            pipeline.get(name)
        return await pipeline.execute()

    async def _messages(self, names: set[tuple[str, str]]) -> dict[tuple[str, str], LoadedConversation]:
        if not names:
            return {}
        pipeline = self._redis.pipeline(transaction=False)
        for pair in names:
            pipeline.get(keys.conversation(*pair))
            pipeline.llen(keys.session(*pair))
            pipeline.lrange(keys.session(*pair), 0, SEEN_MESSAGES - 1)
        found: list[Any] = await pipeline.execute()
        return {
            pair: LoadedConversation(_conversation.decode(found[at]), found[at + 1], found[at + 2])
            for at, pair in zip(range(0, len(found), 3), names, strict=True)
            if found[at]
        }


def _named_by(contact: ContactRecord | None, asked: list[str]) -> list[str]:
    """Return the conversations to load with a contact: its open one, its last one, and those asked for."""
    names = [contact.open, contact.last, *asked] if contact else asked
    return list(dict.fromkeys(name for name in names if name))


def count_waits(changes: Changes, answer_within_s: float) -> None:
    """Count the waits that ended: each answer, those that were late, and how long each took."""
    for wait_ms in changes.waits_ms:
        changes.count("answered")
        changes.count(f"{WAIT}{bucket_of(wait_ms // 1000)}")
        if wait_ms > answer_within_s * 1000:
            changes.count("late")
    changes.waits_ms = []


def encode_changes(account: str, changes: Changes, *, new_hour: bool = False) -> tuple[bytes, bytes, bytes]:
    """Turn a batch's changes into the slots, commands and desk entries of the append script.

    Args:
        account, changes: what was decided.
        new_hour: whether the hour's counts must be told when they end.
    """
    commands: list[_Command] = []
    _record_commands(account, changes, commands.append)
    _file_commands(account, changes, commands.append)
    _index_commands(account, changes, commands.append)
    _live_commands(account, changes, commands.append)
    _count_commands(account, changes, commands.append, new_hour=new_hour)
    entries = [
        [keys.desk_log(account, agent), keys.desk_channel(account, agent), _joined(events)]
        for agent, events in changes.desk.items()
    ]
    return _pack([str(slot) for slot in changes.slots]), _pack(commands), _pack(entries)


def _record_commands(account: str, changes: Changes, add: Any) -> None:
    """Store messages, records, and the answers that a channel must send."""
    for conversation, messages in changes.messages.items():
        name = keys.session(account, conversation)
        for start in range(0, len(messages), _MOST_ARGUMENTS):
            add(["LPUSH", name, *[str(each, "utf-8") for each in messages[start : start + _MOST_ARGUMENTS]]])
    for name, record in changes.conversations.items():
        add(["SET", keys.conversation(account, name), str(_json(record), "utf-8")])
    for name, contact in changes.contacts.items():
        add(["SET", keys.contact(account, name), str(_json(contact), "utf-8")])
    for contact_id, conversation in changes.opened:
        add(["LPUSH", keys.cases(account, contact_id), conversation])
    for start in range(0, len(changes.opened), _MOST_ARGUMENTS):
        opened = changes.opened[start : start + _MOST_ARGUMENTS]
        add(["LPUSH", keys.conversations(account), *[conversation for _, conversation in opened]])
    for outgoing in changes.outgoing:
        add(["XADD", keys.outbox(account), "*", "m", str(_json(outgoing), "utf-8")])


def _file_commands(account: str, changes: Changes, add: Any) -> None:
    """Keep the files that messages bring, and let the contacts read them."""
    for file, contact_id, message in changes.files:
        if contact_id:
            add(["HSET", keys.file(account, file), contact_id, message])
        add(["ZREM", keys.files_unsent(account), file])


def _live_commands(account: str, changes: Changes, add: Any) -> None:
    """Publish what open sockets see now and no log keeps."""
    for contact_id, events in changes.visitors.items():
        add(["PUBLISH", keys.visit_channel(account, contact_id), _joined(events)])
    for agent, events in changes.desk_live.items():
        # cursor 0: shown, not kept, so a desk does not move its cursor for it
        add(["PUBLISH", keys.desk_channel(account, agent), "0 " + _joined(events)])


def _count_commands(account: str, changes: Changes, add: Any, *, new_hour: bool) -> None:
    """Count what happened: one field for each kind of it, however many messages the batch has."""
    name = keys.hour(account, hour_of(changes.at_ms))
    for what, n in changes.counts.items():
        add(["HINCRBY", name, what, n])
    if new_hour:
        add(["EXPIRE", name, KEPT_S])


def _index_commands(account: str, changes: Changes, add: Any) -> None:
    """Keep the indexes that a dispatcher and a desk's snapshot read."""
    _ranked(keys.waiting(account), changes.waiting, add)
    for name, (left, came) in changes.queues.items():
        if left is not None and left != came:
            add(["ZREM", keys.queue(account, left), name])
        if came is not None:
            add(["ZADD", keys.queue(account, came), cast("int", changes.waiting[name]), name])
    for name, (left, came) in changes.held.items():
        if left and left != came:
            add(["SREM", keys.holds(account, left), name])
        if came:
            add(["HSET", keys.held(account), name, came])
            add(["SADD", keys.holds(account, came), name])
        else:
            add(["HDEL", keys.held(account), name])
    _ranked(keys.snoozed(account), changes.snoozed, add)
    _ranked(keys.bot(account), changes.bot, add)
    if changes.tags:
        name = keys.tags(account)
        add(["ZADD", name, *[part for tag, used_ms in changes.tags.items() for part in (used_ms, tag)]])
        add(["ZREMRANGEBYRANK", name, 0, -1 - _TAGS_REMEMBERED])


def _ranked(index: str, changes: dict[str, int | None], add: Any) -> None:
    """Bring a sorted set of conversations up to date; None takes one out."""
    for name, rank in changes.items():
        if rank is None:
            add(["ZREM", index, name])
        else:
            add(["ZADD", index, rank, name])


def _joined(events: list[bytes]) -> str:
    return "[" + str(b",".join(events), "utf-8") + "]"
