"""The same classifier behind mosec: ``python -m tests.bench.intent_mosec PORT LISTS THREADS ARTIFACT``.

LISTS is how many requests, each with a list of texts, it may join. Its worker is started anew by mosec and finds the
numbers in its environment.
"""

import os
import sys
from pathlib import Path
from typing import Any

from mosec import Server, Worker
from mosec.mixin import MsgpackMixin

from models.intent.classifier import Classifier
from tests.bench.intent_rivals import WAIT_S, understand


class Model(MsgpackMixin, Worker):
    """One process with one classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = Classifier.load(Path(os.environ["BENCH_ARTIFACT"]), threads=int(os.environ["BENCH_THREADS"]))

    def forward(self, data: list[Any]) -> list[Any]:
        """Answer a batch of lists."""
        return understand(self.classifier, data)


def main() -> None:
    """Serve until ended."""
    port, lists, threads, artifact = sys.argv[1:]
    sys.argv = ["mosec", "--address", "127.0.0.1", "--port", port, "--log-level", "error"]
    numbers = {"BENCH_ARTIFACT": artifact, "BENCH_THREADS": threads}
    server = Server()
    wait_ms = max(1, round(WAIT_S * 1000))
    server.append_worker(Model, num=1, max_batch_size=int(lists), max_wait_time=wait_ms, env=[numbers])
    server.run()


if __name__ == "__main__":
    main()
