import numpy as np
import pytest

from models.intent.classifier import softmax
from models.intent.metrics import calibration_error
from models.intent.train.calibration import best_offset, best_temperature, best_threshold

OUT = 2


def drawn(count: int, *, sharpened: float) -> tuple[np.ndarray, np.ndarray]:
    """Return logits whose truth is drawn from them, after which they are made ``sharpened`` times too sure."""
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 1.5, (count, 3)).astype(np.float32)
    labels = np.array([rng.choice(3, p=row / row.sum()) for row in softmax(logits).astype(np.float64)])
    return logits * np.float32(sharpened), labels


def test_the_temperature_undoes_what_made_a_model_too_sure():
    logits, labels = drawn(3_000, sharpened=2.5)
    temperature = best_temperature(logits, labels, np.ones(3_000, np.float32))
    assert temperature == pytest.approx(2.5, rel=0.1)
    assert calibration_error(softmax(logits / np.float32(temperature)), labels) < 0.03
    assert calibration_error(softmax(logits), labels) > 0.1


def test_the_offset_finds_texts_out_of_scope_that_are_narrowly_missed():
    logits = np.array([[2.0, 0, 1.5], [1.0, 0, 0.2], [3.0, 0, 0], [0, 3.0, 0]] * 10, np.float32)
    labels = np.array([OUT, OUT, 0, 1] * 10)
    offset = best_offset(logits, labels, np.ones(40, np.float32), OUT)
    assert 0.8 < offset < 3.0
    moved = logits + np.array([0, 0, offset], np.float32)
    assert (moved.argmax(1) == labels).all()


def test_the_threshold_is_the_lowest_that_every_group_of_some_size_bears():
    confidence = np.linspace(0.5, 0.99, 200)
    probabilities = np.stack([confidence, 1 - confidence, np.zeros(200)], 1).astype(np.float32)
    easy, hard = np.zeros(200, np.int64), np.where(confidence < 0.8, 1, 0)
    stacked, labels = np.concatenate([probabilities, probabilities]), np.concatenate([easy, hard])
    first, second, tiny = np.arange(200), np.arange(200, 400), np.arange(200, 210)

    def threshold(*groups: np.ndarray) -> float:
        return best_threshold(stacked, labels, groups, out_of_scope=OUT, precision=0.95)

    assert threshold(first) == 0.5
    assert threshold(first, second) == pytest.approx(0.79, abs=0.011)
    assert threshold(first, tiny) == 0.5  # ten texts tell nothing
