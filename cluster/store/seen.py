"""Shows the desks what their contacts have seen: a live event, as typing is; the log does not keep it."""

from collections.abc import Awaitable, Mapping
from typing import cast

from redis.asyncio import Redis

from cluster.store import keys
from models.domain.errors import InvalidId
from models.domain.ids import split_message_id


async def tell_seen(redis: Redis, seen: Mapping[tuple[str, str], str]) -> None:
    """Tell the agents who hold these contacts' conversations.

    Args:
        redis: a client that answers bytes.
        seen: (account, contact) -> id of the newest message that it has seen.
    """
    by_account: dict[str, list[tuple[str, int]]] = {}
    for (account, _), message in seen.items():
        try:
            by_account.setdefault(account, []).append(split_message_id(message))
        except InvalidId:
            continue
    for account, places in by_account.items():
        agents = await cast(
            "Awaitable[list[bytes | None]]",
            redis.hmget(keys.held(account), [conversation for conversation, _ in places]),
        )
        async with redis.pipeline(transaction=False) as pipe:
            for (conversation, seq), agent in zip(places, agents, strict=True):
                if agent is not None:
                    pipe.publish(keys.desk_channel(account, agent.decode()), seen_entry(conversation, seq))
            await pipe.execute()


def seen_entry(conversation: str, seq: int) -> str:
    """Write the entry without a cursor that a gateway shows and does not keep."""
    return f'0 [{{"type":"seen","conversation":"{conversation}","seq":{seq}}}]'
