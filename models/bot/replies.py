"""What the bot says, and the words it listens for: read from a file that a user may replace, and checked at once.

A file that loads can be spoken: every wording's placeholders are known, every list ends with wordings that need none,
and nothing is longer than any channel takes. What is wrong with one that does not is said with file, intent and
language.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from string import Formatter
from typing import Any, TypeVar

import msgspec

from models.bot.found import Found
from models.intent.taxonomy import Taxonomy
from models.intent.text import normalise

SHIPPED = Path(__file__).with_name("replies.toml")

#: What ``models.intent.text.language_of`` can say.
LANGUAGES = ("zh", "en")

#: What a wording may name; each is an attribute of ``Found``.
PLACEHOLDERS = Found.__struct_fields__
#: Characters; with the offer of a human it still fits into one message of every channel.
MAX_WORDING = 300
MAX_PHRASE = 200
#: A conversation remembers which of them were said.
MAX_WORDINGS = 20
MAX_WORD = 60


_Kind = TypeVar("_Kind")


class InvalidReplies(ValueError):
    """A file of replies cannot be used; the message names the file, the intent, the language and what is wrong."""


class Wording:
    """One way to say something, with places for what was found in the contact's text.

    Raises:
        ValueError: it is empty, too long, has unbalanced braces, or a placeholder that does not exist.
    """

    __slots__ = ("_parts", "needs", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self._parts = tuple(_parts(source))
        self.needs = frozenset(name for _, name in self._parts if name)

    def fill(self, found: Found) -> str | None:
        """Return the text, or ``None`` if something that it names was not found."""
        text = ""
        for literal, name in self._parts:
            value: str | None = getattr(found, name) if name else ""
            if value is None:
                return None
            text += literal + value
        return text


def _parts(source: str) -> Iterable[tuple[str, str]]:
    """Cut a wording into pairs of a literal text and the placeholder behind it, empty for none."""
    if not source.strip():
        raise ValueError("is empty")
    if len(source) > MAX_WORDING:
        raise ValueError(f"has {len(source)} characters; {MAX_WORDING} are allowed")
    try:
        fields = list(Formatter().parse(source))
    except ValueError as error:
        raise ValueError("has unbalanced braces; write {{ or }} for a brace that is meant") from error
    for literal, name, form, conversion in fields:
        if name is not None and (name not in PLACEHOLDERS or form or conversion):
            written = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            raise ValueError(f"names {{{written}}}, which is none of {known}")
        yield literal, name or ""


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words to listen for: as a whole message, anywhere in it, and phrases in which they do not count."""

    alone: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()


class HandOverPhrases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said while handing over, by reason; empty says nothing. A late model is never spoken of."""

    asked: str = ""
    unsure: str = ""
    out_of_scope: str = ""
    angry: str = ""
    misses: str = ""
    not_answerable: str = ""
    no_words: str = ""


class Phrases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said around the answers in one language.

    Args:
        offer: goes with an answer: how to reach a human.
        again: goes with another answer to the same question, in place of ``offer``.
        missed: is said in place of an answer when there is no other one.
        hand_over: what is said while handing over.
        human: words that ask for a human.
        anger: words that only an angry contact uses.
    """

    offer: str
    again: str
    missed: str
    hand_over: HandOverPhrases = HandOverPhrases()
    human: _Words = _Words()
    anger: _Words = _Words()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    phrases: dict[str, Any]
    replies: dict[str, dict[str, Any]]


class _Ear:
    """Listens for words of all languages at once."""

    def __init__(self, words: Iterable[_Words]) -> None:
        every = list(words)
        self._alone = {_letters(_plain(word)) for each in every for word in each.alone}
        self._within = _any_of(word for each in every for word in each.within)
        self._unless = _any_of(word for each in every for word in each.unless)

    def hears(self, text: str) -> bool:
        plain = _plain(text)
        return _letters(plain) in self._alone or bool(self._within.search(self._unless.sub(" ", plain)))


def _plain(word: str) -> str:
    return normalise(word).replace("\u2019", "'")


def _letters(text: str) -> str:
    return "".join(each for each in text if each.isalnum() or each == " ").strip()


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern for any of some words; a Latin word or a number only counts as a whole."""
    normal = sorted({_plain(word) for word in words}, key=len, reverse=True)
    sources = [
        (r"(?<![a-z0-9])" if word[0].isascii() else "")
        + re.escape(word)
        + (r"(?![a-z0-9])" if word[-1].isascii() else "")
        for word in normal
    ]
    return re.compile("|".join(sources) or r"(?!)")


class Replies:
    """All wordings and phrases of a file."""

    def __init__(self, phrases: Mapping[str, Phrases], wordings: Mapping[tuple[str, str], tuple[Wording, ...]]) -> None:
        self._phrases = dict(phrases)
        self._wordings = dict(wordings)
        self._human = _Ear(each.human for each in phrases.values())
        self._anger = _Ear(each.anger for each in phrases.values())

    def wordings(self, intent: str, language: str) -> tuple[Wording, ...]:
        """Return the wordings of an intent in a language, most specific first; empty if the file has none."""
        return self._wordings.get((intent, language), ())

    def reworded(self, wordings: Mapping[tuple[str, str], Sequence[str]]) -> "Replies":
        """Return replies that say something else to some (intent, language); nothing is said for an empty list.

        Raises:
            InvalidReplies: something is wrong with a wording.
        """
        made = {place: make_wordings(list(some)) if some else () for place, some in wordings.items()}
        return Replies(self._phrases, {**self._wordings, **made})

    def sources(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Return what is said to each (intent, language), as it was written."""
        return {place: tuple(each.source for each in some) for place, some in self._wordings.items()}

    def phrases(self, language: str) -> Phrases:
        """Return the phrases of a language, or of the file's first one if it has none of that language."""
        return self._phrases.get(language) or next(iter(self._phrases.values()))

    def asks_for_human(self, text: str) -> bool:
        """Whether a text asks for a human, in words that leave no doubt."""
        return self._human.hears(text)

    def is_angry(self, text: str) -> bool:
        """Whether a text has words that only an angry contact uses."""
        return self._anger.hears(text)


