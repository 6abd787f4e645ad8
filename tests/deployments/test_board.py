"""The board's routes: who may see them, what they say, and that an account is read once a second at most."""

import csv
import io
from collections.abc import AsyncIterator

import httpx
import pytest
from argon2 import PasswordHasher
from redis.asyncio import Redis

from cluster.clients import RouterClient
from cluster.settings import Settings
from cluster.store.directory import Directory
from deployments.http.parts import IngressParts
from deployments.ingress import build_ingress
from models.domain.agent import User
from models.domain.commands import Receive, TakeOver
from models.domain.errors import Unavailable
from models.domain.ids import contact_id
from models.security.tokens import AgentClaims, TokenSigner
from tests.deployments.conftest import Clock
from tests.fakes import LocalRouter

pytestmark = pytest.mark.anyio
ROUTES = ("/v1/board", "/v1/board/names", "/v1/board/history", "/v1/board/history.csv")


class World:
    """One ingress over the real store and the real router core."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self.redis = redis
        self.clock = clock
        self.local = LocalRouter(redis)
        self.client = RouterClient(self.local.carry, shards=1, batch_bytes=80_000, queue_limit=10_000, deadline_s=5.0)
        self.directory = Directory(redis, hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1), now=clock)
        self.signer = TokenSigner("k" * 40)
        self.here: list[str] | None = ["ann"]
        self.looked = 0
        parts = IngressParts(
            settings=Settings.model_validate(
                {
                    "accounts": {"demo": {"answer_within_s": 60}, "other": {}},
                    "security": {"secret_key": "k" * 40},
                    "router": {"count": 1},
                    "gateway": {"count": 1},
                }
            ),
            redis=redis,
            router=self.client,
            directory=self.directory,
            signer=self.signer,
            gateways=self._gateways,
            rpc=self._rpc,
            here=self._here,
            now=clock,
            monotonic=clock,
        )
        transport = httpx.ASGITransport(app=build_ingress(parts), client=("203.0.113.7", 1234))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://desk.test")

    async def _gateways(self) -> list:
        return []

    async def _rpc(self, claims: AgentClaims, body: bytes) -> bytes:
        return b""

    async def _here(self, account: str) -> list[str]:
        self.looked += 1
        if self.here is None:
            raise Unavailable("the dispatcher starts")
        return self.here

    def token(self, role: str = "supervisor", account: str = "demo", name: str = "sue") -> dict[str, str]:
        now = int(self.clock())
        claims = AgentClaims(
            account=account,
            agent=name,
            role=role,
            session_started_s=now,
            expires_s=now + 600,  # type: ignore[arg-type]
        )
        return {"authorization": f"Bearer {self.signer.sign(claims)}"}

    async def get(self, path: str, role: str = "supervisor", account: str = "demo", **query: object) -> httpx.Response:
        return await self.http.get(path, params=query, headers=self.token(role, account))  # type: ignore[arg-type]

    async def write(self, who: str, text: str = "hello") -> str:
        receipt = await self.client.receive(
            Receive(
                account="demo",
                contact=contact_id("demo", "web", "web", who),
                channel="web",
                inbox="web",
                external_id=who,
                source_id=text,
                text=text,
                received_at_ms=1,
            )
        )
        return receipt.conversation


@pytest.fixture
async def world(redis: Redis, clock: Clock) -> AsyncIterator[World]:
    world = World(redis, clock)
    async with world.http:
        yield world
    await world.client.aclose()


@pytest.mark.parametrize("path", [*ROUTES, "/v1/board/conversations/s1"])
async def test_the_board_is_for_supervisors_and_admins(world: World, path: str) -> None:
    assert (await world.http.get(path)).status_code == 401
    refused = await world.get(path, role="agent")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    for role in ("supervisor", "admin"):
        assert (await world.get(path, role=role)).status_code == (404 if path.endswith("/s1") else 200)


async def test_agents_put_nobody_into_skill_groups(world: World) -> None:
    await world.directory.add("demo", User(name="ann", skills=("a",)), "correct horse")
    path = "/v1/board/agents/ann/skills"
    refused = await world.http.put(path, json={"skills": ["b"]}, headers=world.token("agent"))
    assert refused.status_code == 403
    done = await world.http.put(path, json={"skills": ["b", "c"]}, headers=world.token())
    assert (done.status_code, done.json()["skills"]) == (200, ["b", "c"])
    user = await world.directory.get("demo", "ann")
    assert user is not None
    assert user.skills == ("b", "c")
    for body in ({"skills": [""]}, {"skills": ["x" * 65]}, {"skills": "b"}, {}):
        assert (await world.http.put(path, json=body, headers=world.token())).status_code == 422
    foreign = await world.http.put(path, json={"skills": []}, headers=world.token(account="other"))
    assert foreign.status_code == 404


async def test_the_board_shows_the_callers_account_alone(world: World) -> None:
    conversation = await world.write("v1")
    shown = (await world.get("/v1/board")).json()
    assert [case["id"] for case in shown["cases"]] == [conversation]
    assert (shown["totals"]["waiting"], shown["answer_within_s"]) == (1, 60)
    other = (await world.get("/v1/board", account="other")).json()
    assert (other["cases"], other["totals"]["waiting"], other["answer_within_s"]) == ([], 0, 120)
    assert (await world.get(f"/v1/board/conversations/{conversation}", account="other")).status_code == 404


async def test_an_account_is_read_once_a_second_however_many_look(world: World, clock: Clock) -> None:
    first = (await world.get("/v1/board")).json()
    clock.now += 0.9
    assert (await world.get("/v1/board")).json() == first
    assert world.looked == 1
    clock.now += 0.2
    assert (await world.get("/v1/board")).json()["at_ms"] > first["at_ms"]
    assert world.looked == 2


async def test_who_is_here_is_unknown_while_the_dispatcher_starts(world: World) -> None:
    await world.directory.add("demo", User(name="ann"), "correct horse")
    world.here = None
    shown = (await world.get("/v1/board")).json()
    assert (shown["totals"]["here"], shown["agents"][0]["here"]) == (None, None)


async def test_listening_follows_a_conversation_with_its_notes(world: World) -> None:
    conversation = await world.write("v1", "one")
    await world.client.ask(TakeOver(account="demo", conversation=conversation, by="sue", role="supervisor"))
    path = f"/v1/board/conversations/{conversation}"
    heard = (await world.get(path)).json()
    assert [message["text"] for message in heard["messages"]] == ["one", "conversation.taken_over"]
    assert (heard["conversation"]["agent"], heard["length"]) == ("sue", 2)
    assert (await world.get(path, after=2)).json()["messages"] == []


async def test_the_table_has_the_numbers_of_the_history(world: World) -> None:
    """Hours are those of the router's clock, which is the real one here, not that of the test."""
    await world.write("v1", "one")
    await world.write("v1", "two")
    world.clock.now = (await world.redis.time())[0] + 1.0
    for by in ("hour", "day"):
        found = (await world.get("/v1/board/history", by=by, utc_offset_min=480, days=2)).json()
        answer = await world.get("/v1/board/history.csv", by=by, utc_offset_min=480, days=2)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == f'attachment; filename="raydesk-demo-{by}.csv"'
        lines = list(csv.DictReader(io.StringIO(answer.text)))
        assert [(int(line["contact"]), int(line["opened"])) for line in lines] == [
            (row["contact"], row["opened"]) for row in found["rows"]
        ]
        assert sum(row["contact"] for row in found["rows"]) == 2
        assert lines[0]["from"].endswith("+08:00")
        assert (lines[0]["rating"], lines[0]["late"]) == ("", "0")


@pytest.mark.parametrize("query", [{"by": "week"}, {"days": 0}, {"days": 367}, {"utc_offset_min": 900}])
async def test_a_range_that_makes_no_sense_is_refused(world: World, query: dict) -> None:
    assert (await world.get("/v1/board/history", **query)).status_code == 422
