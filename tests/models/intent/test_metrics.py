import numpy as np
import pytest

from models.intent.metrics import answered, by_group, calibration_error, confusion, curve, figures, macro_f1

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


def test_answered_counts_texts_in_scope_and_precision_counts_all_that_are_sure():
    rows = probabilities((0.9, 0.1, 0), (0.6, 0.4, 0), (0.8, 0.1, 0.1), (0.1, 0.0, 0.9))
    at = answered(rows, np.array([0, 0, OUT, OUT]), out_of_scope=OUT, threshold=0.7)
    assert at.answered == 0.5  # of the two in scope
    assert at.precision == 0.5  # one right, one that was out of scope


def test_nothing_sure_is_no_mistake():
    at = answered(probabilities((0.5, 0.5, 0)), np.array([0]), out_of_scope=OUT, threshold=0.9)
    assert at == (0.9, 0.0, 1.0)


def test_the_curve_falls_as_the_threshold_rises():
    rng = np.random.default_rng(1)
    rows = rng.dirichlet([1, 1, 1], 200).astype(np.float32)
    points = curve(rows, rng.integers(0, 3, 200), out_of_scope=OUT)
    shares = [point.answered for point in points]
    assert shares == sorted(shares, reverse=True)
    assert len(points) == 100


def test_confusion_has_labels_in_rows():
    assert confusion(np.array([1, 1]), np.array([0, 1]), 2).tolist() == [[0, 1], [0, 1]]


def test_groups_and_figures_fit_together():
    rows = probabilities((0.9, 0.1, 0), (0.2, 0.8, 0), (0.0, 0.1, 0.9))
    labels = np.array([0, 0, OUT])
    groups = by_group(["b", "a", "b"])
    assert list(groups) == ["a", "b"]
    found = figures(rows[groups["b"]], labels[groups["b"]], out_of_scope=OUT, threshold=0.5)
    assert (found.texts, found.accuracy, found.answered, found.precision) == (2, 1.0, 1.0, 1.0)
