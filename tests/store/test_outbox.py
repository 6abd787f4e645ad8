"""The outbox on a real store: order, retries, reports; kills of the outbox and of the store."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from cluster.settings import Settings
from cluster.settings_sections import StoreSettings
from cluster.store import keys
from cluster.store.embedded import EmbeddedStore
from cluster.store.outbox import OutboxStore
from cluster.store.valkey import connect
from deployments.channels.channel import Call, Channel, Failed, Later, Outcome, Reading, Sent
from deployments.channels.wechat import WeChat
from deployments.outbox import Outbox, OutboxActor
from models.channels.backoff import Backoff
from models.domain.commands import AnyCommand, AnyReply, Delivered, Done
from models.domain.errors import NotFound, RaydeskError, Unavailable
from models.domain.ids import message_id
from models.domain.outgoing import Outgoing
from tests.deployments.wechat_server import APP_ID, APP_SECRET, WeChatServer

pytestmark = [pytest.mark.anyio, pytest.mark.store]
ROOT = Path(__file__).parents[2]
QUICK = Backoff(first_s=0.01, most_s=0.05, attempts=4)
SLOW = Backoff(first_s=60.0, most_s=60.0, attempts=4)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _close_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outbox that closes waits for its read to end: let that be soon."""
    monkeypatch.setattr("deployments.sender.BLOCK_MS", 50)


class Pigeon(Channel):
    """A channel that keeps the promises of the seam: each part takes its next scripted outcome, or is sent.

    A closed ``open`` keeps every call under way, ``hold`` those of one text; a text with bars is cut at them.
    """

    name = "pigeon"

    def __init__(self) -> None:
        self.script: dict[str, deque[Outcome | Exception]] = {}
        self.taken: list[str] = []
        self.calls: list[str] = []
        self.under_way: set[str] = set()
        self.hold: dict[str, asyncio.Event] = {}
        self.open = asyncio.Event()
        self.open.set()

    async def read(self, inbox: str, call: Call) -> Reading:
        raise NotImplementedError

    def parts(self, outgoing: Outgoing) -> tuple[str, ...]:
        return tuple(outgoing.text.split("|"))

    async def send(self, outgoing: Outgoing, text: str, key: str) -> Outcome:
        self.calls.append(key)
        assert outgoing.conversation not in self.under_way, "two answers of one conversation at once"
        self.under_way.add(outgoing.conversation)
        try:
            await self.open.wait()
            if text in self.hold:
                await self.hold[text].wait()
        finally:
            self.under_way.discard(outgoing.conversation)
        script = self.script.get(text)
        outcome = script.popleft() if script else Sent()
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, Sent):
            self.taken.append(text)
        return outcome


class Ears:
    """A router that only hears reports, and can be away."""

    def __init__(self) -> None:
        self.heard: list[Delivered] = []
        self.error: RaydeskError | None = None

    async def ask(self, command: AnyCommand) -> AnyReply:
        if self.error:
            raise self.error
        assert isinstance(command, Delivered)
        self.heard.append(command)
        return Done()

    def states(self) -> list[tuple[str, str, str]]:
        return [(report.message, report.state, report.detail) for report in self.heard]


def conversation(number: int) -> str:
    return f"s01hf8z0000{number:02d}{'0' * 16}"


def outgoing(text: str, number: int = 0, seq: int = 1, channel: str = "pigeon", inbox: str = "loft") -> Outgoing:
    return Outgoing(
        account="demo",
        conversation=conversation(number),
        message=message_id(conversation(number), seq),
        channel=channel,
        inbox=inbox,
        external_id="them",
        text=text,
        at_ms=0,
    )


async def post(redis: Redis, *answers: Outgoing) -> None:
    for answer in answers:
        await redis.xadd(keys.outbox(answer.account), {"m": msgspec.json.encode(answer)})


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        met = condition()
        if (await met) if isinstance(met, Awaitable) else met:
            return
        assert time.monotonic() < deadline, "condition not met in time"
        await asyncio.sleep(0.01)


async def left(redis: Redis) -> int:
    return await redis.xlen(keys.outbox("demo"))


