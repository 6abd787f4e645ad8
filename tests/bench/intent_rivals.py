"""The same classifier behind other batching servers: Serve's own decorator, mosec, LitServe.

Each batches whole requests, as it does; a request carries a list of texts. ``python -m tests.bench.intent_rivals
mosec|litserve PORT LISTS THREADS ARTIFACT`` serves one of the two that have HTTP servers of their own; LISTS is how
many requests it may join.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ray import serve

from models.intent.classifier import Classifier

#: How long each may wait for a batch to fill; shorter than the time of one batch, so it costs little.
WAIT_S = 0.002


def understand(classifier: Classifier, lists: list[list[str]]) -> list[list[str]]:
    """Join lists, run the model once, and part the answers again: what each rival does with a batch."""
    texts = [text for each in lists for text in each]
    found = iter(classifier.classify(classifier.encode(texts)))
    return [[next(found).intent for _ in each] for each in lists]


class ServeBatch:
    """A Serve deployment that batches with ``@serve.batch``, its model in a thread beside the loop."""

    def __init__(self, artifact: str, threads: int, lists: int) -> None:
        self._classifier = Classifier.load(Path(artifact), threads=threads)
        self._thread = ThreadPoolExecutor(1)
        self._many.set_max_batch_size(lists)  # type: ignore[attr-defined]

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=WAIT_S)
    async def _many(self, lists: list[list[str]]) -> list[list[str]]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, understand, self._classifier, lists)

    async def __call__(self, texts: list[str]) -> list[str]:
        return await self._many(texts)  # type: ignore[return-value,arg-type]


def serve_mosec(port: int, lists: int, threads: int, artifact: str) -> None:
    """Serve with mosec, until ended."""
    from mosec import Server, Worker
    from mosec.mixin import MsgpackMixin

    class Model(MsgpackMixin, Worker):
        def __init__(self) -> None:
            super().__init__()
            self.classifier = Classifier.load(Path(artifact), threads=threads)

        def forward(self, data: list[Any]) -> list[Any]:
            return understand(self.classifier, data)

    sys.argv = ["mosec", "--address", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    server = Server()
    server.append_worker(Model, num=1, max_batch_size=lists, max_wait_time=max(1, round(WAIT_S * 1000)))
    server.run()


def serve_litserve(port: int, lists: int, threads: int, artifact: str) -> None:
    """Serve with LitServe, until ended."""
    import litserve

    class Api(litserve.LitAPI):
        def setup(self, device: Any) -> None:
            self.classifier = Classifier.load(Path(artifact), threads=threads)

        def decode_request(self, request: Any, **_: Any) -> Any:
            return request["texts"]

        def batch(self, inputs: list[Any]) -> list[Any]:
            return inputs

        def predict(self, lists: Any, **_: Any) -> Any:
            return understand(self.classifier, lists)

        def unbatch(self, output: Any) -> Any:
            return output

        def encode_response(self, output: Any, **_: Any) -> Any:
            return {"intents": output}

    api = Api(max_batch_size=lists, batch_timeout=WAIT_S)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=port, num_api_servers=1, log_level="error", generate_client_file=False)


if __name__ == "__main__":
    _, kind, *numbers, folder = sys.argv
    {"mosec": serve_mosec, "litserve": serve_litserve}[kind](*map(int, numbers), folder)