def load_replies(taxonomy: Taxonomy, path: Path | None = None) -> Replies:
    """Read a file of replies to the intents of a taxonomy.

    Args:
        taxonomy: an intent that it does not know is an error.
        path: none means the file that raydesk ships, of which intents that the taxonomy lacks are left out.

    Raises:
        InvalidReplies: it is not there, no TOML, or cannot be used.
    """
    origin = path or SHIPPED
    try:
        return _parse(origin.read_text(encoding="utf-8"), taxonomy, str(origin), lenient=path is None)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidReplies(f"{origin}: {getattr(error, 'strerror', '') or error}") from error


def parse_replies(text: str, taxonomy: Taxonomy, origin: str) -> Replies:
    """Make replies of a file's text; ``origin`` names it in errors.

    Raises:
        InvalidReplies: as ``load_replies``.
    """
    return _parse(text, taxonomy, origin, lenient=False)


def _parse(text: str, taxonomy: Taxonomy, origin: str, *, lenient: bool) -> Replies:
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidReplies(f"{origin}: {error}") from error
    phrases = {language: _phrases(found, f"{origin}: phrases.{language}") for language, found in file.phrases.items()}
    if not phrases:
        raise InvalidReplies(f"{origin}: phrases: no language; there must be [phrases.zh] or [phrases.en]")
    wordings: dict[tuple[str, str], tuple[Wording, ...]] = {}
    for intent, languages in file.replies.items():
        if intent not in taxonomy:
            if lenient:
                continue
            known = ", ".join(taxonomy.names)
            raise InvalidReplies(f"{origin}: replies.{intent}: the taxonomy has no such intent; it has {known}")
        for language, found in languages.items():
            place = f"{origin}: replies.{intent}.{language}"
            wordings[intent, language] = _wordings(_as(list[str], found, place), place)
            if language not in phrases:
                raise InvalidReplies(f"{place}: there is no section [phrases.{language}]")
    return Replies(phrases, wordings)


def _as(kind: type[_Kind], found: object, place: str) -> _Kind:
    """Return what stands at a place, whose last name is a language, as what must stand there."""
    if place.rpartition(".")[2] not in LANGUAGES:
        raise InvalidReplies(f"{place}: no such language; there are {' and '.join(LANGUAGES)}")
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise InvalidReplies(f"{place}: {error}") from error


def make_wordings(sources: list[str]) -> tuple[Wording, ...]:
    """Make the wordings of an intent in a language.

    Raises:
        InvalidReplies: there is none, or something is wrong with one.
    """
    if not sources:
        raise InvalidReplies("the list is empty; leave it out, and the bot hands over")
    if len(sources) > MAX_WORDINGS:
        raise InvalidReplies(f"{len(sources)} wordings; {MAX_WORDINGS} are allowed")
    twice = [source for source, times in Counter(sources).items() if times > 1]
    if twice:
        raise InvalidReplies(f"{twice[0]!r} stands there twice")
    made: list[Wording] = []
    for number, source in enumerate(sources, start=1):
        try:
            made.append(Wording(source))
        except ValueError as error:
            raise InvalidReplies(f"wording {number} {error}") from error
    _check_order(made)
    return tuple(made)


def _wordings(sources: list[str], place: str) -> tuple[Wording, ...]:
    try:
        return make_wordings(sources)
    except InvalidReplies as error:
        raise InvalidReplies(f"{place}: {error}") from error.__cause__


def _check_order(wordings: list[Wording]) -> None:
    if all(each.needs for each in wordings):
        raise InvalidReplies("every wording has a placeholder; add one that can always be said")
    for number, (one, following) in enumerate(pairwise(wordings), start=2):
        if following.needs and not one.needs:
            raise InvalidReplies(f"wording {number} must stand before those without placeholders")


def _phrases(found: object, place: str) -> Phrases:
    phrases = _as(Phrases, found, place)
    spoken = {"offer": phrases.offer, "again": phrases.again, "missed": phrases.missed}
    for name, phrase in spoken.items():
        if not phrase.strip():
            raise InvalidReplies(f"{place}.{name}: is empty; contacts must learn how to reach a human")
    reasons = {f"hand_over.{name}": text for name, text in msgspec.structs.asdict(phrases.hand_over).items()}
    for name, phrase in {**spoken, **reasons}.items():
        if len(phrase) > MAX_PHRASE:
            raise InvalidReplies(f"{place}.{name}: has {len(phrase)} characters; {MAX_PHRASE} are allowed")
        if "{" in phrase or "}" in phrase:
            raise InvalidReplies(f"{place}.{name}: has braces; phrases take no placeholders")
    _check_words(phrases.human, f"{place}.human")
    _check_words(phrases.anger, f"{place}.anger")
    return phrases


def _check_words(words: _Words, place: str) -> None:
    for kind, some in msgspec.structs.asdict(words).items():
        for word in some:
            if not _letters(_plain(word)) or len(word) > MAX_WORD:
                raise InvalidReplies(f"{place}.{kind}: {word!r} is empty or longer than {MAX_WORD} characters")
