"""Calls over a connection of their own, on real sockets: order, answers, strangers, and every way in which one ends."""

import asyncio
import contextlib

import msgspec
import pytest

from cluster.direct import DirectCaller, DirectServer
from models.domain.errors import RaydeskError, Unavailable

pytestmark = pytest.mark.anyio
HOST = "127.0.0.1"


class Echo:
    """Answers with what it got; holds calls back while ``open`` is unset."""

    def __init__(self):
        self.calls = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, sender, generation, number, payload):
        self.calls.append((sender, generation, number))
        await self.open.wait()
        if payload == b"fail":
            raise ZeroDivisionError
        return payload[::-1]


class Process:
    """A process that may die and come back elsewhere."""

    def __init__(self):
        self.echo = Echo()
        self.server = None
        self.lookups = 0

    async def start(self):
        self.server = DirectServer(self.echo)
        await self.server.start(HOST)

    async def find(self):
        self.lookups += 1
        return self.server and self.server.whereabouts


@pytest.fixture
async def process():
    made = Process()
    await made.start()
    yield made
    made.echo.open.set()
    if made.server:
        await made.server.aclose()


@pytest.fixture
def caller(process):
    return DirectCaller("router:0", process.find)


async def test_an_answer_comes_to_its_call(process, caller):
    payloads = [b"", b"ab", "客服".encode(), bytes(3_000_000)]
    answers = await asyncio.gather(*(caller.call("s", 0, at, each) for at, each in enumerate(payloads)))
    assert answers == [each[::-1] for each in payloads]
    assert process.lookups == 1


async def test_calls_begin_in_the_order_in_which_they_were_made(process, caller):
    await asyncio.gather(*(caller.call("s", 1, number, b"x") for number in range(50)))
    assert process.echo.calls == [("s", 1, number) for number in range(50)]


async def test_a_call_is_not_held_up_by_one_before_it(process, caller):
    process.echo.open.clear()
    slow = asyncio.ensure_future(caller.call("s", 0, 0, b"slow"))
    while not process.echo.calls:
        await asyncio.sleep(0.001)
    process.echo.open, held = asyncio.Event(), process.echo.open
    process.echo.open.set()
    assert await caller.call("s", 0, 1, b"ab") == b"ba"
    assert not slow.done()
    held.set()
    assert await slow == b"wols"


async def test_nobody_there_is_unavailable(process, caller):
    server, process.server = process.server, None
    with pytest.raises(Unavailable):
        await caller.call("s", 0, 0, b"x")
    process.server = server
    assert await caller.call("s", 0, 0, b"ab") == b"ba"


async def test_a_port_where_nobody_listens_any_more_is_unavailable(process, caller):
    whereabouts = process.server.whereabouts
    await process.server.aclose()

    async def find():
        return whereabouts

    with pytest.raises(Unavailable):
        await DirectCaller("router:0", find).call("s", 0, 0, b"x")


async def test_a_death_fails_what_is_under_way_and_the_next_call_finds_the_new_one(process, caller):
    assert await caller.call("s", 0, 0, b"ab") == b"ba"
    process.echo.open.clear()
    under_way = [asyncio.ensure_future(caller.call("s", 0, number, b"x")) for number in (1, 2)]
    while len(process.echo.calls) < 3:
        await asyncio.sleep(0.001)
    for guest in tuple(process.server._guests):
        guest.transport.abort()
    for each in under_way:
        with pytest.raises(Unavailable):
            await each
    process.echo.open.set()
    await process.server.aclose()
    await process.start()
    assert await caller.call("s", 1, 0, b"ab") == b"ba"
    assert process.lookups == 2


async def test_closing_answers_what_is_under_way_and_takes_no_more(process, caller):
    process.echo.open.clear()
    under_way = asyncio.ensure_future(caller.call("s", 0, 0, b"last"))
    while not process.echo.calls:
        await asyncio.sleep(0.001)
    closing = asyncio.ensure_future(process.server.aclose())
    await asyncio.sleep(0)
    process.echo.open.set()
    assert await under_way == b"tsal"
    await closing
    with pytest.raises(Unavailable):
        await caller.call("s", 0, 1, b"x")


async def test_a_caller_that_ends_its_patience_leaves_a_connection_that_nobody_trusts(process, caller):
    process.echo.open.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await caller.call("s", 0, 0, b"x")
    process.echo.open.set()
    assert await caller.call("s", 1, 0, b"ab") == b"ba"
    assert process.lookups == 2


async def test_a_failure_over_there_is_told_and_costs_no_other_call(process, caller):
    failed, fine = await asyncio.gather(
        caller.call("s", 0, 0, b"fail"), caller.call("s", 0, 1, b"ab"), return_exceptions=True
    )
    assert type(failed) is RaydeskError
    assert "ZeroDivisionError" in failed.detail
    assert fine == b"ba"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"\x20\0\0\0" + bytes(32), id="another secret"),
        pytest.param(b"\0\0\0\0", id="no secret"),
        pytest.param(b"\xff\xff\xff\x7f", id="a length to fill the memory"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", id="another protocol"),
    ],
)
async def test_a_stranger_is_cut_off(process, said):
    at = process.server.whereabouts
    reader, writer = await asyncio.open_connection(at.host, at.port)
    writer.write(said + bytes(1000))
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
    assert process.echo.calls == []


async def test_a_call_that_is_none_ends_the_connection_and_no_other(process, caller):
    assert await caller.call("s", 0, 0, b"ab") == b"ba"
    at = process.server.whereabouts
    reader, writer = await asyncio.open_connection(at.host, at.port)
    wrong = msgspec.msgpack.encode(["not", "a", "call"])
    writer.write(len(at.secret).to_bytes(4, "little") + at.secret + len(wrong).to_bytes(4, "little") + wrong)
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
    assert await caller.call("s", 0, 1, b"ab") == b"ba"
    assert len(process.echo.calls) == 2