@pytest.fixture
async def redis(empty_store_url: str) -> AsyncIterator[Redis]:
    client = connect(StoreSettings(url=empty_store_url))
    yield client
    await client.aclose()


@pytest.fixture
def pigeon() -> Pigeon:
    return Pigeon()


@pytest.fixture
def ears() -> Ears:
    return Ears()


@asynccontextmanager
async def running(redis: Redis, ears: Ears, *channels: Channel, retry: Backoff = QUICK) -> AsyncIterator[Outbox]:
    outbox = Outbox(
        store=OutboxStore(redis),
        router=ears,
        channels={channel.name: channel for channel in channels},
        accounts=["demo"],
        retry=retry,
    )
    outbox.start()
    try:
        yield outbox
    finally:
        await outbox.aclose()
        await outbox.aclose()
        assert outbox.state in ("stopped", "superseded")


async def test_answers_written_before_and_after_the_start_are_sent_reported_and_gone(redis, pigeon, ears):
    await post(redis, outgoing("before"))
    async with running(redis, ears, pigeon) as outbox:
        await until(lambda: len(ears.heard) == 1)
        await post(redis, outgoing("after", seq=2))
        await until(lambda: outbox.describe()["owed"] == 0 and len(ears.heard) == 2)
    assert pigeon.taken == ["before", "after"]
    assert pigeon.calls == [message_id(conversation(0), 1), message_id(conversation(0), 2)]
    assert [state for _, state, _ in ears.states()] == ["sent", "sent"]
    assert outbox.describe() | {"epoch": 1, "sent": 2, "failed": 0, "queued": 0} == outbox.describe()
    assert await left(redis) == 0
    assert not await redis.exists(keys.outbox_reports("demo"), keys.outbox_progress("demo"))


async def test_one_conversation_keeps_its_order_while_it_waits_and_holds_up_no_other(redis, pigeon, ears):
    pigeon.script["first"] = deque([Later(detail="busy")] * 3)
    pigeon.script["stuck"] = deque([Later(detail="busy", after_s=60.0)])
    async with running(redis, ears, pigeon):
        await post(
            redis,
            outgoing("stuck", 9, 1),
            outgoing("behind it", 9, 2),
            outgoing("first", 0, 1),
            outgoing("second", 0, 2),
            *(outgoing(f"other {n}", n, 1) for n in range(1, 6)),
            outgoing("third", 0, 3),
        )
        await until(lambda: len(pigeon.taken) == 8)
    assert [text for text in pigeon.taken if not text.startswith("other")] == ["first", "second", "third"]
    assert await left(redis) == 2


async def test_many_conversations_are_under_way_at_once(redis, pigeon, ears):
    pigeon.open.clear()
    async with running(redis, ears, pigeon):
        await post(redis, *(outgoing(f"{n}", n) for n in range(10)))
        await until(lambda: len(pigeon.under_way) == 10)
        pigeon.open.set()
        await until(lambda: len(ears.heard) == 10)


async def test_refusal_is_reported_with_the_words_of_the_vendor_and_not_repeated(redis, pigeon, ears):
    pigeon.script["no"] = deque([Failed(detail="45015 out of time")])
    pigeon.script["b"] = deque([Failed(detail="too many")])
    async with running(redis, ears, pigeon):
        await post(redis, outgoing("no"), outgoing("a|b|c", 1), outgoing("x", 2, channel="fax"))
        await until(lambda: len(ears.heard) == 3)
    assert sorted(ears.states()) == [
        (message_id(conversation(0), 1), "failed", "45015 out of time"),
        (message_id(conversation(1), 1), "failed", "too many (1 of 3 parts were sent)"),
        (message_id(conversation(2), 1), "failed", "no channel 'fax' sends"),
    ]
    assert pigeon.taken == ["a"]
    assert await left(redis) == 0


@pytest.mark.parametrize("trouble", [Later(detail="busy"), RuntimeError("a fault in the channel")])
async def test_answer_that_fails_too_often_is_given_up_and_reported(redis, pigeon, ears, trouble):
    pigeon.script["x"] = deque([trouble] * 10)
    async with running(redis, ears, pigeon):
        await post(redis, outgoing("x"), outgoing("y", seq=2))
        await until(lambda: len(ears.heard) == 2)
    (_, state, detail), second = ears.states()
    assert state == "failed"
    assert detail.startswith("given up after 4 attempts: ")
    assert len(pigeon.calls) == 5
    assert second[1] == "sent"


