"""The intent model at work on a real event loop and a real thread; only the model is a small class."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cluster.telemetry import Meter
from deployments.intent_loop import IntentLoop
from models.domain.errors import Overloaded, TooLarge
from models.intent.batching import Batcher
from models.intent.cache import UnderstandingCache
from models.intent.classifier import Classifier
from models.intent.understanding import Guess, Understanding

pytestmark = pytest.mark.anyio
LONG_MS = 20_000
WITHIN_S = 10.0
ODD = ["", "\x00\x01", "😀", "🇨🇳🤷‍♀️", "x" * 10_000, "退款 refund возврат", "\ud800", " \n\t "]


class Words:
    """A model that takes the first word for the intent, and works only while its gate is open."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()
        self._texts: dict[int, str] = {}
        self._numbers: dict[str, int] = {}

    def encode_normal(self, texts: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = []
        for text in texts:
            if "unreadable" in text:
                raise ValueError(text)
            number = self._numbers.setdefault(text, len(self._numbers))
            self._texts[number] = text
            found.append([number] * (len(text.split()) + 2))
        return found

    def classify(self, batch: Sequence[list[int]]) -> list[Understanding]:
        texts = [self._texts[tokens[0]] for tokens in batch]
        self.threads.add(threading.get_ident())
        self.batches.append(texts)
        self.began.set()
        assert self.gate.wait(WITHIN_S)
        if any("poison" in text for text in texts):
            raise ValueError("a bad text")
        return [understood(text.split()[0] if text else "") for text in texts]


def understood(intent: str) -> Understanding:
    return Understanding(intent=intent, confidence=0.9, sure=True, candidates=(Guess(intent, 0.9),))


class Bench:
    """A loop around such a model."""

    def __init__(
        self, *, waiting: int = 100, cached: int = 0, hangs_s: float = 10.0, budget: int = 1_000, threads: int = 1
    ) -> None:
        self.words = Words()
        self.batcher: Batcher[Any] = Batcher(token_budget=budget, max_waiting=waiting, run_tokens=1_000)
        self.cache = UnderstandingCache(cached)
        self.meter = Meter()
        self.loop = IntentLoop(
            self.words, batcher=self.batcher, cache=self.cache, meter=self.meter, threads=threads, hangs_s=hangs_s
        )

    async def ask(self, *texts: str, wait_ms: float = LONG_MS) -> list[str | None]:
        found = await self.loop.understand(list(texts), wait_ms)
        return [each and each.intent for each in found]

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[asyncio.Task[list[str | None]]]:
        """Keep the model busy with one text of its own."""
        self.words.gate.clear()
        self.words.began.clear()
        first = asyncio.ensure_future(self.ask("first"))
        assert await asyncio.to_thread(self.words.began.wait, WITHIN_S)
        try:
            yield first
        finally:
            self.words.gate.set()

    async def queued(self, *texts: str, wait_ms: float = LONG_MS) -> asyncio.Task[list[str | None]]:
        """Ask, and return when the texts wait."""
        asked, before = asyncio.ensure_future(self.ask(*texts, wait_ms=wait_ms)), len(self.batcher)
        await until(lambda: len(self.batcher) >= before + len(texts) or asked.done())
        return asked


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def running(**changes: Any) -> AsyncIterator[Bench]:
    bench = Bench(**changes)
    bench.loop.start()
    try:
        yield bench
    finally:
        bench.words.gate.set()
        bench.loop.close()
        bench.loop.close()


async def test_each_text_has_its_answer_in_its_place() -> None:
    async with running() as bench:
        assert await bench.ask("refund please", "parcel where is it", "hello") == ["refund", "parcel", "hello"]
        assert await bench.ask() == []


async def test_what_arrives_while_the_model_is_busy_is_one_batch() -> None:
    async with running() as bench:
        async with bench.busy() as first:
            others = [await bench.queued(f"text {n}" if n else "other") for n in range(5)]
        assert await first == ["first"]
        assert [await other for other in others] == [["other"], *[["text"]] * 4]
        assert len(bench.words.batches) == 2
        assert sorted(bench.words.batches[1]) == ["other", "text 1", "text 2", "text 3", "text 4"]
        assert len(bench.words.threads) == 1
        assert threading.get_ident() not in bench.words.threads


async def test_a_free_model_waits_for_nobody() -> None:
    async with running() as bench:
        for _ in range(3):
            assert await bench.ask("now") == ["now"]
        assert bench.words.batches == [["now"]] * 3


async def test_the_same_text_of_many_callers_runs_once() -> None:
    async with running() as bench:
        async with bench.busy():
            asked = [await bench.queued(text) for text in ("Same  text", "same text", "SAME TEXT")]
            several = await bench.queued("same text", "same text")
        assert [await each for each in asked] == [["same"]] * 3
        assert await several == ["same", "same"]
        assert bench.words.batches[1] == ["same text"]


async def test_a_caller_that_left_is_dropped_from_the_queue() -> None:
    async with running() as bench:
        async with bench.busy():
            leaving = await bench.queued("leaves one", "leaves two")
            staying = await bench.queued("stays")
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            assert len(bench.batcher) == 1
        assert await staying == ["stays"]
        assert bench.words.batches[1] == ["stays"]


async def test_a_caller_that_leaves_during_its_run_harms_nobody() -> None:
    async with running(cached=10) as bench:
        async with bench.busy() as first:
            first.cancel()
            other = await bench.queued("other")
        assert await other == ["other"]
        assert await bench.ask("first") == ["first"]
        assert bench.words.batches == [["first"], ["other"]], "what was understood for a caller that left is lost"


async def test_a_bad_text_fails_alone() -> None:
    async with running() as bench:
        async with bench.busy():
            texts = [f"good {n}" for n in range(6)]
            texts[2] = "poison"
            asked = await bench.queued(*texts)
            other = await bench.queued("innocent")
        assert await asked == ["good", "good", None, "good", "good", "good"]
        assert await other == ["innocent"]
        assert bench.meter.counts["failed"] == 1


async def test_a_text_that_cannot_be_read_fails_alone() -> None:
    async with running() as bench:
        assert await bench.ask("good", "unreadable", "fine") == ["good", None, "fine"]
        assert await bench.ask("unreadable") == [None]


async def test_a_failure_is_not_remembered() -> None:
    async with running(cached=10) as bench:
        assert await bench.ask("poison") == [None]
        assert await bench.ask("poison") == [None]
        assert bench.words.batches == [["poison"], ["poison"]]


async def test_a_full_queue_refuses_a_list_as_a_whole() -> None:
    async with running(waiting=4) as bench:
        async with bench.busy():
            waiting = await bench.queued("a", "b", "c")
            with pytest.raises(Overloaded):
                await bench.ask("d", "e")
            assert len(bench.batcher) == 3
            fits = await bench.queued("f")
            with pytest.raises(TooLarge, match="at most 4"):
                await bench.ask("1", "2", "3", "4", "5")
        assert await waiting == ["a", "b", "c"]
        assert await fits == ["f"]
        assert bench.meter.counts["refused"] == 2


async def test_late_texts_are_answered_at_their_deadline_though_the_model_is_busy() -> None:
    async with running() as bench:
        async with bench.busy() as first:
            patient = await bench.queued("patient")
            assert await bench.ask("hasty", "hasty too", wait_ms=20) == [None, None]
            assert not first.done()
        assert await patient == ["patient"]
        assert bench.words.batches == [["first"], ["patient"]]
        assert bench.meter.counts["late"] == 2
        assert (bench.batcher.counts.late, bench.batcher.counts.withdrawn) == (2, 0)


async def test_a_caller_whose_text_is_with_the_model_is_not_kept_either() -> None:
    async with running() as bench:
        bench.words.gate.clear()
        assert await bench.ask("slow", wait_ms=20) == [None]
        assert "failed" not in bench.meter.counts, "the model was waited for"
        bench.words.gate.set()
        assert await bench.ask("next") == ["next"]


async def test_a_deadline_that_is_over_already_runs_nothing() -> None:
    async with running(cached=10) as bench:
        assert await bench.ask("known") == ["known"]
        assert await bench.ask("known", "new", wait_ms=0) == ["known", None]
        assert bench.words.batches == [["known"]]


async def test_health_is_told_while_the_model_is_busy_and_fails_when_it_hangs() -> None:
    async with running(hangs_s=0.05) as bench:
        bench.loop.check_health()
        async with bench.busy():
            with pytest.raises(RuntimeError, match="busy with one batch"):
                await until(lambda: bench.loop.check_health() is not None)
        await bench.ask("on")
        await asyncio.sleep(0.06)
        bench.loop.check_health()
    async with running() as bench, bench.busy():
        bench.loop.check_health()


async def test_each_thread_runs_a_batch_of_its_own() -> None:
    async with running(threads=2) as bench:
        async with bench.busy() as first:
            second = asyncio.ensure_future(bench.ask("second"))
            await until(lambda: len(bench.words.batches) == 2)
            waits = await bench.queued("third")
            assert not any(each.done() for each in (first, second, waits))
        assert [await each for each in (first, second, waits)] == [["first"], ["second"], ["third"]]
        assert bench.words.batches == [["first"], ["second"], ["third"]]
        assert len(bench.words.threads) == 2


async def test_one_thread_that_hangs_is_known_though_the_other_works() -> None:
    async with running(threads=2, hangs_s=0.05) as bench, bench.busy():
        shut, bench.words.gate = bench.words.gate, threading.Event()
        bench.words.gate.set()
        assert await bench.ask("on") == ["on"]
        with pytest.raises(RuntimeError, match="busy with one batch"):
            await until(lambda: bench.loop.check_health() is not None)
        shut.set()


async def test_health_fails_when_nobody_works() -> None:
    bench = Bench()
    with pytest.raises(RuntimeError, match="do not run"):
        bench.loop.check_health()
    bench.loop.start()
    bench.loop.close()
    with pytest.raises(RuntimeError, match="do not run"):
        bench.loop.check_health()


async def test_what_is_known_is_answered_without_the_model() -> None:
    async with running(cached=2) as bench:
        assert await bench.ask("Hello there") == ["hello"]
        async with bench.busy():
            assert await bench.ask("hello   THERE") == ["hello"]
            assert await bench.ask("hello there", "unknown", wait_ms=20) == ["hello", None]
        assert (bench.cache.hits, bench.words.batches) == (2, [["hello there"], ["first"]])
        report = bench.loop.describe()
        assert report["counts"]["hits"] == 2
        assert report["counts"]["texts"] == 5
        assert report["stages"]["run"]["n"] >= 1


async def test_a_full_queue_still_answers_what_is_known() -> None:
    async with running(waiting=1, cached=5) as bench:
        await bench.ask("known")
        async with bench.busy():
            await bench.queued("waits")
            assert await bench.ask("known") == ["known"]


async def test_reading_a_long_list_leaves_room_for_others() -> None:
    """Another caller's text is read, and its answer there, before a list of a thousand is read to its end."""
    async with running(waiting=2_000) as bench:
        ended: list[str] = []

        async def ask(name: str, *texts: str) -> None:
            await bench.ask(*texts)
            ended.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(ask("long", *(f"text {n}" for n in range(1_000))))
            group.create_task(ask("short", "short"))
        assert ended == ["short", "long"]
        assert bench.words.batches[0][0] == "short", "it was not read first"


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
async def test_every_text_has_an_answer(text: str) -> None:
    async with running() as bench:
        assert len(await bench.ask(text, "good")) == 2


async def test_every_call_of_a_storm_is_answered_once_and_rightly() -> None:
    async with running(waiting=500, cached=20, budget=50, threads=2) as bench:

        async def ask(n: int) -> None:
            texts = [f"{'poison' if (n + k) % 17 == 0 else f'w{(n * k) % 30}'} {'x ' * (k % 7)}" for k in range(n % 9)]
            wanted = [None if "poison" in text else text.split()[0] for text in texts]
            assert await bench.ask(*texts) == wanted

        for start in range(0, 400, 40):
            tasks = [asyncio.ensure_future(ask(n)) for n in range(start, start + 40)]
            await asyncio.sleep(0)
            for left in tasks[::7]:
                left.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert not [each for each in ended if each is not None and not isinstance(each, asyncio.CancelledError)]
        assert len(bench.batcher) == 0
        bench.loop.check_health()


# -- the real model


async def test_the_shipped_model_answers_alike_alone_and_among_others() -> None:
    texts = ["I want my money back", "我要退款，把钱退给我", "where is my parcel?", "快递到哪里了", *ODD]
    loop = IntentLoop(
        Classifier.load(),
        batcher=Batcher(token_budget=512, max_waiting=100, run_tokens=1_000),
        cache=UnderstandingCache(0),
        meter=Meter(),
    )
    loop.start()
    try:
        together = await loop.understand(texts, LONG_MS)
        alone = [(await loop.understand([text], LONG_MS))[0] for text in texts]
    finally:
        loop.close()
    assert [each and each.intent for each in together] == [each and each.intent for each in alone]
    assert together[0] is not None
    assert together[1] is not None
    assert (together[0].intent, together[1].intent) == ("refund", "refund")
