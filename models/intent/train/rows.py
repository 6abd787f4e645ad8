"""Labelled texts from files, one JSON object a line; what is wrong is named by file and line.

A row has ``text`` and ``intent``, and may have ``lang`` (``zh`` or ``en``; else told from the text) and ``source``
(else the file's name; figures are given per source). Other fields are ignored.
"""

import difflib
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from models.intent.taxonomy import OUT_OF_SCOPE, Taxonomy, load_taxonomy
from models.intent.text import language_of, normalise

#: So many bad rows are named before it is said that there are more.
_NAMED = 20
#: Below that nothing sensible can be learnt.
FEWEST_ROWS = 50
SENTENCES = Path(__file__).with_name("sentences")


class BadRows(ValueError):
    """Rows cannot be used; the message has a line for each: file, line number, what is wrong."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One labelled text.

    Args:
        text: as the contact wrote it.
        intent: a name in the taxonomy.
        lang: ``zh`` or ``en``.
        source: where it comes from.
    """

    text: str
    intent: str
    lang: str = ""
    source: str = ""


class _TextOnly(msgspec.Struct, frozen=True):
    text: str


_row = msgspec.json.Decoder(Row)
_text_only = msgspec.json.Decoder(_TextOnly)


def read_rows(paths: Iterable[Path], taxonomy: Taxonomy) -> list[Row]:
    """Read labelled texts.

    Raises:
        BadRows: a line is no JSON, lacks a field, is empty, or has an intent that the taxonomy lacks; or a file
            is not there.
    """
    rows: list[Row] = []
    wrong: list[str] = []
    for path in paths:
        for number, line in _lines(path):
            try:
                rows.append(_checked(_row.decode(line), path, taxonomy))
            except (msgspec.DecodeError, ValueError) as error:
                wrong.append(f"{path}:{number}: {error}")
    if wrong:
        more = [f"... and {len(wrong) - _NAMED} more"] if len(wrong) > _NAMED else []
        raise BadRows("\n".join(wrong[:_NAMED] + more))
    return rows


def read_texts(paths: Iterable[Path]) -> list[str]:
    """Read texts without labels: lines with a ``text``, other fields ignored.

    Raises:
        BadRows: as ``read_rows``.
    """
    texts: list[str] = []
    for path in paths:
        for number, line in _lines(path):
            try:
                texts.append(_text_only.decode(line).text)
            except msgspec.DecodeError as error:
                raise BadRows(f"{path}:{number}: {error}") from error
    return texts


def _lines(path: Path) -> list[tuple[int, bytes]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadRows(f"{path}: {error.strerror}") from error
    return [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]


def _checked(row: Row, path: Path, taxonomy: Taxonomy) -> Row:
    if not normalise(row.text):
        raise ValueError("the text is empty")
    if row.intent not in taxonomy:
        near = difflib.get_close_matches(row.intent, taxonomy.names, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; the taxonomy has {', '.join(taxonomy.names)}"
        raise ValueError(f"unknown intent {row.intent!r}{hint}")
    if row.lang not in ("", "zh", "en"):
        raise ValueError(f"lang is {row.lang!r}; it is zh or en")
    return msgspec.structs.replace(
        row, lang=row.lang or language_of(row.text), source=row.source or path.stem.removesuffix("_train")
    )


def without(rows: Sequence[Row], held_out: Sequence[Row]) -> list[Row]:
    """Return ``rows`` without the texts that are also held out: what is measured must not be learnt."""
    known = {normalise(row.text) for row in held_out}
    return [row for row in rows if normalise(row.text) not in known]


def split(rows: Sequence[Row], share: float) -> tuple[list[Row], list[Row]]:
    """Hold out a share of each intent, the same rows each time; returns what is learnt and what is held out.

    Of an intent with fewer than five rows none is held out.
    """
    by_intent: defaultdict[str, list[Row]] = defaultdict(list)
    for row in {normalise(row.text): row for row in rows}.values():
        by_intent[row.intent].append(row)
    held: list[Row] = []
    for each in by_intent.values():
        each.sort(key=_shuffled)
        if len(each) >= 5:
            held += each[: max(1, round(len(each) * share))]
    return without(rows, held), held


def check_enough(rows: Sequence[Row], taxonomy: Taxonomy) -> list[str]:
    """Return what a person should know about their labels before they train.

    Raises:
        BadRows: there are too few rows, or only one intent.
    """
    if len(rows) < FEWEST_ROWS:
        raise BadRows(f"{len(rows)} rows are too few; bring {FEWEST_ROWS} at least, better 20 for each intent")
    count = Counter(row.intent for row in rows)
    if len(count) < 2:
        raise BadRows(f"all rows have the intent {next(iter(count))}; there is nothing to tell apart")
    absent = [name for name in taxonomy.names if not count[name]]
    thin = [f"{name} ({count[name]})" for name in taxonomy.names if 0 < count[name] < 20]
    warnings: list[str] = []
    if absent:
        warnings.append(f"no rows at all, so never recognised: {', '.join(absent)}")
    if thin:
        warnings.append(f"fewer than 20 rows, so weakly recognised: {', '.join(thin)}")
    return warnings


def shipped_sentences(taxonomy: Taxonomy, beside: int) -> list[Row]:
    """Return the project's own sentences that fit a taxonomy.

    With the shipped taxonomy all do. With another one a name may mean something else, so only what is out of the
    scope of every shop is taken, and no more than suits the labels it stands beside.

    Args:
        taxonomy: the intents in use.
        beside: how many labelled rows there are.
    """
    ours = [row for path in sorted(SENTENCES.glob("*.jsonl")) for row in _sentences(path)]
    if taxonomy.names == load_taxonomy().names:
        return ours
    outside = sorted((row for row in ours if row.intent == OUT_OF_SCOPE), key=_shuffled)
    return outside[: max(FEWEST_ROWS, beside // 4)]


def _sentences(path: Path) -> list[Row]:
    return [msgspec.structs.replace(_row.decode(line), source="raydesk") for _, line in _lines(path)]


def _shuffled(row: Row) -> bytes:
    """Return a key that puts rows into an order which is the same each time and has nothing to do with the text."""
    return hashlib.sha256(row.text.encode()).digest()
