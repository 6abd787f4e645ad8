"""Types of the wire as they are described to a reader: each field with its form, its default and its meaning.

What a field means stands at the field (``Meta(description=...)``) or, for the types of `models.domain`, under
``Args:`` in the docstring of its type. Whatever is written in either place is found here, for OpenRPC and
for docs/protocol.md alike.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

import msgspec

from models.domain.bot import BotState, Insight
from models.domain.conversation import ConversationRecord, Joined, Thread
from models.domain.message import Attachment, Message
from models.protocol.events import DESK_EVENTS, VISITOR_EVENTS
from models.protocol.methods import METHODS
from models.protocol.results import DeskSnapshot

_SCHEMAS = "#/components/schemas/"
#: Types that stand inside others as JSON that is passed on unread.
STORED: tuple[type, ...] = (Message, Attachment, ConversationRecord, Thread, BotState, Insight, Joined)

Schema = dict[str, Any]
_ENTRY = re.compile(r"(\w+(?:, \w+)*): (.*)")


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a type.

    Args:
        name: as it stands in the JSON.
        schema: its JSON schema, description included.
        required: whether it must be there.
        meaning: its description; empty if nobody wrote one.
    """

    name: str
    schema: Schema
    required: bool
    meaning: str


def schemas() -> dict[str, Schema]:
    """Return the JSON schema of every type of the wire by its name, each property with its description."""
    types = [*(method.params for method in METHODS), *(method.result for method in METHODS)]
    pushed = [*DESK_EVENTS, *VISITOR_EVENTS, DeskSnapshot]
    _, components = msgspec.json.schema_components([*types, *pushed, *STORED], ref_template=_SCHEMAS + "{name}")
    for kind in STORED:
        for name, meaning in _documented(kind.__doc__ or ""):
            properties = components[kind.__name__]["properties"]
            if name in properties:
                properties[name].setdefault("description", meaning)
    for schema in components.values():
        schema["description"] = prose(schema.get("description", ""))
        for field in schema.get("properties", {}).values():
            if meaning := _meaning(field):
                field["description"] = meaning
    return components


def fields_of(schema: Schema) -> list[Field]:
    """List the fields of one of `schemas`, those that must be there first."""
    required = schema.get("required", [])
    fields = [
        Field(name=name, schema=field, required=name in required, meaning=_meaning(field))
        for name, field in schema.get("properties", {}).items()
    ]
    return sorted(fields, key=lambda field: not field.required)


def prose(docstring: str) -> str:
    """Return what a docstring says before its list of arguments, as one line of Markdown."""
    return " ".join(docstring.partition("Args:")[0].split()).replace("``", "`")


def references(schema: Any) -> Iterator[str]:
    """Name every type that a schema refers to, in order."""
    if isinstance(schema, dict):
        for key, value in cast("Schema", schema).items():
            if key == "$ref" and value.startswith(_SCHEMAS):
                yield value.removeprefix(_SCHEMAS)
            else:
                yield from references(value)
    elif isinstance(schema, list):
        for value in cast("list[Any]", schema):
            yield from references(value)


def closure(names: Iterable[str], components: dict[str, Schema]) -> dict[str, Schema]:
    """Return the named schemas and all that they refer to."""
    found: dict[str, Schema] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = components[name]
            waiting += references(components[name])
    return found


def _meaning(field: Schema) -> str:
    """Return a field's description, which stands beside or inside its alternatives."""
    alternatives = [field, *field.get("anyOf", ())]
    return next((each["description"] for each in alternatives if "description" in each), "")


def _documented(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield each name under ``Args:`` with its text, continued lines joined."""
    entries: list[tuple[str, str]] = []
    for line in docstring.partition("Args:")[2].splitlines():
        text = line.strip()
        found = _ENTRY.fullmatch(text)
        if found and len(line) - len(line.lstrip()) == 8:
            entries.append((found[1], found[2]))
        elif text and entries:
            entries[-1] = (entries[-1][0], f"{entries[-1][1]} {text}")
    for names, text in entries:
        for name in names.split(", "):
            yield name, (text[0].upper() + text[1:]).replace("``", "`")