async def test_attempts_are_counted_over_a_restart(redis, pigeon, ears):
    pigeon.script["x"] = deque([Later(detail="busy", after_s=60.0)] + [Later(detail="busy")] * 10)
    await post(redis, outgoing("x"))
    async with running(redis, ears, pigeon) as outbox:
        await until(lambda: redis.hexists(keys.outbox_progress("demo"), outgoing("x").message))
        assert outbox.describe()["retried"] == 1
    async with running(redis, ears, pigeon):
        await until(lambda: len(ears.heard) == 1)
    assert len(pigeon.calls) == 4


async def test_long_answer_goes_on_after_a_restart_where_it_stopped(redis, pigeon, ears):
    pigeon.script["b"] = deque([Later(detail="busy")])
    await post(redis, outgoing("a|b|c"), outgoing("next", seq=2))
    async with running(redis, ears, pigeon, retry=SLOW):
        await until(lambda: redis.hexists(keys.outbox_progress("demo"), outgoing("x").message))
        await until(lambda: len(pigeon.calls) == 2)
    async with running(redis, ears, pigeon):
        await until(lambda: len(ears.heard) == 2)
    assert pigeon.taken == ["a", "b", "c", "next"]
    assert pigeon.calls[:3] == [f"{outgoing('').message}/{part}" for part in (1, 2, 2)]


async def test_closing_lets_the_call_under_way_end_and_starts_no_other(redis, pigeon, ears):
    pigeon.open.clear()
    async with running(redis, ears, pigeon) as outbox:
        await post(redis, outgoing("one"), outgoing("two", seq=2))
        await until(lambda: len(pigeon.under_way) == 1)
        closing = asyncio.create_task(outbox.aclose())
        await asyncio.sleep(0)
        pigeon.open.set()
        await closing
    assert pigeon.taken == ["one"]
    assert await left(redis) == 1


async def test_report_that_no_router_heard_is_given_after_a_restart_without_sending_again(redis, pigeon, ears):
    ears.error = Unavailable("the router restarts")
    async with running(redis, ears, pigeon) as outbox:
        await post(redis, outgoing("once"))
        await until(lambda: outbox.describe()["owed"] == 1)
    ears.error = None
    async with running(redis, ears, pigeon) as outbox:
        await until(lambda: len(ears.heard) == 1 and outbox.describe()["owed"] == 0)
    assert pigeon.taken == ["once"]
    assert ears.states() == [(outgoing("").message, "sent", "")]
    assert not await redis.exists(keys.outbox_reports("demo"))


async def test_report_on_a_conversation_that_is_gone_is_owed_no_more(redis, pigeon, ears):
    ears.error = NotFound("no such conversation")
    async with running(redis, ears, pigeon) as outbox:
        await post(redis, outgoing("x"))
        await until(lambda: outbox.describe()["sent"] == 1 and outbox.describe()["owed"] == 0)


async def test_entry_that_nobody_can_read_is_set_aside_and_stops_nothing(redis, pigeon, ears):
    await redis.xadd(keys.outbox("demo"), {"m": b"\xff not JSON"})
    await redis.xadd(keys.outbox("demo"), {"n": b"no field m"})
    async with running(redis, ears, pigeon) as outbox:
        await post(redis, outgoing("fine"))
        await until(lambda: len(ears.heard) == 1)
        assert await left(redis) == 2
        assert (await redis.xpending(keys.outbox("demo"), str(outbox.epoch)))["pending"] == 0


