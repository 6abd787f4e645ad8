"""The tables of docs/protocol.md, made from the types, so that document and code cannot disagree.

A table stands between ``<!-- made: <name> -->`` and ``<!-- end -->``; `rewritten` fills them all anew and
leaves the rest of the text alone. ``make docs`` writes the file.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from models.domain.errors import RaydeskError, documented_errors
from models.protocol.described import STORED, Schema, fields_of, prose, references, schemas
from models.protocol.events import DESK_EVENTS, VISITOR_EVENTS
from models.protocol.methods import Door, Method, methods_at
from models.protocol.openrpc import STANDARD_CODES
from models.protocol.results import DeskSnapshot

#: Results that are types of our own; others are plain JSON.
_OURS = "models.protocol."
_MADE = re.compile(r"<!-- made: (?P<name>[\w ]+) -->\n.*?<!-- end -->", re.DOTALL)


class UnknownTable(Exception):
    """A marker that names no table."""


def rewritten(text: str) -> str:
    """Return a document with every table between markers made anew.

    Raises:
        UnknownTable: a marker names none of `tables`.
    """
    known = tables()

    def fill(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in known:
            raise UnknownTable(name)
        return f"<!-- made: {name} -->\n\n{known[name]()}\n\n<!-- end -->"

    return _MADE.sub(fill, text)


def tables() -> dict[str, Callable[[], str]]:
    """Return what makes each table, by the name in its marker."""
    return {
        "methods of a desk": lambda: _methods("desk"),
        "methods of a visitor": lambda: _methods("visitor"),
        "results": lambda: _types(_result_names()),
        "stored types": lambda: _types(kind.__name__ for kind in STORED),
        "events of a desk": lambda: _events(DESK_EVENTS),
        "events of a visitor": lambda: _events(VISITOR_EVENTS),
        "errors": _errors,
        "frame errors": _standard_errors,
    }


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), ["---"] * len(list(head)), *map(list, rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _methods(door: Door) -> str:
    components = schemas()
    return "\n\n".join(_method(method, components, door) for method in methods_at(door).values())


def _method(method: Method, components: dict[str, Schema], door: Door) -> str:
    fields = _fields(components[method.params.__name__])
    result = f"[{method.result.__name__}](#{method.result.__name__.lower()})" if _named(method) else "an object"
    also = " Also by `POST /rpc`." if method.http and door == "desk" else ""
    errors = ", ".join(f"`{name}`" for name in method.errors)
    return "\n\n".join(
        part
        for part in (
            f"#### `{method.name}`",
            method.summary + also,
            fields or "No parameters.",
            f"Result: {result}." + (f" Errors: {errors}." if errors else ""),
        )
        if part
    )


def _named(method: Method) -> bool:
    return method.result.__module__.startswith(_OURS)


def _result_names() -> list[str]:
    """Name the results of all methods, and what stands in them, each once."""
    components = schemas()
    methods = [*methods_at("desk").values(), *methods_at("visitor").values()]
    first = [method.result.__name__ for method in methods if _named(method)] + [DeskSnapshot.__name__]
    stored = {kind.__name__ for kind in STORED}
    names = list(dict.fromkeys(first))
    for each in names:  # grows while it is walked, so that what stands in those is named too
        names += [name for name in dict.fromkeys(references(components[each])) if name not in stored | set(names)]
    return names


def _types(names: Iterable[str]) -> str:
    components = schemas()
    return "\n\n".join(
        f"#### {name}\n\n{components[name]['description']}\n\n{_fields(components[name])}" for name in names
    )


def _events(kinds: Iterable[type]) -> str:
    components = schemas()
    return "\n\n".join(
        f"#### Event `{kind.__struct_config__.tag}`\n\n{components[kind.__name__]['description']}\n\n"  # type: ignore[attr-defined]
        + _fields(components[kind.__name__], without="type")
        for kind in kinds
    )


def _fields(schema: Schema, without: str = "") -> str:
    rows = [
        (
            f"`{field.name}`",
            _form(field.schema),
            "required" if field.required else _default(field.schema),
            field.meaning,
        )
        for field in fields_of(schema)
        if field.name != without
    ]
    return _table(("field", "type", "default", "meaning"), rows) if rows else ""


def _default(schema: Schema) -> str:
    if schema.get("type") == "array":
        return "empty list"
    value: Any = schema.get("default")
    match value:
        case None:
            return "null"
        case "":
            return "empty"
        case True | False:
            return str(value).lower()
        case _:
            return f"`{value}`"


def _form(schema: Schema) -> str:
    """Say in words what a schema allows."""
    if "anyOf" in schema:
        return ", or ".join(_form(each) for each in schema["anyOf"])
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return "list of " + _form(schema["items"])
    return schema.get("type", "any") + _bounds(schema)


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if high is not None:
        return f", {low} to {high:,} characters" if low else f", at most {high:,} characters"
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None:
        return f", {low} to {high}"
    return f", from {low}" if low is not None else ""


def _errors() -> str:
    rows = [
        (f"`{kind.name}`", str(kind.rpc_code), str(kind.http_status), prose(kind.__doc__ or ""))
        for kind in documented_errors()
    ]
    ours = (f"`{RaydeskError.name}`", str(RaydeskError.rpc_code), str(RaydeskError.http_status), "A mistake of ours.")
    return _table(("name", "code", "HTTP status", "meaning"), [*rows, ours])


def _standard_errors() -> str:
    return _table(("code", "meaning"), [(str(code), meaning) for code, meaning in STANDARD_CODES.items()])
