"""What the board reads: an account's open conversations and its hours, and what the processes tell.

It only reads, and bounded: of a queue of thousands those are read that wait longest, and the others are told as a
number. One look costs the store some hundred small commands, well under a millisecond for each hundred conversations.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from cluster.store import keys
from cluster.store.about import AboutStore
from cluster.store.reading import Reading
from models.board.hours import HOUR_MS, hour_of, row_of
from models.board.live import Chosen, Found, Heard, Open
from models.board.system import system_of
from models.domain.conversation import ConversationRecord
from models.domain.errors import NotFound
from models.domain.ids import is_conversation_id

#: Conversations that are read of those that wait, and of those that agents hold.
MOST_READ = 500
#: The newest messages that are looked at; nearly always an answer of a human is among them.
_NEWEST = 10
_CHUNK = 100
KINDS = ("router", "gateway", "dispatcher", "outbox", "intent")
#: Messages of a conversation that one look brings.
MOST_MESSAGES = 200
_record = msgspec.json.Decoder(ConversationRecord)
_heard = msgspec.json.Decoder(Heard)
_report = msgspec.json.Decoder(dict[str, Any])


class Listened(msgspec.Struct, frozen=True):
    """A conversation as somebody listens in.

    Args:
        conversation: its record.
        length: how many messages it has.
        messages: those after the number asked for, or its newest ones; oldest first, notes among them.
    """

    conversation: msgspec.Raw
    length: int
    messages: list[msgspec.Raw]


class BoardStore:
    """The store as the board uses it.

    Args:
        redis: a client that answers bytes.
        planned: kind of process -> how many there should be.
    """

    def __init__(self, redis: Redis, *, planned: Mapping[str, int]) -> None:
        self._redis = redis
        self._planned = planned
        self._about = AboutStore(redis)
        self._reading = Reading(redis)

    async def look(self, account: str, now_ms: int, answer_within_s: float, here: Collection[str] | None) -> Found:
        """Read how an account stands.

        Args:
            account: whose.
            now_ms: Unix time in milliseconds.
            answer_within_s: seconds after which a contact waits too long.
            here: the agents who are there; None when nobody could say.
        """
        hour = hour_of(now_ms)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zcard(keys.waiting(account))
            pipe.zcount(keys.waiting(account), "-inf", f"({now_ms - int(answer_within_s * 1000)}")
            pipe.zrange(keys.waiting(account), 0, MOST_READ - 1)
            pipe.hgetall(keys.held(account))
            pipe.zcard(keys.bot(account))
            pipe.zcard(keys.snoozed(account))
            pipe.hgetall(keys.hour(account, hour))
            pipe.hgetall(keys.hour(account, hour - 1))
            waiting, late, first, held, with_bot, snoozed, counted, before = await pipe.execute()
        names = [*first, *list(held)[:MOST_READ]]
        opened = await self._open(account, [name.decode() for name in names])
        users, presences = await self._about.people(account)
        gaps = [_gap(each) for each in opened]
        return Found(
            at_ms=now_ms,
            waiting=waiting,
            waiting_late=late,
            held=Counter(agent.decode() for agent in held.values()),
            with_bot=with_bot,
            snoozed=snoozed,
            open=opened,
            not_read=waiting + len(held) - len(names),
            users=users,
            chosen={name: Chosen(each.status, each.reason, each.at_ms) for name, each in presences.items()},
            here=here,
            hour=row_of(hour * HOUR_MS, _counts(counted)),
            before=row_of((hour - 1) * HOUR_MS, _counts(before)),
            system=system_of(
                await self._told(),
                self._planned,
                checked=sum(each.length for each in opened),
                missing=sum(gaps),
            ),
        )

    async def hours(self, account: str, first: int, last: int) -> dict[int, dict[str, int]]:
        """Read what was counted in each hour from ``first`` to ``last``; empty ones are left out."""
        found: dict[int, dict[str, int]] = {}
        for start in range(first, last + 1, _CHUNK):
            numbers = range(start, min(start + _CHUNK, last + 1))
            async with self._redis.pipeline(transaction=False) as pipe:
                for number in numbers:
                    pipe.hgetall(keys.hour(account, number))
                counted = cast("list[dict[bytes, bytes]]", await pipe.execute())
            found |= {number: _counts(each) for number, each in zip(numbers, counted, strict=True) if each}
        return found

    async def listen(self, account: str, conversation: str, after: int | None) -> Listened:
        """Read a conversation from a message on; None: its newest messages.

        Raises:
            NotFound: this account has no such conversation.
        """
        if not is_conversation_id(conversation):
            raise NotFound("no such conversation")
        record, length, newest = await self._reading.page(account, conversation, None, MOST_MESSAGES)
        if record is None:
            raise NotFound("no such conversation")
        wanted = len(newest) if after is None else max(0, length - after)
        messages = [msgspec.Raw(data) for data in reversed(newest[:wanted])]
        return Listened(msgspec.Raw(msgspec.json.encode(record)), length, messages)

    async def _open(self, account: str, names: Sequence[str]) -> list[Open]:
        found: list[Open] = []
        for start in range(0, len(names), _CHUNK):
            some = names[start : start + _CHUNK]
            async with self._redis.pipeline(transaction=True) as pipe:
                for name in some:
                    pipe.get(keys.conversation(account, name))
                    pipe.llen(keys.session(account, name))
                    pipe.lrange(keys.session(account, name), 0, _NEWEST - 1)
                read: list[Any] = await pipe.execute()
            for at in range(0, len(read), 3):
                if read[at]:
                    newest = [_heard.decode(data) for data in read[at + 2]]
                    found.append(Open(_record.decode(read[at]), read[at + 1], newest))
        # what ended since the indexes were read is open no more
        return [each for each in found if each.record.state in ("waiting", "offered", "assigned")]

    async def _told(self) -> dict[str, list[dict[str, Any]]]:
        """Return what each living process tells, by kind."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for kind in KINDS:
                pipe.smembers(keys.alive_names(kind))
            known = cast("list[set[bytes]]", await pipe.execute())
        places = [(kind, name.decode()) for kind, names in zip(KINDS, known, strict=True) for name in sorted(names)]
        told: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
        async with self._redis.pipeline(transaction=False) as pipe:
            for kind, name in places:
                pipe.get(keys.alive(kind, name))
            reports = cast("list[bytes | None]", await pipe.execute())
        for (kind, _), report in zip(places, reports, strict=True):
            if report:
                told[kind].append(_report.decode(report))
        return told


def _gap(found: Open) -> int:
    """Count the numbers without a message: the newest message's number is how many there must be."""
    return max(0, found.newest[0].seq - found.length) if found.newest else 0


def _counts(found: Mapping[bytes, bytes]) -> dict[str, int]:
    return {name.decode(): int(count) for name, count in found.items()}
