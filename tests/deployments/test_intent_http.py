"""``POST /v1/intent`` over real HTTP semantics; the model behind it is a small class, or a whole loop around one."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from deployments.http.intent import MAX_TEXTS
from deployments.ingress import build_ingress
from models.domain.errors import Overloaded, RaydeskError, TooLarge, Unavailable
from models.intent.taxonomy import Taxonomy, load_taxonomy
from models.intent.understanding import Guess, Understanding
from tests.deployments.conftest import Clock
from tests.deployments.test_ingress import World, assert_problem

pytestmark = pytest.mark.anyio
HUMAN, OUT = "human_agent", "out_of_scope"


class Intents:
    """An intent model that knows a word, and fails when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], int]] = []
        self.failure: RaydeskError | None = None
        self.known = load_taxonomy()
        self.word = next(intent.name for intent in self.known if intent.name != OUT)

    async def understand(self, texts: list[str], wait_ms: int) -> list[Understanding | None]:
        self.asked.append((texts, wait_ms))
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Understanding | None:
        if "late" in text:
            return None
        names = (self.word, HUMAN, OUT) if "money" in text else (OUT, self.word, HUMAN)
        candidates = tuple(map(Guess, names, (0.9, 0.07, 0.03)))
        return Understanding(intent=names[0], confidence=0.9, sure=names[0] != OUT, candidates=candidates)

    async def taxonomy(self) -> Taxonomy:
        return self.known


class Place:
    """An ingress with an intent model, and somebody who may ask it."""

    def __init__(self, world: World, intents: Intents | None, headers: dict[str, str]) -> None:
        self.world = world
        self.intents = intents or Intents()
        self.headers = headers
        app = build_ingress(replace(world.parts, intent=intents))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://desk.test")

    async def ask(self, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        return await self.http.post("/v1/intent", json=body, headers=self.headers if headers is None else headers)


@pytest.fixture
async def place(redis: Redis, clock: Clock) -> AsyncIterator[Place]:
    world = World(redis, clock, body_bytes=100_000, text_bytes=10_000, frame_bytes=20_000)
    place = Place(world, Intents(), await world.key())
    async with world.http, place.http:
        yield place


async def test_a_client_that_leaves_takes_its_texts_along(place: Place) -> None:
    asked, dropped = asyncio.Event(), asyncio.Event()

    class Slow(Intents):
        async def understand(self, texts: list[str], wait_ms: int) -> list[Understanding | None]:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                dropped.set()
            return []

    app = build_ingress(replace(place.world.parts, intent=Slow()))
    body = b'{"text":"money"}'
    headers = [(name.lower().encode(), value.encode()) for name, value in place.headers.items()]
    headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/v1/intent", "raw_path": b"/v1/intent", "query_string": b"", "root_path": "", "headers": headers,
        "client": ("127.0.0.1", 9), "server": ("desk.test", 80),
    }  # fmt: skip
    sent = iter([{"type": "http.request", "body": body, "more_body": False}])
    answered: list[Any] = []

    async def receive() -> Any:
        if (event := next(sent, None)) is not None:
            return event
        await asked.wait()
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        answered.append(event)

    async with asyncio.timeout(10):
        await app(scope, receive, send)
        await dropped.wait()
    assert answered[0]["status"] == 499


async def test_one_text_is_understood(place: Place) -> None:
    answer = await place.ask(text="I want my money back")
    assert answer.status_code == 200
    intent = place.intents.known[place.intents.word]
    assert answer.json() == {
        "intent": intent.name,
        "name": {"zh": intent.zh, "en": intent.en},
        "confidence": 0.9,
        "sure": True,
        "candidates": [
            {"intent": intent.name, "confidence": 0.9},
            {"intent": HUMAN, "confidence": 0.07},
            {"intent": OUT, "confidence": 0.03},
        ],
    }
    assert place.intents.asked == [(["I want my money back"], 1_000)]


async def test_what_is_not_understood_says_so(place: Place) -> None:
    answer = (await place.ask(text="what a day")).json()
    assert (answer["intent"], answer["sure"]) == (OUT, False)


async def test_each_of_many_has_its_answer_or_its_error(place: Place) -> None:
    answer = await place.ask(texts=["money", "", "late", "é" * 5_001, "hm", " \n"])
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [each.get("intent") or each["error"]["code"] for each in results] == [
        place.intents.word,
        "bad_request",
        "unavailable",
        "too_large",
        OUT,
        "bad_request",
    ]
    assert set(results[0]) == {"intent", "name", "confidence", "sure", "candidates"}
    assert results[4]["sure"] is False
    assert all(set(each) == {"error"} and each["error"]["detail"] for each in results if "error" in each)
    assert place.intents.asked[0][0] == ["money", "late", "hm"]


async def test_a_list_of_one_is_a_list(place: Place) -> None:
    assert len((await place.ask(texts=["money"])).json()["results"]) == 1
    assert (await place.ask(texts=[""])).json()["results"][0]["error"]["code"] == "bad_request"
    assert len(place.intents.asked) == 1


@pytest.mark.parametrize("text", ["", " \n\t", "\x00\x07", "\u200b\u200d\ufeff"])
async def test_a_text_of_nothing_is_refused(place: Place, text: str) -> None:
    problem = assert_problem(await place.ask(text=text), 422, "bad_request")
    assert "can be seen" in problem["detail"]
    assert not place.intents.asked


