"""One generator: a process' worth of clients in one event loop, with its ledgers and its recorder.

Promises: every socket is open before the run begins; what is due leaves when it is due, whatever the system does;
what goes wrong in the harness itself is told in `Progress.failure` and by `finish`, and never passes as a finding
about the system. After `aclose` no socket and no task is left.
"""

import asyncio
import contextlib
import gc
import os
import time
from typing import Any

from cluster.load.clients.clock import Agenda, Clock
from cluster.load.clients.crowd import Crowd, check
from cluster.load.clients.descriptors import check_descriptors
from cluster.load.clients.notes import Notes
from cluster.load.clients.reading_back import ReadingBack, ShownAnywhere
from cluster.load.clients.schedule import Schedule
from cluster.load.clients.vendor_api import VendorApi
from cluster.load.orders import CannotGenerate, Counts, Orders, Outcome, Progress, Standing, sockets_of
from cluster.load.scenario.dialogues import dialogues_of
from cluster.load.scenario.faults import Storm
from cluster.load.scenario.people import People
from cluster.load.targets.raydesk import Raydesk
from cluster.load.targets.target import target_of
from cluster.load.truth.ledger import Ledger
from cluster.load.truth.message_ids import MessageIds
from cluster.load.truth.recorder import Recorder
from cluster.load.truth.seen import Pending

#: Between two looks at what is due, of a generator that has a core: more of them on a core look less often, since each
#: look wakes a process that goes before those it measures.
_TICK_S = 0.002
_LONGEST_TICK_S = 0.01
#: In so long at least one link must open.
_STALLED_S = 60.0
_BACK_WITHIN_S = 180.0
_RECENT_S = 5
_NICENESS = -10


