"""The ingress over real HTTP semantics, the real store and the real router core; only Ray is not there."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import APIRouter, FastAPI
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cluster.clients import RouterClient
from cluster.gateways import LiveGateway
from cluster.settings import Settings
from cluster.store.directory import Directory
from deployments.http.parts import IngressParts
from deployments.ingress import Ingress, build_ingress
from models.domain.agent import User
from models.domain.ids import contact_id, user_contact_id
from models.protocol.openrpc import openrpc_document
from models.security.tokens import AgentClaims, TokenSigner
from models.security.vouch import vouch_link, vouch_user
from tests.deployments.conftest import Clock
from tests.fakes import LocalRouter

pytestmark = pytest.mark.anyio
SECRET = "k" * 40
VOUCH = "the shop's secret"
PASSWORD = "correct horse"
GATEWAYS = [LiveGateway(name=str(n), url=f"ws://127.0.0.1:741{n}", at_ms=1) for n in range(2)]
BODY_BYTES = 20_000


def settings(**limits: int) -> Settings:
    return Settings.model_validate(
        {
            "accounts": {"demo": {"vouch_secret": VOUCH}, "other": {}},
            "inboxes": {
                "web": {"account": "demo", "channel": "web", "skill": "billing"},
                "shop": {"account": "demo", "channel": "api"},
                "theirs": {"account": "other", "channel": "web"},
                "strict": {
                    "account": "demo",
                    "channel": "web",
                    "origins": "https://shop.example https://www.shop.example",
                },
            },
            "limits": {"body_bytes": BODY_BYTES, "text_bytes": 1000, "frame_bytes": 4000, "bulk_lines": 50} | limits,
            "security": {"secret_key": SECRET},
        }
    )


class World:
    """One ingress and what stands around it."""

    def __init__(self, redis: Redis, clock: Clock, **limits: int) -> None:
        self.redis = redis
        self.clock = clock
        self.local = LocalRouter(redis)
        self.gateways = list(GATEWAYS)
        self.rpc_calls: list[tuple[AgentClaims, bytes]] = []
        self.directory = Directory(redis, hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1), now=clock)
        self.signer = TokenSigner(SECRET)
        self.parts = IngressParts(
            settings=settings(**limits),
            redis=redis,
            router=RouterClient(self.local.carry, shards=1, batch_bytes=80_000, queue_limit=10_000, deadline_s=0.2),
            directory=self.directory,
            signer=self.signer,
            gateways=self._live,
            rpc=self._rpc,
            channel_routers=[_defective_routes()],
            now=clock,
            monotonic=clock,
        )
        self.app: FastAPI = build_ingress(self.parts)
        self.http = self.client("203.0.113.7")

    def client(self, address: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app, client=(address, 1234))
        return httpx.AsyncClient(transport=transport, base_url="http://desk.test")

    async def _live(self) -> list[LiveGateway]:
        return self.gateways

    async def _rpc(self, claims: AgentClaims, body: bytes) -> bytes:
        self.rpc_calls.append((claims, body))
        return b"" if b'"id"' not in body else b'{"jsonrpc":"2.0","id":1,"result":null}'

    async def key(self, account: str = "demo") -> dict[str, str]:
        key, _ = await self.directory.create_key(account, "test")
        return {"authorization": f"Bearer {key}"}

    async def ann(self) -> dict[str, str]:
        await self.directory.add("demo", User(name="ann"), PASSWORD)
        answer = await self.login()
        return {"authorization": f"Bearer {answer.json()['token']}"}

    async def login(self, **changes: str) -> httpx.Response:
        return await self.http.post(
            "/v1/login", json={"account": "demo", "name": "ann", "password": PASSWORD} | changes
        )

    async def connect(self, **body: str) -> httpx.Response:
        return await self.http.post("/v1/connect", json={"inbox": "web"} | body)


def _defective_routes() -> APIRouter:
    router = APIRouter()

    async def defect() -> None:
        raise ZeroDivisionError(PASSWORD)

    router.add_api_route("/hooks/defect", defect, methods=["GET"])
    return router


@pytest.fixture
async def world(redis: Redis, clock: Clock) -> AsyncIterator[World]:
    world = World(redis, clock)
    async with world.http:
        yield world


def message(**changes: Any) -> dict[str, Any]:
    return {"inbox": "shop", "external_id": "c-1", "source_id": "m-1", "text": "hello"} | changes


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    problem = answer.json()
    assert problem["type"] == "about:blank"
    assert problem["title"]
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["detail"]
    return problem


# -- agents


async def test_an_agent_logs_in_and_the_token_is_the_signers(world: World) -> None:
    await world.directory.add("demo", User(name="ann", role="supervisor"), PASSWORD)
    answer = (await world.login()).json()
    claims = world.signer.verify_agent(answer["token"], world.clock())
    assert (claims.account, claims.agent, claims.role) == ("demo", "ann", "supervisor")
    assert answer == {"token": answer["token"], "expires_at": int(world.clock()) + 3600, "role": "supervisor"}


async def test_wrong_name_wrong_password_and_wrong_account_get_the_same_answer(world: World) -> None:
    await world.directory.add("demo", User(name="ann"), PASSWORD)
    answers = [
        await world.login(password="wrong horse"),
        await world.login(name="bob"),
        await world.login(account="nowhere"),
    ]
    for answer in answers:
        assert_problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert PASSWORD not in answer.text
        assert "wrong horse" not in answer.text
    assert len({answer.content for answer in answers}) == 1


async def test_log_ins_are_limited_per_user_and_per_address(redis: Redis, clock: Clock) -> None:
    world = World(redis, clock, logins_per_minute=3)
    for _ in range(3):
        assert_problem(await world.login(), 401, "unauthorized")
    limited = await world.login(name="somebody-else")
    assert_problem(limited, 429, "rate_limited")
    assert limited.headers["retry-after"] == "20"
    body = {"account": "demo", "name": "ann", "password": PASSWORD}
    assert_problem(await world.client("203.0.113.8").post("/v1/login", json=body), 429, "rate_limited")
    other = await world.client("203.0.113.8").post("/v1/login", json=body | {"name": "bob"})
    assert_problem(other, 401, "unauthorized")
    clock.advance(20)
    assert_problem(await world.login(), 401, "unauthorized")


async def test_strangers_are_limited_per_address(redis: Redis, clock: Clock) -> None:
    world = World(redis, clock, connects_per_minute=2)
    client = world.client("203.0.113.7")
    codes = [(await client.post("/v1/connect", json={"inbox": "web"})).status_code for _ in range(3)]
    assert codes[-1] == 429
    assert 429 not in codes[:2]
    other = await world.client("203.0.113.8").post("/v1/connect", json={"inbox": "web"})
    assert other.status_code != 429
    clock.advance(30)
    assert (await client.post("/v1/connect", json={"inbox": "web"})).status_code != 429


async def test_only_a_proxy_on_this_machine_is_believed_about_addresses(redis: Redis, clock: Clock) -> None:
    world = World(redis, clock, logins_per_minute=1)
    body = {"account": "demo", "password": PASSWORD}

    async def try_from(peer: str, name: str, forwarded: str) -> int:
        headers = {"x-forwarded-for": forwarded} if forwarded else {}
        answer = await world.client(peer).post("/v1/login", json=body | {"name": name}, headers=headers)
        return answer.status_code

    assert await try_from("127.0.0.1", "a", "spoofed, 198.51.100.1") == 401
    assert await try_from("127.0.0.1", "b", "198.51.100.9, 198.51.100.1") == 429
    assert await try_from("127.0.0.1", "b", "198.51.100.2") == 401
    assert await try_from("203.0.113.9", "c", "198.51.100.3") == 401
    assert await try_from("203.0.113.9", "d", "198.51.100.4") == 429
    assert await try_from("2001:db8::1", "e", "") == 401
    assert await try_from("2001:db8::2", "f", "") == 429
    headers = [("x-forwarded-for", "198.51.100.77"), ("x-forwarded-for", "198.51.100.1")]
    answer = await world.client("127.0.0.1").post("/v1/login", json=body | {"name": "g"}, headers=headers)
    assert answer.status_code == 429
    # a proxy that hides addresses: all share an allowance ten times as large
    assert [await try_from("127.0.0.1", f"hidden{n}", "") for n in range(11)] == [401] * 10 + [429]


async def test_a_session_is_renewed_until_its_end_and_no_longer(world: World) -> None:
    headers = await world.ann()
    world.clock.advance(3599)
    renewed = await world.http.post("/v1/refresh", headers=headers)
    assert renewed.json()["expires_at"] == int(world.clock()) + 3600
    world.clock.advance(2)
    assert_problem(await world.http.post("/v1/refresh", headers=headers), 401, "unauthorized")
    token = renewed.json()["token"]
    for _ in range(11):
        world.clock.advance(3500)
        answer = await world.http.post("/v1/refresh", headers={"authorization": f"Bearer {token}"})
        token = answer.json()["token"]
    ends = world.signer.verify_agent(token, world.clock()).expires_s
    assert ends == 1_800_000_000 + 43_200
    world.clock.now = float(ends)
    assert_problem(
        await world.http.post("/v1/refresh", headers={"authorization": f"Bearer {token}"}), 401, "unauthorized"
    )


async def test_a_renewal_takes_the_role_of_today_and_none_after_a_new_password(world: World) -> None:
    headers = await world.ann()
    await world.directory.update("demo", User(name="ann", role="admin"))
    assert (await world.http.post("/v1/refresh", headers=headers)).json()["role"] == "admin"
    world.clock.advance(1)
    await world.directory.set_password("demo", "ann", "another horse")
    assert_problem(await world.http.post("/v1/refresh", headers=headers), 401, "unauthorized")


async def test_an_agent_is_told_a_gateway_and_always_the_same(world: World) -> None:
    headers = await world.ann()
    answers = [(await world.http.post("/v1/connect", headers=headers)).json() for _ in range(3)]
    assert answers[0]["gateway"] in ("ws://127.0.0.1:7410/desk", "ws://127.0.0.1:7411/desk")
    assert all(answer == answers[0] for answer in answers)
    assert set(answers[0]) == {"gateway", "expires_at"}


async def test_rpc_gets_the_claims_and_the_body_and_needs_an_agent(world: World) -> None:
    headers = await world.ann()
    call = b'{"jsonrpc":"2.0","id":1,"method":"presence.set"}'
    as_json = {"content-type": "application/json"}
    answer = await world.http.post("/rpc", content=call, headers=headers | as_json)
    assert answer.json()["id"] == 1
    claims, body = world.rpc_calls[0]
    assert (claims.account, claims.agent, body) == ("demo", "ann", call)
    notification = await world.http.post("/rpc", content=b'{"jsonrpc":"2.0"}', headers=headers | as_json)
    assert (notification.status_code, notification.content) == (204, b"")
    assert_problem(await world.http.post("/rpc", content=call, headers=as_json), 401, "unauthorized")
    assert_problem(
        await world.http.post("/rpc", content=call, headers=await world.key() | as_json), 401, "unauthorized"
    )
    visitor = (await world.connect()).json()["token"]
    bearer = {"authorization": f"Bearer {visitor}"} | as_json
    assert_problem(await world.http.post("/rpc", content=call, headers=bearer), 401, "unauthorized")
    plain = headers | {"content-type": "text/plain"}
    assert_problem(await world.http.post("/rpc", content=call, headers=plain), 415, "unsupported_media_type")


# -- visitors


async def test_a_stranger_gets_an_id_of_the_servers_making(world: World) -> None:
    first, second = (await world.connect()).json(), (await world.connect()).json()
    assert first["visitor_id"] != second["visitor_id"]
    assert len(first["visitor_id"]) == 33
    assert first["contact"] == contact_id("demo", "web", "web", first["visitor_id"])
    claims = world.signer.verify_visitor(first["token"], world.clock())
    assert (claims.account, claims.inbox, claims.channel) == ("demo", "web", "web")
    assert (claims.contact, claims.external_id) == (first["contact"], first["visitor_id"])
    assert first["expires_at"] == claims.expires_s == int(world.clock()) + 2_592_000
    assert first["gateway"].endswith("/visitor")


async def test_a_visitor_comes_back_with_its_token_only(world: World) -> None:
    first = (await world.connect()).json()
    world.clock.advance(1000)
    again = (await world.connect(token=first["token"], visitor_id=first["visitor_id"])).json()
    assert (again["contact"], again["visitor_id"]) == (first["contact"], first["visitor_id"])
    assert again["expires_at"] == first["expires_at"] + 1000
    assert (await world.connect(token=first["token"])).json()["contact"] == first["contact"]
    assert_problem(await world.connect(visitor_id=first["visitor_id"]), 401, "unauthorized")
    assert_problem(await world.connect(visitor_id="v-other", token=first["token"]), 401, "unauthorized")
    assert_problem(await world.connect(token=first["token"][:-4] + "AAAA"), 401, "unauthorized")
    world.clock.advance(2_592_000)
    assert_problem(await world.connect(token=first["token"]), 401, "unauthorized")


async def test_a_token_of_another_inbox_or_of_an_agent_proves_nothing(world: World) -> None:
    theirs = (await world.connect(inbox="theirs")).json()["token"]
    assert_problem(await world.connect(token=theirs), 401, "unauthorized")
    agent = (await world.ann())["authorization"].removeprefix("Bearer ")
    assert_problem(await world.connect(token=agent), 401, "unauthorized")


async def test_a_vouched_user_is_the_same_person_everywhere(world: World) -> None:
    proof = vouch_user(VOUCH, "u-1")
    connected = (await world.connect(user_id="u-1", user_hash=proof)).json()
    assert connected["contact"] == user_contact_id("demo", "u-1")
    claims = world.signer.verify_visitor(connected["token"], world.clock())
    assert (claims.external_id, claims.vouched) == ("user:u-1", True)
    assert (await world.connect(user_id="u-1", user_hash=proof)).json()["contact"] == connected["contact"]


@pytest.mark.parametrize("proof", [None, "", "0" * 64, vouch_user("another secret", "u-1"), vouch_user(VOUCH, "u-2")])
async def test_without_a_voucher_nobody_is_a_user(world: World, proof: str | None) -> None:
    answer = await world.connect(user_id="u-1", **({} if proof is None else {"user_hash": proof}))
    assert answer.status_code in (401, 422)
    assert "token" not in answer.json()


async def test_an_account_without_a_secret_has_no_vouched_users(world: World) -> None:
    for secret in (VOUCH, "x"):
        answer = await world.connect(inbox="theirs", user_id="u-1", user_hash=vouch_user(secret, "u-1"))
        assert_problem(answer, 401, "unauthorized")


async def test_what_an_anonymous_visitor_wrote_goes_to_the_user_it_logs_in_as(world: World) -> None:
    visitor = (await world.connect()).json()
    headers = await world.key()
    body = message(inbox="web", external_id=visitor["visitor_id"])
    await world.http.post("/v1/messages", json=body, headers=headers)
    proof = vouch_user(VOUCH, "u-1")
    user = (await world.connect(token=visitor["token"], user_id="u-1", user_hash=proof)).json()
    assert user["contact"] == user_contact_id("demo", "u-1")
    after = await world.http.post("/v1/messages", json=body | {"source_id": "m-2"}, headers=headers)
    assert after.json()["seq"] == 2
    # a shared device: the next user who logs in does not get what the first one wrote
    second = vouch_user(VOUCH, "u-2")
    other = (await world.connect(token=visitor["token"], user_id="u-2", user_hash=second)).json()
    assert other["contact"] == user_contact_id("demo", "u-2")
    last = await world.http.post("/v1/messages", json=body | {"source_id": "m-3"}, headers=headers)
    assert last.json()["seq"] == 3


async def test_a_users_token_alone_is_not_renewed(world: World) -> None:
    first = (await world.connect(user_id="u-1", user_hash=vouch_user(VOUCH, "u-1"))).json()
    world.clock.advance(1000)
    again = (await world.connect(token=first["token"])).json()
    assert (again["contact"], again["expires_at"]) == (first["contact"], first["expires_at"])


async def test_visitors_enter_by_web_inboxes_only(world: World) -> None:
    assert_problem(await world.connect(inbox="shop"), 403, "forbidden")
    assert_problem(await world.connect(inbox="nowhere"), 404, "not_found")
    assert_problem(await world.http.post("/v1/connect"), 422, "bad_request")


async def test_without_a_gateway_the_answer_is_to_come_again(world: World) -> None:
    world.gateways.clear()
    answer = await world.connect()
    assert_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("origin", ["https://evil.example", "https://shop.example:444", "http://shop.example", "null"])
async def test_an_inbox_may_be_for_the_pages_of_some_origins_alone(world: World, origin: str) -> None:
    body = {"inbox": "strict"}
    for allowed in ("https://shop.example", "https://www.shop.example"):
        assert (await world.http.post("/v1/connect", json=body, headers={"origin": allowed})).status_code == 200
    assert (await world.http.post("/v1/connect", json=body)).status_code == 200
    assert_problem(await world.http.post("/v1/connect", json=body, headers={"origin": origin}), 403, "forbidden")


async def test_a_page_of_any_origin_may_connect_and_do_nothing_else(world: World) -> None:
    origin = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    asked = await world.http.options("/v1/connect", headers=origin | {"access-control-request-headers": "content-type"})
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == "*"
    connected = await world.http.post("/v1/connect", json={"inbox": "web"}, headers=origin)
    assert connected.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in connected.headers
    refused = await world.http.options("/v1/messages", headers=origin)
    assert_problem(refused, 405, "method_not_allowed")
    assert "access-control-allow-origin" not in refused.headers


# -- messages


async def test_a_message_is_taken_once_and_can_be_read(world: World) -> None:
    headers = await world.key()
    first = (await world.http.post("/v1/messages", json=message(), headers=headers)).json()
    assert first == {
        "message": f"{first['conversation']}-1",
        "conversation": first["conversation"],
        "seq": 1,
        "duplicate": False,
    }
    again = (await world.http.post("/v1/messages", json=message(), headers=headers)).json()
    assert again == first | {"duplicate": True}
    page = (await world.http.get(f"/v1/conversations/{first['conversation']}/messages", headers=headers)).json()
    assert [(each["text"], each["source_id"]) for each in page["messages"]] == [("hello", "m-1")]


async def test_the_inbox_says_channel_and_skill_and_attachments_are_kept(world: World) -> None:
    headers = await world.key()
    picture = {"kind": "image", "url": "https://cdn.example/1.png", "title": "1.png"}
    body = message(inbox="web", text="", attachments=[picture])
    taken = (await world.http.post("/v1/messages", json=body, headers=headers)).json()
    record = (await world.http.get(f"/v1/conversations/{taken['conversation']}", headers=headers)).json()
    assert record["skill"] == "billing"
    assert record["threads"] == [{"channel": "web", "inbox": "web", "external_id": "c-1"}]
    page = (await world.http.get(f"/v1/conversations/{taken['conversation']}/messages", headers=headers)).json()
    assert page["messages"][0]["attachments"] == [picture]


async def test_a_message_with_a_user_id_joins_the_users_conversation(world: World) -> None:
    headers = await world.key()
    web = (await world.http.post("/v1/messages", json=message(user_id="u-1"), headers=headers)).json()
    other = message(inbox="web", external_id="v-9", source_id="w-1", user_id="u-1")
    joined = (await world.http.post("/v1/messages", json=other, headers=headers)).json()
    assert (joined["conversation"], joined["seq"]) == (web["conversation"], 2)
    claimed = await world.http.post("/v1/messages", json=other | {"user_id": "u-2", "source_id": "x"}, headers=headers)
    assert_problem(claimed, 409, "conflict")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"inbox": "theirs"}, 404, "not_found"),
        ({"inbox": "nowhere"}, 404, "not_found"),
        ({"inbox": ""}, 422, "bad_request"),
        ({"inbox": 7}, 422, "bad_request"),
        ({"text": None}, 422, "bad_request"),
        ({"text": ""}, 422, "bad_request"),
        ({"text": "é" * 501}, 413, "too_large"),
        ({"external_id": "a\nb"}, 422, "bad_request"),
        ({"external_id": "a\n"}, 422, "bad_request"),
        ({"external_id": "x" * 257}, 422, "bad_request"),
        ({"source_id": ""}, 422, "bad_request"),
        ({"reply_to": "nonsense"}, 422, "bad_request"),
        ({"surprise": 1}, 422, "bad_request"),
        ({"attachments": [{"kind": "image", "url": "javascript:alert(1)"}]}, 422, "bad_request"),
        ({"attachments": [{"kind": "poison"}]}, 422, "bad_request"),
        ({"attachments": [{"kind": "file"}] * 21}, 422, "bad_request"),
    ],
)
async def test_a_message_of_a_wrong_form_is_refused_and_nothing_is_stored(
    world: World, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = await world.http.post("/v1/messages", json=message(**changes), headers=await world.key())
    assert_problem(answer, status, code)
    assert world.local.calls == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b'{"inbox":"\xff"}', b'{"text":"\\ud800"}', json.dumps(message()).encode() + b" {}"],
)
async def test_what_is_no_json_is_called_malformed(world: World, body: bytes) -> None:
    headers = await world.key() | {"content-type": "application/json"}
    assert_problem(await world.http.post("/v1/messages", content=body, headers=headers), 400, "malformed")


async def test_the_key_must_be_there_and_valid(world: World) -> None:
    key = (await world.key())["authorization"]
    for headers in ({}, {"authorization": key[:-1]}, {"authorization": "Basic abc"}, {"authorization": "Bearer "}):
        answer = await world.http.post("/v1/messages", json=message(), headers=headers)
        assert_problem(answer, 401, "unauthorized")
        assert key[-20:-1] not in answer.text
    assert_problem(
        await world.http.post("/v1/messages", json=message(), headers=await world.ann()), 401, "unauthorized"
    )


async def test_a_revoked_key_stops_within_two_seconds(world: World) -> None:
    key, kept = await world.directory.create_key("demo", "till")
    headers = {"authorization": f"Bearer {key}"}
    assert (await world.http.post("/v1/messages", json=message(), headers=headers)).status_code == 200
    await world.directory.revoke_key("demo", kept.id)
    world.clock.advance(2)
    assert_problem(await world.http.post("/v1/messages", json=message(), headers=headers), 401, "unauthorized")


async def test_a_key_is_limited_and_told_when_to_come_again(redis: Redis, clock: Clock) -> None:
    world = World(redis, clock, key_rate=1, key_burst=2)
    headers = await world.key()
    for n in range(2):
        answer = await world.http.post("/v1/messages", json=message(source_id=str(n)), headers=headers)
        assert answer.status_code == 200
    limited = await world.http.post("/v1/messages", json=message(source_id="3"), headers=headers)
    assert_problem(limited, 429, "rate_limited")
    assert limited.headers["retry-after"] == "1"
    bulk = headers | {"content-type": "application/x-ndjson"}
    lines = b"\n".join(json.dumps(message(source_id=f"b{n}")).encode() for n in range(3))
    assert_problem(await world.http.post("/v1/messages", content=lines, headers=bulk), 413, "too_large")
    clock.advance(1)
    answer = await world.http.post("/v1/messages", json=message(source_id="3"), headers=headers)
    assert answer.status_code == 200


async def test_each_call_of_a_batch_counts(redis: Redis, clock: Clock) -> None:
    world = World(redis, clock, socket_rate=1, socket_burst=3)
    headers = await world.ann() | {"content-type": "application/json"}
    batch = b"[" + b",".join([b'{"jsonrpc":"2.0","id":1,"method":"presence.set"}'] * 3) + b"]"
    assert (await world.http.post("/rpc", content=batch, headers=headers)).status_code == 200
    assert_problem(await world.http.post("/rpc", content=batch, headers=headers), 429, "rate_limited")
    clock.advance(1)
    assert_problem(await world.http.post("/rpc", content=batch, headers=headers), 429, "rate_limited")
    assert len(world.rpc_calls) == 1


async def test_a_router_that_is_down_is_a_503(world: World) -> None:
    world.local.down = True
    headers = await world.key()
    answer = await world.http.post("/v1/messages", json=message(), headers=headers)
    assert_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    answer = await bulk(world, [message()], headers)
    assert_problem(answer, 503, "unavailable")
    world.local.down = False
    assert (await world.http.post("/v1/messages", json=message(), headers=headers)).status_code == 200


async def test_another_content_type_is_refused(world: World) -> None:
    headers = await world.key() | {"content-type": "application/x-www-form-urlencoded"}
    answer = await world.http.post("/v1/messages", content=b"a=1", headers=headers)
    assert_problem(answer, 415, "unsupported_media_type")


# -- bulk


async def bulk(world: World, lines: list[dict[str, Any] | bytes], headers: dict[str, str]) -> httpx.Response:
    body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return await world.http.post(
        "/v1/messages", content=body, headers=headers | {"content-type": "application/x-ndjson; charset=utf-8"}
    )


async def test_good_lines_are_taken_and_bad_ones_named_by_number(world: World) -> None:
    lines: list[dict[str, Any] | bytes] = [
        message(source_id="1"),
        b"{broken",
        b"",
        message(source_id="2", inbox="theirs"),
        b'{"inbox":"shop","external_id":"c-1","source_id":"\xff","text":"x"}',
        message(source_id="3", text="x" * 1001),
        message(source_id="4", external_id="c-2"),
        message(source_id="1"),
        message(source_id="5") | {"text": 5},
        b"  \r",
    ]
    answer = (await bulk(world, lines, await world.key())).json()
    assert (answer["accepted"], answer["rejected"]) == (3, 5)
    outcome = [(result["line"], result.get("error", {}).get("code", "taken")) for result in answer["results"]]
    assert outcome == [
        (1, "taken"),
        (2, "bad_request"),
        (4, "not_found"),
        (5, "bad_request"),
        (6, "too_large"),
        (7, "taken"),
        (8, "taken"),
        (9, "bad_request"),
    ]
    first, again = answer["results"][0], answer["results"][6]
    assert again["duplicate"]
    assert again["message"] == first["message"]
    assert answer["results"][5]["conversation"] != first["conversation"]


async def test_lines_of_one_contact_keep_their_order(world: World) -> None:
    lines: list[dict[str, Any] | bytes] = [
        message(source_id=f"m-{n}", external_id=f"c-{n % 3}", text=str(n)) for n in range(45)
    ]
    answer = (await bulk(world, lines, await world.key())).json()
    assert answer["accepted"] == 45
    seqs: dict[str, list[int]] = {}
    for result in answer["results"]:
        seqs.setdefault(result["conversation"], []).append(result["seq"])
    assert list(seqs.values()) == [list(range(1, 16))] * 3
    assert world.local.calls == 1


async def test_users_in_a_bulk_are_linked_and_order_survives_it(world: World) -> None:
    lines: list[dict[str, Any] | bytes] = [
        message(source_id="1", text="1", user_id="u-1"),
        message(source_id="2", text="2"),
        message(source_id="3", text="3", inbox="web", user_id="u-1"),
        message(source_id="4", text="4", user_id="u-2"),
        message(source_id="5", text="5"),
    ]
    answer = (await bulk(world, lines, await world.key())).json()
    assert (answer["accepted"], answer["rejected"]) == (4, 1)
    assert answer["results"][3]["error"]["code"] == "conflict"
    assert [result.get("seq") for result in answer["results"]] == [1, 2, 3, None, 4]


async def test_too_many_lines_and_no_lines(world: World) -> None:
    headers = await world.key()
    lines: list[dict[str, Any] | bytes] = [message(source_id=str(n)) for n in range(51)]
    assert_problem(await bulk(world, lines, headers), 413, "too_large")
    assert world.local.calls == 0
    assert (await bulk(world, [], headers)).json() == {"accepted": 0, "rejected": 0, "results": []}


# -- identities


async def test_a_backend_links_an_identity_by_its_key_and_again_changes_nothing(world: World) -> None:
    headers = await world.key()
    before = (await world.http.post("/v1/messages", json=message(), headers=headers)).json()
    link = {"inbox": "shop", "external_id": "c-1", "user_id": "u-1"}
    for _ in range(2):
        answer = await world.http.post("/v1/identities", json=link, headers=headers)
        assert answer.json() == {"contact": user_contact_id("demo", "u-1")}
    after = (await world.http.post("/v1/messages", json=message(source_id="m-2"), headers=headers)).json()
    assert after["seq"] == 2
    assert after["conversation"] != before["conversation"]
    claimed = await world.http.post("/v1/identities", json=link | {"user_id": "u-2"}, headers=headers)
    assert_problem(claimed, 409, "conflict")
    foreign = await world.http.post("/v1/identities", json=link | {"inbox": "theirs"}, headers=headers)
    assert_problem(foreign, 404, "not_found")


async def test_a_link_without_a_key_needs_its_own_voucher(world: World) -> None:
    link = {"inbox": "shop", "external_id": "c-1", "user_id": "u-1"}
    proof = vouch_link(VOUCH, "shop", "c-1", "u-1")
    assert (await world.http.post("/v1/identities", json=link | {"link_hash": proof})).status_code == 200
    for wrong in (None, "0" * 64, vouch_user(VOUCH, "u-1"), vouch_link(VOUCH, "shop", "c-2", "u-1")):
        answer = await world.http.post("/v1/identities", json=link | ({"link_hash": wrong} if wrong else {}))
        assert_problem(answer, 401, "unauthorized")


# -- conversations


async def test_pages_of_a_conversation_have_no_gap(world: World) -> None:
    headers = await world.key()
    lines: list[dict[str, Any] | bytes] = [message(source_id=str(n), text=str(n)) for n in range(1, 8)]
    conversation = (await bulk(world, lines, headers)).json()["results"][0]["conversation"]
    path = f"/v1/conversations/{conversation}/messages"
    pages: list[list[int]] = []
    query: dict[str, int] = {"limit": 3}
    while True:
        page = (await world.http.get(path, params=query, headers=headers)).json()
        pages.append([each["seq"] for each in page["messages"]])
        if page["next_before"] is None:
            break
        query["before"] = page["next_before"]
    assert pages == [[7, 6, 5], [4, 3, 2], [1]]
    nothing = (await world.http.get(path, params={"before": 1}, headers=headers)).json()
    assert nothing == {"messages": [], "next_before": None}
    ahead = (await world.http.get(path, params={"before": 100, "limit": 200}, headers=headers)).json()
    assert len(ahead["messages"]) == 7


async def test_conversations_of_another_account_do_not_exist(world: World) -> None:
    headers = await world.key()
    conversation = (await world.http.post("/v1/messages", json=message(), headers=headers)).json()["conversation"]
    for path in (f"/v1/conversations/{conversation}", f"/v1/conversations/{conversation}/messages"):
        assert (await world.http.get(path, headers=headers)).status_code == 200
        assert_problem(await world.http.get(path, headers=await world.key("other")), 404, "not_found")
        assert_problem(await world.http.get(path), 401, "unauthorized")
    assert (await world.http.get(path, headers=await world.ann())).status_code == 200
    assert_problem(await world.http.get("/v1/conversations/nonsense", headers=headers), 422, "bad_request")


@pytest.mark.parametrize("query", ["before=0", "before=x", "limit=0", "limit=201", f"before={2**64}"])
async def test_a_page_of_a_wrong_form_is_refused(world: World, query: str) -> None:
    conversation = "s" + "0" * 28
    answer = await world.http.get(f"/v1/conversations/{conversation}/messages?{query}", headers=await world.key())
    problem = assert_problem(answer, 422, "bad_request")
    assert problem["errors"][0]["field"].startswith("query.")


# -- every error is a problem


async def test_unknown_paths_and_methods_are_problems(world: World) -> None:
    assert_problem(await world.http.get("/nowhere"), 404, "not_found")
    answer = await world.http.get("/v1/login")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    assert_problem(await world.http.get("/docs"), 404, "not_found")


@pytest.mark.parametrize("path", ["/v1/login", "/v1/connect", "/v1/identities"])
@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'{"inbox":"\xff"}', b"[" * 15_000, b"[]", b"null", b"7", b'{"inbox":"\\ud800"}']
)
async def test_malformed_bodies_are_problems_everywhere(world: World, path: str, body: bytes) -> None:
    answer = await world.http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert_problem(answer, answer.status_code, {400: "malformed", 422: "bad_request"}[answer.status_code])


@pytest.mark.parametrize("field", ["account", "name", "password"])
@pytest.mark.parametrize("bad", ["\ud800", 7, None, "x" * 5000])
async def test_a_log_in_of_a_wrong_form_is_refused_and_not_repeated(world: World, field: str, bad: object) -> None:
    body = {"account": "demo", "name": "ann", "password": "hunter2hunter2"} | {field: bad}
    answer = await world.http.post(
        "/v1/login", content=json.dumps(body).encode(), headers={"content-type": "application/json"}
    )
    problem = assert_problem(answer, 422, "bad_request")
    assert problem["errors"][0]["field"] == f"body.{field}"
    assert "hunter2" not in answer.text
    assert "xxxx" not in answer.text


async def test_unknown_fields_are_named_not_ignored(world: World) -> None:
    problem = assert_problem(await world.connect(visitor="v1"), 422, "bad_request")
    assert problem["errors"][0]["field"] == "body.visitor"


@pytest.mark.parametrize(
    "body",
    [
        b'{"inbox": "web"}',
        b'{"inbox": "web", "token": null}',
        b'{"inbox": "web", "token": "x.y.z"}',
        b'{"inbox": "web", "visitor": "v1"}',
        b'{"inbox": "shop"}',
        b'{"inbox": "we\\u0000b"}',
        b'{"inbox": 7}',
        b'{"inbox": "web"',
        b"null",
        b"",
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain"])
@pytest.mark.parametrize("agent", [False, True])
async def test_the_short_way_of_connecting_says_what_the_usual_way_does(
    world: World, body: bytes, content_type: str, agent: bool
) -> None:
    async def of_unknown_length() -> AsyncIterator[bytes]:
        yield body

    headers = {"content-type": content_type, "origin": "https://shop.test"} | (await world.ann() if agent else {})
    short = await world.http.post("/v1/connect", content=body, headers=headers)
    usual = await world.http.post("/v1/connect", content=of_unknown_length(), headers=headers)
    assert short.status_code == usual.status_code
    same = [
        {name: value for name, value in each.headers.items() if name != "content-length"} for each in (short, usual)
    ]
    assert same[0] == same[1]
    if short.status_code == 200:
        assert short.json().keys() == usual.json().keys()
    else:
        assert short.json() == usual.json()


async def test_a_store_that_fails_while_somebody_connects_is_a_503(world: World) -> None:
    async def fails() -> list[LiveGateway]:
        raise RedisError("gone")

    app = build_ingress(replace(world.parts, gateways=fails))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://desk.test") as http:
        answer = await http.post("/v1/connect", json={"inbox": "web"})
    assert_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_a_body_over_the_limit_is_refused_by_its_announced_length(world: World) -> None:
    answer = await world.http.post("/v1/login", content=b"x" * (BODY_BYTES + 1))
    assert_problem(answer, 413, "too_large")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/v1/login", "/v1/connect", "/v1/messages", "/rpc"])
async def test_a_body_over_the_limit_is_refused_while_it_streams(world: World, path: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * BODY_BYTES:
            sent += 1000
            yield b"x" * 1000

    headers = {"content-type": "application/json"}
    if path == "/v1/messages":
        headers |= await world.key()
    if path == "/rpc":
        headers |= await world.ann()
    answer = await world.http.post(path, content=endless(), headers=headers)
    assert_problem(answer, 413, "too_large")
    assert sent <= BODY_BYTES + 2000


async def test_a_body_of_exactly_the_limit_is_read(world: World) -> None:
    body = json.dumps(message()).encode().ljust(BODY_BYTES)
    headers = await world.key() | {"content-type": "application/json"}
    assert (await world.http.post("/v1/messages", content=body, headers=headers)).status_code == 200


async def test_a_defect_is_a_problem_that_tells_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    answer = await world.http.get("/hooks/defect")
    assert_problem(answer, 500, "internal_error")
    assert PASSWORD not in answer.text
    assert "ZeroDivisionError" in caplog.text


async def test_no_token_or_password_reaches_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    headers = await world.ann()
    visitor = (await world.connect()).json()["token"]
    await world.connect(token=visitor[:-3])
    await world.http.post("/v1/refresh", headers=headers)
    await world.login(password="wrong horse")
    for secret in (PASSWORD, "wrong horse", headers["authorization"].removeprefix("Bearer "), visitor[:-3]):
        assert secret not in caplog.text


async def test_a_store_that_is_gone_is_a_503(clock: Clock) -> None:
    gone = Redis.from_url("unix:///nowhere/valkey.sock")
    world = World(gone, clock)
    assert (await world.http.get("/healthz")).json() == {"status": "ok"}
    assert_problem(await world.http.get("/readyz"), 503, "unavailable")
    answer = await world.login()
    assert_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"


# -- the system


async def test_health_and_documents(world: World) -> None:
    assert (await world.http.get("/healthz")).json() == {"status": "ok"}
    assert (await world.http.get("/readyz")).json() == {"status": "ok"}
    for path, door in (("/openrpc.json", "http"), ("/openrpc/desk.json", "desk"), ("/openrpc/visitor.json", "visitor")):
        assert (await world.http.get(path)).json() == json.loads(json.dumps(openrpc_document(door)))


async def test_the_openapi_document_tells_every_route_with_its_errors(world: World) -> None:
    document = (await world.http.get("/openapi.json")).json()
    paths = {
        "/v1/login", "/v1/refresh", "/v1/connect", "/v1/messages", "/v1/identities", "/v1/intent",
        "/v1/conversations/{id}", "/v1/conversations/{id}/messages", "/healthz", "/readyz", "/openrpc.json",
        "/openrpc/desk.json", "/openrpc/visitor.json", "/rpc",
    }  # fmt: skip
    assert paths <= set(document["paths"])
    for path in paths:
        for operation in document["paths"][path].values():
            assert operation["description"], path
            assert "application/problem+json" in operation["responses"]["default"]["content"]
            assert "422" not in operation["responses"]
    body = document["paths"]["/v1/messages"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/x-ndjson"}
    names = {ref.rpartition("/")[2] for ref in _refs(document)}
    assert names <= set(document["components"]["schemas"])
    schemes = {scheme for each in _securities(document) for scheme in each}
    assert schemes == set(document["components"]["securitySchemes"])


def _refs(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for below in node.values() for ref in _refs(below)]
    return [ref for below in node for ref in _refs(below)] if isinstance(node, list) else []


def _securities(document: dict[str, Any]) -> list[dict[str, Any]]:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    return [each for operation in operations for each in operation.get("security", [])]


async def test_the_shell_builds_the_application_from_a_function(world: World) -> None:
    ingress = Ingress(lambda: world.parts)
    app = ingress.__serve_build_asgi_app__()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://desk.test") as client:
        assert (await client.get("/healthz")).status_code == 200
