import numpy as np
import pytest

from models.intent.metrics import answered, by_group, calibration_error, confusion, curve, evidence, figures, macro_f1

OUT = 2


def probabilities(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_macro_f1_weighs_intents_alike():
    # intent 0: 3 of 3 named rightly but one of 1 taken for it; intent 1: never found
    guessed, labels = np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1])
    assert macro_f1(guessed, labels) == pytest.approx((2 * 3 / 7 + 0) / 2)


def test_calibration_error_is_the_gap_between_confidence_and_truth():
    always_sure = probabilities((0.99, 0.01, 0), (0.99, 0.01, 0))
    assert calibration_error(always_sure, np.array([0, 1])) == pytest.approx(0.49)
    assert calibration_error(probabilities((1.0, 0, 0)), np.array([0])) == pytest.approx(0.0)


def test_evidence_is_the_best_logit_in_scope_less_most_of_the_one_outside():
    logits = np.array([[4.0, 1.0, 2.0], [1.0, 1.5, 2.0]], np.float32)
    clear = evidence(logits, OUT)
    assert clear[0] == pytest.approx(4.0 - 0.75 * 2.0)
    assert clear[1] == -np.inf  # out of scope itself


def test_answered_counts_texts_in_scope_and_precision_counts_all_that_are_sure():
    guessed, clear = np.array([0, 0, 0, OUT]), np.array([3.0, 1.0, 2.5, -np.inf], np.float32)
    at = answered(guessed, clear, np.array([0, 0, OUT, OUT]), out_of_scope=OUT, threshold=2.0)
    assert at.answered == 0.5  # of the two in scope
    assert at.precision == 0.5  # one right, one that was out of scope


def test_nothing_sure_is_no_mistake():
    at = answered(np.array([0]), np.array([1.0], np.float32), np.array([0]), out_of_scope=OUT, threshold=9.0)
    assert at == (9.0, 0.0, 1.0)


def test_the_curve_falls_as_the_threshold_rises():
    rng = np.random.default_rng(1)
    clear = rng.normal(0, 1, 200).astype(np.float32)
    points = curve(rng.integers(0, 3, 200), clear, rng.integers(0, 3, 200), out_of_scope=OUT)
    shares = [point.answered for point in points]
    assert shares == sorted(shares, reverse=True)
    assert 90 <= len(points) <= 100
    nothing = np.full(3, -np.inf, np.float32)
    assert curve(np.full(3, OUT), nothing, np.full(3, OUT), out_of_scope=OUT) == []


def test_confusion_has_labels_in_rows():
    assert confusion(np.array([1, 1]), np.array([0, 1]), 2).tolist() == [[0, 1], [0, 1]]


def test_groups_and_figures_fit_together():
    rows = probabilities((0.9, 0.1, 0), (0.2, 0.8, 0), (0.0, 0.1, 0.9))
    labels = np.array([0, 0, OUT])
    groups = by_group(["b", "a", "b"])
    assert list(groups) == ["a", "b"]
    clear = np.array([2.0, 2.0, -np.inf], np.float32)
    chosen = groups["b"]
    found = figures(rows[chosen], clear[chosen], labels[chosen], out_of_scope=OUT, threshold=0.5)
    assert (found.texts, found.accuracy, found.answered, found.precision) == (2, 1.0, 1.0, 1.0)
