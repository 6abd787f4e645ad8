"""How good a classifier is: accuracy, macro-F1, calibration, and what it answers at which precision.

Shapes: N texts, C intents.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

#: Bins of the calibration error, as in Guo et al. 2017 (arXiv:1706.04599).
_BINS = 15
#: What the logit of out of scope counts against the best one in scope.
_OUTSIDE = 0.75

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one group of texts.

    Args:
        texts: how many.
        accuracy: share whose likeliest intent is the labelled one.
        macro_f1: F1 averaged over the intents that are labelled there.
        calibration_error: expected calibration error, 15 bins of equal width.
        answered: share of the texts in scope that are sure: their `evidence` reaches the threshold.
        precision: share of all sure texts that have the labelled intent; 1 when none is sure.
    """

    texts: int
    accuracy: float
    macro_f1: float
    calibration_error: float
    answered: float
    precision: float


class Answered(NamedTuple):
    """One point of the curve: at ``threshold``, which share is answered at which precision."""

    threshold: float
    answered: float
    precision: float


def evidence(logits: Floats, out_of_scope: int) -> Floats:
    """Return how clearly each text is in scope, (N): its best logit in scope, less most of the one of out of scope.

    A text that is out of scope itself has none (minus infinity). Confidence says which intent, evidence says whether
    any: questions near the scope take a probability from the intents beside, but lift the logit of out of scope too.
    """
    inside = np.delete(logits, out_of_scope, 1).max(1)
    outside = logits[:, out_of_scope]
    return np.where(inside > outside, inside - _OUTSIDE * outside, -np.inf).astype(np.float32)


def figures(probabilities: Floats, clear: Floats, labels: Ints, *, out_of_scope: int, threshold: float) -> Figures:
    """Return the figures of texts whose intents are known.

    Args:
        probabilities: (N, C).
        clear: (N), their evidence.
        labels: (N).
        out_of_scope: which of the C is that.
        threshold: from which evidence on a text is sure.
    """
    guessed = probabilities.argmax(1)
    at = answered(guessed, clear, labels, out_of_scope=out_of_scope, threshold=threshold)
    return Figures(
        texts=len(labels),
        accuracy=float((guessed == labels).mean()),
        macro_f1=macro_f1(guessed, labels),
        calibration_error=calibration_error(probabilities, labels),
        answered=at.answered,
        precision=at.precision,
    )


def macro_f1(guessed: Ints, labels: Ints) -> float:
    """Return F1 averaged over the intents that occur among the labels."""
    scores: list[float] = []
    for intent in np.unique(labels).tolist():
        right = int(((guessed == intent) & (labels == intent)).sum())
        named, there = int((guessed == intent).sum()), int((labels == intent).sum())
        scores.append(2 * right / (named + there))
    return float(np.mean(scores))


def calibration_error(probabilities: Floats, labels: Ints) -> float:
    """Return how far confidence is from accuracy, averaged over the texts of each of the bins."""
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gaps = (abs(float(right[bins == each].sum() - confidence[bins == each].sum())) for each in range(_BINS))
    return sum(gaps) / len(labels)


def answered(guessed: Ints, clear: Floats, labels: Ints, *, out_of_scope: int, threshold: float) -> Answered:
    """Return what is answered at a threshold, and how much of it rightly."""
    sure = clear >= threshold
    in_scope = labels != out_of_scope
    share = float((sure & in_scope).sum() / max(1, in_scope.sum()))
    precision = float((sure & (guessed == labels)).sum() / sure.sum()) if sure.any() else 1.0
    return Answered(threshold, share, precision)


def curve(guessed: Ints, clear: Floats, labels: Ints, *, out_of_scope: int) -> list[Answered]:
    """Return share answered against precision, for up to a hundred thresholds from low to high."""
    seen = clear[np.isfinite(clear)]
    thresholds: list[float] = np.unique(np.quantile(seen, np.linspace(0, 0.99, 100))).tolist() if len(seen) else []
    return [answered(guessed, clear, labels, out_of_scope=out_of_scope, threshold=each) for each in thresholds]


def confusion(guessed: Ints, labels: Ints, intents: int) -> Ints:
    """Return how often each labelled intent (row) was taken for each (column)."""
    table = np.zeros((intents, intents), np.int64)
    np.add.at(table, (labels, guessed), 1)
    return table


def by_group(groups: Sequence[str]) -> dict[str, Ints]:
    """Return the indexes of each group, in the order of its name."""
    return {name: np.flatnonzero(np.array(groups) == name) for name in sorted(set(groups))}
