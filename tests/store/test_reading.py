"""What a visit's start reads while others go on writing."""

import msgspec
import pytest
from redis.asyncio import Redis

from cluster.store import keys
from cluster.store.reading import Reading, VisitState
from models.domain.conversation import ContactRecord, ConversationRecord, Thread
from models.domain.ids import contact_id, conversation_id, slot_of_contact

pytestmark = [pytest.mark.anyio, pytest.mark.store]

ACCOUNT = "shop"
CONTACT = contact_id(ACCOUNT, "web", "web", "v1")
CASE = conversation_id(1_800_000_000_000, slot_of_contact(CONTACT), bytes(10))
_encode = msgspec.json.Encoder().encode


@pytest.fixture
def anyio_backend():
    return "asyncio"


class BusyReading(Reading):
    """Reads of a conversation in which somebody writes between any two reads."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.redis = redis

    async def page(self, account, conversation, before, limit):
        found = await super().page(account, conversation, before, limit)
        await say(self.redis, found[1] + 1)
        return found


async def say(redis: Redis, seq: int) -> None:
    message = {"id": f"{CASE}-{seq}", "conversation": CASE, "seq": seq, "author": "agent", "at_ms": 1}
    await redis.lpush(keys.session(ACCOUNT, CASE), _encode(message))


def numbers(state: VisitState) -> list[int]:
    return [msgspec.json.decode(message)["seq"] for message in state.messages]


@pytest.mark.parametrize("seen", [1, 95, 100])
async def test_a_visit_resumes_with_all_up_to_its_new_cursor_and_nothing_after_it(empty_store_url, seen):
    async with Redis.from_url(empty_store_url) as redis:
        record = ConversationRecord(
            id=CASE,
            contact=CONTACT,
            state="waiting",
            opened_at_ms=1,
            waiting_since_ms=1,
            threads=(Thread(channel="web", inbox="web", external_id="v1"),),
        )
        await redis.set(keys.contact(ACCOUNT, CONTACT), _encode(ContactRecord(id=CONTACT, open=CASE)))
        await redis.set(keys.conversation(ACCOUNT, CASE), _encode(record))
        for seq in range(1, 101):
            await say(redis, seq)
        state = await BusyReading(redis).visit(ACCOUNT, CONTACT, f"{CASE}-{seen}")
    assert state.cursor == (CASE, 100)
    assert not state.snapshot
    assert numbers(state) == list(range(seen + 1, 101))
