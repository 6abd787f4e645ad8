"""What waits to be understood: how it is gathered, what is dropped, and what a model costs that is gone."""

import asyncio

import pytest

from cluster.telemetry import Meter
from deployments.understanding import Hearing
from models.intent.text import normalise
from models.timeline.bot_part import Question
from tests.deployments.models import PlainModel

pytestmark = pytest.mark.anyio


def question(number, *, owed=True, text=""):
    return Question("acme", f"c{number}", 1, text or f"text {number}", owed)


class Router:
    """Takes what it is given."""

    def __init__(self):
        self.given = []
        self.fails = False

    async def __call__(self, commands):
        if self.fails:
            raise ZeroDivisionError
        self.given += commands

    def outcomes(self):
        return {command.text: command.understanding and command.understanding.sure for command in self.given}


@pytest.fixture
def model():
    return PlainModel()


@pytest.fixture
def router():
    return Router()


@pytest.fixture
async def make(model, router):
    made = []

    def new(bot=True, patience_ms=60_000, max_pending=512):
        hearing = Hearing(model, router, bot=bot, patience_ms=patience_ms, max_pending=max_pending, meter=Meter())
        made.append(hearing)
        return hearing

    yield new
    for hearing in made:
        await hearing.aclose()


async def settled(hearing, within_s=5.0):
    async with asyncio.timeout(within_s):
        while hearing.pending:
            await asyncio.sleep(0.002)


async def test_what_is_understood_goes_to_the_router(make, router):
    hearing = make()
    hearing.hear([question(1), question(2, text="unsure 2"), question(3, owed=False)])
    await settled(hearing)
    assert router.outcomes() == {"text 1": True, "unsure 2": False, "text 3": True}


async def test_of_a_long_text_only_what_the_model_looks_at_travels(make, model, router):
    text = "a" * 300 + "b" * 9_000 + "c" * 300
    hearing = make()
    hearing.hear([question(1, text=text), question(2, text="x" * 600)])
    await settled(hearing)
    sent, short = model.calls[0]
    assert len(sent) < 700
    assert normalise(sent) == normalise(text)
    assert short == "x" * 600
    assert router.given[0].text == text


async def test_two_calls_are_under_way_and_the_rest_gathers(make, model):
    model.open.clear()
    hearing = make()
    for number in range(200):
        hearing.hear([question(number)])
    await asyncio.sleep(0)
    assert (len(model.calls), hearing.pending) == (2, 200)
    model.open.set()
    await settled(hearing)
    assert [len(call) for call in model.calls] == [1, 1, 64, 64, 64, 6]
    assert model.most_under_way == 2


async def test_room_is_what_may_still_wait(make, model):
    model.open.clear()
    hearing = make(max_pending=3)
    assert hearing.room == 3
    hearing.hear([question(1), question(2)])
    assert hearing.room == 1
    hearing.hear([question(3), question(4)])
    assert hearing.room == 0
    model.open.set()
    await settled(hearing)
    assert hearing.room == 3


async def test_what_only_agents_would_see_is_dropped_first(make, model, router):
    model.open.clear()
    hearing = make(max_pending=4)
    hearing.hear([question(1, owed=False), question(2, owed=False), question(3, owed=False)])
    assert (hearing.pending, hearing.room) == (2, 2)
    hearing.hear([question(4)])
    model.open.set()
    await settled(hearing)
    assert set(router.outcomes()) == {"text 1", "text 2", "text 4"}
    assert hearing._meter.counts["insights_dropped"] == 1


async def test_without_a_bot_there_is_no_room(make):
    assert make(bot=False).room == 0


async def test_what_is_late_goes_back_as_such(make, model, router):
    model.open.clear()
    hearing = make(patience_ms=50)
    hearing.hear([question(1), question(2, owed=False)])
    await settled(hearing)
    assert router.outcomes() == {"text 1": None}
    assert model.under_way == 0


async def test_what_queued_behind_hanging_calls_is_late_in_its_own_time(make, model, router):
    model.open.clear()
    hearing = make(patience_ms=100)
    started = asyncio.get_running_loop().time()
    for number in range(5):
        hearing.hear([question(number)])
    await settled(hearing)
    assert asyncio.get_running_loop().time() - started < 1.0
    assert router.outcomes() == dict.fromkeys(f"text {number}" for number in range(5))


async def test_a_model_that_is_gone_leaves_no_room_until_it_is_back(make, model, router):
    hearing = make()
    model.down = True
    for number in range(3):
        assert hearing.room == 512
        hearing.hear([question(number)])
        await settled(hearing)
    assert router.outcomes() == {"text 0": None, "text 1": None, "text 2": None}
    assert hearing.room == 0
    model.down = False
    hearing.hear([question(4, owed=False)])
    await settled(hearing)
    assert hearing.room == 512


async def test_an_answer_of_another_length_is_none(make, model, router):
    async def understand(texts, wait_ms):
        return []

    model.understand = understand
    hearing = make()
    hearing.hear([question(1)])
    await settled(hearing)
    assert router.outcomes() == {"text 1": None}


async def test_a_mistake_on_the_way_back_costs_nothing_else(make, router):
    hearing = make()
    router.fails = True
    hearing.hear([question(1)])
    await settled(hearing)
    router.fails = False
    hearing.hear([question(2)])
    await settled(hearing)
    assert router.outcomes() == {"text 2": True}


async def test_closing_leaves_nothing_under_way(make, model, router):
    model.open.clear()
    hearing = make()
    hearing.hear([question(number) for number in range(200)])
    await asyncio.sleep(0)
    await hearing.aclose()
    await hearing.aclose()
    assert (model.under_way, router.given) == (0, [])
