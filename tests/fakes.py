"""Small stand-ins that keep the protocol of what they stand for."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

import msgspec
from redis.asyncio import Redis

from cluster.codec import decode_commands, encode_replies
from cluster.store.timeline import TimelineStore
from cluster.store.valkey import STORE_DOWN
from models.domain.commands import AnyCommand, AnyReply, Exported
from models.domain.errors import Unavailable
from models.timeline.order import SenderOrder
from models.timeline.shard import Shard

#: Answer that means "not now, ask again".
NOT_NOW = b""


class LocalRouter:
    """All slots of a system in this process: the real core and the real store, with no Ray between.

    `carry` is a transport of `cluster.clients.RouterClient`. While ``down`` is set nothing is reachable.
    ``before`` is awaited with each command before it is decided, outside the turn: another writer's chance.
    """

    def __init__(self, redis: Redis) -> None:
        self._store = TimelineStore(redis, log_entries=1000)
        self._core = Shard(entropy=os.urandom)
        self._turn = asyncio.Lock()
        self._epoch = 0
        self._claimed: set[str] = set()
        self._order = SenderOrder()
        self._failures = 0
        self.down = False
        self.calls = 0
        self.commands: list[AnyCommand] = []
        self.before: Callable[[AnyCommand], Awaitable[None]] | None = None

    async def carry(self, shard: int, sender: str, generation: int, number: int, payload: bytes) -> bytes:
        """Decide and store one batch, as a router actor does."""
        if self.down:
            raise Unavailable("router:0 is down")
        self.calls += 1
        if not self._order.admit(sender, generation, number):
            return NOT_NOW
        try:
            return encode_replies(await self.apply(decode_commands(payload), self._failures))
        except STORE_DOWN:
            # as the actor: what came behind a failed batch must not overtake it
            return NOT_NOW

    async def apply(self, commands: list[AnyCommand], failures: int | None = None) -> list[AnyReply]:
        """Decide and store commands; refused when more turns failed than the ``failures`` known before."""
        if self.before is not None:
            for command in commands:
                await self.before(command)
        async with self._turn:
            if failures not in (None, self._failures):
                raise ConnectionError("a batch before this one failed")
            try:
                return await self._decided(commands)
            except BaseException:
                self._failures += 1
                self._core.forget()
                self._order.break_all()
                self._epoch = 0
                self._claimed.clear()
                raise

    async def _decided(self, commands: list[AnyCommand]) -> list[AnyReply]:
        self.commands.extend(commands)
        await self._claim({command.account for command in commands})
        self._core.learn(await self._store.load(self._core.missing(commands)))
        outcome = self._core.apply(commands, time.time_ns() // 1_000_000)
        for account, changes in outcome.changes.items():
            if not changes.empty:
                await self._store.append(account, self._epoch, changes)
        return [await self._completed(*each) for each in zip(commands, outcome.replies, strict=True)]

    async def _claim(self, accounts: set[str]) -> None:
        self._epoch = self._epoch or await self._store.next_epoch()
        for account in accounts - self._claimed:
            await self._store.claim(account, self._epoch, range(1024))
        self._claimed |= accounts

    async def _completed(self, command: AnyCommand, reply: AnyReply) -> AnyReply:
        if not isinstance(reply, Exported) or reply.record is None:
            return reply
        return msgspec.structs.replace(reply, messages=await self._store.messages(command.account, reply.record.id))
