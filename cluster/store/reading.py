"""What gateways and ingress read: a desk's start or resume, a visit's start or resume, pages of history.

What many ask for at the same time is read with few commands (`cluster.store.gathering`), each answer at one instant.
"""

from collections.abc import Awaitable, Sequence
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from cluster.store import keys
from cluster.store.gathering import GatheringByAccount
from cluster.store.valkey import script
from models.domain.conversation import ContactRecord, ConversationRecord
from models.domain.errors import CursorAhead, NotFound
from models.domain.ids import is_conversation_id, split_message_id
from models.domain.message import Stored
from models.routing.place import estimated_wait_s

_contact = msgspec.json.Decoder(ContactRecord)
_record = msgspec.json.Decoder(ConversationRecord)
_stored = msgspec.json.Decoder(Stored)
_MOST_MOVES = 5
#: A desk further behind than this gets a snapshot, which is smaller than the replay would be.
REPLAY_ENTRIES = 1_000
CONTEXT_MESSAGES = 5
#: What a visitor sees at the start; older messages come by ``history.page``.
VISIT_MESSAGES = 50
#: How many messages a visitor's resume replays before it becomes a fresh start.
VISIT_REPLAY = 500
#: Read by one command at most: records are small; a desk or a page may be 500 messages, and the store does nothing
#: else meanwhile.
_MOST_RECORDS, _MOST_DESKS, _MOST_PAGES = 256, 16, 16
#: A page of a conversation as the store gives it: record, length, messages newest first.
_Page = tuple[bytes | None, int, list[bytes]]


class DeskState(msgspec.Struct, frozen=True):
    """Where a desk starts.

    Args:
        cursor: the newest entry of its log.
        entries: (cursor, JSON array of events) to replay, oldest first.
        held: (record, messages oldest first) of each conversation held; None when the entries suffice.
    """

    cursor: int
    entries: list[tuple[int, bytes]]
    held: list[tuple[bytes, list[bytes]]] | None


class VisitState(msgspec.Struct, frozen=True):
    """Where a visit starts.

    Args:
        contact: who it is, after all moves.
        record: the open conversation, or else the last one.
        messages: JSON of what the visitor has not seen, oldest first.
        cursor: (conversation, seq) of the newest message, internal ones included.
        snapshot: whether ``messages`` replace all that was shown.
    """

    contact: str
    record: ConversationRecord | None
    messages: list[bytes]
    cursor: tuple[str, int] | None
    snapshot: bool


class Place(msgspec.Struct, frozen=True):
    """Where a visitor's conversation stands.

    Args:
        record: the open conversation, or else the last one.
        ahead: how many of its queue wait longer; None when it does not wait.
        estimate_s: about how long it still waits, in seconds; None where nothing can be said.
        seen_seq: number of the newest message in it that an agent has seen.
    """

    record: ConversationRecord | None
    ahead: int | None = None
    estimate_s: int | None = None
    seen_seq: int = 0


class _Chosen(msgspec.Struct):
    status: str


_chosen = msgspec.json.Decoder(_Chosen)


