"""What counting an account's hours costs a router: ``python -m tests.bench.counting``.

Turns of a few sizes go through the real core and the real store (fsync before each answer), by turns with counting and
without it, so that both see the same machine. What counts is the ratio of the medians.
"""

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from cluster.settings import StoreSettings
from cluster.store.embedded import EmbeddedStore
from cluster.store.timeline import TimelineStore
from cluster.store.valkey import connect
from models.domain.commands import Receive
from models.domain.ids import contact_id
from models.timeline.changes import Changes
from models.timeline.shard import Shard

SIZES = (1, 10, 100, 1_000)
ROUNDS = 400
LEAST_ROUNDS = 60
CONTACTS = 2_000
ACCOUNT = "bench"
_count = Changes.count


def _messages(size: int, serial: int) -> list[Receive]:
    return [
        Receive(
            account=ACCOUNT,
            contact=CONTACT_IDS[(serial + n) % CONTACTS],
            channel="web",
            inbox="web",
            external_id=str((serial + n) % CONTACTS),
            source_id=f"m{serial + n}",
            text="Where is my parcel? I have waited for it since Monday.",
            received_at_ms=1,
        )
        for n in range(size)
    ]


CONTACT_IDS = [contact_id(ACCOUNT, "web", "web", str(n)) for n in range(CONTACTS)]


def _not_counting(self: Changes, what: str, n: int = 1) -> None:
    return None


class Bench:
    """One router without its actor."""

    def __init__(self, store: TimelineStore) -> None:
        self.store = store
        self.core = Shard(entropy=os.urandom)
        self.serial = 0

    async def start(self) -> None:
        """Own all slots, and have all conversations open, so that every turn is alike."""
        self.epoch = await self.store.next_epoch()
        await self.store.claim(ACCOUNT, self.epoch, range(1024))
        for _ in range(0, CONTACTS, 500):
            await self.turn(500)

    async def turn(self, size: int) -> tuple[float, float]:
        """Take one turn; returns the seconds that deciding and appending took."""
        messages = _messages(size, self.serial)
        self.serial += size
        self.core.learn(await self.store.load(self.core.missing(messages)))
        began = time.perf_counter()
        outcome = self.core.apply(messages, time.time_ns() // 1_000_000)
        decided = time.perf_counter()
        await self.store.append(ACCOUNT, self.epoch, outcome.changes[ACCOUNT])
        return decided - began, time.perf_counter() - decided


async def _measure(bench: Bench, size: int) -> None:
    times: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for turn in range(2 * max(LEAST_ROUNDS, ROUNDS // size * 2 if size > 1 else ROUNDS)):
        counting = turn % 2 == 0
        Changes.count = _count if counting else _not_counting  # type: ignore[method-assign]
        times[counting].append(await bench.turn(size))
    Changes.count = _count  # type: ignore[method-assign]
    shown = [f"{size:>5}"]
    for part in (0, 1):
        with_it, without = (statistics.median(each[part] for each in times[kind]) * 1e6 for kind in (True, False))
        shown.append(f"{without:>10.0f} {with_it:>10.0f} {with_it / without:>7.3f}")
    print("  ".join(shown))


async def main() -> None:
    """Measure all sizes."""
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    try:
        with EmbeddedStore(folder) as server:
            async with connect(StoreSettings(url=server.url)) as redis:
                bench = Bench(TimelineStore(redis, log_entries=1_000))
                await bench.start()
                print("messages     decide, us: without, with, ratio     append, us: without, with, ratio")
                for size in SIZES:
                    await _measure(bench, size)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
