"""A router client over a transport that drops, delays, loses answers and restarts the router under it."""

import asyncio
from collections import deque

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cluster import clients
from cluster.clients import RouterClient
from cluster.codec import decode_commands, encode_replies
from cluster.settings import Settings
from models.domain.commands import Exported, Moved, Receipt, Receive, Refusal, Resolve, Snooze
from models.domain.errors import Conflict, Overloaded, RaydeskError, Unavailable
from models.domain.ids import contact_id, conversation_id
from models.domain.message import Attachment
from models.timeline.cache import SEEN_MESSAGES
from models.timeline.order import SenderOrder
from tests.virtual_time import VirtualTimeLoop

DEADLINE_S = 10.0
#: A batch is given up at its next failure after the deadline, plus the pause before it is repeated.
SLACK_S = 0.2
CONVERSATION = conversation_id(0, 0, bytes(10))
CONTACTS = [contact_id("acme", "web", "web", f"v{number}") for number in range(4)]


def message(number: int, contact: str = CONTACTS[0], text: str = "") -> Receive:
    return Receive(
        account="acme",
        contact=contact,
        channel="web",
        inbox="web",
        external_id="v",
        source_id=f"{number:06}",
        text=text or str(number),
        received_at_ms=0,
    )


class NastyRouter:
    """Takes batches as the actor does; the next calls meet the ``fates`` that were set."""

    def __init__(self) -> None:
        self.order = SenderOrder()
        self.log: list[str] = []  # source ids in the order in which they were first taken; survives a restart
        self.fates: deque[tuple[str, float]] = deque()
        self.calls = 0
        self.under_way = 0
        self.most_under_way = 0
        self.tasks: set[asyncio.Task] = set()

    def take(self, sender: str, generation: int, number: int, payload: bytes) -> bytes:
        if not self.order.admit(sender, generation, number):
            return b""
        replies = []
        for command in decode_commands(payload):
            duplicate = command.source_id in self.log
            if not duplicate:
                self.log.append(command.source_id)
            at = self.log.index(command.source_id) + 1
            replies.append(Receipt(conversation="s", seq=at, at_ms=0, duplicate=duplicate))
        return encode_replies(replies)

    async def carry(self, shard: int, *batch) -> bytes:
        self.calls += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self.meet(*(self.fates.popleft() if self.fates else ("taken", 0.0)), batch)
        finally:
            self.under_way -= 1

    async def meet(self, fate: str, wait_s: float, batch: tuple) -> bytes:
        if fate == "late":
            # the caller hears that it failed; it arrives all the same, when nobody expects it
            task = asyncio.ensure_future(self.arrive_later(wait_s, batch))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            raise Unavailable("lost")
        await asyncio.sleep(wait_s)
        if fate == "dropped":
            raise Unavailable("lost")
        if fate == "hangs":
            await asyncio.sleep(10 * DEADLINE_S)
        if fate == "not now":
            self.order.break_all()
            return b""
        answer = self.take(*batch)
        if fate == "unanswered":
            raise Unavailable("the answer is lost")
        if fate == "slowly answered":
            await asyncio.sleep(wait_s)
        return answer

    async def arrive_later(self, wait_s: float, batch: tuple) -> None:
        await asyncio.sleep(wait_s)
        self.take(*batch)


FATES = ["taken", "slowly answered", "dropped", "unanswered", "late", "not now", "hangs"]


class ClientMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.router = NastyRouter()
        self.client = RouterClient(self.router.carry, shards=1, batch_bytes=400, queue_limit=12, deadline_s=DEADLINE_S)
        self.sent: dict[str, float] = {}
        self.outcomes: dict[str, list] = {}
        self.refused: list[str] = []

    @rule(count=st.integers(1, 9))
    def somebody_writes(self, count: int) -> None:
        async def submit() -> None:
            for _ in range(count):
                command = message(len(self.sent) + len(self.refused))
                before = self.client.waiting
                try:
                    self.client.submit(command, self.answered, command.source_id)
                except Overloaded:
                    assert before >= 12
                    self.refused.append(command.source_id)
                else:
                    self.sent[command.source_id] = self.loop.time()

        self.loop.run_until_complete(submit())

    def answered(self, source: str, outcome: object) -> None:
        self.outcomes.setdefault(source, []).append(outcome)

    @rule(fates=st.lists(st.tuples(st.sampled_from(FATES), st.sampled_from([0.0, 0.01, 0.3, 4.0])), max_size=4))
    def the_next_calls_will_meet(self, fates: list[tuple[str, float]]) -> None:
        self.router.fates.extend(fates)

    @rule(seconds=st.sampled_from([0.001, 0.04, 0.2, 1.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.advance(seconds)

    @rule()
    def the_router_restarts(self) -> None:
        self.router.order = SenderOrder()

    @invariant()
    def nobody_is_answered_twice(self) -> None:
        assert all(len(outcomes) == 1 for outcomes in self.outcomes.values())

    @invariant()
    def answers_come_in_the_order_of_the_questions(self) -> None:
        assert list(self.outcomes) == sorted(self.outcomes)

    @invariant()
    def receipts_stand_in_the_order_of_sending(self) -> None:
        taken = [source for source, (outcome,) in self.outcomes.items() if isinstance(outcome, Receipt)]
        seqs = [self.outcomes[source][0].seq for source in taken]
        assert seqs == sorted(seqs)
        assert [self.router.log[seq - 1] for seq in seqs] == taken

    @invariant()
    def four_calls_at_most_are_under_way(self) -> None:
        assert self.router.most_under_way <= 4

    @invariant()
    def nothing_refused_was_taken(self) -> None:
        assert not set(self.refused) & (set(self.router.log) | set(self.outcomes))

    def teardown(self) -> None:
        """Everybody is answered at last, and what was taken in a good hour is a receipt."""
        self.router.fates.clear()
        self.loop.advance(5 * DEADLINE_S)
        assert sorted(self.outcomes) == sorted(self.sent)
        self.nobody_is_answered_twice()
        self.receipts_stand_in_the_order_of_sending()
        for (outcome,) in self.outcomes.values():
            assert isinstance(outcome, Receipt | Unavailable), outcome
        self.loop.run_until_complete(self.client.aclose())
        for task in self.router.tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


TestClientOverANastyTransport = ClientMachine.TestCase
TestClientOverANastyTransport.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, derandomize=True
)


@pytest.fixture
def loop():
    loop = VirtualTimeLoop()
    yield loop
    loop.close()


def client(carry, **changes) -> RouterClient:
    fields = {"shards": 1, "batch_bytes": 400, "queue_limit": 100, "deadline_s": DEADLINE_S}
    return RouterClient(carry, **(fields | changes))


def test_a_command_without_answer_ends_in_unavailable_at_its_deadline(loop):
    async def hang(*batch) -> bytes:
        return await loop.create_future()

    async def main() -> float:
        with pytest.raises(Unavailable):
            await client(hang).ask(message(1))
        return loop.time()

    assert DEADLINE_S <= loop.run_until_complete(main()) <= DEADLINE_S + SLACK_S


def test_a_router_that_is_down_is_asked_again_until_the_deadline(loop):
    calls = []

    async def down(*batch) -> bytes:
        calls.append(batch)
        raise Unavailable("router:0 is down")

    async def main() -> float:
        with pytest.raises(Unavailable, match="router:0 is down"):
            await client(down).ask(message(1))
        return loop.time()

    assert DEADLINE_S <= loop.run_until_complete(main()) <= DEADLINE_S + SLACK_S
    assert len(calls) > 50
    assert [batch[2] for batch in calls] == list(range(len(calls)))
    assert {batch[3] for batch in calls} == {0}


def test_what_waits_behind_a_router_that_is_down_is_answered_at_its_own_deadline(loop):
    async def down(*batch) -> bytes:
        raise Unavailable("router:0 is down")

    async def main() -> float:
        asker = client(down)
        outcomes = await asyncio.gather(*(asker.ask(message(n)) for n in range(40)), return_exceptions=True)
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        return loop.time()

    assert loop.run_until_complete(main()) <= DEADLINE_S + SLACK_S


def test_overload_is_refused_at_once(loop):
    router = NastyRouter()
    router.fates.append(("taken", 1.0))

    async def main() -> None:
        asker = client(router.carry, queue_limit=5)
        first = asyncio.ensure_future(asker.ask(message(0)))
        await asyncio.sleep(0)
        rest = [asyncio.ensure_future(asker.ask(message(n))) for n in range(1, 6)]
        await asyncio.sleep(0)
        while asker.waiting < 5:
            rest.append(asyncio.ensure_future(asker.ask(message(len(rest) + 1))))
            await asyncio.sleep(0)
        started = loop.time()
        with pytest.raises(Overloaded):
            asker.submit(message(99), lambda *_: None)
        (refused,) = await asker.receive_many([message(99)])
        assert isinstance(refused, Overloaded)
        assert loop.time() == started
        await asyncio.gather(first, *rest)

    loop.run_until_complete(main())
    assert "000099" not in router.log


def test_what_gathers_while_calls_are_under_way_goes_as_one(loop):
    router = NastyRouter()
    router.fates += [("taken", 0.01), ("taken", 0.01)]

    async def main() -> None:
        asker = client(router.carry, batch_bytes=80_000)
        await asyncio.gather(*(asker.ask(message(n)) for n in range(100)))
        assert asker.batched == 100

    loop.run_until_complete(main())
    assert router.calls <= 3


def test_a_caller_that_stops_waiting_costs_nobody_else_an_answer(loop):
    router = NastyRouter()
    router.fates += [("taken", 0.05)]

    async def main() -> None:
        asker = client(router.carry)
        gone = asyncio.ensure_future(asker.ask(message(0)))
        stays = asyncio.ensure_future(asker.ask(message(1)))
        await asyncio.sleep(0.01)
        gone.cancel()
        assert isinstance(await stays, Receipt)
        # it was not taken back
        assert router.log == ["000000", "000001"]

    loop.run_until_complete(main())


def test_a_caller_that_fails_on_its_answer_costs_nobody_else_an_answer(loop):
    router = NastyRouter()

    def fail(token: object, outcome: object) -> None:
        raise RuntimeError("a caller's own mistake")

    async def main() -> None:
        asker = client(router.carry)
        asker.submit(message(0), fail)
        assert isinstance(await asker.ask(message(1)), Receipt)

    loop.run_until_complete(main())


def test_a_command_that_cannot_be_written_costs_nobody_else_an_answer(loop):
    router = NastyRouter()
    where = conversation_id(1, 0, bytes(10))

    async def main() -> None:
        asker = client(router.carry)
        poison = Snooze(account="acme", conversation=where, by="ann", role="agent", until_ms=2**70)
        asks = [asker.ask(message(0)), asker.ask(poison), asker.ask(message(1))]
        async with asyncio.timeout(60):
            outcomes = await asyncio.gather(*asks, return_exceptions=True)
        assert isinstance(outcomes[1], RaydeskError)
        assert isinstance(await asker.ask(message(2)), Receipt)

    loop.run_until_complete(main())


def test_a_refusal_is_raised_as_its_error(loop):
    async def refuse(*batch) -> bytes:
        return encode_replies([Refusal(name="conflict", detail="this conversation is resolved")])

    async def main() -> None:
        with pytest.raises(Conflict, match="resolved"):
            await client(refuse).ask(message(1))

    loop.run_until_complete(main())


def test_a_mistake_of_a_router_is_an_answer_too(loop):
    async def wrong(*batch) -> bytes:
        return encode_replies([])

    async def broken(*batch) -> bytes:
        raise ValueError("no such thing")

    async def main() -> None:
        for carry in (wrong, broken):
            with pytest.raises(RaydeskError):
                await client(carry).ask(message(1))

    loop.run_until_complete(main())


def test_a_moved_contact_is_followed_and_remembered(loop):
    asked = []

    async def moving(shard: int, sender: str, generation: int, number: int, payload: bytes) -> bytes:
        replies = []
        for command in decode_commands(payload):
            asked.append(command.contact)
            moved = command.contact == CONTACTS[0]
            replies.append(Moved(contact=CONTACTS[1]) if moved else Receipt(conversation="s", seq=1, at_ms=0))
        return encode_replies(replies)

    async def main() -> None:
        asker = client(moving)
        assert isinstance(await asker.receive(message(1)), Receipt)
        assert isinstance(await asker.receive(message(2)), Receipt)

    loop.run_until_complete(main())
    assert asked == [CONTACTS[0], CONTACTS[1], CONTACTS[1]]


def test_commands_go_to_the_shard_of_their_slot(loop):
    shards = []

    async def note(shard: int, *batch) -> bytes:
        shards.append(shard)
        return encode_replies([Exported()])

    async def main() -> None:
        asker = client(note, shards=4)
        for slot in (0, 255, 256, 1023):
            where = conversation_id(1, slot, bytes(10))
            await asker.ask(Snooze(account="a", conversation=where, by="b", role="agent", until_ms=1))

    loop.run_until_complete(main())
    assert shards == [0, 0, 1, 3]


def test_closing_waits_for_what_was_taken(loop):
    router = NastyRouter()
    router.fates += [("taken", 0.5)]

    async def main() -> None:
        asker = client(router.carry)
        asked = asyncio.ensure_future(asker.ask(message(1)))
        await asyncio.sleep(0)
        await asker.aclose()
        await asker.aclose()
        assert isinstance(await asked, Receipt)

    loop.run_until_complete(main())


def test_closing_ends_although_somebody_goes_on_asking(loop):
    router = NastyRouter()
    router.fates += [("taken", 0.01)] * 1_000
    outcomes: list[object] = []

    async def main() -> None:
        asker = client(router.carry)

        async def ask_for_ever() -> None:
            for number in range(500):
                try:
                    outcomes.append(await asker.ask(message(number)))
                except Unavailable as error:
                    outcomes.append(error)
                    return

        askers = [asyncio.ensure_future(ask_for_ever()) for _ in range(3)]
        await asyncio.sleep(0.05)
        async with asyncio.timeout(1):
            await asker.aclose()
        await asyncio.gather(*askers)

    loop.run_until_complete(main())
    assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 3


def test_a_batch_keeps_to_its_bytes_in_any_script_and_with_attachments(loop):
    sizes: list[int] = []
    router = NastyRouter()

    async def carry(*batch) -> bytes:
        sizes.append(len(batch[-1]))
        return await router.carry(*batch)

    link = Attachment(kind="link", url="https://example.com/" + "x" * 1_900)

    async def main() -> None:
        asker = client(carry, batch_bytes=10_000, queue_limit=1_000)
        chinese = [message(number, text="\u4f60" * 300) for number in range(50)]
        linked = [msgspec.structs.replace(message(100 + number), attachments=(link,)) for number in range(50)]
        await asyncio.gather(*map(asker.ask, chinese + linked))

    loop.run_until_complete(main())
    assert max(sizes) < 13_000


def test_all_that_is_under_way_is_recognised_when_it_is_repeated():
    batch = -(-Settings().router.batch_bytes // clients._ENVELOPE_BYTES)
    assert clients._IN_FLIGHT_FULL * batch <= SEEN_MESSAGES


class SteadyRouter(NastyRouter):
    """Takes so many messages a second and no more, as one does that has no time to spare."""

    def __init__(self, loop: asyncio.AbstractEventLoop, per_s: float) -> None:
        super().__init__()
        self.loop = loop
        self.per_s = per_s
        self.free_at = 0.0

    async def carry(self, shard: int, *batch) -> bytes:
        count = len(decode_commands(batch[-1]))
        self.free_at = max(self.free_at, self.loop.time()) + count / self.per_s
        await asyncio.sleep(self.free_at - self.loop.time())
        return self.take(*batch)


async def offer_load(asker: RouterClient, per_s: float, seconds: float, first: int) -> tuple[list[float], list[bool]]:
    """Write at a rate; returns how long each taken message waited for its receipt, and which were refused."""
    loop = asyncio.get_running_loop()
    waits, refused, begin = [], [], loop.time()
    for number in range(int(per_s * seconds)):
        await asyncio.sleep(begin + number / per_s - loop.time())
        sent = loop.time()
        try:
            asker.submit(message(first + number), lambda sent, _: waits.append(loop.time() - sent), sent)
        except Overloaded:
            refused.append(True)
        else:
            refused.append(False)
    return waits, refused


def test_more_than_the_router_takes_is_refused_in_time_and_what_it_takes_goes_on(loop):
    router = SteadyRouter(loop, 1_000)
    asker = client(router.carry, batch_bytes=8_000, queue_limit=100_000, queue_wait_s=0.25)

    async def main() -> None:
        waits, refused = await offer_load(asker, 1_500, 12.0, 0)
        assert not any(refused[:750])
        # what is taken is what the router can take, and no message waits long
        taken = refused[3_000:].count(False)
        assert 0.95 < taken / (15_000 * 1_000 / 1_500) < 1.05
        assert max(waits) < 1.2
        # and once less comes, nobody is refused
        await asyncio.sleep(1.0)
        waits, refused = await offer_load(asker, 900, 2.0, 50_000)
        assert not any(refused)
        await asker.aclose()

    loop.run_until_complete(main())


def test_agents_are_heard_while_contacts_are_refused(loop):
    asker = client(SteadyRouter(loop, 100).carry, queue_limit=100_000, queue_wait_s=0.1)

    async def main() -> None:
        await offer_load(asker, 500, 3.0, 0)
        assert asker.late(0)
        with pytest.raises(Overloaded):
            asker.submit(message(90_000), lambda *_: None)
        asker.submit(Resolve(account="acme", conversation=CONVERSATION, by="ann", role="agent"), lambda *_: None)
        await asker.aclose()

    loop.run_until_complete(main())


def test_what_a_restart_left_waiting_refuses_nobody(loop):
    router = SteadyRouter(loop, 10_000)
    asker = client(router.carry, batch_bytes=8_000, queue_limit=100_000, queue_wait_s=0.25)

    async def main() -> None:
        router.free_at = loop.time() + 3.0  # as long as a restart
        waits, refused = await offer_load(asker, 1_000, 6.0, 0)
        assert not any(refused)
        assert max(waits) > 2.5
        await asker.aclose()

    loop.run_until_complete(main())
