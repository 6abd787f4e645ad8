"""Backends over real HTTP: what is refused for the moment, given up by most and repeated by the steadfast."""

import asyncio
import json
from collections.abc import Callable

import pytest
from aiohttp import web

from cluster.load.clients.backends import Backend, BulkBackend
from cluster.load.clients.clock import Clock
from cluster.load.clients.notes import Notes
from cluster.load.orders import Orders
from cluster.load.scenario.scenario import parse_scenario
from cluster.load.targets.http import HttpDoor
from cluster.load.truth.audit import Audit
from cluster.load.truth.findings import Findings
from cluster.load.truth.ledger import Ledger
from cluster.load.truth.message_ids import MessageIds
from cluster.load.truth.recorder import Recorder

SCENARIO = """
steadfast = %s
[[phases]]
shape = "steady"
rate = "1/s"
lasts = "1s"
[mix]
web = 0
%s = 1
[contacts]
%s = 2
bulk_wait = "10ms"
"""


class Door:
    """A system that takes messages, save when its script says otherwise.

    Args:
        script: of each call in turn what becomes of its lines: a status, or the places of those that are refused.
    """

    def __init__(self, *script: int | set[int]) -> None:
        self.script = list(script)
        self.asked: list[list[str]] = []
        self.stored: list[str] = []

    async def take(self, request: web.Request) -> web.Response:
        lines = [json.loads(line) for line in (await request.text()).splitlines()]
        self.asked.append([line["source_id"] for line in lines])
        said = self.script.pop(0) if self.script else set()
        if isinstance(said, int):
            return web.json_response({"code": "unavailable"}, status=said)
        results = [self.line(line["source_id"], place in said) for place, line in enumerate(lines)]
        bulk = request.content_type == "application/x-ndjson"
        return web.json_response({"results": results} if bulk else results[0])

    def line(self, source_id: str, refused: bool) -> dict[str, object]:
        if refused:
            return {"error": {"code": "unavailable"}}
        duplicate = source_id in self.stored
        self.stored += [] if duplicate else [source_id]
        seq = self.stored.index(source_id) + 1
        return {"conversation": "c", "seq": seq, "duplicate": duplicate}


def run(door: Door, channel: str, *, steadfast: bool, messages: int = 3) -> Findings:
    return asyncio.run(_run(door, channel, steadfast, messages))


async def _run(door: Door, channel: str, steadfast: bool, messages: int) -> Findings:
    app = web.Application()
    app.router.add_post("/v1/messages", door.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    text = SCENARIO % (str(steadfast).lower(), channel, channel)
    scenario = parse_scenario(text, "x")
    orders = Orders(
        run="k",
        scenario=scenario,
        base=f"http://127.0.0.1:{port}",
        account="a",
        inboxes={"rest": "i", "bulk": "i"},
        agents=(),
        key="secret",
    )
    clock = Clock()
    clock.begin(clock.wall_s())
    notes = Notes(clock, MessageIds("k"), Ledger("k", 1), Ledger("k", 1), Recorder(0.0, 60.0))
    http = HttpDoor(orders.base)
    await http.start()
    make: Callable[..., Backend] = {"rest": Backend, "bulk": BulkBackend}[channel]
    async with asyncio.TaskGroup() as group:
        life = group.create_task(_live(make, orders, http, notes, messages))
        await life
    await http.aclose()
    await runner.cleanup()
    assert notes.unanswered == 0
    return Audit(notes.messages.facts()).run()


async def _live(make: Callable[..., Backend], orders: Orders, http: HttpDoor, notes: Notes, messages: int) -> None:
    """Write all at once, and wait until all is answered."""
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[object]] = []

    class Group:
        def create_task(self, work):
            tasks.append(loop.create_task(work))

    backend = make(orders, http, notes, Group())
    for number in range(messages):
        notes.messages.intend(0, number)
        backend.write(0, notes.write(0, number, 0, "hello"))
    async with asyncio.timeout(20):
        while backend.waiting:
            await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(("channel", "refused"), [("rest", 1), ("bulk", 3)])
def test_a_refusal_is_told_and_final_for_most(channel, refused):
    door = Door(503)
    found = run(door, channel, steadfast=False)
    assert (found.accepted, found.refused, found.resent) == (3 - refused, refused, 0)


def test_the_steadfast_hand_in_a_message_until_it_is_taken_before_anything_newer():
    door = Door(503, 429)
    found = run(door, "rest", steadfast=True)
    assert (found.accepted, found.refused, found.resent) == (3, 0, 2)
    first, second, third = sorted(door.stored)
    assert [asked for (asked,) in door.asked] == [first, first, first, second, third]


def test_the_steadfast_hand_in_again_the_lines_that_were_not_taken():
    door = Door(503, {0, 2})
    found = run(door, "bulk", steadfast=True)
    assert (found.accepted, found.refused, found.resent) == (3, 0, 5)
    assert [len(asked) for asked in door.asked] == [3, 3, 2]


def test_the_steadfast_give_up_what_is_refused_for_good():
    door = Door(422)
    found = run(door, "bulk", steadfast=True)
    assert (found.accepted, found.refused, len(door.asked)) == (0, 3, 1)
