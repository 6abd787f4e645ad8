"""One account's dispatcher at work: the core's orders go to routers and store, their answers into the core.

Start: take a new epoch, have every router fence off older dispatchers, and only then load what they
wrote; what changes meanwhile arrives as placements, and the higher revision counts. Recovery is this
same start. Afterwards one loop rereads what the core doubts, looks for new users, and every few seconds
compares the store's indexes with the core: news that a router could not tell before it died is found
there. A store that is down delays all this and ends nothing.

The core is only touched between two awaits, so each of its calls sees and leaves a whole state.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable

from cluster.clients import RouterClient
from cluster.store.directory import Directory
from cluster.store.dispatching import DispatchingStore, Presence
from cluster.store.valkey import STORE_DOWN
from models.domain.agent import User
from models.domain.commands import AnyReply, Fence, Offer, Refusal, Release
from models.domain.conversation import Placement
from models.domain.errors import RaydeskError, StaleEpoch, Unavailable
from models.domain.ids import slots_of_shard
from models.routing.dispatcher import Dispatcher
from models.routing.roster import Profile, Status
from models.routing.terms import Census, Order, Read, Terms

log = logging.getLogger("raydesk.dispatcher")
#: Between two attempts at what the store or a router cannot do now.
_RETRY_S = 0.2
#: Between two looks for new users, and for a newer dispatcher.
POLL_S = 2.0
#: Between two looks at all users, in case that one was changed by other means than the directory's.
_EVERYBODY_S = 60.0
#: An unknown agent's desk makes us look sooner, but not sooner than this after the last look.
_SOONEST_POLL_S = 0.3
#: Between two comparisons with the store's indexes.
AUDIT_S = 10.0
#: News is on its way for less than this; what differs for longer was missed.
_NEWS_S = 1.0
#: Several routers that restart together cause one comparison.
_RESYNC_S = 0.1


class Superseded(Exception):
    """A newer dispatcher of this account has been started; this one must decide nothing more."""


class AccountDispatch:
    """The dispatcher of one account, from `run` until that is cancelled.

    Args:
        account: tenant.
        store, directory: read and written at start and in the loop; never on the way of an offer.
        router: carries the orders.
        shards: how many routers must acknowledge the fence.
        terms: how long things may take.
        default_capacity: of agents whose user has none of its own.
        now: gives the Unix time in seconds.
        superseded: called once when a newer dispatcher has taken over.
    """

    def __init__(  # noqa: PLR0913 - wired in one place, all by name
        self,
        account: str,
        *,
        store: DispatchingStore,
        directory: Directory,
        router: RouterClient,
        shards: int,
        terms: Terms,
        default_capacity: int,
        now: Callable[[], float],
        superseded: Callable[[], None],
        audit_s: float = AUDIT_S,
        poll_s: float = POLL_S,
    ) -> None:
        self.account = account
        self._store = store
        self._directory = directory
        self._router = router
        self._shards = shards
        self._terms = terms
        self._default_capacity = default_capacity
        self._now = now
        self._superseded = superseded
        self._audit_s = audit_s
        self._poll_s = poll_s
        self._core: Dispatcher | None = None
        self._ended = False
        self._desks: dict[str, set[str]] = {}
        self._reads: set[str] = set()
        self._mark = ""
        self._suspects: set[str] = set()
        self._resyncing = False
        self._wake = asyncio.Event()
        self._polled_at = self._poll_at = self._audit_at = self._everybody_at = 0.0
        self.repaired = 0
        #: how many conversations the bot holds, some seconds ago at most.
        self.with_bot = 0
        self.running = asyncio.Event()

    @property
    def epoch(self) -> int:
        """The epoch of this dispatcher, 0 before it has one."""
        return self._core.epoch if self._core else 0

    def census(self) -> Census | None:
        """Count agents and conversations; ``None`` while starting."""
        return self._core.census() if self._core and self.running.is_set() else None

    def here(self) -> list[str]:
        """List the agents who are there; empty while starting."""
        return self._core.here() if self._core else []

    # -- what others tell; none of it waits for the start, as the start reads the same from the store

    def place(self, placement: Placement) -> None:
        """Hear of a conversation's change."""
        if self._core is not None:
            self._carry_out(self._core.place(placement, self._now_ms()))

    def report_desks(self, gateway: str, agents: frozenset[str]) -> None:
        """Hear of all agents who have a desk at ``gateway``."""
        if not agents and gateway not in self._desks:
            return
        self._note_desks(gateway, set(agents))
        if self._core is not None:
            self._carry_out(self._core.desks_reported(gateway, agents, self._now_ms()))
            self._look_for(self._core, agents)

    def change_desks(self, gateway: str, opened: frozenset[str], closed: frozenset[str]) -> bool:
        """Hear which agents came to have a desk at ``gateway``, or have none left; False: all must be told.

        Neither says that it lives.
        """
        held = self._desks.get(gateway, set[str]())
        if held and self._core is not None and not self._core.hears(gateway):
            # it was silent for so long that its desks were given up
            return False
        if held or opened:
            held |= opened
            held -= closed
            self._note_desks(gateway, held)
            if self._core is not None:
                self._carry_out(self._core.desks_changed(gateway, opened, closed, self._now_ms()))
                self._look_for(self._core, opened)
        return True

    def _note_desks(self, gateway: str, agents: set[str]) -> None:
        if agents:
            self._desks[gateway] = agents
        else:
            self._desks.pop(gateway, None)

    def _look_for(self, core: Dispatcher, agents: Iterable[str]) -> None:
        """Look for users soon if there are some among ``agents`` whom nobody told us of."""
        if not all(map(core.knows_agent, agents)):
            self._poll_at = min(self._poll_at, self._polled_at + _SOONEST_POLL_S)
            self._wake.set()

    async def set_presences(self, chosen: Iterable[tuple[str, Status, str]]) -> None:
        """Keep the presences that agents chose (agent, status, reason), and act on them; of one agent the last counts.

        Raises:
            Unavailable: the store cannot be reached; nothing changed.
        """
        at_ms = self._now_ms()
        presences = {agent: Presence(status=status, reason=reason, at_ms=at_ms) for agent, status, reason in chosen}
        try:
            await self._store.set_presences(self.account, presences)
        except STORE_DOWN:
            raise Unavailable("the store cannot be reached; set it again") from None
        for agent, presence in presences.items():
            if self._core is not None:
                self._carry_out(self._core.presence_set(agent, presence.status, self._now_ms()))

    def resync(self) -> None:
        """Compare with the store soon: a router that died may have told us less than it stored."""
        self._resyncing = True
        self._audit_at = min(self._audit_at, asyncio.get_running_loop().time() + _RESYNC_S)
        self._wake.set()

    def tick(self) -> None:
        """Look at what became due."""
        if self._core is not None:
            self._carry_out(self._core.tick(self._now_ms()))

    def stop(self) -> None:
        """Decide nothing more; `run` ends after the step that it is in."""
        self._ended = True
        self._wake.set()

    # -- the account's own task

    async def run(self) -> None:
        """Start, then reread, compare and look for users until cancelled or superseded; nothing else ends it."""
        step = self._start
        while not self._ended:
            try:
                await step()
                step = self._work
            except Superseded:
                self._end()
            except STORE_DOWN as error:
                log.warning("dispatcher of %s: the store cannot be reached: %s", self.account, error)
                await asyncio.sleep(_RETRY_S)
            except Exception:
                log.exception("dispatcher of %s failed and goes on", self.account)
                await asyncio.sleep(_RETRY_S)

    async def _start(self) -> None:
        core = self._core
        if core is None:
            core = Dispatcher(self.account, await self._store.take_epoch(self.account), self._terms)
            self._core = core
        async with asyncio.TaskGroup() as tasks:
            for shard in range(self._shards):
                tasks.create_task(self._fence(core.epoch, slots_of_shard(shard, self._shards)[0]))
        if self._ended:
            return
        await self._poll(core)
        for agent, presence in (await self._store.presences(self.account)).items():
            core.presence_set(agent, presence.status, self._now_ms())
        placements = await self._store.placements(self.account, (await self._store.indexes(self.account)).names())
        for placement in placements.values():
            if placement is not None:
                core.place(placement, self._now_ms())
        for gateway, agents in self._desks.items():
            core.desks_reported(gateway, agents, self._now_ms())
        self._audit_at = asyncio.get_running_loop().time() + (_RESYNC_S if self._resyncing else self._audit_s)
        self._carry_out(core.begin(self._now_ms()))
        self.running.set()
        log.info("dispatcher of %s decides, epoch %d, %d conversations", self.account, core.epoch, len(placements))

    async def _fence(self, epoch: int, slot: int) -> None:
        """Have one shard refuse older dispatchers; asked until it answers."""
        while not self._ended:
            try:
                await self._router.ask(Fence(account=self.account, epoch=epoch, slot=slot))
            except RaydeskError as error:
                if _is_stale(error):
                    self._end()
                    return
                log.warning("dispatcher of %s waits for a router: %s", self.account, error)
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _work(self) -> None:
        core = self._core
        assert core is not None
        loop = asyncio.get_running_loop()
        due_at = min(self._audit_at, self._poll_at)
        try:
            async with asyncio.timeout_at(due_at):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        if self._ended:
            return
        if self._reads:
            await self._reread(core)
        if loop.time() >= self._poll_at:
            await self._poll(core)
        if loop.time() >= self._audit_at:
            await self._audit(core)

    async def _reread(self, core: Dispatcher) -> None:
        reads, self._reads = sorted(self._reads), set[str]()  # what is lost here, the core asks for again
        for conversation, placement in (await self._store.placements(self.account, reads)).items():
            self._carry_out(core.reread(conversation, placement, self._now_ms()))

    async def _poll(self, core: Dispatcher) -> None:
        loop = asyncio.get_running_loop()
        self._polled_at, self._poll_at = loop.time(), loop.time() + self._poll_s
        if await self._store.newest_epoch(self.account) > core.epoch:
            raise Superseded
        self.with_bot = await self._store.count_with_bot(self.account)
        if loop.time() >= self._everybody_at:
            self._mark = ""
            self._everybody_at = loop.time() + _EVERYBODY_S
        changes = await self._directory.changes(self.account, self._mark)
        self._mark = changes.mark
        profiles = [self._profile(user) for user in changes.users.values() if user is not None and user.active]
        if changes.whole:
            self._carry_out(core.profiles_set(profiles, self._now_ms()))
        elif changes.users:
            gone = changes.users.keys() - {profile.name for profile in profiles}
            self._carry_out(core.profiles_changed(profiles, gone, self._now_ms()))

    def _profile(self, user: User) -> Profile:
        """Give agents the default capacity; supervisors and admins take part if they have one of their own."""
        default = self._default_capacity if user.role == "agent" else 0
        return Profile(name=user.name, skills=frozenset(user.skills), capacity=user.capacity or default)

    async def _audit(self, core: Dispatcher) -> None:
        """Repair what the store knows otherwise: at once after a resync, else what differs for a second look."""
        resyncing, self._resyncing = self._resyncing, False
        self._audit_at = asyncio.get_running_loop().time() + self._audit_s
        indexes = await self._store.indexes(self.account)
        differ = set(core.differences(indexes.waiting, indexes.held, indexes.snoozed))
        missed = sorted(differ if resyncing else differ & self._suspects)
        self._suspects = differ.difference(missed)
        if self._suspects:
            self._audit_at = min(self._audit_at, asyncio.get_running_loop().time() + _NEWS_S)
        repaired = 0
        for conversation, placement in (await self._store.placements(self.account, missed)).items():
            repaired += placement is None or placement.revision > core.revision(conversation)
            self._carry_out(core.reread(conversation, placement, self._now_ms()))
        self.repaired += repaired
        if repaired and not resyncing:
            log.warning("dispatcher of %s had missed news of %d conversations", self.account, repaired)

    # -- orders

    def _carry_out(self, orders: Iterable[Order]) -> None:
        """Send orders on their way; must be called in the same step as the core that gave them."""
        waiting = deque(orders)
        while waiting and not self._ended:
            order = waiting.popleft()
            if isinstance(order, Read):
                self._reads.add(order.conversation)
                self._wake.set()
                continue
            try:
                self._router.submit(order, self._hear, order)
            except RaydeskError as error:  # too many wait, so the core keeps the seat and asks again
                log.debug("%s was not sent: %s", order, error)
                waiting += self._answered(order, None)

    def _hear(self, command: Offer | Release, reply: AnyReply | RaydeskError) -> None:
        """Take a router's answer to an order, or the error in its place."""
        if self._ended:
            return
        if not isinstance(reply, RaydeskError):
            self._carry_out(self._answered(command, reply))
        elif _is_stale(reply):
            self._end()
        else:
            refusal = Refusal(name=reply.name, detail=reply.detail)
            self._carry_out(self._answered(command, None if isinstance(reply, Unavailable) else refusal))

    def _answered(self, command: Offer | Release, reply: AnyReply | None) -> list[Order]:
        return self._core.command_answered(command, reply, self._now_ms()) if self._core else []

    def _end(self) -> None:
        if not self._ended:
            self.stop()
            log.warning("dispatcher of %s, epoch %d, was superseded", self.account, self.epoch)
            self._superseded()

    def _now_ms(self) -> int:
        return int(self._now() * 1000)


def _is_stale(error: RaydeskError) -> bool:
    """Tell a newer dispatcher from a router that is merely out of reach; only the sentence crosses the wire."""
    return isinstance(error, StaleEpoch) or (isinstance(error, Unavailable) and error.detail.startswith("stale"))
