"""What admins change while raydesk runs, as it is stored."""

from collections.abc import Awaitable
from typing import cast

import msgspec
from redis.asyncio import Redis

from cluster.store import keys
from models.administration.hours import Hours
from models.administration.inboxes import WebInbox

_inbox = msgspec.json.Decoder(WebInbox)
_hours = msgspec.json.Decoder(Hours)


async def read_inbox(redis: Redis, account: str, inbox: str) -> WebInbox | None:
    """Return what an admin says of a web inbox, None where only the config file speaks of it."""
    data = await _read(redis, account, "inboxes", inbox)
    return None if data is None else _inbox.decode(data)


async def hours_of_inbox(redis: Redis, account: str, inbox: str) -> Hours | None:
    """Return the hours that count for an inbox, None for one that is always open."""
    found = await read_inbox(redis, account, inbox)
    if found is None or not found.hours:
        return None
    data = await _read(redis, account, "hours", found.hours)
    return None if data is None else _hours.decode(data)


async def _read(redis: Redis, account: str, section: str, name: str) -> bytes | None:
    return await cast("Awaitable[bytes | None]", redis.hget(keys.administration(account, section), name))
