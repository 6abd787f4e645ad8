"""Variants of texts: never empty, near what they come from, and the same each time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.intent.train.noise import Variants, misspelt

PIECES = 60
#: Pieces 0..29 and 30..59 are two families of one direction each.
VECTORS = np.concatenate(
    [
        np.random.default_rng(1).normal(centre, 0.05, (PIECES // 2, 4)) * 3
        for centre in ((1, 0, 0, 0), (0, 1, 0, 0))
    ]
).astype(np.float32)  # fmt: skip
texts = st.lists(st.lists(st.integers(4, PIECES - 1), max_size=12).map(lambda inner: [0, *inner, 2]), max_size=8)


def often(count: int, times: float) -> np.ndarray:
    return np.full(count, times)


@given(texts)
def test_start_and_end_stay_and_something_is_left(texts):
    vary = Variants(VECTORS, 1)
    times = often(len(texts), 2.0)
    changed = vary.replaced(texts, times)
    parts = vary.parts(texts, times)
    assert len(changed) == len(parts) == 2 * len(texts)
    for made in changed + parts:
        assert (made[0], made[-1]) == (0, 2)
    for text, made in zip([text for text in texts for _ in range(2)], changed, strict=True):
        assert len(made) == len(text)
        assert all((before < 30) == (after < 30) for before, after in zip(text[1:-1], made[1:-1], strict=True))
    for text, made in zip([text for text in texts for _ in range(2)], parts, strict=True):
        inner, part = text[1:-1], made[1:-1]
        assert len(part) >= min(1, len(inner))
        assert any(inner[at : at + len(part)] == part for at in range(len(inner) + 1))


def test_a_quarter_of_the_pieces_is_replaced_and_a_piece_never_by_itself():
    text = [0, *range(4, 54), 2]
    made = Variants(VECTORS, 3).replaced([text], np.array([200.0]))
    changed = np.mean([np.mean(np.array(each[1:-1]) != np.array(text[1:-1])) for each in made])
    assert changed == pytest.approx(0.25, abs=0.02)


def test_how_often_is_a_mean():
    made = Variants(VECTORS, 5).parts([[0, 5, 6, 2]] * 4_000, often(4_000, 0.3))
    assert len(made) == pytest.approx(1_200, abs=120)
    assert Variants(VECTORS, 5).misspelt(["abc"] * 3, often(3, 0.0)) == []


def test_the_same_seed_gives_the_same():
    lines = ["where is my parcel", "我的快递到哪里了", "x"]
    assert Variants(VECTORS, 7).misspelt(lines, often(3, 3.0)) == Variants(VECTORS, 7).misspelt(lines, often(3, 3.0))


@given(st.text(min_size=1, max_size=40), st.integers(0, 50))
def test_a_misspelt_text_is_never_empty(text, seed):
    assert misspelt(text, np.random.default_rng(seed))
