"""The same classifier behind mosec: ``python -m tests.bench.intent_mosec PORT LISTS WORKERS ARTIFACT``.

LISTS is how many requests, each with a list of texts, it may join. Its workers are started anew by mosec and find the
artefact in their environment.
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
        self.classifier = Classifier.load(Path(os.environ["BENCH_ARTIFACT"]))

    def forward(self, data: list[Any]) -> list[Any]:
        """Answer a batch of lists."""
        return understand(self.classifier, data)


def main() -> None:
    """Serve until ended."""
    port, lists, workers, artifact = sys.argv[1:]
    sys.argv = ["mosec", "--address", "127.0.0.1", "--port", port, "--log-level", "error"]
    place = {"BENCH_ARTIFACT": artifact}
    server = Server()
    wait_ms = max(1, round(WAIT_S * 1000))
    server.append_worker(
        Model, num=int(workers), max_batch_size=int(lists), max_wait_time=wait_ms, env=[place] * int(workers)
    )
    server.run()


if __name__ == "__main__":
    main()
