"""The teams of an account, and its users with the skills of theirs."""

from collections.abc import Awaitable, Mapping
from typing import cast

import msgspec
from redis.asyncio import Redis

from cluster.store import keys
from models.administration.sections import Team
from models.administration.teams import team_skills

_team = msgspec.json.Decoder(Team)


async def read_team_skills(redis: Redis, account: str) -> Mapping[str, tuple[str, ...]]:
    """Return what the members of an account's teams know by being in them."""
    found = await cast("Awaitable[list[bytes]]", redis.hvals(keys.administration(account, "teams")))
    return team_skills(map(_team.decode, found))
