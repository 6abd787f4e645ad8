"""Traffic for a whole system: visitors, a shop's backend and desks, open-loop, in one event loop.

Message *i* is due at ``start + i / rate``, whatever the system does meanwhile; a client that is cut off
keeps what is due and sends it later, in order. Beside it agents answer, and hand conversations over.
"""

import asyncio
import random
import time
from collections.abc import Coroutine
from itertools import count
from typing import Any

import httpx

from cluster.store import keys
from cluster.store.directory import Directory
from cluster.store.valkey import connect
from models.domain.agent import User
from tests.chaos.backend import RestSender
from tests.chaos.desk import Desk
from tests.chaos.ledger import Ledger
from tests.chaos.steadfast import SteadfastClient
from tests.chaos.visitor import Visitor
from tests.running import RunningSystem

ACCOUNT = "default"
WEB, API = "web", "backend"
#: What a system needs for it: its inboxes, and room for all conversations and the rate of every sender.
CONFIG: dict[str, Any] = {
    "inboxes": {WEB: {"account": ACCOUNT, "channel": "web"}, API: {"account": ACCOUNT, "channel": "api"}},
    "dispatcher": {"default_capacity": 5_000},
    "limits": {
        "socket_rate": 2_000,
        "socket_burst": 5_000,
        "key_rate": 5_000,
        "key_burst": 10_000,
        # all clients come back from one address when a gateway dies
        "connects_per_minute": 100_000,
    },
}
_PASSWORD = "correct horse battery staple"
#: Every so many-th message comes by HTTP, the others from sockets.
_REST_EVERY = 20
_TICK_S = 0.005
_BEAT_S = 1 / 30
_ALL_OPEN_S = 30.0
_DRAINED_S = 30.0


class Traffic:
    """All clients of one run.

    Args:
        system: that runs.
        rate: messages a second.
        visitors, desks, senders: how many of each.
        messages_each: how much a contact of the backend writes before the next one does.
    """

    def __init__(
        self,
        system: RunningSystem,
        *,
        rate: float,
        visitors: int = 100,
        desks: int = 10,
        senders: int = 10,
        messages_each: int = 6,
    ) -> None:
        self.ledger = Ledger()
        self.rate = rate
        self.began_s = self.ended_s = 0.0
        self.worst_lag_s = 0.0
        self._system = system
        self._counts = (visitors, desks, senders)
        self._messages_each = messages_each
        self._http = httpx.AsyncClient(base_url=system.base, limits=httpx.Limits(max_connections=256))
        self._visitors: list[Visitor] = []
        self._desks: list[Desk] = []
        self._senders: list[RestSender] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._offering: asyncio.Task[None] | None = None

    # -- life

    async def start(self) -> None:
        """Make agents and an API key, connect everybody, and begin to send."""
        visitors, desks, senders = self._counts
        agents = [f"agent{number}" for number in range(desks)]
        redis = connect(self._system.settings.store)
        directory = Directory(redis)
        for agent in agents:
            await directory.add(ACCOUNT, User(name=agent), _PASSWORD)
        key, _ = await directory.create_key(ACCOUNT, "chaos")
        await redis.aclose()
        self._desks = [Desk(self._http, self.ledger, agent, await self._log_in(agent)) for agent in agents]
        self._visitors = [Visitor(self._http, self.ledger, f"web{n}", WEB) for n in range(visitors)]
        self._senders = [
            RestSender(self._http, self.ledger, f"rest{n}", inbox=API, key=key, messages_each=self._messages_each)
            for n in range(senders)
        ]
        for client in [*self._desks, *self._visitors, *self._senders]:
            self._run(client.run())
        async with asyncio.timeout(_ALL_OPEN_S):
            for client in self._sockets:
                await client.opened.wait()
        self._offering = asyncio.ensure_future(self._offer())
        self._run(self._converse())

    async def finish(self) -> None:
        """Stop sending, and wait until everything is answered and shown, or no longer."""
        self._stop.set()
        if self._offering is not None:
            await self._offering
        deadline = time.monotonic() + _DRAINED_S
        while self.backlog and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        if self.backlog:
            self.ledger.mishap(f"{self.backlog} calls and messages were never answered, or never shown")

    async def aclose(self) -> None:
        """Let all clients go; safe twice."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.aclose()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.ledger.mishap(f"a client failed: {error!r}")

    async def _log_in(self, agent: str) -> str:
        body = {"account": ACCOUNT, "name": agent, "password": _PASSWORD}
        answer = await self._http.post("/v1/login", json=body)
        answer.raise_for_status()
        return answer.json()["token"]

    # -- what they do

    @property
    def _sockets(self) -> list[SteadfastClient]:
        return [*self._desks, *self._visitors]

    @property
    def backlog(self) -> int:
        """How many calls have no answer, and how many messages no desk."""
        unanswered = sum(client.unanswered for client in [*self._sockets, *self._senders])
        return unanswered + len(self.ledger.due) - len(self.ledger.first_shown.keys() & self.ledger.due.keys())

    @property
    def connects(self) -> int:
        """How many sessions were opened."""
        return sum(client.connects for client in self._sockets)

    async def _offer(self) -> None:
        """Have every message written when it is due."""
        visitors, senders = self._visitors, self._senders
        self.began_s = began = time.monotonic()
        number = 0
        while not self._stop.is_set():
            now = time.monotonic()
            while (due := began + number / self.rate) <= now:
                self.worst_lag_s = max(self.worst_lag_s, now - due)
                turn, place = divmod(number, _REST_EVERY)
                if place == 0:
                    senders[turn % len(senders)].write(due)
                else:
                    visitors[(number - turn - 1) % len(visitors)].write(due)
                number += 1
            await asyncio.sleep(_TICK_S)
        self.ended_s = time.monotonic()

    async def _converse(self) -> None:
        """Let agents answer thirty times a second in all, and hand one conversation over each second."""
        for beat in count():
            await asyncio.sleep(_BEAT_S)
            if self._stop.is_set():
                return
            desk = random.choice(self._desks)
            if not desk.holds:
                continue
            conversation = random.choice(sorted(desk.holds))
            if beat % 30:
                desk.answer(conversation)
            else:
                colleague = random.choice([each for each in self._desks if each is not desk])
                desk.hand_over(conversation, colleague.agent)


def read_back(system: RunningSystem) -> tuple[dict[str, list[tuple[int, str, str]]], dict[str, str]]:
    """Read from the store what the audit compares with: every conversation's messages, and who holds which."""
    import msgspec

    class Stored(msgspec.Struct):
        seq: int
        author: str
        source_id: str = ""

    decode = msgspec.json.Decoder(Stored).decode
    found: dict[str, list[tuple[int, str, str]]] = {}
    head = keys.session(ACCOUNT, "")
    with system.store() as store:
        for key in store.scan_iter(match=f"{head}*", count=1_000):
            messages = [decode(data) for data in reversed(store.lrange(key, 0, -1))]  # type: ignore[arg-type]
            found[key.decode()[len(head) :]] = [(each.seq, each.author, each.source_id) for each in messages]
        held = {name.decode(): agent.decode() for name, agent in store.hgetall(keys.held(ACCOUNT)).items()}  # type: ignore[union-attr]
    return found, held
