"""Texts changed on purpose: more for the teacher to speak about, and a student that forgives.

A source of some hundred texts shows a student too little of how its teacher decides around them. So each text comes
with variants: typing errors, pieces put in place of ones of a near meaning, and parts of it alone. What each of them
means need not be known, since the teacher says it.

Source for the near pieces: Jiao et al. 2020 (arXiv:1909.10351), section 3.2; here with the teacher's own word vectors.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

#: A neighbour of each key, for slips of a finger.
_NEAR = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wqwertyuioasdfghjkzxcvbn" + "bn", strict=True))


def misspelt(text: str, rng: np.random.Generator) -> str:
    """Return a text with one to three slips: a character left out, doubled, swapped with the next, or hit beside."""
    characters = list(text)
    for _ in range(int(rng.integers(1, 2 + min(2, len(text) // 12)))):
        if len(characters) < 3:
            break
        at = int(rng.integers(0, len(characters) - 1))
        _slip(characters, at, int(rng.integers(0, 4)))
    return "".join(characters)


def _slip(characters: list[str], at: int, kind: int) -> None:
    if kind == 0:
        del characters[at]
    elif kind == 1:
        characters[at], characters[at + 1] = characters[at + 1], characters[at]
    elif kind == 2:
        characters.insert(at, characters[at])
    else:
        near = _NEAR.get(characters[at].lower())
        if near:
            characters[at] = near
        else:
            del characters[at]


#: Of a text's pieces, so many are replaced on average; of the nearest ones, so many can take a place.
_REPLACED, _NEAREST = 0.25, 8
#: The least share of a text that is left standing alone.
_LEAST_PART = 0.4


class Variants:
    """Makes variants of texts.

    Args:
        vectors: (V, H), of each piece of the vocabulary.
        seed: all that is random follows from it.
    """

    def __init__(self, vectors: Vectors, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._unit = vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9)
        self._near: dict[int, list[int]] = {}

    def misspelt(self, texts: Sequence[str], often: npt.NDArray[np.float64]) -> list[str]:
        """Return misspelt variants of texts, of each as many as ``often`` says on average."""
        return [misspelt(texts[index], self._rng) for index in self._drawn(often)]

    def replaced(self, texts: Sequence[list[int]], often: npt.NDArray[np.float64]) -> list[list[int]]:
        """Return variants of texts in token numbers, start and end among them, with other pieces here and there."""
        return [self._replace(texts[index]) for index in self._drawn(often)]

    def parts(self, texts: Sequence[list[int]], often: npt.NDArray[np.float64]) -> list[list[int]]:
        """Return a part of each text, in token numbers; start and end stay."""
        return [self._part(texts[index]) for index in self._drawn(often)]

    def _drawn(self, often: npt.NDArray[np.float64]) -> list[int]:
        times = np.floor(often + self._rng.random(len(often))).astype(np.int64)
        return np.repeat(np.arange(len(often)), times).tolist()

    def _replace(self, tokens: list[int]) -> list[int]:
        found = list(tokens)
        for at in range(1, len(tokens) - 1):
            if self._rng.random() < _REPLACED:
                found[at] = int(self._rng.choice(self._nearest(tokens[at])))
        return found

    def _part(self, tokens: list[int]) -> list[int]:
        inner = tokens[1:-1]
        stays = max(1, round(len(inner) * self._rng.uniform(_LEAST_PART, 0.9)))
        at = int(self._rng.integers(0, max(1, len(inner) - stays + 1)))
        return [tokens[0], *inner[at : at + stays], tokens[-1]]

    def _nearest(self, piece: int) -> list[int]:
        if piece not in self._near:
            alike = self._unit @ self._unit[piece]
            alike[piece] = -1.0
            self._near[piece] = np.argpartition(alike, -_NEAREST)[-_NEAREST:].tolist()
        return self._near[piece]
