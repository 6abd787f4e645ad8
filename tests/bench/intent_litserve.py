"""The same classifier behind LitServe: ``python -m tests.bench.intent_litserve PORT LISTS WORKERS ARTIFACT``.

LISTS is how many requests, each with a list of texts, it may join.
"""

import sys
from pathlib import Path
from typing import Any

import litserve

from models.intent.classifier import Classifier
from tests.bench.intent_rivals import WAIT_S, understand


class Api(litserve.LitAPI):
    """One process with one classifier."""

    artifact: str

    def setup(self, device: Any) -> None:
        """Load the classifier."""
        self.classifier = Classifier.load(Path(self.artifact))

    def decode_request(self, request):
        """Take the list out of a request; without a type, which LitServe would have FastAPI check."""
        return request["texts"]

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Join lists."""
        return inputs

    def predict(self, lists: Any, **_: Any) -> Any:
        """Answer a batch of lists, or the one list of a batch of one."""
        if lists and isinstance(lists[0], str):
            return understand(self.classifier, [lists])[0]
        return understand(self.classifier, lists)

    def unbatch(self, output: Any) -> Any:
        """Part the answers."""
        return output

    def encode_response(self, output):
        """Answer."""
        return {"intents": output}


def main() -> None:
    """Serve until ended."""
    port, lists, workers, artifact = sys.argv[1:]
    api = Api(max_batch_size=int(lists), batch_timeout=WAIT_S)
    api.artifact = artifact
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(workers))
    server.run(host="127.0.0.1", port=int(port), num_api_servers=1, log_level="error", generate_client_file=False)


if __name__ == "__main__":
    main()
