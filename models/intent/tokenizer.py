"""Texts to token numbers, with the vocabulary that an artefact carries."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from models.intent.text import language_of, normalise

PAD, START, END, UNKNOWN = 1, 0, 2, 3
#: Tokens of a text, start and end among them; 99 of 100 texts of customer service have fewer than 50.
MAX_TOKENS = 64
#: Of a longer text, so many of its last tokens stay.
_TAIL_TOKENS = 22
Flags = npt.NDArray[np.bool_]


class TextTokenizer:
    """Splits texts as the model was taught to.

    Args:
        tokenizer: adds start and end, neither cuts nor pads.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        pieces = (tokenizer.id_to_token(number) or "" for number in range(tokenizer.get_vocab_size()))
        self._chinese = np.array([language_of(piece) == "zh" for piece in pieces])

    @classmethod
    def load(cls, path: Path) -> "TextTokenizer":
        """Read a ``tokenizer.json``."""
        return cls(Tokenizer.from_file(str(path)))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token numbers of each text, 2 to ``MAX_TOKENS`` of them; an empty text has only start and end."""
        return self.encode_normal([normalise(text) for text in texts])

    def encode_normal(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the same for texts that are normalised already."""
        return [_cut(each.ids) for each in self._tokenizer.encode_batch_fast(list(texts))]

    def chinese(self, ids: npt.NDArray[np.int64]) -> Flags:
        """Tell of each text, a row of token numbers, whether one of its pieces has a Chinese character."""
        return np.asarray(self._chinese[ids].any(1))


def _cut(ids: list[int]) -> list[int]:
    if len(ids) <= MAX_TOKENS:
        return ids
    return ids[: MAX_TOKENS - _TAIL_TOKENS] + ids[-_TAIL_TOKENS:]
