"""Who may come in: accounts, the users of each with their passwords, and API keys.

* A password is kept as an argon2id hash (RFC 9106) only. Checking one takes the same work for a user
  that does not exist, and it runs in a thread, at most a few at a time: a flood of log-ins is refused
  with `Overloaded` before it can take the memory or the cores.
* An API key is shown once and kept as a SHA-256: it has 256 random bits, so a slow hash would add nothing.
* Changes of one user are compare-and-set: two at the same time never lose one of them.
* Each is noted for those who follow all users (`cluster.store.user_changes`).
"""

import asyncio
import hmac
import secrets
import time
import unicodedata
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TypeVar, cast

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from redis.asyncio import Redis
from redis.exceptions import WatchError

from cluster.store import keys
from cluster.store.user_changes import UserChanges, note, read_changes
from models.domain.agent import User, check_user
from models.domain.errors import BadRequest, Conflict, NotFound, Overloaded, Unauthorized

MIN_PASSWORD_CHARS = 8
MAX_PASSWORD_CHARS = 1024
"""A longer text is no password but an attempt to make hashing dear."""
API_KEY_PREFIX = "rdk_"
_API_KEY_CHARS = len(API_KEY_PREFIX) + 16 + 1 + 64
_HASHING_AT_ONCE = 4
"""Each takes 64 MiB and tens of milliseconds of a core."""
_HASHING_WAITING = 64
_FORGOTTEN_AT_ONCE = 500


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an API key; the key itself is not.

    Args:
        id: the middle part of the key, by which it is named and revoked.
        account: all that it opens.
        label: what its owner calls it.
        created_at_ms: Unix time in milliseconds.
    """

    id: str
    account: str
    label: str
    created_at_ms: int


class _StoredUser(User, frozen=True, kw_only=True, omit_defaults=True):
    password_hash: str
    password_set_s: int

    def public(self) -> User:
        return User(name=self.name, role=self.role, skills=self.skills, capacity=self.capacity, active=self.active)


class _StoredKey(ApiKey, frozen=True, kw_only=True):
    sha256: str

    def public(self) -> ApiKey:
        return ApiKey(id=self.id, account=self.account, label=self.label, created_at_ms=self.created_at_ms)


_T = TypeVar("_T")
_user = msgspec.json.Decoder(_StoredUser)
_key = msgspec.json.Decoder(_StoredKey)


class Directory:
    """Users, API keys and accounts in the store."""

    def __init__(
        self, redis: Redis, *, hasher: PasswordHasher | None = None, now: Callable[[], float] = time.time
    ) -> None:
        """Read and write through ``redis``.

        Args:
            redis: a client that answers bytes.
            hasher: the argon2id parameters of new hashes; None means RFC 9106's for little memory.
            now: gives the Unix time in seconds.
        """
        self._redis = redis
        self._hasher = hasher or PasswordHasher()
        self._now = now
        self._slots = asyncio.Semaphore(_HASHING_AT_ONCE)
        self._waiting = 0
        self._decoy: str | None = None

    # -- accounts

    async def add_account(self, account: str) -> None:
        """Make an account known; one that is known stays as it is."""
        await self._redis.sadd(keys.ACCOUNTS, account)  # type: ignore[misc]

    async def accounts(self) -> list[str]:
        """List the names of all accounts, sorted."""
        found = cast("set[bytes]", await self._redis.smembers(keys.ACCOUNTS))  # type: ignore[misc]
        return sorted(name.decode() for name in found)

    # -- users

    async def add(self, account: str, user: User, password: str) -> None:
        """Let somebody new in.

        Raises:
            BadRequest: name, skills, capacity or password are not allowed.
            Conflict: the name is taken.
        """
        check_user(user)
        stored = _StoredUser(
            **msgspec.structs.asdict(user),
            password_hash=await self._hash(_checked_password(password)),
            password_set_s=int(self._now()),
        )
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hsetnx(keys.users(account), user.name, cast("str", msgspec.json.encode(stored)))
            note(pipe, account, user.name)
            added, _ = await pipe.execute()
        if not added:
            raise Conflict(f"there is a user {user.name!r} already")

    async def set_password(self, account: str, name: str, password: str) -> None:
        """Give a user another password; sessions that began before cannot be renewed.

        Raises:
            BadRequest: the password is not allowed.
            NotFound: no such user.
        """
        hashed = await self._hash(_checked_password(password))
        changed_s = int(self._now())
        await self._change(
            account,
            name,
            lambda user: msgspec.structs.replace(user, password_hash=hashed, password_set_s=changed_s),
        )

    async def update(self, account: str, user: User) -> None:
        """Replace a user's role, skills, capacity and whether it is active; the password stays.

        Raises:
            BadRequest: skills or capacity are not allowed.
            NotFound: no such user.
        """
        check_user(user)
        await self._change(
            account, user.name, lambda stored: msgspec.structs.replace(stored, **msgspec.structs.asdict(user))
        )

    async def set_skills(self, account: str, name: str, skills: Sequence[str]) -> User:
        """Put a user into other skill groups; all else of it stays, whoever changes that meanwhile.

        Raises:
            BadRequest: a skill is not allowed.
            NotFound: no such user.
        """
        wanted = tuple(dict.fromkeys(skills))
        check_user(User(name=name, skills=wanted))
        await self._change(account, name, lambda stored: msgspec.structs.replace(stored, skills=wanted))
        user = await self.get(account, name)
        if user is None:
            raise NotFound(f"no user {name!r}")
        return user

    async def remove(self, account: str, name: str) -> None:
        """Take a user out; what is on its desk is handed on as when it goes away.

        Raises:
            NotFound: no such user.
        """
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(keys.users(account), name)
            note(pipe, account, name)
            removed, _ = await pipe.execute()
        if not removed:
            raise NotFound(f"no user {name!r}")

    async def forget(self, account: str, names: Sequence[str]) -> int:
        """Delete what is kept of users who were taken out: the logs of their desks, their acks and presences.

        Who is still a user, or still has a conversation that waits to be handed on, is left alone. A desk of somebody
        who gets such a name later begins a log of its own.

        Returns:
            How many were forgotten.
        """
        forgotten = 0
        for begin in range(0, len(names), _FORGOTTEN_AT_ONCE):
            some = names[begin : begin + _FORGOTTEN_AT_ONCE]
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hmget(keys.users(account), list(some))
                for name in some:
                    pipe.scard(keys.holds(account, name))
                users, *held = await pipe.execute()
            gone = [name for name, user, holds in zip(some, users, held, strict=True) if user is None and not holds]
            if gone:
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.unlink(*(keys.desk_log(account, name) for name in gone))
                    pipe.hdel(keys.desk_acked(account), *gone)
                    pipe.hdel(keys.presence(account), *gone)
                    await pipe.execute()
            forgotten += len(gone)
        return forgotten

    async def get(self, account: str, name: str) -> User | None:
        """Return a user, active or not."""
        stored = await self._stored(account, name)
        return stored and stored.public()

    async def list(self, account: str) -> Sequence[User]:
        """Return all users of an account by name, active or not."""
        found = cast("dict[bytes, bytes]", await self._redis.hgetall(keys.users(account)))  # type: ignore[misc]
        return sorted((_user.decode(data).public() for data in found.values()), key=lambda user: user.name)

    async def verify(self, account: str, name: str, password: str) -> User | None:
        """Return the user if the password is right and it may log in, else None.

        Takes the same work whether the user exists or not. A hash of older parameters is replaced.

        Raises:
            Overloaded: too many passwords are being checked already.
        """
        decoy = await self._decoy_hash()
        stored = await self._stored(account, name)
        plain = _normal(password[: MAX_PASSWORD_CHARS + 1])
        matches = await self._matches(stored.password_hash if stored else decoy, plain)
        if stored is None or not matches or len(password) > MAX_PASSWORD_CHARS or not stored.active:
            return None
        if self._hasher.check_needs_rehash(stored.password_hash):
            await self._rehash(account, stored, plain)
        return stored.public()

    async def session_user(self, account: str, name: str, session_started_s: int) -> User:
        """Return the user of a session that is to be renewed, with the role that it has now.

        Raises:
            Unauthorized: the user left, or the password was changed since the session began.
        """
        stored = await self._stored(account, name)
        if stored is None or not stored.active or session_started_s < stored.password_set_s:
            raise Unauthorized("the session is over: log in again")
        return stored.public()

    async def changes(self, account: str, mark: str) -> UserChanges:
        """Return who changed since ``mark``, as a call before returned it; empty: everybody."""
        return await read_changes(self._redis, account, mark)

    # -- API keys

    async def create_key(self, account: str, label: str) -> tuple[str, ApiKey]:
        """Make an API key.

        Returns:
            The key, which nobody can be told again, and what is kept of it.
        """
        key_id = secrets.token_hex(8)
        key = f"{API_KEY_PREFIX}{key_id}_{secrets.token_hex(32)}"
        stored = _StoredKey(
            id=key_id, account=account, label=label, created_at_ms=int(self._now() * 1000), sha256=_digest(key)
        )
        await self._redis.hset(keys.API_KEYS, key_id, cast("str", msgspec.json.encode(stored)))  # type: ignore[misc]
        return key, stored.public()

    async def verify_key(self, key: str) -> ApiKey | None:
        """Return what is known of an API key, None if it was never made or is revoked."""
        key_id = _key_id(key)
        data = key_id and await self._redis.hget(keys.API_KEYS, key_id)  # type: ignore[misc]
        if not data:
            return None
        stored = _key.decode(cast("bytes", data))
        return stored.public() if hmac.compare_digest(stored.sha256, _digest(key)) else None

    async def list_keys(self, account: str) -> Sequence[ApiKey]:
        """Return what is known of an account's API keys, oldest first."""
        found = cast("dict[bytes, bytes]", await self._redis.hgetall(keys.API_KEYS))  # type: ignore[misc]
        stored = (_key.decode(data) for data in found.values())
        return sorted((key.public() for key in stored if key.account == account), key=lambda key: key.created_at_ms)

    async def revoke_key(self, account: str, key_id: str) -> None:
        """Make an API key worthless.

        Raises:
            NotFound: this account has no such key.
        """
        data = await self._redis.hget(keys.API_KEYS, key_id)  # type: ignore[misc]
        if data is None or _key.decode(cast("bytes", data)).account != account:
            raise NotFound("no such API key")
        await self._redis.hdel(keys.API_KEYS, key_id)  # type: ignore[misc]

    # -- how

    async def _stored(self, account: str, name: str) -> _StoredUser | None:
        data = await self._redis.hget(keys.users(account), name)  # type: ignore[misc]
        return None if data is None else _user.decode(cast("bytes", data))

    async def _change(self, account: str, name: str, change: Callable[[_StoredUser], _StoredUser]) -> None:
        """Replace a user's record, again if somebody else did meanwhile."""
        where = keys.users(account)
        while True:
            async with self._redis.pipeline(transaction=True) as pipe:
                await pipe.watch(where)
                data = await pipe.hget(where, name)  # type: ignore[misc]
                if data is None:
                    raise NotFound(f"no user {name!r}")
                pipe.multi()
                pipe.hset(where, name, cast("str", msgspec.json.encode(change(_user.decode(cast("bytes", data))))))
                note(pipe, account, name)
                try:
                    await pipe.execute()
                except WatchError:
                    continue
                return

    async def _rehash(self, account: str, seen: _StoredUser, plain: str) -> None:
        """Bring a hash to today's parameters, unless the password was changed meanwhile."""
        hashed = await self._hash(plain)

        def replace(user: _StoredUser) -> _StoredUser:
            if user.password_hash != seen.password_hash:
                return user
            return msgspec.structs.replace(user, password_hash=hashed)

        await self._change(account, seen.name, replace)

    async def _decoy_hash(self) -> str:
        if self._decoy is None:
            self._decoy = await self._hash(secrets.token_hex(16))
        return self._decoy

    async def _hash(self, plain: str) -> str:
        return await self._in_thread(lambda: self._hasher.hash(plain))

    async def _matches(self, hashed: str, plain: str) -> bool:
        def verify() -> bool:
            try:
                return self._hasher.verify(hashed, plain)
            except (VerificationError, InvalidHashError):
                return False

        return await self._in_thread(verify)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        if self._waiting >= _HASHING_WAITING:
            raise Overloaded("too many log-ins at once", 2.0)
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def _checked_password(password: str) -> str:
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        raise BadRequest(f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters")
    return _normal(password)


def _normal(password: str) -> str:
    """Give the same password typed on different keyboards the same characters (RFC 8265, section 4.2)."""
    return unicodedata.normalize("NFC", password)


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def _key_id(key: str) -> str:
    """Return the id in a key, empty if it has not the form of one."""
    if len(key) != _API_KEY_CHARS or not key.isascii() or not key.startswith(API_KEY_PREFIX):
        return ""
    key_id, _, _ = key.removeprefix(API_KEY_PREFIX).partition("_")
    return key_id
