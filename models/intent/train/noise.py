"""Typing errors, made on purpose: more texts for the teacher to speak about, and a student that forgives."""

import numpy as np

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


def variants(texts: list[str], share: float, seed: int) -> list[str]:
    """Return a misspelt variant of a share of the texts, without those that came out unchanged."""
    rng = np.random.default_rng(seed)
    chosen: list[int] = rng.permutation(len(texts))[: round(len(texts) * share)].tolist()
    made = ((texts[index], misspelt(texts[index], rng)) for index in chosen)
    return [slipped for text, slipped in made if slipped != text]
