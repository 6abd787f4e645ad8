"""A soak of the intent model: very many texts, the strange ones among them, callers that leave, and no growth.

``python -m tests.bench.intent_soak`` sends 200,000 texts through the deployment, cache on, in lists of 1 to 64 from 16
callers. One call in fifty is abandoned half way; one text in a hundred is strange: empty, 10,000 characters, control
characters, emoji, mixed scripts, lone surrogates. Every call must end with an answer for each text, or a named error.
It prints rates, memory of the replica by and by, and ends with 1 if a call hung, an answer was missing, or memory grew.
"""

import argparse
import asyncio
import random
import sys
import time
from typing import Any

import psutil

from cluster.settings import Settings
from deployments.intent_client import IntentClient
from models.domain.errors import RaydeskError
from models.intent.classifier import Classifier
from tests.bench.intent_system import alone, deployed, restart_with_flags, then_shut_down, told
from tests.bench.intent_texts import make_texts

STRANGE = (
    "",
    " \u200b\u0000\u0007\u202e",
    "退款" * 5_000,
    "a" * 10_000,
    "wo de 快递 où est مرحبا заказ 注文 🎁?",
    "😡😡😡🤬" * 50,
    "\ud800 alone",
    "１２３４５６７８９０" * 40,
    "\n\n\t\r\n",
    "𠮷野家でご飯 ﷽ Z̷̢a̸l̶g̵o̴",
)
_CALLERS = 16
#: Nobody waits longer than this for anything here; a call that does hangs.
_HUNG_S = 30.0
#: Memory may still grow by so much once a quarter of the texts has passed: caches are full, pools are warm.
_GROWTH_MB = 16.0


class Soak:
    """What the callers have in common."""

    def __init__(self, client: IntentClient, texts: list[str], count: int) -> None:
        self.client, self.texts = client, texts
        self.left = count
        self.answered = self.unanswered = self.abandoned = self.refused = self.hung = 0

    async def call(self, seed: int) -> None:
        """Ask until all texts are gone."""
        rng = random.Random(seed)
        while self.left > 0:
            size = min(self.left, rng.choice((1, 1, 2, 8, 16, 64)))
            self.left -= size
            texts = [rng.choice(STRANGE if rng.random() < 0.01 else self.texts) for _ in range(size)]
            if rng.random() < 0.02:
                await self._abandon(texts, rng.random() * 0.01)
            else:
                await self._ask(texts)

    async def _ask(self, texts: list[str]) -> None:
        try:
            async with asyncio.timeout(_HUNG_S):
                found = await self.client.understand(texts, 5_000)
        except TimeoutError:
            self.hung += 1
        except RaydeskError:
            self.refused += len(texts)
        else:
            missing = sum(each is None for each in found) + len(texts) - len(found)
            self.unanswered += missing
            self.answered += len(texts) - missing

    async def _abandon(self, texts: list[str], after_s: float) -> None:
        task = asyncio.ensure_future(self.client.understand(texts, 5_000))
        await asyncio.sleep(after_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.abandoned += len(texts)


async def soak(settings: Settings, count: int) -> bool:
    """Send all texts; returns whether all was well."""
    texts = make_texts(Classifier.load().encode, 30_000)
    with deployed(settings) as client:
        await client.understand(list(STRANGE), 5_000)
        replica = psutil.Process(told(settings)["pid"])
        run = Soak(client, texts, count)
        began = time.monotonic()
        callers = [asyncio.ensure_future(run.call(seed)) for seed in range(_CALLERS)]
        memory: list[tuple[int, float]] = []
        while not all(caller.done() for caller in callers):
            await asyncio.wait(callers, timeout=5)
            memory.append((count - run.left, replica.memory_info().rss / 1e6))
            print(f"{memory[-1][0]:>8,} texts, {memory[-1][1]:.1f} MB", flush=True)
        for caller in callers:
            caller.result()
        return _tell(run, memory, count, time.monotonic() - began, await asyncio.to_thread(told, settings))


def _tell(run: Soak, memory: list[tuple[int, float]], count: int, took_s: float, report: dict[str, Any]) -> bool:
    warm = next(used for done, used in memory if done >= count / 4)
    growth = memory[-1][1] - warm
    print(
        f"{run.answered:,} answered, {run.abandoned:,} abandoned, {run.refused:,} refused by name, {run.unanswered:,} "
        f"without an answer, {run.hung} calls hung; {count / took_s:,.0f} texts/s; {report['waiting']} still wait; "
        f"memory grew by {growth:.1f} MB after the first quarter"
    )
    return not (run.hung or run.unanswered or report["waiting"] or growth > _GROWTH_MB)


def main() -> None:
    """Read the arguments and soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=200_000)
    arguments = parser.parse_args()
    restart_with_flags("tests.bench.intent_soak")
    with alone({}) as settings:
        well = asyncio.run(then_shut_down(soak(settings, arguments.texts)))
    sys.exit(not well)


if __name__ == "__main__":
    main()
