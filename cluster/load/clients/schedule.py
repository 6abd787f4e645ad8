"""A generator's own messages, in the order in which they are due; a window is drawn ahead, in a thread."""

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from cluster.load.clients.notes import Notes
from cluster.load.orders import Orders
from cluster.load.scenario.arrivals import WINDOW_S, Arrivals, Window, repeats_of
from cluster.load.scenario.people import People


class Due(NamedTuple):
    """Messages of one tick; the lists have the same length."""

    writers: list[int]
    numbers: list[int]
    due_us: list[int]


class Schedule:
    """What one generator sends.

    Args:
        orders: of the generator.
        people: who writes.
        notes: told of each window that begins.
    """

    def __init__(self, orders: Orders, people: People, notes: Notes) -> None:
        self._orders = orders
        self._notes = notes
        vendors = people.group("wechat")
        self._callers = range(vendors.first, vendors.first + vendors.size)
        arrivals = Arrivals.of(orders.scenario, people)
        self._windows = arrivals.windows(orders.generator, orders.generators)
        self._now = Due([], [], [])
        self._at = 0
        self._place = 0
        self._next: asyncio.Future[Window | None] | None = None
        #: what the vendor calls again in the windows that have begun: writer, number, when.
        self.repeats: list[tuple[int, int, int]] = []
        self.over = False

    async def start(self) -> None:
        """Draw the first window."""
        self._draw()
        if self._next is not None:
            await self._next

    def due(self, now_us: int) -> Due:
        """Return what has become due since the last time."""
        if self._at >= len(self._now.due_us):
            self._turn(now_us)
        begin, due_us = self._at, self._now.due_us
        end, most = begin, len(due_us)
        while end < most and due_us[end] <= now_us:
            end += 1
        self._at = end
        return Due(self._now.writers[begin:end], self._now.numbers[begin:end], due_us[begin:end])

    def _turn(self, now_us: int) -> None:
        """Go on with the next window, once it has begun and is drawn."""
        if self.over or self._next is None or not self._next.done() or now_us < self._place * WINDOW_S * 1e6:
            return
        window = self._next.result()
        if window is None:
            self.over = True
            return
        repeats = self._orders.scenario.repeats
        if repeats.share:
            again, at_s = repeats_of(window, self._callers, repeats, self._orders.scenario.seed, self._place)
            self.repeats += [
                (int(window.writers[row]), int(window.numbers[row]), int(at * 1e6))
                for row, at in zip(again, at_s, strict=True)
            ]
        self._notes.messages.intend_all(window.writers, window.numbers)
        self._notes.recorder.offer(window.due_s)
        self._now = Due(window.writers.tolist(), window.numbers.tolist(), (window.due_s * 1e6).astype(int).tolist())
        self._at = 0
        self._place += 1
        self._draw()

    def _draw(self) -> None:
        self._next = asyncio.ensure_future(asyncio.to_thread(_following, self._windows))


def _following(windows: Iterator[Window]) -> Window | None:
    return next(windows, None)
