"""Who of an account's users changed: whoever follows them reads everybody once, and then only those.

Each change of a user is noted in a stream, in one step with the change itself. A follower keeps the id of the
last note that it has read as its *mark*, and reads on from there; as long as the note of its mark is still
there, it has missed none. If it is not (the stream is kept short, a store may be restored from a backup),
or if there is no mark yet, everybody is read: so no note is ever needed for more than speed.

A user is told with the skills of its teams on top of its own; a change of a team is noted for each of its members.
"""

from collections.abc import Awaitable, Sequence
from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from cluster.store import keys
from cluster.store.teams import read_team_skills
from models.administration.teams import with_team_skills
from models.domain.agent import User

#: Notes kept; a follower who is behind by more reads everybody, which then is no more work.
NOTES = 10_000
#: Notes and users read at once: some hundred kilobytes, a millisecond of the store's time.
_CHUNK = 500
_user = msgspec.json.Decoder(User)
_Notes = list[tuple[bytes, dict[bytes, bytes]]]


class UserChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to know since a mark.

    Args:
        mark: to go on from.
        users: by name, with the skills of their teams; None: there is no such user any more.
        whole: ``users`` is everybody, and who is not among them is gone.
    """

    mark: str
    users: dict[str, User | None]
    whole: bool


def note(pipe: Pipeline, account: str, name: str) -> None:
    """Note with a change of a user, in its transaction, that there was one."""
    pipe.xadd(keys.users_changed(account), {"n": name}, maxlen=NOTES, approximate=True)


async def read_changes(redis: Redis, account: str, mark: str) -> UserChanges:
    """Read who changed since ``mark``; empty: read everybody."""
    if mark:
        noted = await _noted_since(redis, account, mark)
        if noted is not None:
            names = list(dict.fromkeys(name for _, name in noted))
            users = await _in_teams(redis, account, await _read(redis, account, names)) if names else {}
            return UserChanges(mark=noted[-1][0] if noted else mark, users=users, whole=False)
    # the mark first: who changes while everybody is read is read once more
    mark = await _newest_mark(redis, account)
    return UserChanges(mark=mark, users=await _in_teams(redis, account, await _read_all(redis, account)), whole=True)


async def _noted_since(redis: Redis, account: str, mark: str) -> list[tuple[str, str]] | None:
    """Return (mark, name) of each note after ``mark``, oldest first; None: there may have been others."""
    found: list[tuple[str, str]] = []
    while True:
        notes = cast("_Notes", await redis.xrange(keys.users_changed(account), min=mark, count=_CHUNK))
        if not notes or notes[0][0].decode() != mark:
            return None
        found += [(place.decode(), fields[b"n"].decode()) for place, fields in notes[1:]]
        if len(notes) < _CHUNK:
            return found
        mark = found[-1][0]


async def _newest_mark(redis: Redis, account: str) -> str:
    newest = cast("_Notes", await redis.xrevrange(keys.users_changed(account), count=1))
    if newest:
        return newest[0][0].decode()
    # users of before there were notes: the first one is of nobody
    return cast("bytes", await redis.xadd(keys.users_changed(account), {"n": ""})).decode()


async def _read(redis: Redis, account: str, names: Sequence[str]) -> dict[str, User | None]:
    users: dict[str, User | None] = {}
    for start in range(0, len(names), _CHUNK):
        some = list(names[start : start + _CHUNK])
        found = await cast("Awaitable[list[bytes | None]]", redis.hmget(keys.users(account), some))
        users |= {name: _user.decode(data) if data else None for name, data in zip(some, found, strict=True)}
    return users


async def _read_all(redis: Redis, account: str) -> dict[str, User | None]:
    """Read everybody in pieces, as the store does nothing else meanwhile."""
    users: dict[str, User | None] = {}
    cursor = 0
    while True:
        scan: Any = redis.hscan(keys.users(account), cursor, count=_CHUNK)
        cursor, found = cast("tuple[int, dict[bytes, bytes]]", await scan)
        users |= {name.decode(): _user.decode(data) for name, data in found.items()}
        if not cursor:
            return users


async def _in_teams(redis: Redis, account: str, users: dict[str, User | None]) -> dict[str, User | None]:
    """Give users the skills of their teams."""
    skills = await read_team_skills(redis, account)
    return {name: user and with_team_skills(user, skills) for name, user in users.items()} if skills else users
