"""A user as it is stored: what everybody may know, and the hash of the password."""

import msgspec

from models.domain.agent import User


class StoredUser(User, frozen=True, kw_only=True, omit_defaults=True):
    """A user with its password hash, and the Unix second at which that was set."""

    password_hash: str
    password_set_s: int

    def public(self) -> User:
        """Return what everybody may know."""
        return User(name=self.name, role=self.role, skills=self.skills, capacity=self.capacity, active=self.active)


decode_user = msgspec.json.Decoder(StoredUser).decode


def encode_user(user: StoredUser) -> str:
    """Return what is stored."""
    return msgspec.json.encode(user).decode()


def new_user(user: User, password_hash: str, set_s: int) -> StoredUser:
    """Return the record of somebody new."""
    return StoredUser(**msgspec.structs.asdict(user), password_hash=password_hash, password_set_s=set_s)