async def test_newer_outbox_takes_over_in_order_what_an_older_one_holds(redis, pigeon, ears):
    """Only what the older one has under way is doubled; what it had read, or reads late, is not lost."""
    older_pigeon = Pigeon()
    stuck = asyncio.Event()
    older_pigeon.hold["b"] = stuck
    async with running(redis, ears, older_pigeon) as older:
        await post(redis, outgoing("a|b|c"), outgoing("next", seq=2))
        await until(lambda: len(older_pigeon.calls) == 2)
        async with running(redis, ears, pigeon) as newer:
            await until(lambda: len(ears.heard) == 2)
            await post(redis, outgoing("late", seq=3), outgoing("other", 1))
            await until(lambda: older.state == "superseded" and len(ears.heard) == 4)
            assert newer.state == "running"
    assert older_pigeon.taken == ["a"]
    assert [text for text in pigeon.taken if text != "other"] == ["b", "c", "next", "late"]
    assert await left(redis) == 0


async def test_superseded_outbox_sends_nothing_even_before_the_newer_one_reads(redis, pigeon, ears):
    async with running(redis, ears, pigeon) as outbox:
        await post(redis, outgoing("one"))
        await until(lambda: len(ears.heard) == 1)
        await OutboxStore(redis).take_epoch()
        await post(redis, outgoing("two", seq=2))
        await until(outbox.superseded.is_set)
    assert outbox.state == "superseded"
    assert pigeon.calls == [outgoing("").message]
    assert await left(redis) == 1


async def test_readings_whose_answer_got_lost_are_pending_in_order_until_they_are_finished(redis):
    outbox = OutboxStore(redis)
    epoch = await outbox.take_epoch()
    await outbox.prepare("demo", epoch)
    await post(redis, *(outgoing(f"{seq}", seq=seq) for seq in range(1, 251)))
    lost = await outbox.fresh("demo", epoch, 240, 0) + await outbox.fresh("demo", epoch, 5, 0)
    assert await outbox.pending("demo", epoch) == lost
    report = Delivered(account="demo", conversation=conversation(0), message=lost[0].outgoing.message, state="sent")
    for _ in range(2):  # an answer of the store that got lost is asked for again
        await outbox.finish("demo", epoch, lost[0].id, report)
    assert await outbox.pending("demo", epoch) == lost[1:]
    assert await outbox.reports("demo") == [report]
    newer = await outbox.take_epoch()
    await outbox.prepare("demo", newer)
    assert [group["name"] for group in await redis.xinfo_groups(keys.outbox("demo"))] == [str(newer).encode()]
    assert len(await outbox.fresh("demo", newer, 1_000, 0)) == 249


async def test_lost_group_is_made_again_and_doubles_nothing(redis, pigeon, ears):
    async with running(redis, ears, pigeon) as outbox:
        pigeon.open.clear()
        await post(redis, outgoing("one"), outgoing("two", seq=2))
        await until(lambda: outbox.describe()["queued"] == 2)
        await redis.xgroup_destroy(keys.outbox("demo"), str(outbox.epoch))
        await post(redis, outgoing("three", seq=3))
        await until(lambda: outbox.describe()["queued"] == 3)
        pigeon.open.set()
        await until(lambda: len(ears.heard) == 3)
    assert pigeon.taken == ["one", "two", "three"]


async def test_emptied_store_gets_its_group_again(redis, pigeon, ears):
    async with running(redis, ears, pigeon):
        await post(redis, outgoing("one"))
        await until(lambda: len(ears.heard) == 1)
        await redis.flushall()
        await post(redis, outgoing("two", seq=2))
        await until(lambda: len(ears.heard) == 2)
    assert pigeon.taken == ["one", "two"]


async def test_killed_store_costs_no_answer_and_doubles_none(short_folder: Path, pigeon: Pigeon, ears: Ears):
    server = EmbeddedStore(short_folder)
    server.start()
    redis = connect(StoreSettings(url=server.url))
    try:
        async with running(redis, ears, pigeon) as outbox:
            await post(redis, *(outgoing(f"{n} 1", n, 1) for n in range(5)))
            await until(lambda: len(ears.heard) == 5)
            pigeon.open.clear()
            await post(redis, *(outgoing(f"{n} 2", n, 2) for n in range(5)))
            await until(lambda: len(pigeon.under_way) == 5)
            os.kill((await redis.info("server"))["process_id"], signal.SIGKILL)
            pigeon.open.set()  # the vendor takes them while nobody can write it down
            await until(lambda: len(pigeon.taken) == 10)
            await asyncio.to_thread(server.ensure_alive)
            await until(lambda: len(ears.heard) == 10)
            await post(redis, *(outgoing(f"{n} 3", n, 3) for n in range(5)))
            await until(lambda: len(ears.heard) == 15 and outbox.describe()["owed"] == 0)
        assert sorted(pigeon.taken) == sorted(f"{n} {seq}" for n in range(5) for seq in (1, 2, 3))
        assert await left(redis) == 0
    finally:
        await redis.aclose()
        server.stop()


