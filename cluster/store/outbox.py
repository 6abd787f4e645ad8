"""The outbox's side of the store: what must be sent, how far each answer has got, what its router must hear.

* An entry stays in the stream until `finish`, which takes it out and leaves the report owed in one
  transaction: whenever a process dies, either the answer is still to be sent or its report is to be given.
* `take_epoch` supersedes every outbox before; each asks `is_current` before it sends.
* Each epoch reads with a consumer group of its own, from the beginning: all that stands in the stream is
  still to be sent. So a new outbox meets, in order, whatever earlier ones had read, and an old one that
  still reads takes nothing away from it. `prepare` removes the groups of earlier epochs.
* Within an epoch `pending` returns what was read and not finished. It is asked first at the start and
  after every failure, as a reading whose answer got lost has marked entries that nobody holds.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from cluster.store import keys
from models.domain.commands import Delivered
from models.domain.outgoing import Outgoing

CONSUMER = "outbox"
_PAGE = 100
_START = b"0-0"

_json = msgspec.json.Encoder().encode
_outgoing = msgspec.json.Decoder(Outgoing)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the stream; ``outgoing`` is None when it cannot be read."""

    id: bytes
    outgoing: Outgoing | None


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far an answer has got.

    Args:
        parts: how many parts the vendor has taken.
        attempts: how many times the next part has failed.
    """

    parts: int = 0
    attempts: int = 0


class _Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ``Delivered`` as JSON; the command itself is an array, whose order may change between releases."""

    conversation: str
    message: str
    state: str
    detail: str = ""


_progress = msgspec.json.Decoder(Progress)
_report = msgspec.json.Decoder(_Report)


class GroupLost(Exception):
    """The stream or its group are gone: an emptied store, or a newer outbox; `prepare` makes them again."""


class OutboxStore:
    """Streams, progress and reports of all accounts, through a client that does not retry by itself."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def take_epoch(self) -> int:
        """Supersede every outbox before this one."""
        return int(await self._redis.incr(keys.OUTBOX_EPOCH))

    async def is_current(self, epoch: int) -> bool:
        """Tell whether no newer outbox runs."""
        return int(cast("bytes | None", await self._redis.get(keys.OUTBOX_EPOCH)) or 0) <= epoch

    async def prepare(self, account: str, epoch: int) -> None:
        """Make stream and group where they are missing, and remove the groups of earlier epochs."""
        stream = keys.outbox(account)
        try:
            await self._redis.xgroup_create(stream, _group(epoch), id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        for group in await self._redis.xinfo_groups(stream):
            if int(group["name"]) < epoch:
                await self._redis.xgroup_destroy(stream, group["name"])

    async def pending(self, account: str, epoch: int) -> list[Entry]:
        """Return all that was read and not finished, oldest first.

        Raises:
            GroupLost: see there.
        """
        entries: list[Entry] = []
        start: bytes = _START
        while True:
            page = cast(
                "list[Any]",
                await self._grouped(
                    self._redis.xautoclaim(
                        keys.outbox(account), _group(epoch), CONSUMER, min_idle_time=0, start_id=start, count=_PAGE
                    )
                ),
            )
            entries += [_entry(*item) for item in page[1]]
            start = page[0]
            if start == _START:
                return entries

    async def fresh(self, account: str, epoch: int, count: int, block_ms: int) -> list[Entry]:
        """Return at most ``count`` entries that nobody has read, oldest first; wait for them up to ``block_ms``.

        Raises:
            GroupLost: see there.
        """
        streams = cast(
            "list[Any] | dict[bytes, list[Any]] | None",
            await self._grouped(
                self._redis.xreadgroup(
                    _group(epoch), CONSUMER, {keys.outbox(account): ">"}, count=count, block=block_ms
                )
            ),
        )
        if not streams:
            return []
        if isinstance(streams, dict):  # RESP3
            return [_entry(*item) for pages in streams.values() for page in pages for item in page]
        return [_entry(*item) for _, items in streams for item in items]

    async def progress(self, account: str) -> dict[str, Progress]:
        """Return how far the answers have got, by message; one that has no entry is at its start."""
        found = await self._hash(keys.outbox_progress(account))
        return {message.decode(): _progress.decode(noted) for message, noted in found.items()}

    async def note(self, account: str, message: str, progress: Progress) -> None:
        """Remember how far an answer has got."""
        await cast("Any", self._redis.hset(keys.outbox_progress(account), message, cast("str", _json(progress))))

    async def finish(self, account: str, epoch: int, entry_id: bytes, report: Delivered) -> None:
        """Take an entry out of the stream and owe its router the report, at once; may be repeated."""
        owed = _Report(
            conversation=report.conversation, message=report.message, state=report.state, detail=report.detail
        )
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.xack(keys.outbox(account), _group(epoch), entry_id)
            pipe.xdel(keys.outbox(account), entry_id)
            pipe.hdel(keys.outbox_progress(account), report.message)
            pipe.hset(keys.outbox_reports(account), report.message, cast("str", _json(owed)))
            await pipe.execute()

    async def set_aside(self, account: str, epoch: int, entry_id: bytes) -> None:
        """Give an entry to nobody any more in this epoch, and leave it in the stream for a human to look at."""
        await self._redis.xack(keys.outbox(account), _group(epoch), entry_id)

    async def reports(self, account: str) -> list[Delivered]:
        """Return the reports owed."""
        owed = [_report.decode(noted) for noted in (await self._hash(keys.outbox_reports(account))).values()]
        return [
            Delivered(
                account=account,
                conversation=report.conversation,
                message=report.message,
                state="sent" if report.state == "sent" else "failed",
                detail=report.detail,
            )
            for report in owed
        ]

    async def reported(self, account: str, message: str) -> None:
        """Owe a report no more."""
        await cast("Any", self._redis.hdel(keys.outbox_reports(account), message))

    async def _hash(self, key: str) -> Mapping[bytes, bytes]:
        return cast("Mapping[bytes, bytes]", await cast("Any", self._redis.hgetall(key)))

    async def _grouped(self, command: Any) -> Any:
        try:
            return await command
        except ResponseError as error:
            if str(error).startswith("NOGROUP"):
                raise GroupLost(str(error)) from None
            raise


def _group(epoch: int) -> str:
    return str(epoch)


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    try:
        return Entry(id=entry_id, outgoing=_outgoing.decode(fields[b"m"]))
    except (msgspec.DecodeError, KeyError):
        return Entry(id=entry_id, outgoing=None)