@pytest.mark.parametrize("text", ["😀", "?", "🇨🇳🤷", "x" * 10_000, "退款 refund возврат", "a\x00b", "‮abc"])
async def test_every_other_text_has_an_answer(place: Place, text: str) -> None:
    answer = await place.ask(text=text)
    assert answer.status_code == 200
    assert place.intents.asked[0][0] == [text]


@pytest.mark.parametrize("text", ["x" * 10_001, "退" * 3_334])
async def test_a_text_over_the_limit_is_refused(place: Place, text: str) -> None:
    assert_problem(await place.ask(text=text), 413, "too_large")
    assert not place.intents.asked


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "texts": ["b"]},
        {"text": 7},
        {"text": None},
        {"texts": []},
        {"texts": "a"},
        {"texts": ["a", None]},
        {"texts": ["a"] * (MAX_TEXTS + 1)},
        {"text": "a", "surprise": 1},
    ],
    ids=range(9),
)
async def test_a_body_of_another_form_is_refused(place: Place, body: dict[str, Any]) -> None:
    assert_problem(await place.ask(**body), 422, "bad_request")
    assert not place.intents.asked


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"text":"\\ud800"}'])
async def test_what_is_no_json_is_called_malformed(place: Place, body: bytes) -> None:
    headers = place.headers | {"content-type": "application/json"}
    assert_problem(await place.http.post("/v1/intent", content=body, headers=headers), 400, "malformed")
    plain = place.headers | {"content-type": "text/plain"}
    answer = await place.http.post("/v1/intent", content=b"money", headers=plain)
    assert_problem(answer, 415, "unsupported_media_type")


async def test_keys_and_agents_may_ask_and_nobody_else(place: Place) -> None:
    assert (await place.ask(text="money")).status_code == 200
    assert (await place.ask(await place.world.ann(), text="money")).status_code == 200
    visitor = (await place.world.connect()).json()["token"]
    for headers in ({}, {"authorization": "Bearer nonsense"}, {"authorization": f"Bearer {visitor}"}):
        assert_problem(await place.ask(headers, text="money"), 401, "unauthorized")
    assert len(place.intents.asked) == 2


async def test_each_text_counts_for_the_rate(redis: Redis, clock: Clock) -> None:
    world = World(redis, clock, key_rate=1, key_burst=3)
    place = Place(world, Intents(), await world.key())
    assert (await place.ask(texts=["a", "b"])).status_code == 200
    limited = await place.ask(texts=["c", "d"])
    assert_problem(limited, 429, "rate_limited")
    assert limited.headers["retry-after"] == "1"
    assert_problem(await place.ask(texts=["a", "b", "c", "d"]), 413, "too_large")
    clock.advance(1)
    assert (await place.ask(texts=["c", "d"])).status_code == 200


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Overloaded("the queue of the intent model is full"), 503, "unavailable"),
        (Unavailable("the intent model does not answer"), 503, "unavailable"),
        (TooLarge("at most 3 texts can be asked about at once"), 413, "too_large"),
    ],
)
async def test_a_model_that_refuses_is_a_problem(place: Place, failure: RaydeskError, status: int, code: str) -> None:
    place.intents.failure = failure
    for body in ({"text": "money"}, {"texts": ["money", "hm"]}):
        answer = await place.ask(**body)
        assert assert_problem(answer, status, code)["detail"] == failure.detail
        assert ("retry-after" in answer.headers) == (status == 503)


async def test_a_single_late_text_is_a_503(place: Place) -> None:
    answer = await place.ask(text="late")
    assert "within 1000 ms" in assert_problem(answer, 503, "unavailable")["detail"]
    assert answer.headers["retry-after"] == "1"


async def test_a_system_without_the_model_says_so(redis: Redis, clock: Clock) -> None:
    world = World(redis, clock)
    place = Place(world, None, await world.key())
    answer = await place.ask(text="money")
    assert "intent.enabled" in assert_problem(answer, 503, "unavailable")["detail"]
    assert "retry-after" not in answer.headers
    assert_problem(await place.ask({}, text="money"), 401, "unauthorized")


async def test_the_openapi_document_tells_the_route(place: Place) -> None:
    document = (await place.http.get("/openapi.json")).json()
    route = document["paths"]["/v1/intent"]["post"]
    assert route["description"]
    assert route["security"] == [{"apiKey": []}, {"agentToken": []}]
    assert "422" not in route["responses"]
    schemas = document["components"]["schemas"]
    assert set(schemas["IntentQuestion"]["properties"]) == {"text", "texts"}
    assert schemas["IntentQuestion"]["properties"]["texts"]["maxItems"] == MAX_TEXTS
    assert {"IntentAnswer", "IntentResults", "IntentResult", "IntentCandidate", "IntentRefusal"} <= set(schemas)


async def test_a_long_list_fits(redis: Redis, clock: Clock) -> None:
    world = World(redis, clock, body_bytes=1_000_000, key_burst=5_000)
    place = Place(world, Intents(), await world.key())
    answer = await place.ask(texts=[f"money {n}" for n in range(MAX_TEXTS)])
    assert len(json.loads(answer.content)["results"]) == MAX_TEXTS
