"""The trained model in service: token numbers in, an understanding of each text out.

Needs onnxruntime, tokenizers and numpy. A text's result does not depend on what is classified beside it: the int8
graph scales activations by fixed ends (`models.intent.train.rounding`), and padding is masked.

An artefact is a folder: ``model.onnx``, ``tokenizer.json``, ``taxonomy.toml``, ``artifact.json`` (temperatures and
thresholds) and the model card.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime

from models.intent.metrics import evidence
from models.intent.taxonomy import OUT_OF_SCOPE, InvalidTaxonomy, Taxonomy, load_taxonomy
from models.intent.tokenizer import PAD, Flags, TextTokenizer
from models.intent.understanding import Guess, Understanding

SHIPPED = Path(__file__).with_name("artifacts")
FORMAT = 2
MODEL, TOKENIZER, TAXONOMY, NOTES = "model.onnx", "tokenizer.json", "taxonomy.toml", "artifact.json"
#: How many of the likeliest intents are named.
_CANDIDATES = 3


class InvalidArtifact(ValueError):
    """A folder holds no artefact that this version can use; the message names the folder and what is wrong."""


class Gauge(msgspec.Struct, frozen=True, kw_only=True):
    """How the outputs are read for texts of one language.

    Args:
        temperature: the logits are divided by it, so that confidences are probabilities.
        threshold: from this evidence on (`models.intent.metrics.evidence`), an intent in scope is sure.
    """

    temperature: float
    threshold: float


class ArtifactNotes(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in ``artifact.json``.

    Args:
        format: of the artefact; this version reads 2.
        made_at: date of the training.
        offset: added to the logit of out of scope.
        en, zh: for texts of each language, as `models.intent.text.language_of` tells them.
        digest: SHA-256 of the graph, in hex.
    """

    format: int
    made_at: str
    offset: float
    en: Gauge
    zh: Gauge
    digest: str


_notes = msgspec.json.Decoder(ArtifactNotes)


def read_notes(folder: Path) -> ArtifactNotes:
    """Read an artefact's notes.

    Raises:
        InvalidArtifact: they are not there, or of another format.
    """
    try:
        notes = _notes.decode((folder / NOTES).read_bytes())
    except OSError as error:
        raise InvalidArtifact(f"{folder} holds no intent model: {error.strerror}: {NOTES}") from error
    except msgspec.DecodeError as error:
        raise InvalidArtifact(f"{folder / NOTES}: {error}") from error
    if notes.format != FORMAT:
        raise InvalidArtifact(f"{folder}: artefact format {notes.format}; this version reads {FORMAT}")
    return notes


class Outputs(NamedTuple):
    """What a run of the graph gives.

    Args:
        logits: (texts, intents), with the offset for out of scope.
        chinese: (texts), whether each is in Chinese.
    """

    logits: npt.NDArray[np.float32]
    chinese: Flags


