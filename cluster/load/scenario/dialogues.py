"""What contacts say: real dialogues replayed from a file, or invented ones; one text for each message, at once.

All customers' turns stand in one ring, dialogue after dialogue. A contact begins at a dialogue of its own and walks
on, so `Dialogues.text` needs no state per contact, and 100,000 contacts cost what one does. Of a long file a fair
sample of whole dialogues is kept, so memory is bounded whatever its length.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from cluster.load.scenario.grammar import Grammar, read_grammar
from cluster.load.scenario.tables import Words

#: What a phone's keyboard sends at once; longer turns of a file are cut.
_MOST_CHARACTERS = 1_000
#: A longer dialogue would let one file fill the memory.
_MOST_TURNS = 200
_MIX = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: Fibonacci hashing, Knuth, The Art of Computer Programming, 6.4


class InvalidDialogues(ValueError):
    """A file of dialogues that cannot be used; names file, line and what is allowed."""


class _Turn(msgspec.Struct, frozen=True):
    role: Literal["customer", "agent"]
    text: str


class _Dialogue(msgspec.Struct, frozen=True):
    turns: tuple[_Turn, ...]
    dialogue_id: str = ""


_decode = msgspec.json.Decoder(_Dialogue).decode


class Dialogues:
    """The turns of many customers.

    Args:
        dialogues: of each customer what it says, at least one turn in all.
        seed: decides who begins where.
    """

    def __init__(self, dialogues: Iterable[Sequence[str]], seed: int) -> None:
        self._ring: list[str] = []
        begins: list[int] = []
        for turns in dialogues:
            if turns:
                begins.append(len(self._ring))
                self._ring.extend(turns)
        if not begins:
            raise InvalidDialogues("found no customer's turn; allowed: at least one")
        self._begins = begins
        self._seed = seed

    @property
    def count(self) -> int:
        """How many dialogues there are."""
        return len(self._begins)

    @property
    def turns(self) -> int:
        """How many turns there are."""
        return len(self._ring)

    def text(self, writer: int, number: int) -> str:
        """Return what a writer says as its ``number``-th message, from 0."""
        place = ((writer + 1) * _MIX + self._seed * 0x2545F491) % 2**64 * self.count >> 64
        return self._ring[(self._begins[place] + number) % len(self._ring)]


def dialogues_of(words: Words, seed: int) -> Dialogues:
    """Return those of a scenario.

    Raises:
        InvalidDialogues: its file cannot be read, or has another form.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    if words.file:
        return Dialogues(sampled(read_dialogues(Path(words.file)), words.most, random), seed)
    grammar = read_grammar()
    made = Grammar([grammar[language] for language in words.languages], random).dialogues()
    return Dialogues((next(made) for _ in range(words.most)), seed)


def read_dialogues(path: Path) -> Iterator[list[str]]:
    """Yield of each line of a JSONL file what the customer says, one line in memory at a time.

    Raises:
        InvalidDialogues: it cannot be read, or a line has another form.
    """
    try:
        with path.open("rb") as lines:
            for place, line in enumerate(lines, 1):
                if line.strip():
                    yield _customers_turns(line, f"{path}, line {place}")
    except OSError as error:
        raise InvalidDialogues(f"{path}: {error.strerror or 'cannot be read'}") from None


def sampled(dialogues: Iterable[list[str]], most: int, random: np.random.Generator) -> list[list[str]]:
    """Keep at most so many, each as likely as any other (Waterman's reservoir; Knuth, 3.4.2, algorithm R)."""
    kept: list[list[str]] = []
    for place, turns in enumerate(each for each in dialogues if each):
        if place < most:
            kept.append(turns)
        elif (chosen := int(random.integers(place + 1))) < most:
            kept[chosen] = turns
    return kept


def _customers_turns(line: bytes, where: str) -> list[str]:
    try:
        dialogue = _decode(line)
    except msgspec.DecodeError as error:
        form = '{"dialogue_id": "...", "turns": [{"role": "customer" or "agent", "text": "..."}]}'
        raise InvalidDialogues(f"{where}: {error}; allowed: {form}") from None
    texts = (turn.text.strip()[:_MOST_CHARACTERS] for turn in dialogue.turns if turn.role == "customer")
    return [text for text in texts if text][:_MOST_TURNS]
