"""The intent model at work: callers' lists come in, the cache is asked, the rest goes to the model in batches.

Flow: ``understand`` looks up what is known and queues the rest. The model has some threads. Each takes what waits as
soon as it is free, without asking the event loop, and runs it; answers go back to each caller's list on the loop. The
loop itself never waits for the model: callers are heard, deadlines are kept and health is told whatever the model does.

Promises:

- An answer comes by the caller's deadline, at worst an empty one: a model that is late, fails or hangs keeps nobody.
- A caller that is cancelled takes along what it has waiting.
- A text on which the model fails is found by halving its batch, and fails alone.
- What was understood is remembered, also when the caller that asked has left.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, Protocol

from cluster.telemetry import Meter
from deployments.process import go_behind
from models.domain.errors import Overloaded
from models.intent.batching import Batch, Batcher, Ticket
from models.intent.cache import UnderstandingCache
from models.intent.text import normalise
from models.intent.understanding import Understanding

log = logging.getLogger(__name__)
#: Texts that are read (normalised and split into tokens) in one go; long ones cost some 0.2 ms each, and another
#: caller's text waits no longer than this for its turn.
_READ_AT_ONCE = 16
#: A batch takes some milliseconds. One that takes so long never ends, and a new replica is better.
HANGS_S = 10.0


class TextClassifier(Protocol):
    """The part of `models.intent.classifier.Classifier` that answers."""

    def encode_normal(self, texts: Sequence[str]) -> list[list[int]]:
        """Split texts, as `models.intent.text.normalise` gives them, into token numbers."""
        ...

    def classify(self, batch: Sequence[list[int]]) -> list[Understanding]:
        """Understand a batch of encoded texts, in its order; blocks."""
        ...


class _Call:
    """One caller's list while it is being answered."""

    __slots__ = ("answered", "answers", "open")

    def __init__(self, texts: int, answered: asyncio.Future[None]) -> None:
        self.answers: list[Understanding | None] = [None] * texts
        self.open = 0
        self.answered = answered

    def answer(self, place: int, understanding: Understanding | None) -> None:
        self.answers[place] = understanding
        self.open -= 1
        if not self.open and not self.answered.done():
            self.answered.set_result(None)


_Batch = Batch[_Call]


