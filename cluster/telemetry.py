"""What a running process tells about itself: counts, stage times, CPU; kept in the store with a short life.

Percentiles come twice: since the process began, and as buckets of the last minute or two, which add up across
processes.
"""

import asyncio
import logging
import os
import resource
import socket
import time
from collections.abc import Callable
from typing import Any

import msgspec
from hdrh.histogram import HdrHistogram
from redis.asyncio import Redis

from cluster.store import keys
from cluster.store.valkey import STORE_DOWN
from models.board.buckets import added, bucket_of

log = logging.getLogger(__name__)
#: A second between two reports; a reader takes a process for gone after five.
REPORT_EVERY_S = 1.0
ALIVE_S = 5
_LONGEST_US = 60_000_000
_DIGITS = 2
#: What was recorded lately is at least as long ago as this, and at most twice as long.
_LATELY_S = 60.0


class Meter:
    """Counts and stage times of one process; recorded per batch, never per message.

    Args:
        monotonic: a clock in seconds that never steps back.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.counts: dict[str, int] = {}
        self._monotonic = monotonic
        self._turned_at = monotonic()
        self._lately: dict[str, dict[int, int]] = {}
        self._before: dict[str, dict[int, int]] = {}
        self._stages: dict[str, HdrHistogram] = {}
        self._sums_us: dict[str, int] = {}

    def count(self, name: str, n: int = 1) -> None:
        """Add ``n`` to a count."""
        self.counts[name] = self.counts.get(name, 0) + n

    def record(self, stage: str, elapsed_s: float) -> None:
        """Note how long one pass through a stage took, or another quantity in millionths."""
        elapsed_us = int(elapsed_s * 1e6)
        histogram = self._stages.get(stage)
        if histogram is None:
            histogram = self._stages[stage] = HdrHistogram(1, _LONGEST_US, _DIGITS)
            self._sums_us[stage] = 0
        histogram.record_value(min(max(elapsed_us, 1), _LONGEST_US))
        self._sums_us[stage] += elapsed_us
        lately = self._lately.get(stage)
        if lately is None:
            lately = self._lately[stage] = {}
        bucket = bucket_of(elapsed_us)
        lately[bucket] = lately.get(bucket, 0) + 1

    def report(self) -> dict[str, Any]:
        """Return all counts, and each stage's passes, total and percentiles in milliseconds since the start.

        ``lately`` has for each stage the buckets of microseconds (`models.board.buckets`) of the last one or two
        minutes.
        """
        stages: dict[str, dict[str, Any]] = {
            stage: {
                "n": histogram.get_total_count(),
                "sum_ms": round(self._sums_us[stage] / 1e3, 3),
                "p50_ms": histogram.get_value_at_percentile(50) / 1e3,
                "p99_ms": histogram.get_value_at_percentile(99) / 1e3,
            }
            for stage, histogram in self._stages.items()
        }
        return {"counts": dict(self.counts), "stages": stages, "lately": self._recent()}

    def _recent(self) -> dict[str, dict[int, int]]:
        now = self._monotonic()
        if now - self._turned_at >= _LATELY_S:
            self._before = self._lately if now - self._turned_at < 2 * _LATELY_S else {}
            self._lately = {}
            self._turned_at = now
        names = self._lately.keys() | self._before.keys()
        return {name: added((self._before.get(name, {}), self._lately.get(name, {}))) for name in sorted(names)}


class Beacon:
    """Tells the store each second that this process lives, and how it is.

    Args:
        kind, name: ``router``, ``0``.
        redis: a client of the store.
        describe: returns what is special to this process.
    """

    def __init__(self, redis: Redis, kind: str, name: str, describe: Callable[[], dict[str, Any]]) -> None:
        self._redis = redis
        self._key = keys.alive(kind, name)
        self._names = keys.alive_names(kind)
        self._name = name
        self._about: dict[str, Any] = {
            "kind": kind,
            "name": name,
            "node": socket.gethostname(),
            "pid": os.getpid(),
            "started_at": time.time(),
        }
        self._describe = describe

    async def tell(self) -> None:
        """Tell once; a store that is down is told next time."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        report = self._about | {
            "at_ms": time.time_ns() // 1_000_000,
            "cpu_s": round(used.ru_utime + used.ru_stime, 3),
            "memory_kb": used.ru_maxrss,
        }
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.set(self._key, msgspec.json.encode(report | self._describe()), ex=ALIVE_S)
                pipe.sadd(self._names, self._name)
                await pipe.execute()
        except STORE_DOWN as error:
            log.debug("could not report: %s", error)

    async def run(self) -> None:
        """Tell until cancelled; whoever falls silent is taken for gone, so nothing else ends it."""
        while True:
            try:
                await self.tell()
            except Exception:
                # a full disk, for one: the store answers, but takes no writes until there is room again
                log.exception("could not report")
            await asyncio.sleep(REPORT_EVERY_S)

    async def forget(self) -> None:
        """Take the report away at an orderly end, so that nobody is sent here any more."""
        try:
            await self._redis.delete(self._key)
        except STORE_DOWN as error:
            log.debug("could not take the report away: %s", error)
