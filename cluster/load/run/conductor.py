"""Conducts one run: has everybody connect, begin at one moment, does the faults, watches, and gathers what was seen.

It knows generators only by `Generates`, so it is the same for one in this process and for many on other machines.
Whatever ends a run, generators are closed and what was stopped goes on.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from cluster.load.orders import CannotGenerate, Generates, Outcome, Progress
from cluster.load.report.parts import FaultSeen, SocketCost, System
from cluster.load.report.report import Audited
from cluster.load.run.by_phase import phase_seen, stretches
from cluster.load.run.draining import drain
from cluster.load.run.observer import Memory, Observer
from cluster.load.run.recovery import BEFORE_S, Curve, back_after_s, usual_ms
from cluster.load.run.strikes import Strikes, Struck
from cluster.load.scenario.faults import Fault, Storm
from cluster.load.scenario.people import People
from cluster.load.scenario.quantities import Duration
from cluster.load.scenario.tables import Scenario
from cluster.load.truth.audit import Audience, Audit
from cluster.load.truth.facts import Facts, merged
from cluster.load.truth.recorder import Recorder

#: From the word to all generators until the first message is due: time enough for the word to reach them.
_BEGIN_IN_S = 2.0
_LOOK_EVERY_S = 1.0
#: How long an answer about progress may take before a look goes on without it.
_TELL_WITHIN_S = 5.0

_T = TypeVar("_T")


class Moment(NamedTuple):
    """How a run stands, for whoever watches.

    Args:
        phase: in words.
        at_s: since the begin; negative before.
        parts: of each generator that told.
        faults: what was done, in words.
    """

    phase: str
    at_s: float
    parts: Sequence[Progress]
    faults: Sequence[str]


class _Done(NamedTuple):
    """A fault that was done; of a storm also after how many seconds all sockets were back, None: not all."""

    struck: Struck
    sockets_back_s: float | None = None


class Ran(NamedTuple):
    """What a run left.

    Args:
        recorder: of all generators, merged.
        audited: both audits.
        system: what was seen beside it.
        sockets: the most that were open at once.
        conversations: ids of all that were seen.
    """

    recorder: Recorder
    audited: Audited
    system: System
    sockets: int
    conversations: Sequence[str]


class Conductor:
    """One run.

    Args:
        scenario: what happens.
        generators: at least one.
        observer: of the system.
        strikes: does what faults ask for; None: there is no system that could be struck.
        tell: hears each second how the run stands.
    """

    def __init__(
        self,
        scenario: Scenario,
        generators: Sequence[Generates],
        observer: Observer,
        strikes: Callable[[Callable[[], float]], Strikes] | None = None,
        tell: Callable[[Moment], None] = lambda _: None,
    ) -> None:
        self._scenario = scenario
        self._generators = generators
        self._observer = observer
        self._strikes = strikes(self._now) if strikes else None
        self._tell = tell
        self._phase = "connecting"
        self._begin_at = float("inf")
        self._words: list[str] = []
        self._done: list[_Done] = []
        self._most_sockets = 0
        self._cost: SocketCost | None = None

    async def run(self) -> Ran:
        """Run it.

        Raises:
            CannotGenerate: something could not be done; the run says nothing about the system then.
        """
        try:
            if self._strikes:
                faults = [fault for fault in self._scenario.faults if not isinstance(fault, Storm)]
                await asyncio.to_thread(self._strikes.check, faults)
            outcomes = await self._watched(self._through())
        finally:
            await asyncio.gather(*(each.aclose() for each in self._generators), return_exceptions=True)
        # what was counted until the last message is told only now
        await asyncio.to_thread(self._observer.look, self._now())
        self._say("auditing", [])
        return await asyncio.to_thread(self._judged, outcomes)

    # -- the run

    async def _through(self) -> list[Outcome]:
        """Go from the first socket to the last message."""
        before, began = await asyncio.to_thread(self._observer.memory), time.monotonic()
        await _all(each.connect() for each in self._generators)
        took_s = time.monotonic() - began
        parts = await _all(each.progress() for each in self._generators)
        self._cost = cost_of(sum(part.sockets for part in parts), took_s, before, self._observer.memory())
        self._observer.begin([mark for each in stretches(self._scenario) for mark in (each.begin_s, each.end_s)])
        self._begin_at = time.time() + _BEGIN_IN_S
        await _all(each.begin(self._begin_at) for each in self._generators)
        self._phase = "running"
        async with asyncio.TaskGroup() as group:
            for number, fault in enumerate(self._scenario.faults):
                group.create_task(self._fault(fault, number))
            await asyncio.sleep(self._begin_at + self._scenario.lasts_s - time.time())
            self._phase = "draining"
        return await drain(self._generators, float(self._scenario.drain_s))

    async def _fault(self, fault: Fault, number: int) -> None:
        await asyncio.sleep(self._begin_at + fault.at_s - time.time())
        if isinstance(fault, Storm):
            await self._storm(fault, number)
        elif self._strikes is not None:
            struck = await self._strikes.strike(fault)
            self._done.append(_Done(struck))
            self._words.append(struck.what)

    async def _storm(self, storm: Storm, number: int) -> None:
        at_s = self._now()
        count = f"{storm.count:,}" if storm.count else "all"
        what = f"{count} sockets of {storm.who} break"
        place = len(self._words)
        self._words.append(what)
        backs = await _all(each.storm(storm, self._scenario.seed + number) for each in self._generators)
        known = [back for back in backs if back is not None]
        back_s = max(known) if len(known) == len(backs) else None
        told = "not all came back" if back_s is None else f"all back after {Duration(round(back_s, 1))}"
        self._words[place] = f"{what} ({told})"
        self._done.append(_Done(Struck("storm", self._words[place], at_s, at_s), sockets_back_s=back_s))

    # -- watching

    async def _watched(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do the work while somebody watches; whatever fails first is raised."""
        watch = asyncio.ensure_future(self._watch())
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait([watch, working], return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await watch
            return await working
        except BaseExceptionGroup as failed:
            raise _first(failed) from None
        finally:
            for task in (watch, working):
                task.cancel()
            await asyncio.gather(watch, working, return_exceptions=True)

    async def _watch(self) -> None:
        """Look each second until cancelled, or until a generator cannot go on."""
        while True:
            began = time.monotonic()
            told = await asyncio.gather(*(self._progress_of(each) for each in self._generators))
            parts = [part for part in told if part is not None]
            await asyncio.to_thread(self._observer.look, self._now())
            self._most_sockets = max(self._most_sockets, sum(part.sockets for part in parts))
            self._say(self._phase, parts)
            for part in parts:
                if part.failure:
                    raise CannotGenerate(f"generator {part.generator}: {part.failure}")
            await asyncio.sleep(max(_LOOK_EVERY_S - (time.monotonic() - began), 0.1))

    async def _progress_of(self, generator: Generates) -> Progress | None:
        try:
            async with asyncio.timeout(_TELL_WITHIN_S):
                return await generator.progress()
        except TimeoutError:
            # it has too much to do to tell; its lag will say so
            return None

    def _say(self, phase: str, parts: Sequence[Progress]) -> None:
        self._tell(Moment(phase, self._now(), parts, tuple(self._words)))

    def _now(self) -> float:
        """Return the seconds since the begin of the run; before it is known, a little before it."""
        return time.time() - self._begin_at if self._begin_at != float("inf") else -_BEGIN_IN_S

    # -- afterwards

    def _judged(self, outcomes: Sequence[Outcome]) -> Ran:
        recorder = Recorder.merged([each.measured for each in outcomes])
        people = People(self._scenario)
        persons = people.persons()
        messages = merged([each.messages for each in outcomes])
        audit = Audit(messages, persons)
        found = audit.run()
        answers = merged([each.answers for each in outcomes])
        # nobody who has no agents' words asks for their audit
        audience = Audience(audit.owners(), persons, people.group("web").size)
        spoken = Audit(answers, audience=audience).run() if _any(answers) else None
        faults = self._faults(recorder)
        system = System(
            processes=self._observer.uses(),
            batches=self._observer.batches(),
            faults=faults,
            sockets=self._cost,
            phases=[phase_seen(each, recorder, self._observer, faults) for each in stretches(self._scenario)],
        )
        sockets = max(self._most_sockets, sum(each.sockets for each in outcomes))
        return Ran(recorder, Audited(messages=found, answers=spoken), system, sockets, messages.conversations)

    def _faults(self, recorder: Recorder) -> list[FaultSeen]:
        """Say of each fault after how long all was as before, and how long a desk was told nothing."""
        curve = curve_of(recorder)
        seen: list[FaultSeen] = []
        calm_s = float(self._scenario.warm_up_s)
        usual: float | None = None
        done = sorted(self._done, key=lambda each: each.struck.at_s)
        for place, (struck, sockets_back_s) in enumerate(done):
            end_s = done[place + 1].struck.at_s if place + 1 < len(done) else self._scenario.lasts_s
            # where faults follow so closely that nothing was calm between, what was usual before them counts
            usual = usual_ms(curve, max(calm_s, struck.at_s - BEFORE_S), struck.at_s) or usual
            back_s = back_after_s(curve, struck.at_s, due_s=self._scenario.lasts_s, usual=usual)
            if struck.kind == "storm" and back_s is not None:
                back_s = None if sockets_back_s is None else max(back_s, sockets_back_s)
            seen.append(
                FaultSeen(
                    kind=struck.kind,
                    what=struck.what,
                    at_s=round(struck.at_s, 3),
                    back_s=back_s,
                    replaced_s=struck.replaced_s,
                    silence_s=recorder.longest_between_ms("silence", struck.at_s, end_s) / 1e3,
                )
            )
            calm_s = max(calm_s, struck.ended_s + (back_s or 0.0))
        return seen


def cost_of(count: int, took_s: float, before: Memory, after: Memory) -> SocketCost:
    """Return what sockets took, by the memory before and after they were opened."""
    known = before.kernel_mb is not None and after.kernel_mb is not None
    return SocketCost(
        count=count,
        took_s=round(took_s, 3),
        gateways_mb=round(after.gateways_mb - before.gateways_mb, 2),
        kernel_mb=round((after.kernel_mb or 0.0) - (before.kernel_mb or 0.0), 2) if known else None,
        machine_mb=round(after.machine_mb - before.machine_mb, 2),
    )


def curve_of(recorder: Recorder) -> Curve:
    """Return a run by the second, as recovery is read from it."""
    return Curve(
        recorder.percentile_by_second_ms("desk", 99),
        recorder.rate("offered").tolist(),
        recorder.rate("refused").tolist(),
    )


def _any(facts: Facts) -> bool:
    return any(facts.intended)


async def _all(calls: Iterable[Awaitable[_T]]) -> list[_T]:
    """Await all, and raise the first that fails, after which the others do not matter."""
    return list(await asyncio.gather(*calls))


def _first(failed: BaseException) -> BaseException:
    while isinstance(failed, BaseExceptionGroup):
        failed = cast("BaseExceptionGroup[BaseException]", failed).exceptions[0]
    return failed
