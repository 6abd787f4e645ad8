"""What admins change while raydesk runs, as it is stored, and the trail of their changes.

A change of an entry, its line in the audit trail and the word to those who follow are one script: all of it happens,
or nothing. It happens only if the entry still is what the change was made from (`Outdated` otherwise), so two who
change the same at the same moment never overwrite each other unseen. The sections ``users`` and ``canned`` are the
hashes that the directory and the desks use, so there is one truth of them.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from cluster.store import keys
from cluster.store.directory import Directory
from cluster.store.user_changes import NOTES
from cluster.store.user_record import decode_user, encode_user, new_user
from cluster.store.valkey import script
from models.administration.changes import Change, Draft, Note, Outdated, plain
from models.administration.hours import Hours
from models.administration.inboxes import WebInbox
from models.administration.sections import KINDS, MOST, CannedText, Person, Section, Team, Value, person_of, user_of
from models.domain.errors import BadRequest, Conflict, InvalidField, NotFound

#: Lines of the trail that are kept, about: years of changes.
KEPT = 20_000
#: Lines read at once, and looked at in search of some before the caller has to ask on.
_CHUNK = 200
_MOST_LOOKED_AT = 2_000
_encode = msgspec.json.Encoder().encode
_decoders = {section: msgspec.json.Decoder(kind) for section, kind in KINDS.items()}
_Lines = list[tuple[bytes, dict[bytes, bytes]]]


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the trail: a `Change` without what its place tells."""

    by: str
    section: Section
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    undoes: str = ""
    note: Note = ""


_line = msgspec.json.Decoder(_Line)


