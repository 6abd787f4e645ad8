"""Passwords: only argon2id hashes of them (RFC 9106), made and checked in threads, at most a few at a time.

A flood of log-ins is refused with `Overloaded` before it can take the memory or the cores.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from models.domain.errors import InvalidField, Overloaded

MIN_PASSWORD_CHARS = 8
MAX_PASSWORD_CHARS = 1024
"""A longer text is no password but an attempt to make hashing dear."""
_HASHING_AT_ONCE = 4
"""Each takes 64 MiB and tens of milliseconds of a core."""
_HASHING_WAITING = 64
_T = TypeVar("_T")


class Passwords:
    """Makes and checks hashes.

    Args:
        hasher: the argon2id parameters of new hashes; None means RFC 9106's for little memory.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._slots = asyncio.Semaphore(_HASHING_AT_ONCE)
        self._waiting = 0
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """Return the hash of a new password.

        Raises:
            InvalidField: it is too short or too long.
            Overloaded: too many are being worked on already.
        """
        if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
            raise InvalidField(f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters", "password")
        return await self._hash(_normal(password))

    async def rehash(self, password: str) -> str:
        """Return the hash of a password that was taken before, however long."""
        return await self._hash(_normal(password))

    async def matches(self, hashed: str, password: str) -> bool:
        """Tell whether a password has a hash; a longer one than is allowed takes the same work, and has not."""
        plain = _normal(password[: MAX_PASSWORD_CHARS + 1])

        def verify() -> bool:
            try:
                return self._hasher.verify(hashed, plain)
            except (VerificationError, InvalidHashError):
                return False

        return await self._in_thread(verify) and len(password) <= MAX_PASSWORD_CHARS

    def is_outdated(self, hashed: str) -> bool:
        """Tell whether a hash has other parameters than a new one."""
        return self._hasher.check_needs_rehash(hashed)

    async def decoy(self) -> str:
        """Return the hash that is checked for a user who does not exist."""
        if self._decoy is None:
            self._decoy = await self._hash(secrets.token_hex(16))
        return self._decoy

    async def _hash(self, plain: str) -> str:
        return await self._in_thread(lambda: self._hasher.hash(plain))

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        if self._waiting >= _HASHING_WAITING:
            raise Overloaded("too many log-ins at once", 2.0)
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def _normal(password: str) -> str:
    """Give the same password typed on different keyboards the same characters (RFC 8265, section 4.2)."""
    return unicodedata.normalize("NFC", password)
