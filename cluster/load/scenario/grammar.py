"""Dialogues of invented customers, in Chinese and English, from the words of ``grammar.toml``.

They are as mixed as real ones: a hello alone, a question in three parts, an order number, anger, a thank-you. An
equal seed gives equal dialogues.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

SHIPPED = Path(__file__).parent / "grammar.toml"
_SLOT = re.compile(r"\{(\w+)\}")
#: Shares of dialogues with a hello, with a close, and with a second matter.
_HELLO, _CLOSE, _SECOND = 0.6, 0.7, 0.25
#: Of the turns about one matter.
_MOST_TURNS = 4


class Language(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words of one language.

    Args:
        opening, close: lines that begin and end a dialogue.
        matters: what it is about -> lines.
        slots: name -> what may stand for it.
    """

    opening: tuple[str, ...]
    close: tuple[str, ...]
    matters: Mapping[str, tuple[str, ...]]
    slots: Mapping[str, tuple[str, ...]]


def read_grammar(path: Path = SHIPPED) -> dict[str, Language]:
    """Read the words of all languages.

    Raises:
        msgspec.ValidationError: the file has another form.
    """
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), dict[str, Language])


class Grammar:
    """Makes dialogues.

    Args:
        words: of the languages to be spoken; a dialogue keeps to one.
        random: decides everything.
    """

    def __init__(self, words: Sequence[Language], random: np.random.Generator) -> None:
        self._words = words
        self._random = random

    def dialogues(self) -> Iterator[list[str]]:
        """Yield one customer's turns after the other's, without end."""
        while True:
            yield self._dialogue(self._words[int(self._random.integers(len(self._words)))])

    def _dialogue(self, words: Language) -> list[str]:
        lines = [self._any(words.opening)] if self._chance(_HELLO) else []
        matters = list(words.matters)
        for _ in range(2 if self._chance(_SECOND) else 1):
            about = words.matters[self._any(matters)]
            turns = min(int(self._random.integers(1, _MOST_TURNS, endpoint=True)), len(about))
            lines += [about[place] for place in self._random.permutation(len(about))[:turns]]
        if self._chance(_CLOSE):
            lines.append(self._any(words.close))
        return [_SLOT.sub(lambda found: self._filled(words, found[1]), line) for line in lines]

    def _filled(self, words: Language, slot: str) -> str:
        if slot == "order":
            return f"{self._random.integers(10**9, 10**10)}"
        if slot == "money":
            return f"{self._random.integers(5, 900)}"
        return self._any(words.slots[slot])

    def _any(self, choices: Sequence[str]) -> str:
        return choices[int(self._random.integers(len(choices)))]

    def _chance(self, share: float) -> bool:
        return float(self._random.random()) < share
