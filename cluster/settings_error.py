"""What is wrong with the settings, said so that the reader can put it right.

A problem is one line: the setting, what was found and where, what is allowed. The value of a secret,
or of a name that is not known (it may be a misspelled secret), never appears in it.
"""

import difflib
import re
from collections.abc import Callable
from typing import cast, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

_SHOWN_CHARACTERS = 60
_WORDS: dict[object, str] = {bool: "true or false", int: "a whole number", float: "a number", SecretStr: "a text"}
_TOML_WORDS: dict[type[object], str] = {
    dict: "a table",
    list: "a list",
    bool: "true or false",
    int: "a number",
    str: "a text",
}


class SettingsError(Exception):
    """The settings do not allow a start; ``problems`` has one plain line for each thing that is wrong."""

    def __init__(self, *problems: str) -> None:
        """Keep the lines; they are positional, so that the error crosses Ray."""
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        """Return one line per problem."""
        return "\n".join(self.problems)


def problems_of(
    error: ValidationError, model: type[BaseModel], found_in: Callable[[tuple[str, ...]], str]
) -> tuple[str, ...]:
    """Turn pydantic's findings into plain lines, without their inputs where those may be secret.

    Args:
        error: what validating ``model`` raised.
        model: the root of the settings.
        found_in: tells where the setting of a path was given, e.g. ``config.toml``.
    """
    lines: list[str] = []
    for detail in error.errors(include_url=False):
        path = tuple(str(part) for part in detail["loc"] if part != "[key]")
        lines.extend(_lines(detail, path, model, found_in))
    return tuple(dict.fromkeys(lines))


def redacted(text: str) -> str:
    """Take user names and passwords out of a URL."""
    return re.sub(r"://[^\s]*@", "://********@", text)


def allowed_values(field: FieldInfo) -> str:
    """Say in words what a setting may be."""
    kind = _kind_of_field(field)
    if get_args(kind) and all(isinstance(choice, str) for choice in get_args(kind)):
        return "one of " + ", ".join(get_args(kind))
    words = _WORDS.get(kind, "a table" if isinstance(kind, type) and issubclass(kind, BaseModel) else "a text")
    if field.examples:
        return f"{words} such as " + ", ".join(map(str, field.examples))
    bounds = [text for rule in field.metadata if (text := _bound(rule))]
    return " ".join([words, *bounds])


def _bound(rule: object) -> str:
    match rule:
        case Ge(ge=limit):
            return f"from {limit}"
        case Gt(gt=limit):
            return f"above {limit}"
        case Le(le=limit):
            return f"up to {limit}"
        case Lt(lt=limit):
            return f"below {limit}"
        case MinLen(min_length=limit):
            return f"of at least {limit} characters"
        case MaxLen(max_length=limit):
            return f"of at most {limit} characters"
        case _:
            pattern = getattr(rule, "pattern", None)
            return f"of the form {pattern}" if pattern else ""


def _lines(
    detail: ErrorDetails, path: tuple[str, ...], model: type[BaseModel], found_in: Callable[[tuple[str, ...]], str]
) -> list[str]:
    name, where = ".".join(path), found_in(path)
    if detail["type"] == "extra_forbidden":
        return [_unknown(path, model, where)]
    field = _field(path, model)
    if detail["type"] == "missing" and field:
        return [f"{name}: found nothing; needed: {allowed_values(field)}"]
    if detail["type"] == "value_error":
        reason = str(detail.get("ctx", {}).get("error", detail["msg"]))
        return [f"{name}: {line.replace(';', where + ';', 1)}" if path else line for line in reason.splitlines()]
    if detail["loc"] and detail["loc"][-1] == "[key]":
        return [f"{name}: not a name{where}; allowed: lower-case letters, digits, - and _, at most 32, no __"]
    if field is None:
        return [f"{name}: found {_kind_of(detail['input'])}{where}; allowed: a table"]
    return [f"{name}: found {_shown(detail['input'], field)}{where}; allowed: {allowed_values(field)}"]


def _unknown(path: tuple[str, ...], model: type[BaseModel], where: str) -> str:
    parent = _model_at(path[:-1], model)
    known = sorted(parent.model_fields) if parent else []
    close = difflib.get_close_matches(path[-1], known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    within = "in " + ".".join(path[:-1]) if path[:-1] else "as a section"
    return f"{'.'.join(path)}: unknown setting{where}{hint}; allowed {within}: {', '.join(known)}"


def _model_at(path: tuple[str, ...], model: type[BaseModel]) -> type[BaseModel] | None:
    """Follow a path through sections and through tables of named entries."""
    current: type[BaseModel] | None = model
    rest = list(path)
    while rest and current is not None:
        field = current.model_fields.get(rest.pop(0))
        kind = _kind_of_field(field)
        if get_origin(kind) is dict:
            kind = get_args(kind)[1]
            rest = rest[1:]
        current = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    return current


def _kind_of_field(field: FieldInfo | None) -> object:
    return cast("object", field.annotation) if field else None  # pyright: ignore[reportUnknownMemberType]


def _field(path: tuple[str, ...], model: type[BaseModel]) -> FieldInfo | None:
    parent = _model_at(path[:-1], model) if path else None
    field = parent.model_fields.get(path[-1]) if parent else None
    return None if get_origin(_kind_of_field(field)) is dict else field


def _shown(value: object, field: FieldInfo) -> str:
    """Show what was found; of a secret, or of a whole table, only its kind."""
    kind = _kind_of_field(field)
    is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
    if kind is SecretStr or is_section or isinstance(value, (dict, list)):
        return _kind_of(cast("object", value))
    text = str(value).lower() if isinstance(value, bool) else redacted(repr(value))
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def _kind_of(value: object) -> str:
    return _TOML_WORDS.get(type(value), f"a value of type {type(value).__name__}")
