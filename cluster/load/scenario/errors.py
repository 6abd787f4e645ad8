"""What is wrong with a scenario, in one line: the key, what was found, what is allowed."""

import difflib
import re
from collections.abc import Iterator
from typing import Any, cast

import msgspec
from msgspec import inspect

from cluster.load.scenario.quantities import DURATIONS, RATES, THINK_TIMES, Duration, Rate, ThinkTime

_AT = re.compile(r" - at `(?:key in )?\$(?P<path>.*)`$")
_STEP = re.compile(r"\.(?P<key>[^.\[]+)|\[(?P<place>\d+|\.\.\.)\]")
_NAMED = re.compile(r"field `(?P<field>[^`]+)`")
_SHOWN_CHARACTERS = 60
_QUANTITIES: dict[type[object], str] = {Duration: DURATIONS, Rate: RATES, ThinkTime: THINK_TIMES}


class ScenarioError(Exception):
    """A scenario that cannot be run; ``problems`` has one plain line for each thing that is wrong."""

    def __init__(self, *problems: str) -> None:
        """Keep the lines; they are positional, so that the error crosses Ray."""
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        """Return one line per problem."""
        return "\n".join(self.problems)


def problem_of(error: msgspec.ValidationError, raw: dict[str, Any], root: type[msgspec.Struct]) -> str:
    """Turn what msgspec found into one line.

    Args:
        error: of converting ``raw`` into ``root``.
        raw: the parsed file.
        root: the type of the whole.
    """
    text = str(error)
    at = _AT.search(text)
    steps = [found["key"] or int(found["place"]) for found in _STEP.finditer(at["path"])] if at else []
    named = _NAMED.search(text)
    types, found = _walk(inspect.type_info(root), raw, steps)
    if named and "unknown field" in text:
        return _unknown([*steps, named["field"]], types)
    if named and "missing required field" in text:
        return f"{_key([*steps, named['field']])}: found nothing; allowed: {_field_words(types, named['field'])}"
    return f"{_key(steps)}: found {_shown(found)}; allowed: {_union_words(types)}"


def _walk(root: inspect.Type, raw: object, steps: list[str | int]) -> tuple[list[inspect.Type], object]:
    """Follow a path through the types and through what was found; a union stays several types."""
    types, found = [root], raw
    for step in steps:
        found = _inner(found, step)
        types = [inner for each in types for inner in _below(each, step, raw)]
        types = _chosen(types, found)
    return types, found


def _inner(found: object, step: str | int) -> object:
    try:
        return cast("Any", found)[step]
    except (KeyError, IndexError, TypeError):
        return None


def _below(kind: inspect.Type, step: str | int, raw: object) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.StructType):
        if step == kind.tag_field:
            yield inspect.LiteralType(values=(cast("Any", kind.tag),))
        yield from (each for field in kind.fields if field.encode_name == step for each in _parts(field.type))
    elif isinstance(kind, inspect.VarTupleType):
        yield from _parts(kind.item_type)


def _parts(kind: inspect.Type) -> list[inspect.Type]:
    """Return the members of a union that a file can name."""
    if isinstance(kind, inspect.UnionType):
        return [each for each in kind.types if not isinstance(each, inspect.NoneType)]
    return [kind]


def _chosen(types: list[inspect.Type], found: object) -> list[inspect.Type]:
    """Keep, of several tagged tables, the one that was meant."""
    if len(types) < 2 or not isinstance(found, dict):
        return types
    table = cast("dict[str, object]", found)
    meant: list[inspect.Type] = [
        each
        for each in types
        if isinstance(each, inspect.StructType) and each.tag_field and table.get(each.tag_field) == each.tag
    ]
    return meant or types


def _unknown(steps: list[str | int], types: list[inspect.Type]) -> str:
    known = sorted({name for each in types for name in _keys(each)})
    close = difflib.get_close_matches(str(steps[-1]), known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    within = f"in {_key(steps[:-1])}" if steps[:-1] else "here"
    return f"{_key(steps)}: found an unknown key{hint}; allowed {within}: {', '.join(known)}"


def _keys(kind: inspect.Type) -> Iterator[str]:
    if isinstance(kind, inspect.StructType):
        yield from (field.encode_name for field in kind.fields)
        if kind.tag_field:
            yield kind.tag_field


def _field_words(types: list[inspect.Type], name: str) -> str:
    found = [inner for each in types for inner in _below(each, name, None)]
    return _union_words(found)


def _words(kind: inspect.Type) -> str:
    """Say in words what a value may be."""
    match kind:
        case inspect.Metadata():
            return str(cast("dict[str, object]", kind.extra_json_schema or {}).get("description", _words(kind.type)))
        case inspect.VarTupleType():
            least = f" of at least {kind.min_length}" if kind.min_length else ""
            return f"a list{least}, each {_words(kind.item_type)}"
        case inspect.UnionType():
            return _union_words(_parts(kind))
        case inspect.StructType():
            return f"a table with {kind.tag_field} = {kind.tag!r}" if kind.tag_field else "a table"
        case _:
            return _simple_words(kind)


def _simple_words(kind: inspect.Type) -> str:
    match kind:
        case inspect.CustomType():
            return _QUANTITIES[kind.cls]
        case inspect.IntType():
            return " ".join(["a whole number", *_bounds(kind)])
        case inspect.FloatType():
            return " ".join(["a number", *_bounds(kind)])
        case inspect.LiteralType():
            return " or ".join(map(str, cast("tuple[object, ...]", kind.values)))
        case inspect.BoolType():
            return "true or false"
        case _:
            return "a text"


def _union_words(types: list[inspect.Type]) -> str:
    tables = [each for each in types if isinstance(each, inspect.StructType)]
    if len(tables) > 1 and all(each.tag_field for each in tables):
        return f"a table with {tables[0].tag_field} = {' or '.join(repr(each.tag) for each in tables)}"
    return " or ".join(dict.fromkeys(map(_words, types)))


def _bounds(kind: inspect.IntType | inspect.FloatType) -> Iterator[str]:
    if kind.ge is not None:
        yield f"from {kind.ge}"
    if kind.le is not None:
        yield f"up to {kind.le:,}"


def _key(steps: list[str | int]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".") or "the file"


def _shown(found: object) -> str:
    if found is None:
        return "nothing"
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, (dict, list)):
        kind = "table" if isinstance(found, dict) else "list"
        return f"a {kind}" if found else f"an empty {kind}"
    text = repr(found)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