class Reading:
    """Reads that no router needs to be asked for."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._desk_open = redis.register_script(script("desk_open"))
        self._history = redis.register_script(script("history"))
        self._records = GatheringByAccount(self._read_records, most=_MOST_RECORDS)
        self._desks = GatheringByAccount(self._read_desks, most=_MOST_DESKS)
        self._pages = GatheringByAccount(self._read_pages, most=_MOST_PAGES)
        self._presences = GatheringByAccount(self._read_presences, most=_MOST_RECORDS)

    async def desk(self, account: str, agent: str, cursor: int | None) -> DeskState:
        """Read what a desk needs, at one instant.

        Args:
            account, agent: whose desk.
            cursor: where it was, None for a fresh start.

        Raises:
            CursorAhead: the log has not reached this cursor.
        """
        kind, newest, found = await self._desks.ask(account, (agent, cursor))
        if kind == b"ahead":
            raise CursorAhead(f"cursor {cursor} is ahead of this desk's log, which is at {newest}")
        if kind == b"snapshot" or cursor is None:
            held = [(record, list(reversed(messages))) for record, messages in found if record]
            return DeskState(newest, [], held)
        entries = [(int(entry_id.partition(b"-")[2]), fields[1]) for entry_id, fields in found]
        return DeskState(newest, entries, None)

    async def presence(self, account: str, agent: str) -> str:
        """Return the presence that an agent chose last, ``online`` if it never did."""
        data = await self._presences.ask(account, agent)
        return _chosen.decode(data).status if data else "online"

    async def _read_presences(self, account: str, agents: Sequence[str]) -> Sequence[bytes | None]:
        return await cast("Awaitable[list[bytes | None]]", self._redis.hmget(keys.presence(account), list(agents)))

    async def contact(self, account: str, contact: str) -> tuple[str, ContactRecord | None]:
        """Return who a contact is after all moves, and its record."""
        for _ in range(_MOST_MOVES):
            data = await self._records.ask(account, keys.contact(account, contact))
            record = _contact.decode(data) if data else None
            if record is None or not record.moved_to:
                return contact, record
            contact = record.moved_to
        raise NotFound("this contact moved too often")

    async def visit(self, account: str, contact: str, cursor: str | None) -> VisitState:
        """Read what a visitor has not seen.

        Raises:
            InvalidId: the cursor is no message id.
            CursorAhead: it names a message that does not exist, or another contact's.
        """
        contact, person = await self.contact(account, contact)
        names = [person.open, person.last] if person else []
        current = next((name for name in names if name), "")
        if not current:
            if cursor:
                split_message_id(cursor)
                raise CursorAhead("this visitor has written nothing yet")
            return VisitState(contact, None, [], None, snapshot=True)
        record, length, newest = await self.page(account, current, None, VISIT_MESSAGES)
        unseen: list[bytes] | None = None
        if cursor:
            seen, seq = split_message_id(cursor)
            if seen == current:
                # up to the same instant: what came after it is pushed live, and would be shown twice
                unseen = await self._unseen(account, current, seq, length)
            else:
                await self._check_own(account, contact, seen)
                if person and seen == person.last and length <= VISIT_MESSAGES:
                    rest = await self._unseen(account, seen, seq)
                    unseen = None if rest is None else newest + rest
        shown = newest if unseen is None else unseen
        return VisitState(contact, record, _public(shown[::-1]), (current, length), snapshot=unseen is None)

    async def place(self, account: str, contact: str) -> Place:
        """Read where a contact's conversation stands, and in the queue if it waits."""
        contact, person = await self.contact(account, contact)
        current = (person.open or person.last) if person else ""
        data = await self._records.ask(account, keys.conversation(account, current)) if current else None
        record = _record.decode(data) if data else None
        if record is None:
            return Place(None)
        queue = keys.queue(account, record.skill)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hget(keys.agent_seen(account), contact)
            pipe.zrank(queue, current)
            pipe.zrange(queue, 0, 0, withscores=True)
            seen, ahead, first = cast(
                "tuple[bytes | None, int | None, list[tuple[bytes, float]]]", await pipe.execute()
            )
        seen_in, seq = split_message_id(seen.decode()) if seen else ("", 0)
        seen_seq = seq if seen_in == current else 0
        if record.state != "waiting" or ahead is None or not first:
            return Place(record, seen_seq=seen_seq)
        estimate_s = estimated_wait_s(ahead, int(first[0][1]), record.waiting_since_ms)
        return Place(record, ahead, estimate_s, seen_seq)

    async def _unseen(
        self, account: str, conversation: str, seq: int, newest_seq: int | None = None
    ) -> list[bytes] | None:
        """Return the messages after ``seq``, newest first; None when they are too many to replay.

        Args:
            account, conversation, seq: after which message.
            newest_seq: the last one wanted; None: all.

        Raises:
            CursorAhead: the conversation has not reached ``seq``.
        """
        before = None if newest_seq is None else newest_seq + 1
        _, length, newest = await self.page(account, conversation, before, VISIT_REPLAY)
        if newest_seq is not None:
            length = newest_seq
        if seq > length:
            raise CursorAhead(f"cursor {conversation}-{seq} is ahead of its conversation, which is at {length}")
        return newest[: length - seq] if length - seq <= VISIT_REPLAY else None

    async def _check_own(self, account: str, contact: str, conversation: str) -> None:
        """Refuse a cursor into a conversation that was never this contact's."""
        data = await self._records.ask(account, keys.conversation(account, conversation))
        owner = _record.decode(data).contact if data else ""
        if not owner or (await self.contact(account, owner))[0] != contact:
            raise CursorAhead("this cursor is of no conversation of this visitor")

    async def page(
        self, account: str, conversation: str, before: int | None, limit: int
    ) -> tuple[ConversationRecord | None, int, list[bytes]]:
        """Return a conversation's record, its length, and a page of its messages' JSON, newest first."""
        record, length, messages = await self._pages.ask(account, (conversation, before or 0, limit))
        return (_record.decode(record) if record else None), length, messages

    async def history(
        self, account: str, conversation: str, before: int | None, limit: int, *, contact: str | None = None
    ) -> tuple[list[bytes], bool]:
        """Return a page of messages, oldest first, and whether older ones exist.

        Args:
            account, conversation: which one; other accounts' cannot be reached.
            before: only messages with a smaller seq.
            limit: how many at most.
            contact: if given, the conversation must be this contact's, and notes are left out.

        Raises:
            NotFound: no such conversation, or not this contact's.
        """
        if not is_conversation_id(conversation):
            raise NotFound("no such conversation")
        if before == 1:
            return [], False
        record, length, messages = await self.page(account, conversation, before, limit)
        if record is None:
            raise NotFound("no such conversation")
        if contact is not None and record.contact != contact:
            owner, _ = await self.contact(account, record.contact)
            if owner != contact:
                raise NotFound("no such conversation")
        shown = messages[::-1]
        oldest = min(before - 1 if before else length, length) - len(messages) + 1
        return (_public(shown) if contact is not None else shown), oldest > 1

    # -- many at once

    async def _read_records(self, _: str, names: Sequence[str]) -> Sequence[bytes | None]:
        return await cast("Awaitable[Any]", self._redis.mget(names))

    async def _read_desks(self, account: str, desks: Sequence[tuple[str, int | None]]) -> Sequence[Any]:
        return await self._desk_open(
            keys=[key for agent, _ in desks for key in (keys.desk_log(account, agent), keys.holds(account, agent))],
            args=[
                REPLAY_ENTRIES,
                CONTEXT_MESSAGES,
                keys.conversation(account, ""),
                keys.session(account, ""),
                *(-1 if cursor is None else cursor for _, cursor in desks),
            ],
        )

    async def _read_pages(self, account: str, pages: Sequence[tuple[str, int, int]]) -> Sequence[_Page]:
        return await self._history(
            keys=[
                key for name, _, _ in pages for key in (keys.conversation(account, name), keys.session(account, name))
            ],
            args=[arg for _, before, limit in pages for arg in (before, limit)],
        )


def _public(messages: list[bytes]) -> list[bytes]:
    """Leave out what only agents may see."""
    return [data for data in messages if b'"internal":true' not in data or not _stored.decode(data).internal]
