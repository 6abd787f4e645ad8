"""Who may come in: accounts, the users of each with their passwords, and API keys.

* A password is kept as a hash only (`cluster.store.passwords`). Checking one takes the same work for a user
  that does not exist.
* An API key is shown once and kept as a SHA-256: it has 256 random bits, so a slow hash would add nothing.
* Changes of one user are compare-and-set: two at the same time never lose one of them.
* Each is noted for those who follow all users (`cluster.store.user_changes`).
"""

import hmac
import secrets
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import cast

import msgspec
from argon2 import PasswordHasher
from redis.asyncio import Redis
from redis.exceptions import WatchError

from cluster.store import keys
from cluster.store.passwords import Passwords
from cluster.store.user_changes import UserChanges, note, read_changes
from cluster.store.user_record import StoredUser, decode_user, encode_user, new_user
from models.domain.agent import User, check_user
from models.domain.errors import Conflict, NotFound, Unauthorized

API_KEY_PREFIX = "rdk_"
_API_KEY_CHARS = len(API_KEY_PREFIX) + 16 + 1 + 64
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


class _StoredKey(ApiKey, frozen=True, kw_only=True):
    sha256: str

    def public(self) -> ApiKey:
        return ApiKey(id=self.id, account=self.account, label=self.label, created_at_ms=self.created_at_ms)


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
        self.passwords = Passwords(hasher)
        self._now = now

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
        stored = new_user(user, await self.passwords.hash(password), int(self._now()))
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hsetnx(keys.users(account), user.name, encode_user(stored))
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
        hashed = await self.passwords.hash(password)
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
        return sorted((decode_user(data).public() for data in found.values()), key=lambda user: user.name)

    async def verify(self, account: str, name: str, password: str) -> User | None:
        """Return the user if the password is right and it may log in, else None.

        Takes the same work whether the user exists or not. A hash of older parameters is replaced.

        Raises:
            Overloaded: too many passwords are being checked already.
        """
        decoy = await self.passwords.decoy()
        stored = await self._stored(account, name)
        matches = await self.passwords.matches(stored.password_hash if stored else decoy, password)
        if stored is None or not matches or not stored.active:
            return None
        if self.passwords.is_outdated(stored.password_hash):
            await self._rehash(account, stored, password)
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

    async def _stored(self, account: str, name: str) -> StoredUser | None:
        data = await self._redis.hget(keys.users(account), name)  # type: ignore[misc]
        return None if data is None else decode_user(cast("bytes", data))

    async def _change(self, account: str, name: str, change: Callable[[StoredUser], StoredUser]) -> None:
        """Replace a user's record, again if somebody else did meanwhile."""
        where = keys.users(account)
        while True:
            async with self._redis.pipeline(transaction=True) as pipe:
                await pipe.watch(where)
                data = await pipe.hget(where, name)  # type: ignore[misc]
                if data is None:
                    raise NotFound(f"no user {name!r}")
                pipe.multi()
                pipe.hset(where, name, encode_user(change(decode_user(cast("bytes", data)))))
                note(pipe, account, name)
                try:
                    await pipe.execute()
                except WatchError:
                    continue
                return

    async def _rehash(self, account: str, seen: StoredUser, password: str) -> None:
        """Bring a hash to today's parameters, unless the password was changed meanwhile."""
        hashed = await self.passwords.rehash(password)

        def replace(user: StoredUser) -> StoredUser:
            if user.password_hash != seen.password_hash:
                return user
            return msgspec.structs.replace(user, password_hash=hashed)

        await self._change(account, seen.name, replace)


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def _key_id(key: str) -> str:
    """Return the id in a key, empty if it has not the form of one."""
    if len(key) != _API_KEY_CHARS or not key.isascii() or not key.startswith(API_KEY_PREFIX):
        return ""
    key_id, _, _ = key.removeprefix(API_KEY_PREFIX).partition("_")
    return key_id
