"""What the sockets of a gateway confirmed and saw, written to the store together, once a second.

Each is the newest word on its matter, so one that a crash takes along is made good by the next one.
"""

from redis.asyncio import Redis

from cluster.store import keys
from cluster.store.seen import AgentsSeen, tell_seen
from cluster.store.valkey import STORE_DOWN


class Acks:
    """What is to be written; bounded by what is open and held."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._agents_seen = AgentsSeen(redis)
        self._desks: dict[tuple[str, str], int] = {}
        self._visits: dict[tuple[str, str], str] = {}
        self._seen: dict[tuple[str, str, str], int] = {}

    def desk(self, account: str, agent: str, cursor: int) -> None:
        """Note the highest cursor that a desk of this agent confirmed."""
        self._desks[account, agent] = max(cursor, self._desks.get((account, agent), 0))

    def visit(self, account: str, contact: str, message: str) -> None:
        """Note the newest message that a contact has seen."""
        self._visits[account, contact] = message

    def seen(self, account: str, agent: str, conversation: str, seq: int) -> None:
        """Note how far an agent has seen a conversation on its desk."""
        place = (account, agent, conversation)
        self._seen[place] = max(seq, self._seen.get(place, 0))

    async def flush(self) -> None:
        """Write it, and tell the other sides; what the store does not take stays for the next time.

        Raises:
            RedisError: one of `STORE_DOWN`.
        """
        desks, self._desks = self._desks, {}
        visits, self._visits = self._visits, {}
        seen, self._seen = self._seen, {}
        try:
            await self._write(desks, visits)
            await tell_seen(self._redis, visits)
            await self._agents_seen.tell(seen)
        except STORE_DOWN:
            for desk, cursor in desks.items():
                self.desk(*desk, cursor)
            for place, seq in seen.items():
                self.seen(*place, seq)
            self._visits = visits | self._visits
            raise

    async def _write(self, desks: dict[tuple[str, str], int], visits: dict[tuple[str, str], str]) -> None:
        if not desks and not visits:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for (account, agent), cursor in desks.items():
            pipeline.hset(keys.desk_acked(account), agent, str(cursor))
        for (account, contact), message in visits.items():
            pipeline.hset(keys.visit_acked(account), contact, message)
        await pipeline.execute()
