"""The intent model as a Serve deployment: routers and the ingress call it with lists of texts, by handle.

It keeps nothing but a cache: a replica that dies takes along only questions, whose callers go on without an answer.
"""

import asyncio
import contextlib
import os
import sys
from pathlib import Path

from ray import serve

from cluster.codec import encode_intents, encode_understandings
from cluster.settings import Settings
from cluster.store.valkey import connect
from cluster.telemetry import Beacon, Meter
from deployments.intent_loop import IntentLoop
from deployments.loopback import keep_on_loopback
from deployments.process import give_way_to_ray, settle_garbage_collector
from models.intent.batching import Batcher
from models.intent.cache import UnderstandingCache

#: What a run costs besides its tokens, in tokens: a way to the model's thread and back, and what ONNX does per run.
_RUN_TOKENS = 8
_SWITCH_S = 0.0005


class IntentModel:
    """One replica: a classifier, what waits for it, and what it has understood before."""

    def __init__(self, settings: Settings) -> None:
        keep_on_loopback()
        # threads that come back from the graph must not wait five milliseconds for the event loop to let go
        sys.setswitchinterval(_SWITCH_S)
        # lists are short: sharing one among threads costs the tokenizer more than it gains
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        # onnxruntime is loaded by the replicas alone: whoever wires or calls them has no use for it
        from models.intent.classifier import SHIPPED, Classifier

        chosen = settings.intent
        folder = Path(chosen.artifact) if chosen.artifact else SHIPPED
        classifier = Classifier.load(folder)
        self._intents = encode_intents(list(classifier.taxonomy))
        self._version = classifier.version
        self._loop = IntentLoop(
            classifier,
            batcher=Batcher(token_budget=chosen.token_budget, max_waiting=chosen.max_waiting, run_tokens=_RUN_TOKENS),
            cache=UnderstandingCache(chosen.cache_texts),
            meter=Meter(),
            threads=chosen.threads,
        )
        self._redis = connect(settings.store)
        # the rank is given to the next replica when one dies, so names do not pile up in the store
        name = str(serve.get_replica_context().rank.rank)
        self._beacon = Beacon(self._redis, "intent", name, self._describe)
        settle_garbage_collector()
        give_way_to_ray()
        # Serve builds a deployment inside its running event loop
        self._loop.start()
        self._telling = asyncio.ensure_future(self._beacon.run())

    async def understand(self, texts: list[str], wait_ms: int) -> bytes:
        """Return what is understood of each text, see `cluster.codec.decode_understandings`.

        None stands for a text on which the model failed, or which it did not come to within ``wait_ms``.

        Raises:
            TooLarge: the list is longer than the queue.
            Overloaded: the queue has no room for the list; nothing of it was queued.
        """
        return encode_understandings(await self._loop.understand(texts, wait_ms))

    async def intents(self) -> bytes:
        """Return the intents that the artefact was trained on, see `cluster.codec.decode_intents`."""
        return self._intents

    async def check_health(self) -> None:
        """Tell Serve that the model can do its work; one that hangs is replaced."""
        self._loop.check_health()

    async def __del__(self) -> None:
        """Stop; Serve awaits this after the last call under way."""
        self._telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._telling
        self._loop.close()
        await self._beacon.forget()
        await self._redis.aclose()

    def _describe(self) -> dict[str, object]:
        return {"version": self._version, **self._loop.describe()}