class Generator:
    """One generator; a `cluster.load.orders.Generates`.

    Args:
        orders: what it has to do.
    """

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        scenario = orders.scenario
        self._people = People(scenario)
        self._clock = Clock()
        self._agenda = Agenda(self._clock)
        recorder = Recorder(float(scenario.warm_up_s), scenario.lasts_s + float(scenario.drain_s))
        messages = Ledger(orders.run, self._people.count)
        answers = Ledger(orders.run, max(len(orders.agents), 1))
        self._notes = Notes(self._clock, MessageIds(orders.run), messages, answers, recorder)
        #: what has a receipt and was shown nowhere: messages, those of vendors, answers.
        self._missing, self._unheard = Pending(messages.receipts[0]), Pending(answers.receipts[0])
        self._nowhere = Pending(self._notes.nowhere)
        self._target = target_of(orders)
        self._schedule = Schedule(orders, self._people, self._notes)
        self._crowd: Crowd | None = None
        self._vendor_api: VendorApi | None = None
        self._life: asyncio.Task[None] | None = None
        self._failure = ""
        self._sockets_at_begin = 0
        self._counts = Counts()
        self._second = Counts()
        self._cpu = 0.0
        self._sending = False

    # -- life

    async def connect(self) -> None:
        """Open every socket: desks first, then visitors; see `Generates`."""
        check(self._orders, self._people)
        check_descriptors(sockets_of(self._orders))
        asyncio.get_running_loop().set_exception_handler(self._broke)
        await self._target.start()
        webhook = self._orders.webhook
        if webhook is not None and webhook.api and self._orders.generator == 0:
            linked = [other for _, other in self._people.linked()]
            self._vendor_api = VendorApi(webhook.api, self._orders.run, self._notes, linked)
            await self._vendor_api.start()
        scenario = self._orders.scenario
        words = await asyncio.to_thread(dialogues_of, scenario.words, scenario.seed)
        crowd = self._crowd = Crowd(self._orders, self._people, self._target, self._notes, self._agenda, words)
        ready = asyncio.Event()
        self._life = asyncio.create_task(self._live(crowd, ready))
        await ready.wait()
        for clients in (crowd.desks, crowd.visitors):
            for client in clients:
                crowd.opener.opening(client)
            await self._all_open(crowd, len(clients))
        await self._schedule.start()

    async def _all_open(self, crowd: Crowd, count: int) -> None:
        """Wait until all links are open; a system may be slow, but not stand still.

        Raises:
            CannotGenerate: one cannot be opened, or none was for a long time.
        """
        opened, stalls_at = -1, 0.0
        while crowd.opener.connecting:
            if failure := self._failure or crowd.opener.failure:
                raise CannotGenerate(failure)
            if crowd.opener.opened != opened:
                opened, stalls_at = crowd.opener.opened, time.monotonic() + _STALLED_S
            elif time.monotonic() > stalls_at:
                left, error = crowd.opener.connecting, crowd.opener.last_error or "none was refused either"
                raise CannotGenerate(
                    f"{left} of {count} links are not open, and no more were in {_STALLED_S:.0f} s; "
                    f"the last error: {error}"
                )
            await asyncio.sleep(0.02)
        if crowd.opener.failure:
            raise CannotGenerate(crowd.opener.failure)

    async def _live(self, crowd: Crowd, ready: asyncio.Event) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                await crowd.start(group)
                for work in (crowd.opener.run(), crowd.look(), self._tick(crowd), self._tell(crowd)):
                    group.create_task(work)
                ready.set()
        except* Exception as errors:  # noqa: BLE001 - whatever it is, the run is void and says so
            self._failure = self._failure or f"the harness broke: {errors.exceptions[0]!r}"
        finally:
            ready.set()

    async def begin(self, begin_at: float) -> None:
        """Start at a wall-clock time; see `Generates`."""
        crowd = self._ready()
        self._sockets_at_begin = crowd.sockets
        self._clock.begin(begin_at)
        crowd.come_and_go()
        if self._orders.window:
            crowd.begin_closed()
        self._sending = True

    async def aclose(self) -> None:
        """Close everything; safe twice."""
        if self._crowd is not None:
            self._crowd.office.closing = True
        life, self._life = self._life, None
        if life is not None:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
        self._agenda.clear()
        await self._target.aclose()
        if self._crowd is not None:
            await self._crowd.aclose()
        if self._vendor_api is not None:
            await self._vendor_api.aclose()

    # -- while it runs

    async def _tick(self, crowd: Crowd) -> None:
        ends_us = self._orders.scenario.lasts_s * 1e6
        pause_s = min(_TICK_S * max(self._orders.generators / (os.cpu_count() or 1), 1), _LONGEST_TICK_S)
        while True:
            await asyncio.sleep(pause_s)
            now_us = self._clock.now_us()
            self._agenda.work(now_us)
            if not self._sending or now_us < 0:
                continue
            if self._orders.window:
                if now_us < ends_us:
                    crowd.fill()
                continue
            due = self._schedule.due(now_us)
            if due.writers:
                crowd.write(due)
            if self._schedule.repeats:
                repeats, self._schedule.repeats = self._schedule.repeats, []
                crowd.repeat(repeats)

    async def _tell(self, crowd: Crowd) -> None:
        """Count once a second."""
        used, at = time.process_time(), time.monotonic()
        while True:
            await asyncio.sleep(1.0)
            now_used, now = time.process_time(), time.monotonic()
            self._cpu = (now_used - used) / (now - at)
            used, at = now_used, now
            now_us = self._clock.now_us()
            if self._clock.begun and 0 <= now_us <= self._orders.scenario.lasts_s * 1e6 + 1e6:
                self._notes.recorder.cpu(now_us / 1e6, self._cpu)
            self._count()

    def _count(self) -> None:
        notes = self._notes
        notes.fold()
        before = self._counts
        self._counts = Counts(
            offered=int(notes.recorder.rate("offered").sum()),
            sent=notes.sent,
            accepted=notes.messages.confirmed,
            refused=notes.refused,
            shown=notes.shown.count,
            answers=notes.heard.count,
        )
        changes = {name: getattr(self._counts, name) - getattr(before, name) for name in Counts.__struct_fields__}
        self._second = Counts(**changes)

    async def progress(self) -> Progress:
        """Tell how it fares; see `Generates`."""
        crowd = self._crowd
        now_s = self._clock.now_us() / 1e6 if self._clock.begun else -1.0
        return Progress(
            generator=self._orders.generator,
            at_s=now_s,
            total=self._counts,
            second=self._second,
            sockets=crowd.sockets if crowd else 0,
            connecting=crowd.opener.connecting if crowd else 0,
            unanswered=crowd.unanswered if crowd else 0,
            lag_p99_ms=self._notes.last_lag_p99_ms,
            cpu=self._cpu,
            recent=self._notes.recorder.recent("desk", now_s, _RECENT_S) if now_s >= 0 else b"",
            failure=self._failure or (crowd.opener.failure if crowd else ""),
        )

    async def storm(self, storm: Storm, seed: int) -> float | None:
        """Break what a storm hits here, and wait until it is back; see `Generates`."""
        hit = self._ready().hit_by(storm, seed)
        began = time.monotonic()
        for at_s, client in hit:
            self._agenda.after(at_s, lambda client=client: client.link.drop() if client.link else None)
        await asyncio.sleep(float(storm.within_s) + 0.1)
        while any(client.link is None for _, client in hit):
            if time.monotonic() - began > _BACK_WITHIN_S:
                return None
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    # -- the end

    async def standing(self) -> Standing:
        """Tell what was shown here; nothing new is begun from now on. See `Generates`."""
        crowd = self._ready()
        crowd.office.closing = True
        self._raise_failure()
        to_come = 0 if self._orders.window or self._schedule.over else 1
        notes = self._notes
        shown = (notes.shown.bits(), notes.heard.bits())
        return Standing(shown=shown, unanswered=crowd.unanswered + to_come, moved=notes.moved)

    async def unshown(self, shown: ShownAnywhere) -> int:
        """Count what has a receipt and was shown nowhere; see `Generates`."""
        return len(self._missing.look(shown[0])) + len(self._nowhere.look(shown[0])) + len(self._unheard.look(shown[1]))

    async def finish(self, shown: ShownAnywhere) -> Outcome:
        """Hand in everything; see `Generates`."""
        crowd = self._ready()
        self._raise_failure()
        self._sending = False
        if isinstance(self._target, Raydesk) and self._orders.key:
            await ReadingBack(self._orders, self._target, self._notes).read(shown)
        for desk in crowd.desks:
            desk.close()
        notes = self._notes
        notes.fold()
        notes.recorder.finish(f"generator {self._orders.generator}")
        return Outcome(
            messages=notes.messages.facts(),
            answers=notes.answers.facts(),
            measured=notes.recorder.measured(),
            sockets=self._sockets_at_begin,
            nowhere=notes.nowhere.tobytes(),
            at_vendor=(notes.at_vendor[0].tobytes(), notes.at_vendor[1].tobytes()),
            refusals=dict(notes.refusals),
        )

    # -- when it cannot

    def _ready(self) -> Crowd:
        if self._crowd is None:
            raise CannotGenerate("the generator is not connected")
        return self._crowd

    def _raise_failure(self) -> None:
        if self._failure:
            raise CannotGenerate(self._failure)

    def _broke(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, (OSError, asyncio.CancelledError)) or error is None:
            return
        self._failure = self._failure or f"the harness broke: {context.get('message', '')}: {error!r}"


class GeneratorActor(Generator):
    """A generator that has its process for itself, as a Ray actor.

    Args:
        orders: what it has to do.
    """

    async def begin(self, begin_at: float) -> None:
        """Start; what the clients are made of is looked at by the garbage collector no more.

        Where that is allowed the generator goes before what it measures: on another machine it would have one for
        itself, and one that is late measures nothing.
        """
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 100)
        await super().begin(begin_at)