class AdministrationStore:
    """The sections and the trail of any account.

    Args:
        redis: a client that answers bytes.
        directory: makes the hashes of new passwords.
        now: gives the Unix time in seconds.
    """

    def __init__(self, redis: Redis, directory: Directory, now: Callable[[], float]) -> None:
        self._redis = redis
        self._directory = directory
        self._now = now
        self._change = redis.register_script(script("change"))

    # -- what stands there

    async def entries(self, account: str, section: Section) -> dict[str, Value]:
        """Return all entries of a section by name."""
        found = await cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(key_of(account, section)))
        return {name.decode(): _value(section, data) for name, data in sorted(found.items())}

    async def entry(self, account: str, section: Section, name: str) -> Value | None:
        """Return one entry, None if there is none."""
        data = await self._raw(account, section, name)
        return _value(section, data) if data else None

    async def some(self, account: str, places: Sequence[tuple[Section, str]]) -> list[Value | None]:
        """Return entries by their places, in this order."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for section, name in places:
                pipe.hget(key_of(account, section), name)
            found = cast("list[bytes | None]", await pipe.execute())
        return [_value(section, data) if data else None for (section, _), data in zip(places, found, strict=True)]

    # -- changing it

    async def change(self, account: str, draft: Draft, password: str = "") -> Change:
        """Change one entry, if it still is what the change was made from.

        Args:
            account: tenant.
            draft: the change; whoever hands it in has checked what it leads to.
            password: of a new user, or in place of the one before.

        Raises:
            Outdated: the entry is something else by now.
            Conflict: the section is full.
            InvalidField: the password is not allowed, or is missing.
        """
        hashed = await self._directory.passwords.hash(password) if password else ""
        while True:
            raw = await self._raw(account, draft.section, draft.name)
            current = _value(draft.section, raw) if raw else None
            if current != draft.before:
                raise Outdated("somebody changed this since", current)
            outcome = await self._change(
                keys=[
                    key_of(account, draft.section),
                    keys.audit(account),
                    keys.administration_revision(account),
                    keys.users_changed(account),
                ],
                args=[
                    draft.name,
                    raw,
                    self._stored(draft, raw, hashed),
                    _encode(_line_of(draft)),
                    MOST[draft.section],
                    KEPT,
                    NOTES,
                    *_users_concerned(draft),
                ],
            )
            done, *rest = cast("list[bytes]", outcome)
            if done == b"full":
                raise Conflict(f"there are {MOST[draft.section]} already")
            if done == b"changed":
                return _change(rest[0], _line_of(draft))
            # a password was changed, or the entry was: look again

    # -- the trail

    async def change_of(self, account: str, change: str) -> Change:
        """Return a change by its id.

        Raises:
            NotFound: there is none, or it is too long ago.
        """
        if not _is_stream_id(change):
            raise NotFound("no such change")
        found = cast("_Lines", await self._redis.xrange(keys.audit(account), min=change, max=change))
        if not found:
            raise NotFound("no such change")
        return _change_of(found[0])

    async def changes(
        self, account: str, before: str, limit: int, wanted: Callable[[Change], bool]
    ) -> tuple[list[Change], str]:
        """Return changes, newest first.

        Args:
            account: tenant.
            before: id of a change, to go on behind it; empty: from the newest on.
            limit: how many at most.
            wanted: which ones.

        Returns:
            The changes, and ``before`` of the next page; empty when there is none.
        """
        if before and not _is_stream_id(before):
            raise BadRequest("before: no id of a change")
        found: list[Change] = []
        looked_at = 0
        while looked_at < _MOST_LOOKED_AT:
            end = f"({before}" if before else "+"
            lines = cast("_Lines", await self._redis.xrevrange(keys.audit(account), max=end, count=_CHUNK))
            for line in lines:
                before = line[0].decode()
                change = _change_of(line)
                if wanted(change):
                    found.append(change)
                    if len(found) == limit:
                        return found, before
            looked_at += len(lines)
            if len(lines) < _CHUNK:
                return found, ""
        return found, before

    # -- how

    async def _raw(self, account: str, section: Section, name: str) -> bytes:
        found = await cast("Awaitable[bytes | None]", self._redis.hget(key_of(account, section), name))
        return found or b""

    def _stored(self, draft: Draft, raw: bytes, hashed: str) -> bytes | str:
        """Return what is stored of an entry, empty for nothing."""
        match draft.after:
            case None:
                return b""
            case CannedText():
                return draft.after.text
            case Person():
                return self._stored_user(draft.name, draft.after, raw, hashed)
            case _:
                return _encode(draft.after)

    def _stored_user(self, name: str, person: Person, raw: bytes, hashed: str) -> str:
        user, now_s = user_of(name, person), int(self._now())
        if not raw:
            if not hashed:
                raise InvalidField("a new user needs a password", "password")
            return encode_user(new_user(user, hashed, now_s))
        known = msgspec.structs.replace(decode_user(raw), **msgspec.structs.asdict(user))
        if hashed:
            known = msgspec.structs.replace(known, password_hash=hashed, password_set_s=now_s)
        return encode_user(known)


def key_of(account: str, section: Section) -> str:
    """Return the hash in which a section stands."""
    match section:
        case "users":
            return keys.users(account)
        case "canned":
            return keys.canned(account)
        case _:
            return keys.administration(account, section)


async def read_inbox(redis: Redis, account: str, inbox: str) -> WebInbox | None:
    """Return what an admin says of a web inbox, None where only the config file speaks of it."""
    return cast("WebInbox | None", await _read(redis, account, "inboxes", inbox))


async def hours_of_inbox(redis: Redis, account: str, inbox: str) -> Hours | None:
    """Return the hours that count for an inbox, None for one that is always open."""
    found = await read_inbox(redis, account, inbox)
    if found is None or not found.hours:
        return None
    return cast("Hours | None", await _read(redis, account, "hours", found.hours))


async def _read(redis: Redis, account: str, section: Section, name: str) -> Value | None:
    data = await cast("Awaitable[bytes | None]", redis.hget(key_of(account, section), name))
    return _value(section, data) if data else None


def _value(section: Section, data: bytes) -> Value:
    match section:
        case "users":
            return person_of(decode_user(data))
        case "canned":
            return CannedText(text=data.decode())
        case _:
            return _decoders[section].decode(data)


def _users_concerned(draft: Draft) -> list[str]:
    """Return the users of whom those who follow users must read again."""
    if draft.section == "users":
        return [draft.name]
    teams = [value for value in (draft.before, draft.after) if isinstance(value, Team)]
    return sorted({name for team in teams for name in team.members})


def _line_of(draft: Draft) -> _Line:
    return _Line(
        by=draft.by,
        section=draft.section,
        name=draft.name,
        before=plain(draft.before),
        after=plain(draft.after),
        undoes=draft.undoes,
        note=draft.note,
    )


def _change_of(found: tuple[bytes, dict[bytes, bytes]]) -> Change:
    return _change(found[0], _line.decode(found[1][b"e"]))


def _change(where: bytes, line: _Line) -> Change:
    change = where.decode()
    return Change(id=change, at_ms=int(change.partition("-")[0]), **msgspec.structs.asdict(line))


def _is_stream_id(text: str) -> bool:
    at_ms, _, number = text.partition("-")
    return all(part.isascii() and part.isdecimal() and len(part) <= 15 for part in (at_ms, number))
