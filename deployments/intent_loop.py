"""The intent model at work: callers' lists come in, the cache is asked, the rest goes to the model in batches.

Flow: ``understand`` looks up what is known and queues the rest. The model has some threads, each of which runs a batch
by itself; whenever one is free, it is given what waits, and answers go back to each caller's list. The event loop
never waits for the model: callers are heard, deadlines are kept and health is told whatever the model does.

Promises:

- An answer comes by the caller's deadline, at worst an empty one: a model that is late, fails or hangs keeps nobody.
- A caller that is cancelled takes along what it has waiting.
- A text on which the model fails is found by halving its batch, and fails alone.
- What was understood is remembered, also when the caller that asked has left.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from cluster.telemetry import Meter
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

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Split texts into token numbers; the same for texts of the same normalised form."""
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
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="intent")
        self._wake = asyncio.Event()
        self._busy_since_s: list[float | None] = [None] * threads
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to work; the event loop must be running."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._work(thread), name=f"intent {thread}") for thread in range(len(self._busy_since_s))
        ]

    async def aclose(self) -> None:
        """Stop working. Callers that still wait get an empty answer at their deadline; closing twice is safe."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        # the threads end after the batches under way, which nobody waits for
        self._threads.shutdown(wait=False, cancel_futures=True)

    def check_health(self) -> None:
        """Return at once if the model can do its work.

        Raises:
            RuntimeError: the loop ended, or one of the threads has been busy with one batch for too long.
        """
        if not self._tasks or any(task.done() for task in self._tasks):
            raise RuntimeError("the loop of the intent model does not run")
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
            self._batcher.put(tickets, loop.time())
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
        call.open = len(tickets)
        self._wake.set()
        timer = asyncio.get_running_loop().call_at(deadline_s, self._time_over, call, deadline_s)
        try:
            await call.answered
        finally:
            timer.cancel()
            self._batcher.withdraw(tickets)

    def _time_over(self, call: _Call, deadline_s: float) -> None:
        """End a call at its deadline; of what is with the model just now, the answer comes too late."""
        self._hear_late(self._batcher.expire(deadline_s))
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
            encoded = self._encode([texts[place] for place, _ in unknown])
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
            return self._classifier.encode(texts)
        except Exception:
            if len(texts) == 1:
                # its words are the contact's own, and nothing for a log
                log.exception("a text of %d characters cannot be read", len(texts[0]))
                self._meter.count("failed")
                return [None]
            return [found for text in texts for found in self._encode([text])]

    # -- the model ------------------------------------------------------------------------------------

    async def _work(self, thread: int) -> None:
        """Keep one thread of the model busy."""
        loop = asyncio.get_running_loop()
        before: tuple[_Batch, list[Understanding | None]] | None = None
        while True:
            batch = self._batcher.take(loop.time())
            run = self._run(batch, thread) if batch.rows else None
            # the thread is busy again before the callers of the last batch hear of it
            if before is not None:
                self._hand_out(*before)
                before = None
            self._hear_late(batch.late)
            if run is not None:
                before = (batch, await run)
                self._note(batch, thread)
            else:
                self._wake.clear()
                await self._wake.wait()

    def _run(self, batch: _Batch, thread: int) -> asyncio.Future[list[Understanding | None]]:
        loop = asyncio.get_running_loop()
        self._busy_since_s[thread] = now_s = loop.time()
        self._meter.record("wait", now_s - batch.rows[0][0].since_s)
        return loop.run_in_executor(self._threads, self._classify, batch.tokens)

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

    def _note(self, batch: _Batch, thread: int) -> None:
        if (since_s := self._busy_since_s[thread]) is not None:
            self._meter.record("run", asyncio.get_running_loop().time() - since_s)
        self._busy_since_s[thread] = None
        self._meter.record("batch_size_1e-6", len(batch.rows) / 1e6)

    def _hand_out(self, batch: _Batch, found: list[Understanding | None]) -> None:
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
