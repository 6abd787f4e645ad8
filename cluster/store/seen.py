"""Shows each side what the other has seen: live events, as typing is, which no log keeps.

How far each side has seen is kept beside them, for whoever comes later.
"""

from collections.abc import Awaitable, Mapping
from typing import cast

from redis.asyncio import Redis

from cluster.store import keys
from cluster.store.valkey import script
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


class AgentsSeen:
    """Keeps how far agents have seen what contacts wrote, and shows the contacts."""

    def __init__(self, redis: Redis) -> None:
        self._tell = redis.register_script(script("agent_seen"))

    async def tell(self, seen: Mapping[tuple[str, str, str], int]) -> None:
        """Tell the contacts; what is not on the agent's desk is left out, and nothing goes backwards.

        Args:
            seen: (account, agent, conversation) -> number of the newest message that was seen.
        """
        by_account: dict[str, list[tuple[str, str, int]]] = {}
        for (account, agent, conversation), seq in seen.items():
            by_account.setdefault(account, []).append((conversation, agent, seq))
        for account, places in by_account.items():
            names = [
                name
                for conversation, _, _ in places
                for name in (keys.conversation(account, conversation), keys.session(account, conversation))
            ]
            await self._tell(
                keys=[keys.held(account), keys.agent_seen(account), *names],
                args=[keys.visit_channel(account, ""), *(each for place in places for each in place)],
            )


def seen_entry(conversation: str, seq: int) -> str:
    """Write the entry without a cursor that a gateway shows and does not keep."""
    return f'0 [{{"type":"seen","conversation":"{conversation}","seq":{seq}}}]'