async def test_outbox_that_starts_before_its_store_waits_for_it(short_folder: Path, pigeon: Pigeon, ears: Ears):
    server = EmbeddedStore(short_folder)
    redis = connect(StoreSettings(url=server.url))
    try:
        async with running(redis, ears, pigeon) as outbox:
            assert outbox.describe()["state"] == "starting"
            await asyncio.to_thread(server.start)
            await post(redis, outgoing("x"))
            await until(lambda: len(ears.heard) == 1)
    finally:
        await redis.aclose()
        server.stop()


OUTBOX_PROCESS = textwrap.dedent("""
    import asyncio, sys, time
    from cluster.settings import Settings
    from cluster.settings_sections import StoreSettings
    from cluster.store.outbox import OutboxStore
    from cluster.store.valkey import connect
    from deployments.channels.wechat import WeChat
    from deployments.outbox import Outbox
    from models.domain.commands import Done

    class Deaf:
        async def ask(self, command):
            return Done()

    async def main():
        settings = Settings.model_validate_json(sys.argv[2])
        store = OutboxStore(connect(StoreSettings(url=sys.argv[1])))
        Outbox(store=store, router=Deaf(), channels={"wechat": WeChat(settings, time.time)}, accounts=["demo"]).start()
        await asyncio.sleep(60)

    asyncio.run(main())
""")


async def test_killed_outbox_is_followed_by_one_that_sends_what_is_left_in_order(
    redis: Redis, ears: Ears, empty_store_url: str
):
    """A real process, killed while a call to the vendor is under way: that one may be doubled, no other."""
    with WeChatServer() as vendor:
        inbox = {"account": "demo", "channel": "wechat", "app_id": APP_ID, "mode": "plain", "api_base": vendor.url}
        inbox |= {"token": "webhook-token", "app_secret": APP_SECRET}
        config = {"accounts": {"demo": {}}, "inboxes": {"service": inbox}}
        vendor.script.extend([0, 0, {"wait_s": 30}])
        texts = [f"{n}" for n in range(6)]
        await post(redis, *(outgoing(text, 0, int(text) + 1, "wechat", "service") for text in texts))
        process = subprocess.Popen(  # noqa: ASYNC220 - killed by hand
            [sys.executable, "-c", OUTBOX_PROCESS, empty_store_url, msgspec.json.encode(config).decode()], cwd=ROOT
        )
        try:
            await until(lambda: len(vendor.attempts) == 3, within_s=40)
        finally:
            process.kill()
            process.wait()
        await post(redis, outgoing("6", 0, 7, "wechat", "service"))
        wechat = WeChat(Settings.model_validate(config), time.time)
        async with running(redis, ears, wechat):
            await until(lambda: len(ears.heard) == 5)
        taken = [text for _, text in vendor.taken]
    assert taken == ["0", "1", "2", "2", "3", "4", "5", "6"]
    assert [state for _, state, _ in ears.states()] == ["sent"] * 5


async def test_actor_tells_the_store_that_it_lives_until_it_is_drained(redis: Redis, empty_store_url: str):
    settings = Settings(store=StoreSettings(url=empty_store_url), accounts={"demo": {}})
    actor = OutboxActor(settings)
    await until(lambda: redis.exists(keys.alive("outbox", "outbox")))
    await until(lambda: actor_is_ready(actor))
    assert (await actor.stats())["state"] == "running"
    await actor.drain()
    assert not await redis.exists(keys.alive("outbox", "outbox"))
    assert (await actor.stats())["state"] == "stopped"


async def actor_is_ready(actor: OutboxActor) -> bool:
    return await actor.ready() > 0
