"""An agent: a human who answers, with the role, the skills and the capacity that decide what reaches them."""

import re

import msgspec

from models.domain.commands import Role
from models.domain.errors import BadRequest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_SKILL_CHARS = 64


class User(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody who may log in.

    Args:
        name: unique in the account; what desks and colleagues see.
        role: what it allows grows from ``agent`` over ``supervisor`` to ``admin``.
        skills: the skill groups whose conversations this agent can take.
        capacity: conversations held at once; 0 means the default of the settings.
        active: whether a log-in is allowed; somebody who left is kept, as old messages name them.
    """

    name: str
    role: Role = "agent"
    skills: tuple[str, ...] = ()
    capacity: int = 0
    active: bool = True


def check_user(user: User) -> None:
    """Check what the types alone do not say.

    Raises:
        BadRequest: the name, a skill or the capacity is not allowed.
    """
    if not _NAME.fullmatch(user.name):
        raise BadRequest("a user name is 1 to 64 letters, digits or . _ @ + -, and starts with a letter or digit")
    if not all(0 < len(skill) <= _SKILL_CHARS for skill in user.skills):
        raise BadRequest(f"a skill is 1 to {_SKILL_CHARS} characters")
    if user.capacity < 0:
        raise BadRequest("a capacity is 0 (the default) or more")
