"""The dispatcher actor, named ``dispatcher``: a thin shell around one `AccountDispatch` per account.

It only decides who gets which conversation. When it dies, conversations go on where they are and new ones
wait for the next one, which starts from the store. No method waits for the start: what is told before it is
in the store as well, or is told again within two seconds.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from cluster.actors import DISPATCHER, router_client
from cluster.clients import RouterClient
from cluster.codec import decode_desk_report, decode_placements
from cluster.settings import Settings
from cluster.store.directory import Directory
from cluster.store.dispatching import DispatchingStore
from cluster.store.valkey import STORE_DOWN, connect
from cluster.telemetry import Beacon
from deployments.dispatching import AUDIT_S, POLL_S, AccountDispatch
from models.domain.errors import BadRequest
from models.routing.desk_reports import DeskOf, ReportedDesks
from models.routing.roster import Status
from models.routing.terms import Terms

log = logging.getLogger("raydesk.dispatcher")
#: The exit status of a dispatcher that was superseded; Ray starts it again if it is still the one with the name.
_SUPERSEDED = 70
#: Before Python 3.12 asyncio.wait_for, which the client of the store uses, may lose a cancellation
#: (https://github.com/python/cpython/issues/86296), so that one is not enough.
_CANCEL_AGAIN_S = 0.05
_STATUSES = ("online", "away", "offline")
_NOBODY: frozenset[str] = frozenset()


class DispatcherActor:
    """The dispatchers of all accounts; must be made inside a running event loop, as Ray does with async actors.

    Args:
        settings: of the whole system.
        router: carries commands to routers; ``None`` means over Ray.
        superseded: ends this process when a newer dispatcher has taken over.
        audit_s, poll_s: seconds between two comparisons with the store, and between two looks for users.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        router: RouterClient | None = None,
        superseded: Callable[[], None] = lambda: os._exit(_SUPERSEDED),
        audit_s: float = AUDIT_S,
        poll_s: float = POLL_S,
    ) -> None:
        self._settings = settings
        self._redis = connect(settings.store)
        self._store = DispatchingStore(self._redis)
        self._directory = Directory(self._redis)
        self._router = router or router_client(settings)
        self._superseded = superseded
        self._audit_s = audit_s
        self._poll_s = poll_s
        self._accounts: dict[str, AccountDispatch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reports = ReportedDesks()
        self._rate = (time.monotonic(), 0, 0.0)
        self._draining = False
        self._beacon = Beacon(self._redis, DISPATCHER, DISPATCHER, self.stats)
        for account in sorted(settings.accounts):
            self._open(account)
        for work in (self._tick(), self._find_accounts(), self._beacon.run()):
            self._begin(work)

    async def ready(self) -> bool:
        """Tell whether every account that is known is being decided."""
        return all(account.running.is_set() for account in self._accounts.values())

    async def place(self, payload: bytes) -> None:
        """Hear of conversations that changed: an encoded list of placements."""
        for placement in decode_placements(payload):
            self._of(placement.account).place(placement)

    async def report_desks(self, payload: bytes) -> bool:
        """Hear of the desks of one gateway, an encoded `DeskReport`; False: it must tell all of them."""
        report = decode_desk_report(payload)
        if not self._reports.follows(report):
            return False
        opened, closed = _by_account(report.opened), _by_account(report.closed)
        for account in opened:
            self._of(account)
        for name, account in self._accounts.items():
            if report.continues is None:
                account.report_desks(report.gateway, opened.get(name, _NOBODY))
            elif not account.change_desks(report.gateway, opened.get(name, _NOBODY), closed.get(name, _NOBODY)):
                self._reports.forget(report.gateway)
                return False
        self._reports.taken(report)
        return True

    async def set_presence(self, account: str, agent: str, status: str, reason: str = "") -> None:
        """Keep the presence that an agent chose, and act on it; raises as `set_presences`."""
        await self.set_presences(account, [(agent, status, reason)])

    async def set_presences(self, account: str, chosen: list[tuple[str, str, str]]) -> None:
        """Keep the presences that agents chose (agent, status, reason), and act on them; all of them or none.

        Raises:
            BadRequest: no such status.
            Unavailable: the store cannot be reached; nothing changed.
        """
        known: list[tuple[str, Status, str]] = [
            (agent, status, reason) for agent, status, reason in chosen if status in _STATUSES
        ]
        if len(known) < len(chosen):
            raise BadRequest(f"presence is one of {', '.join(_STATUSES)}")
        if known:
            await self._of(account).set_presences(known)

    async def here(self, account: str) -> list[str]:
        """List the agents who are there: a desk is open, and they did not choose to be offline."""
        return self._of(account).here()

    async def resync(self, account: str) -> None:
        """Compare with the store soon; several calls within a moment cause one comparison."""
        self._of(account).resync()

    def stats(self) -> dict[str, Any]:
        """Tell how it goes, in all and per account; ``oldest_wait_ms`` is the longest wait of those in line."""
        now_ms = time.time_ns() // 1_000_000
        accounts: dict[str, dict[str, Any]] = {}
        for name, account in self._accounts.items():
            census = account.census()
            accounts[name] = {"epoch": account.epoch, "repaired": account.repaired, "running": census is not None}
            if census is not None:
                accounts[name] |= {
                    "bot": account.with_bot,
                    "present": census.present,
                    "waiting": census.waiting,
                    "held": census.held,
                    "snoozed": census.snoozed,
                    "offers": census.offers,
                    "oldest_wait_ms": max(0, now_ms - census.oldest_ms) if census.oldest_ms else 0,
                }
        counted = ("present", "bot", "waiting", "held", "snoozed", "offers")
        total = {word: sum(about.get(word, 0) for about in accounts.values()) for word in counted}
        oldest = max((about.get("oldest_wait_ms", 0) for about in accounts.values()), default=0)
        rate = self._offers_per_s(total["offers"])
        return {**total, "oldest_wait_ms": oldest, "offers_per_s": rate, "accounts": accounts}

    async def drain(self) -> None:
        """End in order; calling it twice is safe."""
        self._draining = True
        for account in self._accounts.values():
            account.stop()
        while running := set(self._tasks):
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=_CANCEL_AGAIN_S)
        await self._beacon.forget()
        await self._redis.aclose()

    def _offers_per_s(self, offers: int) -> float:
        """Return the rate since the last look, over at least half a second."""
        at, before, rate = self._rate
        elapsed_s = time.monotonic() - at
        if elapsed_s >= 0.5:
            rate = round((offers - before) / elapsed_s, 1)
            self._rate = (time.monotonic(), offers, rate)
        return rate

    def _of(self, account: str) -> AccountDispatch:
        return self._accounts.get(account) or self._open(account)

    def _open(self, account: str) -> AccountDispatch:
        dispatcher = self._settings.dispatcher
        terms = Terms(
            offer_timeout_ms=int(dispatcher.offer_timeout_s * 1000),
            away_grace_ms=int(dispatcher.away_grace_s * 1000),
        )
        opened = self._accounts[account] = AccountDispatch(
            account,
            store=self._store,
            directory=self._directory,
            router=self._router,
            shards=self._settings.router.count,
            terms=terms,
            default_capacity=dispatcher.default_capacity,
            now=time.time,
            superseded=self._superseded,
            audit_s=self._audit_s,
            poll_s=self._poll_s,
        )
        self._begin(opened.run())
        return opened

    def _begin(self, work: "Awaitable[None]") -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of the dispatcher ended", exc_info=error)

    async def _tick(self) -> None:
        while not self._draining:
            await asyncio.sleep(self._settings.dispatcher.tick_s)
            for account in list(self._accounts.values()):
                try:
                    account.tick()
                except Exception:
                    log.exception("dispatcher of %s failed in a tick", account.account)

    async def _find_accounts(self) -> None:
        """Open the accounts that were made while we run."""
        while not self._draining:
            try:
                for account in await self._directory.accounts():
                    self._of(account)
            except STORE_DOWN as error:
                log.debug("could not look for accounts: %s", error)
            except Exception:
                log.exception("could not look for accounts")
            await asyncio.sleep(self._poll_s)


def _by_account(desks: Iterable[DeskOf]) -> dict[str, frozenset[str]]:
    agents: dict[str, set[str]] = {}
    for account, agent in desks:
        agents.setdefault(account, set()).add(agent)
    return {account: frozenset(names) for account, names in agents.items()}
