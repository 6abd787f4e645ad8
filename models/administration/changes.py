"""Changes of what an admin may change: each says what was before and what is after, so it can be taken back.

* A change happens only if what is there is what it takes for granted (`applied`), so of two admins who began with
  the same, the second is told.
* Taking a change back is a change of its own, from ``after`` to ``before`` (`reversal`). It happens only while
  nobody changed the entry since; so a change and its reversal together leave everything as it was.
* A new password is a change that cannot be taken back: the old one is not kept.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from models.administration.sections import Section, Value, value_of
from models.domain.errors import BadRequest, Conflict

Note = Literal["", "password"]
_encode = msgspec.json.Encoder(order="deterministic").encode


class Outdated(Conflict):
    """Somebody changed the entry since; nothing happened. ``current`` is what stands there now, None: nothing."""

    def __init__(self, detail: str, current: Value | None = None) -> None:
        super().__init__(detail, current)
        self.current = current


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A change that somebody asks for.

    Args:
        section, name: the entry.
        before, after: what stands there, and what shall stand there; None: nothing.
        by: the name of the user who asks.
        undoes: id of the change that it takes back.
        note: what else it is.
    """

    section: Section
    name: str
    before: Value | None
    after: Value | None
    by: str
    undoes: str = ""
    note: Note = ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change that happened: an entry of the audit trail.

    Args:
        id: grows with time; unique in the account.
        at_ms: Unix time in milliseconds.
        by: name of the user who made it.
        section, name: the entry.
        before, after: what stood there, and stands there from then on, as JSON has it; None: nothing. Plain values, so
            that the trail stays readable whatever later releases make of an entry.
        undoes: id of the change that it takes back; empty for most.
        note: ``password`` when a password was set, which is never shown.
    """

    id: str
    at_ms: int
    by: str
    section: Section
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    undoes: str = ""
    note: Note = ""


Entries = Mapping[tuple[Section, str], Value]


def version_of(value: Value | None) -> str:
    """Name what stands in an entry: the same name for the same contents, an empty one for nothing."""
    return "" if value is None else blake2b(_encode(value), digest_size=12).hexdigest()


def plain(value: Value | None) -> dict[str, Any] | None:
    """Return an entry as JSON has it."""
    return None if value is None else msgspec.to_builtins(value)


def applied(entries: Entries, draft: Draft) -> Entries:
    """Return what stands everywhere after a change.

    Raises:
        Outdated: something else stands there than ``draft.before``.
    """
    place = (draft.section, draft.name)
    current = entries.get(place)
    if current != draft.before:
        raise Outdated("somebody changed this since", current)
    rest = {where: value for where, value in entries.items() if where != place}
    return rest if draft.after is None else rest | {place: draft.after}


def reversal(change: Change, by: str) -> Draft:
    """Return the change that takes another one back.

    Raises:
        BadRequest: this one cannot be taken back.
    """
    if change.note == "password":
        raise BadRequest("the old password is not kept; set another one")
    before = None if change.before is None else value_of(change.section, change.before)
    after = None if change.after is None else value_of(change.section, change.after)
    if change.section == "users" and before is not None and after is None:
        raise BadRequest("a user who was removed comes back with a new password only; add them again")
    return Draft(section=change.section, name=change.name, before=after, after=before, by=by, undoes=change.id)
