"""The same classifier behind Serve's own batching decorator, and what all rivals do with a batch.

Each batches whole requests, as it does; a request carries a list of texts.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ray import serve

from models.intent.classifier import Classifier

#: How long each may wait for a batch to fill; shorter than the time of one batch, so it costs little.
WAIT_S = 0.002
#: Batches that may be under way at once; those without a thread wait for one.
CONCURRENT = 4


def understand(classifier: Classifier, lists: list[list[str]]) -> list[list[str]]:
    """Join lists, run the model once, and part the answers again: what each rival does with a batch."""
    texts = [text for each in lists for text in each]
    found = iter(classifier.classify(classifier.encode(texts)))
    return [[next(found).intent for _ in each] for each in lists]


class ServeBatch:
    """A Serve deployment that batches with ``@serve.batch``, its model in threads beside the loop."""

    def __init__(self, artifact: str, workers: int, lists: int) -> None:
        self._classifier = Classifier.load(Path(artifact))
        self._threads = ThreadPoolExecutor(workers)
        self._many.set_max_batch_size(lists)  # type: ignore[attr-defined]

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=WAIT_S, max_concurrent_batches=CONCURRENT)
    async def _many(self, lists: list[list[str]]) -> list[list[str]]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, understand, self._classifier, lists)

    async def __call__(self, texts: list[str]) -> list[str]:
        return await self._many(texts)  # type: ignore[return-value,arg-type]
