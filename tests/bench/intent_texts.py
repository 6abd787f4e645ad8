"""Texts for measuring the intent model: as long, in tokens, as Chinese customers' messages are."""

import random
from collections.abc import Callable, Sequence

from models.intent.taxonomy import load_taxonomy
from models.intent.train.rows import shipped_sentences

#: `models.intent.classifier.Classifier.encode`.
Encode = Callable[[Sequence[str]], list[list[int]]]

#: Tokens of a text -> how many of 374 reviewed Chinese customer messages are as long; 10.8 on average.
LENGTHS = {
    4: 1, 5: 2, 6: 10, 7: 31, 8: 60, 9: 53, 10: 52, 11: 42, 12: 32, 13: 24, 14: 21, 15: 18, 16: 7, 17: 5, 18: 4, 19: 5,
    20: 2, 21: 1, 22: 1, 23: 1, 27: 1, 35: 1,
}  # fmt: skip


def make_texts(encode: Encode, count: int, seed: int = 1) -> list[str]:
    """Return different texts, put together of our own sentences, with the distribution of ``LENGTHS``."""
    rng = random.Random(seed)
    sentences = [row.text for row in shipped_sentences(load_taxonomy(), 0) if row.lang == "zh"]
    wanted = rng.choices(list(LENGTHS), list(LENGTHS.values()), k=count)
    return [_text_of(encode, sentences, tokens, rng) for tokens in wanted]


def _text_of(encode: Encode, sentences: list[str], tokens: int, rng: random.Random) -> str:
    """Join sentences until they have enough tokens, and cut characters off until there are no more than wanted."""
    text = rng.choice(sentences)
    while len(encode([text])[0]) < tokens:
        text += rng.choice(sentences)
    while len(encode([text])[0]) > tokens and len(text) > 1:
        text = text[:-1]
    return text