class IntentLoop:
    """Serves one classifier.

    Args:
        classifier: what answers; its ``classify`` is called by as many threads at once as there are.
        batcher, cache: what waits for it, and what stands in front.
        meter: hears counts and times, per batch and list.
        threads: batches under way at once. Two batches on a core each go faster than one after the other on both.
        hangs_s: seconds after which a batch counts as never ending.
    """

    def __init__(
        self,
        classifier: TextClassifier,
        *,
        batcher: Batcher[Any],
        cache: UnderstandingCache,
        meter: Meter,
        threads: int = 1,
        hangs_s: float = HANGS_S,
    ) -> None:
        self._classifier = classifier
        self._batcher: Batcher[_Call] = batcher
        self._cache = cache
        self._meter = meter
        self._hangs_s = hangs_s
        self._busy_since_s: list[float | None] = [None] * threads
        #: Guards the batcher, which the event loop fills and the threads empty; held for microseconds.
        self._waiting = threading.Condition()
        self._open = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to work; the event loop must be running."""
        loop = asyncio.get_running_loop()
        self._open = True
        self._threads = [
            # daemons: one that hangs must not keep its process from ending
            threading.Thread(target=self._work, args=(loop, number), name=f"intent {number}", daemon=True)
            for number in range(len(self._busy_since_s))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop working. Callers that still wait get an empty answer at their deadline; closing twice is safe.

        The threads end after the batches under way, which nobody waits for.
        """
        with self._waiting:
            self._open = False
            self._waiting.notify_all()

    def check_health(self) -> None:
        """Return at once if the model can do its work.

        Raises:
            RuntimeError: a thread ended, or has been busy with one batch for too long.
        """
        if not self._open or not all(thread.is_alive() for thread in self._threads):
            raise RuntimeError("the threads of the intent model do not run")
        now_s = asyncio.get_running_loop().time()
        busy_s = max((now_s - since_s for since_s in self._busy_since_s if since_s is not None), default=0.0)
        if busy_s > self._hangs_s:
            raise RuntimeError(f"the intent model has been busy with one batch for {busy_s:.0f} s")

    async def understand(self, texts: Sequence[str], wait_ms: float) -> list[Understanding | None]:
        """Return what is understood of each text, in their order.

        None stands for a text on which the model failed, or which it did not come to within ``wait_ms``.
        Cancelling withdraws what still waits.

        Raises:
            TooLarge: the list is longer than the queue.
            Overloaded: the queue has no room for the list; nothing of it was queued.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + wait_ms / 1000
        self._batcher.check_size(len(texts))
        call = _Call(len(texts), loop.create_future())
        try:
            tickets = await self._read(texts, call, deadline_s)
            call.open = len(tickets)
            with self._waiting:
                self._batcher.put(tickets, loop.time())
                self._waiting.notify(len(tickets))
        except Overloaded:
            self._meter.count("refused", len(texts))
            raise
        self._meter.count("lists")
        self._meter.count("texts", len(texts))
        if tickets:
            await self._answered(call, tickets, deadline_s)
        return call.answers

    async def _answered(self, call: _Call, tickets: list[Ticket[_Call]], deadline_s: float) -> None:
        """Return when all tickets of a call are answered, or its time is over."""
        timer = asyncio.get_running_loop().call_at(deadline_s, self._time_over, call, deadline_s)
        try:
            await call.answered
        finally:
            timer.cancel()
            with self._waiting:
                self._batcher.withdraw(tickets)

    def _time_over(self, call: _Call, deadline_s: float) -> None:
        """End a call at its deadline; of what is with the model just now, the answer comes too late."""
        with self._waiting:
            late = self._batcher.expire(deadline_s)
        self._hear_late(late)
        if not call.answered.done():
            self._meter.count("late", call.open)
            call.answered.set_result(None)

    # -- reading --------------------------------------------------------------------------------------

    async def _read(self, texts: Sequence[str], call: _Call, deadline_s: float) -> list[Ticket[_Call]]:
        """Answer what is known, and make tickets of the rest; a few texts at a time, as this holds the event loop.

        A single text is read at once, without a detour through another thread.
        """
        tickets: list[Ticket[_Call]] = []
        for start in range(0, len(texts), _READ_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            unknown: list[tuple[int, str]] = []
            for place in range(start, min(start + _READ_AT_ONCE, len(texts))):
                key = normalise(texts[place])
                call.answers[place] = self._cache.get(key)
                if call.answers[place] is None:
                    unknown.append((place, key))
            # a queue that is full refuses before the work of reading is done
            self._batcher.check_room(len(tickets) + len(unknown))
            encoded = self._encode([key for _, key in unknown])
            tickets += [
                Ticket(call, place, key, tokens, deadline_s)
                for (place, key), tokens in zip(unknown, encoded, strict=True)
                if tokens is not None
            ]
        return tickets

    def _encode(self, texts: list[str]) -> Sequence[list[int] | None]:
        """Encode texts; one that cannot be read fails alone."""
        if not texts:
            return []
        try:
            return self._classifier.encode_normal(texts)
        except Exception:
            if len(texts) == 1:
                # its words are the contact's own, and nothing for a log
                log.exception("a text of %d characters cannot be read", len(texts[0]))
                self._meter.count("failed")
                return [None]
            return [found for text in texts for found in self._encode([text])]

    # -- the model ------------------------------------------------------------------------------------

    def _work(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        """Take what waits and run it, until closed; runs in a thread of its own."""
        go_behind()
        while (taken := self._next(loop, thread)) is not None:
            batch, since_s = taken
            # the loop's clock may tick in milliseconds only
            began_s = time.perf_counter()
            found = self._classify(batch.tokens) if batch.rows else []
            took_s = time.perf_counter() - began_s
            self._busy_since_s[thread] = None
            try:
                loop.call_soon_threadsafe(self._hand_out, batch, found, since_s, took_s)
            except RuntimeError:
                return  # the loop is closed: nobody is left to hear it

    def _next(self, loop: asyncio.AbstractEventLoop, thread: int) -> tuple[_Batch, float] | None:
        """Wait until something waits, and take it; returns it and when that was, or None when closed."""
        with self._waiting:
            while self._open and not len(self._batcher):
                self._waiting.wait()
            if not self._open:
                return None
            self._busy_since_s[thread] = now_s = loop.time()
            return self._batcher.take(now_s), now_s

    def _classify(self, tokens: list[list[int]]) -> list[Understanding | None]:
        """Run the model, in one of its threads; if it fails, run it on the halves."""
        try:
            found = self._classifier.classify(tokens)
            if len(found) != len(tokens):
                raise RuntimeError(f"{len(found)} answers for {len(tokens)} texts")
            return list(found)
        except Exception:
            if len(tokens) == 1:
                log.exception("the intent model failed on a text of %d tokens", len(tokens[0]))
                return [None]
            half = len(tokens) // 2
            return self._classify(tokens[:half]) + self._classify(tokens[half:])

    def _hand_out(self, batch: _Batch, found: list[Understanding | None], since_s: float, took_s: float) -> None:
        self._hear_late(batch.late)
        if not batch.rows:
            return
        self._meter.record("wait", since_s - batch.rows[0][0].since_s)
        self._meter.record("run", took_s)
        self._meter.record("batch_size_1e-6", len(batch.rows) / 1e6)
        for row, understanding in zip(batch.rows, found, strict=True):
            if understanding is None:
                self._meter.count("failed", len(row))
            else:
                self._cache.put(row[0].key, understanding)
            for ticket in row:
                ticket.caller.answer(ticket.place, understanding)

    def _hear_late(self, late: list[Ticket[_Call]]) -> None:
        self._meter.count("late", len(late))
        for ticket in late:
            ticket.caller.answer(ticket.place, None)

    def describe(self) -> dict[str, Any]:
        """Return what a report tells of this loop."""
        counts = self._batcher.counts
        report = self._meter.report()
        report["counts"] |= {
            "hits": self._cache.hits,
            "misses": self._cache.misses,
            "batches": counts.batches,
            "rows": counts.rows,
            "riders": counts.riders,
            "withdrawn": counts.withdrawn,
            "real_tokens": counts.real_tokens,
            "padded_tokens": counts.padded_tokens,
        }
        return {"waiting": len(self._batcher), "cached": len(self._cache), **report}
