"""The intents: their names in both languages, what belongs to them, who is needed, and whether the bot may answer.

The order of a taxonomy is the order of a model's outputs; an artefact carries the taxonomy that it was trained on.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec

OUT_OF_SCOPE = "out_of_scope"
HUMAN_AGENT = "human_agent"
COMPLAINT = "complaint"

SHIPPED = Path(__file__).with_name("taxonomy.toml")


class InvalidTaxonomy(ValueError):
    """A taxonomy file cannot be used; the message names the file, the intent and what is wrong."""


class Intent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that contacts want.

    Args:
        name: its label in training files, replies and events.
        zh, en: what agents read.
        description: what belongs to it, and what does not.
        skill: what an agent must know; empty means any agent.
        answerable: the bot may answer it when it is sure and has words for it.
    """

    name: str
    zh: str
    en: str
    description: str
    skill: str = ""
    answerable: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    intent: list[Intent]


class Taxonomy:
    """All intents of a model, in the order of its outputs.

    Raises:
        InvalidTaxonomy: a name is doubled, ``out_of_scope`` is missing or answerable, or fewer than two are in scope.
    """

    def __init__(self, intents: list[Intent], origin: str = "the taxonomy") -> None:
        self.names = tuple(intent.name for intent in intents)
        self._by_name = {intent.name: intent for intent in intents}
        doubled = sorted({name for name in self.names if self.names.count(name) > 1})
        if doubled:
            raise InvalidTaxonomy(f"{origin}: {', '.join(doubled)} stands there twice")
        if any(not intent.name.isidentifier() for intent in intents):
            bad = next(intent.name for intent in intents if not intent.name.isidentifier())
            raise InvalidTaxonomy(f"{origin}: {bad!r} is no name; use letters, digits and underscores")
        if OUT_OF_SCOPE not in self._by_name:
            raise InvalidTaxonomy(
                f"{origin}: {OUT_OF_SCOPE} is missing; a model must be able to say that it is neither"
            )
        if self._by_name[OUT_OF_SCOPE].answerable:
            raise InvalidTaxonomy(f"{origin}: {OUT_OF_SCOPE} cannot be answerable")
        if len(intents) < 3:
            raise InvalidTaxonomy(f"{origin}: fewer than two intents besides {OUT_OF_SCOPE}")

    def __iter__(self) -> Iterator[Intent]:
        """Go through the intents in the order of the model's outputs."""
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Intent:
        """Return an intent by name.

        Raises:
            KeyError: there is none of that name.
        """
        return self._by_name[name]


def load_taxonomy(path: Path = SHIPPED) -> Taxonomy:
    """Read a taxonomy file.

    Raises:
        InvalidTaxonomy: it is not there, no TOML, or breaks a rule of ``Taxonomy``.
    """
    try:
        return parse_taxonomy(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise InvalidTaxonomy(f"{path}: {error.strerror}") from error


def parse_taxonomy(text: str, origin: str) -> Taxonomy:
    """Make a taxonomy of a file's text; ``origin`` names it in errors.

    Raises:
        InvalidTaxonomy: as ``load_taxonomy``.
    """
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidTaxonomy(f"{origin}: {error}") from error
    return Taxonomy(file.intent, origin)