class Classifier:
    """Classifies texts; `load` makes one.

    Args:
        session: the graph, ready to run.
        tokenizer: of the same artefact.
        taxonomy: its intents, in the order of the graph's outputs.
        notes: its temperatures and thresholds.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        tokenizer: TextTokenizer,
        taxonomy: Taxonomy,
        notes: ArtifactNotes,
    ) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self.taxonomy = taxonomy
        self._names = taxonomy.names
        self._out_of_scope = taxonomy.names.index(OUT_OF_SCOPE)
        self._offset = np.zeros(len(taxonomy), np.float32)
        self._offset[self._out_of_scope] = notes.offset
        # by whether a text is Chinese
        self._temperatures = np.array([[notes.en.temperature], [notes.zh.temperature]], np.float32)
        self._thresholds = np.array([notes.en.threshold, notes.zh.threshold], np.float32)
        self.version = notes.digest[:12]

    @classmethod
    def load(cls, folder: Path = SHIPPED, *, threads: int = 1) -> "Classifier":
        """Read an artefact; takes a fraction of a second.

        Args:
            folder: of the artefact.
            threads: how many cores one run may use.

        Raises:
            InvalidArtifact: the folder lacks a part, or a part does not fit the others.
        """
        notes = read_notes(folder)
        try:
            graph = (folder / MODEL).read_bytes()
            taxonomy = load_taxonomy(folder / TAXONOMY)
            tokenizer = TextTokenizer.load(folder / TOKENIZER)
        except InvalidTaxonomy as error:
            raise InvalidArtifact(str(error)) from error
        except Exception as error:  # tokenizers raises bare ones
            raise InvalidArtifact(f"{folder}: {error}") from error
        if hashlib.sha256(graph).hexdigest() != notes.digest:
            raise InvalidArtifact(f"{folder}: {MODEL} is not the one that {NOTES} was written for")
        session = open_session(graph, threads=threads)
        outputs = cast("int", session.get_outputs()[0].shape[1])
        if outputs != len(taxonomy):
            raise InvalidArtifact(f"{folder}: the model tells {outputs} intents apart, {TAXONOMY} has {len(taxonomy)}")
        classifier = cls(session, tokenizer, taxonomy, notes)
        classifier.classify(classifier.encode(["warm up"]))
        return classifier

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token numbers of each text, 2 to 64; any text has some."""
        return self._tokenizer.encode(texts)

    def encode_normal(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the same for texts in their normalised form (`models.intent.text.normalise`)."""
        return self._tokenizer.encode_normal(texts)

    def classify(self, batch: Sequence[list[int]]) -> list[Understanding]:
        """Understand texts in one run of the graph; blocks, and lets other threads run meanwhile.

        Args:
            batch: token numbers; the cost is that of as many texts of the longest one's length.
        """
        if not batch:
            return []
        logits, chinese = self.outputs(batch)
        probabilities = self.probabilities(logits, chinese)
        sure = self.clear(logits, chinese) >= 0
        likeliest = np.argsort(probabilities, axis=1)[:, : -_CANDIDATES - 1 : -1]
        sure &= likeliest[:, 0] != self._out_of_scope
        confidences = np.take_along_axis(probabilities, likeliest, 1).astype(np.float64).round(4)
        rows = zip(likeliest.tolist(), confidences.tolist(), sure.tolist(), strict=True)
        return [self._understanding(*row) for row in rows]

    def probabilities(self, logits: npt.NDArray[np.float32], chinese: Flags) -> npt.NDArray[np.float32]:
        """Return the calibrated probability of each intent, (texts, intents).

        Args:
            logits, chinese: see `Outputs`.
        """
        return softmax(logits / self._temperatures[chinese.astype(np.int64)])

    def clear(self, logits: npt.NDArray[np.float32], chinese: Flags) -> npt.NDArray[np.float32]:
        """Return by how much the evidence that each text is in scope passes its language's threshold, (texts).

        Args:
            logits, chinese: see `Outputs`.
        """
        return evidence(logits, self._out_of_scope) - self._thresholds[chinese.astype(np.int64)]

    def outputs(self, batch: Sequence[list[int]]) -> Outputs:
        """Run the graph once on at least one text."""
        ids, lengths = _rectangle(batch)
        logits = cast("npt.NDArray[np.float32]", self._session.run(None, {"ids": ids, "lengths": lengths})[0])
        return Outputs(logits + self._offset, self._tokenizer.chinese(ids))

    def _understanding(self, best: list[int], confidences: list[float], sure: bool) -> Understanding:
        candidates = tuple(Guess(self._names[each], of) for each, of in zip(best, confidences, strict=True))
        first = candidates[0]
        return Understanding(intent=first.intent, confidence=first.confidence, sure=sure, candidates=candidates)


def _rectangle(batch: Sequence[list[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return texts as one array, (texts, longest), filled up with padding, and how long each is."""
    lengths = np.fromiter(map(len, batch), np.int32, len(batch))
    ids = np.full((len(batch), int(lengths.max())), PAD, np.int64)
    for row, each in enumerate(batch):
        ids[row, : len(each)] = each
    return ids, lengths


def open_session(graph: bytes, *, threads: int) -> onnxruntime.InferenceSession:
    """Make a graph ready to run on ``threads`` cores, which sleep while there is nothing to do."""
    options = cast("Any", onnxruntime.SessionOptions())
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # threads that spin for work take the cores from the event loops beside them
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return probabilities along the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)
