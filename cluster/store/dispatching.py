"""A dispatcher's side of the store: its epoch, and what it loads and compares; routers write all of it but presence."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from cluster.store import keys
from models.domain.conversation import ConversationRecord, Placement, placement_of
from models.routing.roster import Status

#: Records read at once: some hundred kilobytes, a millisecond of the store's time.
_CHUNK = 500


class Presence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The presence that an agent chose, why, and at which Unix millisecond."""

    status: Status
    reason: str = ""
    at_ms: int = 0


class Indexes(msgspec.Struct, frozen=True, kw_only=True):
    """All open conversations of an account: those waiting, who holds which, those snoozed."""

    waiting: list[str]
    held: dict[str, str]
    snoozed: list[str]

    def names(self) -> list[str]:
        """List every conversation once, those that wait longest first."""
        return list(dict.fromkeys((*self.waiting, *self.held, *self.snoozed)))


_record = msgspec.json.Decoder(ConversationRecord)
_presence = msgspec.json.Decoder(Presence)
_encode = msgspec.json.Encoder().encode


class DispatchingStore:
    """The store as a dispatcher uses it, for any account."""

    def __init__(self, redis: Redis) -> None:
        """Read and write through ``redis``, a client that answers bytes."""
        self._redis = redis

    async def take_epoch(self, account: str) -> int:
        """Take an epoch that is higher than that of any dispatcher of this account before."""
        return int(await self._redis.incr(keys.dispatcher_epoch(account)))

    async def newest_epoch(self, account: str) -> int:
        """Return the epoch of the account's newest dispatcher."""
        return int(await cast("Awaitable[Any]", self._redis.get(keys.dispatcher_epoch(account))) or 0)

    async def indexes(self, account: str) -> Indexes:
        """Read which conversations wait, are held and are snoozed, at one instant."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zrange(keys.waiting(account), 0, -1)
            pipe.hgetall(keys.held(account))
            pipe.zrange(keys.snoozed(account), 0, -1)
            waiting, held, snoozed = cast("tuple[list[bytes], dict[bytes, bytes], list[bytes]]", await pipe.execute())
        return Indexes(
            waiting=[name.decode() for name in waiting],
            held={name.decode(): agent.decode() for name, agent in held.items()},
            snoozed=[name.decode() for name in snoozed],
        )

    async def count_with_bot(self, account: str) -> int:
        """Count the conversations that the bot holds; they are nobody's to decide yet."""
        return await self._redis.zcard(keys.bot(account))

    async def placements(self, account: str, conversations: Sequence[str]) -> dict[str, Placement | None]:
        """Read where conversations stand, ``None`` for those that do not exist."""
        found: dict[str, Placement | None] = {}
        for start in range(0, len(conversations), _CHUNK):
            names = conversations[start : start + _CHUNK]
            records = await cast(
                "Awaitable[list[bytes | None]]",
                self._redis.mget([keys.conversation(account, name) for name in names]),
            )
            for name, data in zip(names, records, strict=True):
                found[name] = placement_of(account, _record.decode(data)) if data else None
        return found

    async def presences(self, account: str) -> Mapping[str, Presence]:
        """Read the presence that each agent chose last."""
        found = await cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(keys.presence(account)))
        return {name.decode(): _presence.decode(data) for name, data in found.items()}

    async def set_presences(self, account: str, chosen: Mapping[str, Presence]) -> None:
        """Keep the presences that agents chose: all of them or none."""
        encoded = {agent: _encode(presence).decode() for agent, presence in chosen.items()}
        await self._redis.hset(keys.presence(account), mapping=encoded)  # type: ignore[misc]
