"""Confidence that means something: the temperature, and the threshold above which a text is answered."""

from collections.abc import Iterable

import numpy as np

from models.intent.classifier import softmax
from models.intent.metrics import Floats, Ints, calibration_error, curve

#: Fewer texts tell nothing of a share.
FEWEST = 80
_MOSTLY = 0.5


def best_temperature(logits: Floats, labels: Ints, groups: Iterable[Ints]) -> float:
    """Return the temperature at which confidence is least wrong where it is most wrong.

    The likeliest one suits the many easy texts and leaves those of the hardest source too sure of themselves; what is
    asked of a confidence is that it can be believed everywhere. So of all groups of some size the one with the largest
    calibration error decides. If there is none, the temperature is the one at which the labels are likeliest
    (Guo et al. 2017, arXiv:1706.04599, section 4.2).

    Args:
        logits: (texts, intents).
        labels: (texts).
        groups: indexes of texts.
    """
    big = [group for group in groups if len(group) >= FEWEST]

    def loss(temperature: float) -> float:
        probabilities = softmax(logits / np.float32(temperature))
        if big:
            return max(calibration_error(probabilities[group], labels[group]) for group in big)
        return -float(np.log(probabilities[np.arange(len(labels)), labels] + 1e-9).sum())

    temperatures: list[float] = np.geomspace(0.2, 5.0, 130).tolist()
    return min(temperatures, key=loss)


def best_offset(logits: Floats, labels: Ints, groups: Iterable[Ints], *, out_of_scope: int, told: float) -> float:
    """Return the least that must be added to the logit of out of scope, so that it is told often enough.

    How many texts are out of scope is different in training and in service, and nobody knows it beforehand; so not
    the most right answers decide, but the share of the texts out of scope that are told as such.

    Args:
        logits: (texts, intents).
        labels: (texts).
        groups: indexes of texts, each of which must reach it by itself; those with few texts out of scope are left out.
        out_of_scope: which of the intents is that.
        told: the share of them that must be told.
    """
    wanted = 0.0
    for group in groups:
        outside = logits[group][labels[group] == out_of_scope]
        if len(outside) < FEWEST:
            continue
        lacking = np.sort(np.delete(outside, out_of_scope, 1).max(1) - outside[:, out_of_scope])
        wanted = max(wanted, float(lacking[int(np.ceil(told * len(lacking))) - 1]) + 0.01)
    # up to the next half: the rows are few, and a wrong answer costs more than a hand-over
    return float(np.ceil(wanted * 2) / 2)


def best_threshold(
    guessed: Ints, clear: Floats, labels: Ints, groups: Iterable[Ints], *, out_of_scope: int, precision: float
) -> float:
    """Return the lowest threshold at which the answered texts of each group reach a precision.

    Args:
        guessed, clear, labels: (texts), the likeliest intent, the evidence, and the intent that is right.
        groups: indexes of texts that must reach it each by themselves; left out are small ones and those mostly out of
            scope, where the few that are answered tell nothing.
        out_of_scope: which of the intents is that.
        precision: share of the answered texts that must have the right intent.
    """
    wanted = float(clear[np.isfinite(clear)].min(initial=np.inf))
    for group in groups:
        in_scope = float((labels[group] != out_of_scope).mean())
        if len(group) * in_scope < FEWEST or in_scope < _MOSTLY:
            continue
        points = curve(guessed[group], clear[group], labels[group], out_of_scope=out_of_scope)
        reached = [point.threshold for point in points if point.precision >= precision]
        found = min(reached, default=points[-1].threshold)
        wanted = max(wanted, found)
    return wanted


def threshold_for_unknown(clear: Floats, share: float) -> float:
    """Return the lowest threshold at which no more than a share of texts that nobody should answer is sure."""
    ranked = np.sort(clear)
    return float(np.nextafter(ranked[max(0, int(np.ceil((1 - share) * len(ranked))) - 1)], np.float32(np.inf)))
