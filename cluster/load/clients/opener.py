"""Opens links at a limited rate, and opens again what was lost, after a moment that grows.

First openings are evenly spaced. A link that was lost comes back after a random moment, as the protocol asks for, and
no slower: how many come at once is what a storm is about. At most so many are under way together, over all generators
while the crowd first arrives: a system that is slower than the rate says is not to be fallen upon.
"""

import asyncio
import random
from collections import deque
from typing import Protocol

from cluster.load.clients.clock import Agenda, Clock
from cluster.load.orders import CannotGenerate
from cluster.load.targets.said import CursorLost
from cluster.load.truth.recorder import Recorder

#: Before the first new attempt, and the longest that it grows to.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 8.0
_AT_ONCE = 256
#: Of the first opening of a client; more say that the system is not as the orders say.
_FIRST_ATTEMPTS = 8


class Opens(Protocol):
    """A client whose link is opened."""

    attempts: int
    ever_open: bool

    async def open(self) -> None:
        """Open its link.

        Raises:
            OSError, TimeoutError: worth trying again.
            CannotGenerate: it is not.
        """
        ...

    def forget_cursor(self) -> None:
        """Begin anew: the system does not know the cursor."""
        ...


class Opener:
    """One generator's.

    Args:
        clock: of the run.
        agenda: for pauses.
        recorder: times ``connect``.
        rate: links a second.
        generators: how many there are.
    """

    def __init__(self, clock: Clock, agenda: Agenda, recorder: Recorder, rate: float, generators: int = 1) -> None:
        self._clock = clock
        self._agenda = agenda
        self._recorder = recorder
        self._rate = rate
        self._ready: deque[Opens] = deque()
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._first_slots = asyncio.Semaphore(max(_AT_ONCE // generators, 8))
        self._group: asyncio.TaskGroup | None = None
        self.connecting = 0
        self.opened = 0
        self.last_error = ""
        #: why a client cannot be opened at all.
        self.failure = ""

    def opening(self, client: Opens) -> None:
        """Have a client's link opened for the first time."""
        self.connecting += 1
        self._ready.append(client)
        self._wake.set()

    def lost(self, client: Opens, pause_s: float = _FIRST_PAUSE_S) -> None:
        """Have a client's link opened again, after a random moment."""
        self.connecting += 1
        self._again(client, pause_s)

    def _again(self, client: Opens, pause_s: float) -> None:
        self._agenda.after(
            random.uniform(0.1, 1.0) * pause_s, lambda: self._start(asyncio.get_running_loop().time(), client)
        )

    def _start(self, since_s: float, client: Opens) -> None:
        if self._group is not None:
            self._group.create_task(self._open(since_s, client))

    async def run(self) -> None:
        """Open until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as self._group:
            slot_s = 0.0
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._ready:
                    if (wait_s := slot_s - loop.time()) > 0:
                        await asyncio.sleep(wait_s)
                    # a slot that was missed by little is made up for, or the rate would never be reached
                    at_s = max(slot_s, loop.time() - 0.05)
                    slot_s = at_s + 1 / self._rate
                    # not more tasks than there are slots, whoever waits
                    async with self._first_slots:
                        self._start(at_s, self._ready.popleft())

    async def _open(self, since_s: float, client: Opens) -> None:
        """Open a link.

        Args:
            since_s: when it was to be opened, by the loop's time; the run's own time may begin meanwhile.
            client: whose.
        """
        client.attempts += 1
        first = not client.ever_open
        try:
            async with self._first_slots if first else self._slots:
                await client.open()
        except CannotGenerate as error:
            self._fail(error.reason)
        except (OSError, TimeoutError) as error:
            self.last_error = str(error) or type(error).__name__
            if isinstance(error, CursorLost):
                client.forget_cursor()
            if first and client.attempts >= _FIRST_ATTEMPTS:
                self._fail(f"a link could not be opened in {client.attempts} attempts: {self.last_error}")
            else:
                self._again(client, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(client.attempts, 3)))
        else:
            client.attempts = 0
            client.ever_open = True
            self.connecting -= 1
            self.opened += 1
            self._note(since_s)

    def _fail(self, reason: str) -> None:
        self.connecting -= 1
        self.failure = self.failure or reason

    def _note(self, since_s: float) -> None:
        now_us = self._clock.now_us()
        took_us = int((asyncio.get_running_loop().time() - since_s) * 1e6)
        if now_us >= took_us:
            self._recorder.record("connect", now_us - took_us, took_us)
            self._recorder.count("connected", now_us)
        else:
            # what was opened before the run began belongs to no second of it, and is timed all the same
            self._recorder.record("connect", int(self._recorder.warm_up_s * 1e6), took_us)
