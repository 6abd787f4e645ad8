"""The router actor: a thin shell around one shard's core, the only writer of its conversations.

Flow: batches of all senders gather while an append is under way; then all that gathered is one turn:
read what is not in memory, decide, append, answer. One turn at a time, so the order in the store is
the order of decision. An answer leaves only after the append was durable.

What contacts wrote to the bot is understood after its append (`deployments.understanding`), and what comes of
it returns as commands that the router gives itself: they share the turns, and have no order to keep.

When an append fails, or nobody knows whether it happened, the router answers "not now", forgets what it
knows and takes a new epoch (a late append of the old one is then refused); senders repeat, and what had
been stored after all is recognised by its source id.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from redis.exceptions import RedisError

from cluster.actors import DISPATCHER, Calls, NamedActor, own_address
from cluster.bot import make_bot
from cluster.budgets import reply_budgets
from cluster.codec import decode_commands, encode_placements, encode_replies
from cluster.direct import DirectServer, Whereabouts
from cluster.settings import Settings
from cluster.store.directory import Directory
from cluster.store.following import Following
from cluster.store.timeline import TimelineStore
from cluster.store.valkey import STORE_DOWN, connect
from cluster.telemetry import Beacon, Meter
from deployments.bot_sweep import BotSweep
from deployments.own_wording import OwnWording
from deployments.process import give_way_to_ray, settle_garbage_collector
from deployments.understanding import Hearing, IntentOfThisSystem, Understands
from models.domain.commands import AnyCommand, AnyReply, Exported
from models.domain.conversation import Placement
from models.domain.errors import RaydeskError, StaleEpoch, Unavailable
from models.domain.ids import slots_of_shard
from models.timeline.bot_part import BotPart
from models.timeline.order import SenderOrder
from models.timeline.shard import Missing, Outcome, Shard
from models.timeline.turn import refuse

log = logging.getLogger(__name__)
#: Answer that means "not now, ask again".
NOT_NOW = b""
_RETRY_S = 0.05
#: How long a batch waits for the one before it, which is on its way unless its call failed.
_EARLY_S = 0.25
#: The exit status of a router that was superseded; Ray starts it again if it is still the one with the name.
_SUPERSEDED = 70


class CoreFailed(Exception):
    """A mistake of ours in deciding; nothing of the batch was stored."""


class RouterActor:
    """One shard's router, as a Ray actor.

    Args:
        settings: of the whole system.
        shard: which one this is, from 0.
        dispatcher, core, model: whom it tells, what it decides and understands with, if not as in this system.
    """

    def __init__(
        self,
        settings: Settings,
        shard: int,
        *,
        dispatcher: Calls | None = None,
        core: Shard | None = None,
        model: Understands | None = None,
    ) -> None:
        self._settings = settings
        self._slots = slots_of_shard(shard, settings.router.count)
        self._name = str(shard)
        self._redis = connect(settings.store)
        self._store = TimelineStore(
            self._redis, log_entries=settings.store.log_entries, answer_within_s=settings.answer_within_s
        )
        bot = _bot_part(settings)
        self._core = core or Shard(
            entropy=os.urandom,
            cached_contacts=settings.router.cached_contacts,
            bot=bot,
            budgets=reply_budgets(settings),
        )
        # what an admin has the bot say counts from the next turn on
        following = Following(self._redis, settings.accounts, changed=lambda account: wording.take(account))
        wording = OwnWording(settings, bot, following)
        self._epoch = 0
        self._claimed: set[str] = set()
        self._arrived: list[tuple[list[AnyCommand], asyncio.Future[bytes]]] = []
        self._order = SenderOrder()
        self._order_moved = asyncio.Event()
        self._wake = asyncio.Event()
        self._notices: dict[str, Placement] = {}
        self._resyncs: set[str] = set()
        self._notify = asyncio.Event()
        self._dispatcher = dispatcher or NamedActor(DISPATCHER, settings.ray.namespace)
        self.meter = Meter()
        self._beacon = Beacon(self._redis, "router", self._name, self._describe)
        self._closing = False
        self._hearing = Hearing(
            model or IntentOfThisSystem(settings.intent.enabled),
            self._give_itself,
            bot=settings.intent.enabled and settings.bot.enabled,
            patience_ms=settings.bot.patience_ms,
            max_pending=settings.bot.max_pending,
            meter=self.meter,
        )
        # even without a bot: what it held when it was switched off is due as well
        sweep = BotSweep(self._store, Directory(self._redis), settings.accounts, self._slots, self._give_itself)
        self._server = DirectServer(self.apply)
        settle_garbage_collector()
        give_way_to_ray()
        # Ray builds the actor inside its running event loop
        self._tasks = [
            asyncio.ensure_future(self._work()),
            asyncio.ensure_future(self._tell_dispatcher()),
            asyncio.ensure_future(self._beacon.run()),
            asyncio.ensure_future(sweep.run()),
            asyncio.ensure_future(following.run()),
        ]

    async def apply(self, sender: str, generation: int, number: int, payload: bytes) -> bytes:
        """Decide and store one sender's batch of commands; returns its answers, or ``NOT_NOW``.

        Args:
            sender, generation, number: the place of the batch in its sender's order, see `cluster.clients`.
            payload: the commands.
        """
        if self._closing or not await self._admit(sender, generation, number):
            return NOT_NOW
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._arrived.append((decode_commands(payload), future))
        self._wake.set()
        return await future

    async def _give_itself(self, commands: Sequence[AnyCommand]) -> None:
        """Take commands of our own through the turns; returns when they are stored, or nothing more is taken."""
        while not self._closing:
            future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self._arrived.append((list(commands), future))
            self._wake.set()
            if await future != NOT_NOW:
                return
            await asyncio.sleep(_RETRY_S)

    async def _admit(self, sender: str, generation: int, number: int) -> bool:
        """Take a batch when its turn has come; Ray sometimes starts two calls of one caller the other way round.

        Refused at once, such a pair would cost its sender a pause and a new generation, several times a minute.
        """
        if not self._order.admit(sender, generation, number):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EARLY_S):
                    while self._order.early(sender, generation, number):
                        await self._order_moved.wait()
            if self._closing or not self._order.admit(sender, generation, number):
                return False
        self._let_early_look()
        return True

    def _let_early_look(self) -> None:
        """Wake the batches that came before their turn."""
        moved, self._order_moved = self._order_moved, asyncio.Event()
        moved.set()

    async def ready(self) -> int:
        """Answer with the epoch once the router serves; 0 while it does not."""
        return self._epoch

    async def whereabouts(self) -> Whereabouts | None:
        """Tell where batches are taken, None before that."""
        return self._server.whereabouts

    async def drain(self) -> None:
        """Finish the turn under way, tell the dispatcher, and take no more."""
        self._closing = True
        self._wake.set()
        await asyncio.wait([self._tasks[0]], timeout=self._settings.router.deadline_s)
        await self._server.aclose()
        # what the bot still owes is due in the store
        await self._hearing.aclose()
        await self._beacon.forget()

    async def _work(self) -> None:
        await self._server.start(own_address())
        while not (self._closing and not self._arrived):
            try:
                if not self._epoch:
                    await self._take_epoch()
                if not self._arrived and not self._closing:
                    self._wake.clear()
                    await self._wake.wait()
                if self._arrived:
                    await self._turn()
            except StaleEpoch:
                log.exception("router %s was superseded and ends", self._name)
                os._exit(_SUPERSEDED)
            except STORE_DOWN as error:
                log.warning("router %s cannot reach the store: %s", self._name, error)
                await asyncio.sleep(_RETRY_S)
            except Exception:
                log.exception("router %s failed in a turn", self._name)
                await asyncio.sleep(_RETRY_S)

    async def _take_epoch(self) -> None:
        """Own the shard anew; whatever an older epoch still sends is refused by the store.

        What we remember is dropped: while our epoch was not the newest, another router may have written (behind
        a cut network), or the store may have gone back behind what it had told us (a failover).
        """
        self._core.forget()
        epoch = await self._store.next_epoch()
        for account in list(self._claimed):
            await self._claim(account, epoch)
        self._epoch = epoch

    async def _claim(self, account: str, epoch: int) -> None:
        dispatcher_epoch = await self._store.claim(account, epoch, self._slots)
        newest = self._core.dispatcher_epochs.get(account, 0)
        self._core.dispatcher_epochs[account] = max(newest, dispatcher_epoch)
        self._claimed.add(account)
        # an owner before us may have died between its append and its word to the dispatcher
        self._resyncs.add(account)
        self._notify.set()

    async def _turn(self) -> None:
        """Take all that gathered through the core and the store."""
        arrived, self._arrived = self._arrived, []
        commands = [command for batch, _ in arrived for command in batch]
        started = time.perf_counter()
        try:
            replies = await self._decide_all(commands, started)
        except BaseException as error:
            # with the next epoch all that is remembered is dropped
            self._epoch = 0
            self.meter.count("turns_failed")
            # what came behind a failed batch must not overtake it when that is repeated
            self._order.break_all()
            self._let_early_look()
            arrived += self._arrived
            self._arrived = []
            for _, future in arrived:
                if not future.done():
                    future.set_result(NOT_NOW)
            if isinstance(error, RedisError) and not isinstance(error, STORE_DOWN):
                log.exception("router %s: the store refused an append", self._name)
            raise
        at = 0
        for batch, future in arrived:
            if not future.done():
                future.set_result(encode_replies(replies[at : at + len(batch)]))
            at += len(batch)
            # the first of a batch has waited longest
            if received_at_ms := getattr(batch[0], "received_at_ms", 0) if batch else 0:
                self.meter.record("stored", time.time() - received_at_ms / 1000)
        self.meter.count("messages", len(commands))
        self.meter.count("turns")
        self.meter.record("turn", time.perf_counter() - started)
        self.meter.record("batch_size_1e-6", len(commands) / 1e6)

    async def _decide_all(self, commands: list[AnyCommand], started: float) -> list[AnyReply]:
        """Decide and store all; a command that the core fails on is found by halving, and refused alone.

        Without this one command that meets a mistake of ours would fail its whole shard, over and over.
        """
        try:
            return await self._decide(commands, started)
        except CoreFailed:
            # what it began to decide is not stored
            self._core.forget()
            if len(commands) == 1:
                return [refuse(RaydeskError, "internal error; nothing was stored")]
            half = len(commands) // 2
            return [
                *await self._decide_all(commands[:half], started),
                *await self._decide_all(commands[half:], started),
            ]

    def _apply(self, commands: list[AnyCommand]) -> Outcome:
        try:
            return self._core.apply(commands, time.time_ns() // 1_000_000, self._hearing.room)
        except Exception as error:
            log.exception("router %s: the core failed on %d commands", self._name, len(commands))
            raise CoreFailed from error

    async def _decide(self, commands: list[AnyCommand], started: float) -> list[AnyReply]:
        for account in {command.account for command in commands} - self._claimed:
            await self._claim(account, self._epoch)
        missing = self._core.missing(commands)
        if missing.contacts or missing.conversations:
            self._core.learn(await self._load(missing))
            self.meter.record("load", time.perf_counter() - started)
        before = time.perf_counter()
        outcome = self._apply(commands)
        decided = time.perf_counter()
        self.meter.record("decide", decided - before)
        await self._append(outcome)
        self.meter.record("append", time.perf_counter() - decided)
        if outcome.placements:
            for placement in outcome.placements:
                self._notices[placement.conversation] = placement
            self._notify.set()
        if outcome.questions:
            self._hearing.hear(outcome.questions)
        for what, count in outcome.counts.items():
            self.meter.count(what, count)
        return [
            await self._with_messages(command, reply) if isinstance(reply, Exported) else reply
            for command, reply in zip(commands, outcome.replies, strict=True)
        ]

    async def _load(self, missing: Missing) -> Any:
        return await self._store.load(missing)

    async def _append(self, outcome: Outcome) -> None:
        appends = [
            self._store.append(account, self._epoch, changes)
            for account, changes in outcome.changes.items()
            if not changes.empty
        ]
        if len(appends) == 1:
            await appends[0]
        elif appends:
            # every account's append must have ended before the turn does, whatever became of the others
            ended = await asyncio.gather(*appends, return_exceptions=True)
            for result in ended:
                if isinstance(result, BaseException):
                    raise result

    async def _with_messages(self, command: AnyCommand, reply: Exported) -> Exported:
        """Complete an export with the messages, which only the store has all of."""
        if reply.record is None:
            return reply
        messages = await self._store.messages(command.account, reply.record.id)
        return msgspec.structs.replace(reply, messages=messages)

    async def _tell_dispatcher(self) -> None:
        """Bring placements to the dispatcher; one that is down reads them from the store when it is back."""
        while True:
            await self._notify.wait()
            self._notify.clear()
            resyncs, self._resyncs = self._resyncs, set()
            notices, self._notices = self._notices, {}
            try:
                if notices:
                    await self._dispatcher.call("place", encode_placements(list(notices.values())))
                for account in resyncs:
                    await self._dispatcher.call("resync", account)
            except Unavailable:
                log.info("the dispatcher is down; it reads the store when it is back")
                await asyncio.sleep(_RETRY_S)
                self._resyncs |= resyncs
                self._resyncs |= {placement.account for placement in notices.values()}
                self._notify.set()
            except Exception:
                log.exception("could not tell the dispatcher")
                await asyncio.sleep(_RETRY_S)

    def _describe(self) -> dict[str, Any]:
        return {
            "epoch": self._epoch,
            "slots": [self._slots[0], self._slots[-1]],
            "contacts": self._core.contacts,
            "waiting": sum(len(batch) for batch, _ in self._arrived),
            "understanding": self._hearing.pending,
            **self.meter.report(),
        }


def _bot_part(settings: Settings) -> BotPart:
    """Return the bot's part in a router's conversations; agents see what was understood even without a bot."""
    bot = settings.bot
    return BotPart(
        answers=make_bot(bot, settings.intent) if settings.intent.enabled else None,
        patience_ms=bot.patience_ms,
        idle_ms=int(bot.idle_s * 1000),
        route_by_skill=bot.route_by_skill,
    )
