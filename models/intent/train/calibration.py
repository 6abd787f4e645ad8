"""Confidence that means something: the temperature, and the threshold above which a text is answered."""

from collections.abc import Iterable

import numpy as np

from models.intent.classifier import softmax
from models.intent.metrics import Floats, Ints, answered

#: No answer is sure below this, however good the held-out rows look: they are few, and customers are not.
_LOWEST_THRESHOLD = 0.5
_HIGHEST_THRESHOLD = 0.99
_FEWEST = 80


def best_temperature(logits: Floats, labels: Ints, weights: Floats) -> float:
    """Return the temperature at which held-out labels are likeliest.

    Args:
        logits: (texts, intents).
        labels: (texts).
        weights: what each text counts; with one over the size of its source, all sources count alike.

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    temperatures: list[float] = np.geomspace(0.2, 5.0, 400).tolist()

    def loss(temperature: float) -> float:
        right = softmax(logits / np.float32(temperature))[np.arange(len(labels)), labels]
        return float(-(np.log(right + 1e-9) * weights).sum())

    return min(temperatures, key=loss)


def best_offset(logits: Floats, labels: Ints, weights: Floats, out_of_scope: int) -> float:
    """Return what to add to the logit of out of scope, so that the most held-out texts are told rightly.

    How many texts are out of scope is different in training and in service, and nobody knows it beforehand; with
    ``weights`` that make all sources count alike, neither the sources in scope nor those outside are given up.
    Of several that are as good, the middle one is taken.
    """
    tried = [step / 10 for step in range(-10, 31)]
    moved = logits.copy()
    scores: list[float] = []
    for offset in tried:
        moved[:, out_of_scope] = logits[:, out_of_scope] + np.float32(offset)
        scores.append(round(float(((moved.argmax(1) == labels) * weights).sum() / weights.sum()), 4))
    best = [offset for offset, score in zip(tried, scores, strict=True) if score == max(scores)]
    return best[len(best) // 2]


def best_threshold(
    probabilities: Floats, labels: Ints, groups: Iterable[Ints], *, out_of_scope: int, precision: float
) -> float:
    """Return the lowest threshold from which on the answered texts of each group reach a precision.

    Searched from above, so that a lucky dip of the curve further down does not count.

    Args:
        probabilities: (texts, intents), calibrated.
        labels: (texts).
        groups: indexes of texts that must reach it each by themselves; small groups are left out, they tell nothing.
        out_of_scope: which of the intents is that.
        precision: share of the answered texts that must have the right intent.
    """
    wanted = _LOWEST_THRESHOLD
    for group in groups:
        if len(group) < _FEWEST:
            continue
        found = _HIGHEST_THRESHOLD
        for hundredth in range(round(_HIGHEST_THRESHOLD * 100), round(_LOWEST_THRESHOLD * 100) - 1, -1):
            at = answered(probabilities[group], labels[group], out_of_scope=out_of_scope, threshold=hundredth / 100)
            if at.precision < precision:
                break
            found = hundredth / 100
        wanted = max(wanted, found)
    return wanted
