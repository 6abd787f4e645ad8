import numpy as np
import pytest

from models.intent.classifier import softmax
from models.intent.metrics import calibration_error
from models.intent.train.calibration import best_offset, best_temperature, best_threshold, threshold_for_unknown

OUT = 2


def drawn(count: int, *, sharpened: float) -> tuple[np.ndarray, np.ndarray]:
    """Return logits whose truth is drawn from them, after which they are made ``sharpened`` times too sure."""
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 1.5, (count, 3)).astype(np.float32)
    labels = np.array([rng.choice(3, p=row / row.sum()) for row in softmax(logits).astype(np.float64)])
    return logits * np.float32(sharpened), labels


def test_the_temperature_undoes_what_made_a_model_too_sure():
    logits, labels = drawn(3_000, sharpened=2.5)
    temperature = best_temperature(logits, labels, [])
    assert temperature == pytest.approx(2.5, rel=0.1)
    assert calibration_error(softmax(logits / np.float32(temperature)), labels) < 0.03
    assert calibration_error(softmax(logits), labels) > 0.1


def test_the_worst_source_decides_the_temperature_and_a_tiny_one_does_not():
    calm, calm_labels = drawn(3_000, sharpened=1.0)
    wild, wild_labels = drawn(3_000, sharpened=2.0)
    logits, labels = np.concatenate([calm, wild]), np.concatenate([calm_labels, wild_labels])
    both = [np.arange(3_000), np.arange(3_000, 6_000)]
    temperature = best_temperature(logits, labels, both)
    errors = [calibration_error(softmax(logits / np.float32(temperature))[group], labels[group]) for group in both]
    assert errors[0] == pytest.approx(errors[1], abs=0.02)
    assert 1.1 < temperature < 1.9
    assert best_temperature(logits, labels, [both[0], np.arange(3_000, 3_020)]) == pytest.approx(1.0, rel=0.1)


def test_the_offset_lets_out_of_scope_be_told_often_enough():
    rng = np.random.default_rng(2)
    logits = np.zeros((300, 3), np.float32)
    logits[:, 0] = rng.uniform(0, 3, 300)  # out of scope stays at 0, so each lacks what intent 0 has
    labels = np.array([OUT] * 200 + [0] * 100)
    groups = [np.arange(200), np.arange(200, 300)]
    offset = best_offset(logits, labels, groups, out_of_scope=OUT, told=0.95)
    assert offset == 3.0  # 95 of 100 lack up to 2.85; up to the next half
    assert best_offset(logits, labels, [np.arange(40)], out_of_scope=OUT, told=0.95) == 0.0  # too few tell nothing


def test_the_threshold_is_the_lowest_that_every_group_of_some_size_bears():
    clear = np.linspace(1.0, 5.0, 200).astype(np.float32)
    guessed = np.zeros(400, np.int64)
    labels = np.concatenate([np.zeros(200, np.int64), np.where(clear < 3.0, 1, 0)])
    both = np.concatenate([clear, clear])
    easy, hard, tiny = np.arange(200), np.arange(200, 400), np.arange(200, 210)

    def threshold(*groups: np.ndarray) -> float:
        return best_threshold(guessed, both, labels, groups, out_of_scope=OUT, precision=0.95)

    assert threshold(easy) == pytest.approx(1.0)
    assert threshold(easy, hard) == pytest.approx(2.9, abs=0.06)
    assert threshold(easy, tiny) == pytest.approx(1.0)  # ten texts tell nothing


def test_unknown_texts_raise_the_threshold_until_few_enough_are_sure():
    clear = np.array([-np.inf] * 50 + list(np.linspace(0, 5, 50)), np.float32)
    threshold = threshold_for_unknown(clear, 0.2)
    assert (clear >= threshold).mean() == pytest.approx(0.2)
    assert (clear >= np.nextafter(np.float32(threshold), np.float32(-np.inf))).mean() > 0.2
