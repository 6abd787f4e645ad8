"""The part of a big vocabulary that Chinese and English support needs; the rest is cut out of tokenizer and weights.

Kept are the pieces that the texts at hand use, every single character of both scripts, and the likeliest pieces
of both until the wanted size is reached. A word that lost its piece is spelt with smaller ones, so nothing
becomes unreadable that was readable.
"""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from models.intent.text import normalise

#: Start, pad, end, unknown keep their numbers.
SPECIAL = 4
_SPACE = "\u2581"
#: General and Chinese punctuation, signs, and the common emoji.
_SIGNS = ((0x2010, 0x2027), (0x2100, 0x214F), (0x2190, 0x21FF), (0x2600, 0x27BF), (0x3001, 0x3011), (0x1F300, 0x1F64F))


def _chinese(piece: str) -> bool:
    return all("\u4e00" <= each <= "\u9fff" for each in piece)


def _wanted_character(piece: str) -> bool:
    """Tell if a piece is one character (a space may lead it) that Chinese or English text may hold."""
    body = piece.removeprefix(_SPACE)
    if len(body) != 1:
        return not body
    return (
        _chinese(body)
        or (body.isascii() and body == body.lower())
        or any(low <= ord(body) <= high for low, high in _SIGNS)
    )


def choose_pieces(tokenizer: Tokenizer, texts: Iterable[str], size: int) -> list[int]:
    """Return the numbers of the pieces to keep, ascending.

    Args:
        tokenizer: the whole one.
        texts: what the model will be taught on.
        size: how many pieces are wanted; more are kept if the first two rules ask for them.
    """
    keep = set(range(SPECIAL))
    for encoding in tokenizer.encode_batch_fast([normalise(text) for text in texts]):
        keep.update(encoding.ids)
    pieces: list[tuple[str, float]] = json.loads(tokenizer.to_str())["model"]["vocab"]
    keep.update(number for number, (piece, _) in enumerate(pieces) if number >= SPECIAL and _wanted_character(piece))
    # a Unigram vocabulary stands in the order of its likelihood
    for number, (piece, _) in enumerate(pieces[SPECIAL:], SPECIAL):
        if len(keep) >= size:
            break
        body = piece.removeprefix(_SPACE)
        if _chinese(body) or (body.isascii() and body.isalpha() and body == body.lower()):
            keep.add(number)
    return sorted(number for number in keep if number < len(pieces))


def prune_tokenizer(tokenizer: Tokenizer, keep: list[int]) -> Tokenizer:
    """Return a tokenizer that knows only the pieces in ``keep``, numbered in their order."""
    file: dict[str, Any] = json.loads(tokenizer.to_str())
    pieces = file["model"]["vocab"]
    file["model"]["vocab"] = [pieces[number] for number in keep]
    file["added_tokens"] = [each for each in file["added_tokens"] if each["id"] < SPECIAL]
    return Tokenizer.from_str(json.dumps(file))


def prune_words(words: npt.NDArray[np.float32], keep: list[int]) -> npt.NDArray[np.float32]:
    """Return the rows of the word embeddings that belong to ``keep``."""
    return words[np.asarray(keep)]
