"""A generator without a system: it keeps the contract, and does in memory what its script says.

It takes every message, shows it to a desk after ``latency_ms``, and writes both down as a real one would.
"""

import asyncio
import time

import numpy as np

from cluster.load.orders import CannotGenerate, Counts, Orders, Outcome, Progress, Standing
from cluster.load.scenario.people import People
from cluster.load.truth.facts import Shown
from cluster.load.truth.ledger import Ledger, key_of
from cluster.load.truth.recorder import Recorder


class StandIn:
    """One generator.

    Args:
        orders: as the real one has them.
        latency_ms: second of the run -> latency to the desk of what is due in it.
        limit: messages a second that are taken; what is beyond is refused. None: all.
        failure: what it says that it cannot do, in `connect`; empty: it can.
        loses: one of so many is not shown; 0: none.
    """

    def __init__(self, orders: Orders, *, latency_ms=lambda second: 5.0, limit=None, failure="", loses=0) -> None:
        self.orders = orders
        self.storms: list[tuple[str, int]] = []
        self.closed = 0
        self.begin_at = 0.0
        self.dies_at_s = float("inf")
        self._latency_ms = latency_ms
        self._limit = limit
        self._failure = failure
        self._loses = loses

    async def connect(self) -> None:
        if self._failure:
            raise CannotGenerate(self._failure)

    async def begin(self, begin_at: float) -> None:
        self.begin_at = begin_at

    async def progress(self) -> Progress:
        at_s = time.time() - self.begin_at if self.begin_at else -1.0
        failure = "its loop stood still" if at_s > self.dies_at_s else ""
        counts = Counts(offered=10, accepted=9, shown=9, refused=1)
        number = self.orders.generator
        return Progress(generator=number, at_s=at_s, second=counts, total=counts, sockets=7, failure=failure)

    async def storm(self, storm, seed: int) -> float | None:
        self.storms.append((storm.who, seed))
        await asyncio.sleep(0.01)
        return 0.5 + self.orders.generator

    async def standing(self) -> Standing:
        return Standing(shown=({}, {}), unanswered=0, moved=0)

    async def unshown(self, shown) -> int:
        return 0

    async def finish(self, shown=None) -> Outcome:
        return stood_in(self.orders, self._latency_ms, self._limit, self._loses)

    async def aclose(self) -> None:
        self.closed += 1


def stood_in(orders: Orders, latency_ms, limit, loses) -> Outcome:
    scenario, people = orders.scenario, People(orders.scenario)
    lasts_s = scenario.lasts_s
    recorder = Recorder(float(scenario.warm_up_s), lasts_s + float(scenario.drain_s))
    ledger, answers = Ledger(orders.run, people.count), Ledger(orders.run, max(len(orders.agents), 1))
    rate = limit if orders.window else scenario.phases[0].pieces()[0].begin
    numbers = [0] * people.count
    mine = set(people.owned(orders.generator, orders.generators))
    taken = np.zeros(int(lasts_s) + 1, dtype=int)
    at_s, place = 0.0, 0
    for phase in scenario.phases:
        for piece in phase.pieces():
            rate = limit if orders.window else piece.begin
            for step in range(int(piece.lasts_s * rate)):
                due_s = at_s + step / rate
                writer = place % people.count
                place += 1
                if writer in mine:
                    number, numbers[writer] = numbers[writer], numbers[writer] + 1
                    _one(ledger, recorder, (writer, number, due_s), latency_ms, limit, loses, taken)
            at_s += float(piece.lasts_s)
    recorder.finish(f"generator {orders.generator}")
    return Outcome(messages=ledger.facts(), answers=answers.facts(), measured=recorder.measured(), sockets=5)


def _one(ledger, recorder, message, latency_ms, limit, loses, taken) -> None:
    writer, number, due_s = message
    due_us, second = int(due_s * 1e6), int(due_s)
    ledger.intend(writer, number)
    recorder.offer(np.array([due_s]))
    ledger.sent(writer, number)
    recorder.record("lag", due_us, 100)
    if limit is not None and taken[second] >= limit:
        ledger.refused(writer, number)
        recorder.count("refused", due_us)
        recorder.record("refusal", due_us, 900)
        return
    taken[second] += 1
    latency_us = int(latency_ms(second) * 1e3)
    conversation = f"c{writer}"
    ledger.receipt(writer, number, conversation, number + 1)
    recorder.count("accepted", due_us + latency_us // 2)
    if loses and number % loses == loses - 1:
        return
    ledger.shown(key_of(writer, number), ledger.place(conversation, number + 1), 0, Shown.LIVE)
    recorder.record("desk", due_us, latency_us)
    recorder.count("shown", due_us + latency_us)
