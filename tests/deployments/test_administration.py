"""``/v1/administration`` over real HTTP semantics and the real store: who may, what is refused, and what it does."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from redis.asyncio import Redis

from cluster.clients import RouterClient
from cluster.settings import Settings
from cluster.store.administration import AdministrationStore
from cluster.store.directory import Directory
from cluster.store.following import Following
from deployments.http.parts import IngressParts
from deployments.ingress import build_ingress
from deployments.own_wording import OwnWording
from models.administration.changes import Draft
from models.administration.sections import Reply
from models.domain.agent import User
from models.domain.bot import Answer, BotState
from models.intent.understanding import Understanding
from models.security.tokens import AgentClaims, TokenSigner
from models.timeline.bot_part import BotPart
from tests.deployments.conftest import Clock
from tests.fakes import LocalRouter

pytestmark = pytest.mark.anyio
SECRET = "k" * 40
PASSWORD = "correct horse"
CLOSED: list[list[Any]] = [[]] * 7
WECHAT = {"token": "hidden-token", "app_secret": "hidden-secret", "encoding_aes_key": "h" * 43, "app_id": "wx1"}
SETTINGS = Settings.model_validate(
    {
        "accounts": {"demo": {}, "other": {}},
        "inboxes": {
            "web": {"account": "demo", "channel": "web", "skill": "billing", "origins": "https://shop.example"},
            "wx": {"account": "demo", "channel": "wechat", **WECHAT},
            "api": {"account": "demo", "channel": "api"},
            "theirs": {"account": "other", "channel": "web"},
        },
        "security": {"secret_key": SECRET},
    }
)


class World:
    """One ingress, and an admin's browser before it."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self.redis = redis
        self.local = LocalRouter(redis)
        self.directory = Directory(redis, hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1), now=clock)
        self.signer = TokenSigner(SECRET)
        self.clock = clock
        parts = IngressParts(
            settings=SETTINGS,
            redis=redis,
            router=RouterClient(self.local.carry, shards=1, batch_bytes=80_000, queue_limit=10_000, deadline_s=0.2),
            directory=self.directory,
            signer=self.signer,
            gateways=self._no_gateways,
            rpc=self._no_rpc,
            now=clock,
            monotonic=clock,
        )
        self.app: FastAPI = build_ingress(parts)
        transport = httpx.ASGITransport(app=self.app, client=("203.0.113.7", 1))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://desk.test")

    async def _no_gateways(self) -> list[Any]:
        return []

    async def _no_rpc(self, claims: AgentClaims, body: bytes) -> bytes:
        raise AssertionError("nobody calls this")

    async def user(self, name: str, role: str, account: str = "demo") -> dict[str, str]:
        await self.directory.add(account, User(name=name, role=role), PASSWORD)  # type: ignore[arg-type]
        return self.headers(name, role, account)

    def headers(self, name: str, role: str, account: str = "demo") -> dict[str, str]:
        now_s = int(self.clock())
        claims = AgentClaims(
            account=account,
            agent=name,
            role=role,  # type: ignore[arg-type]
            session_started_s=now_s,
            expires_s=now_s + 3600,
        )
        return {"authorization": f"Bearer {self.signer.sign(claims)}"}

    async def call(self, who: dict[str, str], method: str, path: str, **more: Any) -> httpx.Response:
        return await self.http.request(method, f"/v1/administration{path}", headers=who, **more)

    async def put(self, who: dict[str, str], place: str, value: Any, version: str = "", **more: Any) -> httpx.Response:
        return await self.call(who, "PUT", f"/{place}", json={"value": value, "version": version, **more})

    async def entry(self, who: dict[str, str], section: str, name: str) -> dict[str, Any]:
        answer = await self.call(who, "GET", f"/{section}")
        assert answer.status_code == 200, answer.text
        return next(each for each in answer.json()["entries"] if each["name"] == name)


@pytest.fixture
async def world(redis: Redis, clock: Clock) -> AsyncIterator[World]:
    world = World(redis, clock)
    async with world.http:
        yield world


@pytest.fixture
async def zoe(world: World) -> dict[str, str]:
    return await world.user("zoe", "admin")


def assert_problem(answer: httpx.Response, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    problem: dict[str, Any] = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    if field is not None:
        assert [each["field"] for each in problem["errors"]] == [field]
    return problem


CALLS = [
    ("GET", "/users", None),
    ("GET", "/changes", None),
    ("PUT", "/skills/x", {"value": {}}),
    ("DELETE", "/skills/x", None),
    ("POST", "/undo", {"change": "1-0"}),
    ("POST", "/password", {"name": "zoe", "password": PASSWORD}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_only_an_admin_may_call(world: World, zoe: dict[str, str], method: str, path: str, body: Any):
    key, _ = await world.directory.create_key("demo", "shop")
    agent, supervisor = await world.user("ann", "agent"), await world.user("sam", "supervisor")
    for who in (agent, supervisor):
        assert_problem(await world.call(who, method, path, json=body), 403, "forbidden")
    for nobody in ({}, {"authorization": f"Bearer {key}"}, {"authorization": "Bearer x"}):
        assert_problem(await world.call(nobody, method, path, json=body), 401, "unauthorized")
    assert await world.redis.xlen("{demo}:audit") == 0


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_a_token_of_somebody_who_was_an_admin_opens_nothing(world: World, method: str, path: str, body: Any):
    yan, wes = await world.user("yan", "admin"), await world.user("wes", "admin")
    await world.directory.update("demo", User(name="yan", role="supervisor"))
    assert_problem(await world.call(yan, method, path, json=body), 403, "forbidden")
    await world.directory.update("demo", User(name="wes", role="admin", active=False))
    assert_problem(await world.call(wes, method, path, json=body), 401, "unauthorized")
    assert_problem(await world.call(world.headers("nobody", "admin"), method, path, json=body), 401, "unauthorized")


async def test_a_user_is_added_changed_and_kept_out(world: World, zoe: dict[str, str]):
    value = {"role": "agent", "skills": ["billing"], "capacity": 3, "active": True}
    made = await world.put(zoe, "users/ann", value, password=PASSWORD)
    assert made.json()["change"]["after"] == value
    assert await world.directory.verify("demo", "ann", PASSWORD) == User(name="ann", skills=("billing",), capacity=3)
    version = (await world.entry(zoe, "users", "ann"))["version"]
    assert (await world.put(zoe, "users/ann", value | {"active": False}, version)).status_code == 200
    assert await world.directory.verify("demo", "ann", PASSWORD) is None
    assert_problem(await world.call(zoe, "DELETE", "/users/ann", params={"version": version}), 422, "bad_request")


async def test_a_password_is_set_and_shown_nowhere(world: World, zoe: dict[str, str]):
    await world.user("ann", "agent")
    body = {"name": "ann", "password": "another horse"}
    made = await world.call(zoe, "POST", "/password", json=body)
    assert made.json()["change"]["note"] == "password"
    assert await world.directory.verify("demo", "ann", "another horse")
    for path in ("/users", "/changes"):
        answer = await world.call(zoe, "GET", path)
        assert answer.status_code == 200
        assert "horse" not in answer.text
        assert "argon" not in answer.text
    for wrong in ("short", "x" * 2000):
        refused = await world.call(zoe, "POST", "/password", json=body | {"password": wrong})
        assert_problem(refused, 422, "bad_request", "password")
        assert wrong not in refused.text
    assert_problem(await world.call(zoe, "POST", "/password", json=body | {"name": "x"}), 404, "not_found")


async def test_who_saw_something_older_is_told_what_is_there_now(world: World, zoe: dict[str, str]):
    yan = await world.user("yan", "admin")
    await world.put(zoe, "skills/billing", {"description": "Money"})
    version = (await world.entry(zoe, "skills", "billing"))["version"]
    assert (await world.put(yan, "skills/billing", {"description": "Bills"}, version)).status_code == 200
    told = assert_problem(await world.put(zoe, "skills/billing", {"description": "Fees"}, version), 409, "conflict")
    assert told["current"] == {"description": "Bills"}
    assert (await world.put(zoe, "skills/billing", {"description": "Fees"}, told["version"])).status_code == 200
    gone = (await world.entry(zoe, "skills", "billing"))["version"]
    assert (await world.call(yan, "DELETE", "/skills/billing", params={"version": gone})).status_code == 200
    told = assert_problem(await world.put(zoe, "skills/billing", {"description": "Fees"}, gone), 409, "conflict")
    assert told["version"] == ""
    assert "current" not in told


async def test_what_is_so_already_is_no_change(world: World, zoe: dict[str, str]):
    await world.put(zoe, "skills/billing", {"description": "Money"})
    version = (await world.entry(zoe, "skills", "billing"))["version"]
    assert (await world.put(zoe, "skills/billing", {"description": "Money"}, version)).json() == {"change": None}
    assert len((await world.call(zoe, "GET", "/changes")).json()["changes"]) == 1


async def test_a_change_is_taken_back_until_somebody_changed_it_again(world: World, zoe: dict[str, str]):
    await world.put(zoe, "canned/hi", {"text": "Hello!"})
    version = (await world.entry(zoe, "canned", "hi"))["version"]
    change = (await world.put(zoe, "canned/hi", {"text": "Hi!"}, version)).json()["change"]["id"]
    undone = await world.call(zoe, "POST", "/undo", json={"change": change})
    assert undone.json()["change"]["undoes"] == change
    assert (await world.entry(zoe, "canned", "hi"))["value"] == {"text": "Hello!"}
    told = assert_problem(await world.call(zoe, "POST", "/undo", json={"change": change}), 409, "conflict")
    assert told["current"] == {"text": "Hello!"}
    listed = (await world.call(zoe, "GET", "/changes")).json()["changes"]
    assert [each["undoable"] for each in listed] == [True, False, True]
    for unknown in ("1-1", "x"):
        assert_problem(await world.call(zoe, "POST", "/undo", json={"change": unknown}), 404, "not_found")


async def test_undo_does_not_bring_back_what_is_not_allowed_any_more(world: World, zoe: dict[str, str]):
    await world.put(zoe, "hours/main", {"zone": "UTC", "week": CLOSED})
    inbox = {"hours": "main"}
    await world.put(zoe, "inboxes/web", inbox)
    version = (await world.entry(zoe, "inboxes", "web"))["version"]
    change = (await world.put(zoe, "inboxes/web", {"hours": ""}, version)).json()["change"]["id"]
    version = (await world.entry(zoe, "hours", "main"))["version"]
    assert (await world.call(zoe, "DELETE", "/hours/main", params={"version": version})).status_code == 200
    assert_problem(await world.call(zoe, "POST", "/undo", json={"change": change}), 422, "bad_request", "hours")


async def test_the_trail_is_filtered_and_paged(world: World, zoe: dict[str, str]):
    yan = await world.user("yan", "admin")
    for number in range(4):
        await world.put(zoe if number % 2 else yan, f"skills/s{number}", {})
    await world.put(zoe, "teams/t", {})

    async def names(**params: str) -> list[str]:
        answer = await world.call(zoe, "GET", "/changes", params=params)
        return [each["change"]["name"] for each in answer.json()["changes"]]

    assert await names() == ["t", "s3", "s2", "s1", "s0"]
    assert await names(section="skills", by="yan") == ["s2", "s0"]
    assert await names(name="s1") == ["s1"]
    first = (await world.call(zoe, "GET", "/changes", params={"limit": "2"})).json()
    assert await names(before=first["next_before"]) == ["s2", "s1", "s0"]
    assert_problem(await world.call(zoe, "GET", "/changes", params={"section": "none"}), 422, "bad_request")


async def test_an_account_sees_and_changes_nothing_of_another(world: World, zoe: dict[str, str]):
    eve = await world.user("eve", "admin", "other")
    change = (await world.put(zoe, "skills/billing", {})).json()["change"]["id"]
    assert (await world.call(eve, "GET", "/skills")).json()["entries"] == []
    assert (await world.call(eve, "GET", "/changes")).json()["changes"] == []
    assert_problem(await world.call(eve, "POST", "/undo", json={"change": change}), 404, "not_found")
    assert_problem(await world.put(eve, "inboxes/web", {}), 404, "not_found")
    assert [each["name"] for each in (await world.call(eve, "GET", "/inboxes")).json()["entries"]] == ["theirs"]


async def test_vendors_inboxes_are_shown_without_their_secrets(world: World, zoe: dict[str, str]):
    answer = await world.call(zoe, "GET", "/inboxes")
    assert [each["name"] for each in answer.json()["entries"]] == ["web", "api", "wx"]
    about = (await world.entry(zoe, "inboxes", "wx"))["about"]
    assert about == {
        "channel": "wechat",
        "skill": "",
        "app_id": "wx1",
        "mode": "aes",
        "token": True,
        "encoding_aes_key": True,
        "app_secret": True,
    }
    assert "hidden" not in answer.text
    assert_problem(await world.put(zoe, "inboxes/wx", {"skill": "x"}), 404, "not_found")


async def test_an_inbox_is_as_in_the_config_file_until_an_admin_says_otherwise(world: World, zoe: dict[str, str]):
    following: Following = world.app.state.following
    shown = await world.entry(zoe, "inboxes", "web")
    assert (shown["said"], shown["version"]) == (False, "")
    assert shown["value"]["skill"] == "billing"
    assert shown["value"]["origins"] == ["https://shop.example"]

    async def refused(origin: str) -> bool:
        answer = await world.http.post("/v1/connect", json={"inbox": "web"}, headers={"origin": origin})
        return answer.status_code == 403

    assert (await refused("https://shop.example"), await refused("https://new.example")) == (False, True)
    await world.put(zoe, "inboxes/web", shown["value"] | {"origins": ["https://new.example"]})
    await following.look()
    assert (await refused("https://shop.example"), await refused("https://new.example")) == (True, False)
    version = (await world.entry(zoe, "inboxes", "web"))["version"]
    assert (await world.call(zoe, "DELETE", "/inboxes/web", params={"version": version})).status_code == 200
    await following.look()
    assert (await refused("https://shop.example"), await refused("https://new.example")) == (False, True)


async def test_a_message_that_an_accounts_backend_hands_in_has_the_skill_of_the_moment(
    world: World, zoe: dict[str, str]
):
    following: Following = world.app.state.following
    key, _ = await world.directory.create_key("demo", "shop")

    async def skill_of(who: str) -> str:
        message = {"inbox": "web", "external_id": who, "source_id": who, "text": "hello"}
        answer = await world.http.post("/v1/messages", json=message, headers={"authorization": f"Bearer {key}"})
        conversation = answer.json()["conversation"]
        found = await world.http.get(f"/v1/conversations/{conversation}", headers={"authorization": f"Bearer {key}"})
        return str(found.json().get("skill", ""))

    assert await skill_of("c-1") == "billing"
    await world.put(zoe, "inboxes/web", {"skill": "vip"})
    assert await skill_of("c-2") == "billing"
    await following.look()
    assert await skill_of("c-3") == "vip"


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        ("teams/t", {"members": ["nobody"]}, "members.0"),
        ("hours/h", {"zone": "UTC", "week": [[{"opens": "10:00", "closes": "9:00"}], *CLOSED[1:]]}, "week.0.0.closes"),
        ("inboxes/web", {"origins": ["shop.example"]}, "origins.0"),
        ("users/zoe", {"role": "agent"}, "role"),
        ("skills/x", {"color": "red"}, ""),
        ("replies/refund_request:en", {"wordings": ["{nothing}"]}, "wordings"),
    ],
)
async def test_what_is_wrong_is_told_with_its_field(
    world: World, zoe: dict[str, str], place: str, value: Any, field: str
):
    entry = place.partition("/")
    version = (await world.entry(zoe, "users", "zoe"))["version"] if entry[0] == "users" else ""
    if entry[0] == "replies":
        names = [each["name"] for each in (await world.call(zoe, "GET", "/replies")).json()["entries"]]
        place = f"replies/{names[0]}"
    assert_problem(await world.put(zoe, place, value, version), 422, "bad_request", field)
    assert await world.redis.xlen("{demo}:audit") == 0


@pytest.mark.parametrize("name", ["a/b", "退货 refunds", "100%", "a?b#c", "~.~"])
async def test_names_may_be_as_people_write_them(world: World, zoe: dict[str, str], name: str):
    from urllib.parse import quote

    assert (await world.put(zoe, f"skills/{quote(name, safe='')}", {"description": name})).status_code == 200
    assert (await world.entry(zoe, "skills", name))["value"] == {"description": name}


async def test_the_routes_are_described(world: World, zoe: dict[str, str]):
    document = (await world.http.get("/openapi.json")).json()
    paths = {path for path in document["paths"] if path.startswith("/v1/administration")}
    assert len(paths) == 5
    for name in ("SectionEntries", "Made", "Trail", "Change"):
        assert name in document["components"]["schemas"]


async def test_the_bot_says_what_an_admin_wrote_from_the_next_turn_on(world: World, zoe: dict[str, str]):
    from cluster.bot import make_bot

    shown = next(
        each
        for each in (await world.call(zoe, "GET", "/replies")).json()["entries"]
        if each["about"]["answerable"] and each["about"]["language"] == "en" and each["value"]["wordings"]
    )
    intent = shown["about"]["intent"]
    part = BotPart(answers=make_bot(SETTINGS.bot, SETTINGS.intent))
    following = Following(world.redis, SETTINGS.accounts, changed=lambda account: wording.take(account))
    wording = OwnWording(SETTINGS, part, following)

    def said(account: str) -> str:
        answers = part.answers_of(account)
        assert answers is not None
        understanding = Understanding(intent=intent, confidence=0.99, sure=True, candidates=())
        answer = answers.hear("please tell me about this thing", understanding, BotState())
        return answer.text if isinstance(answer, Answer) else answer.reason

    before = said("demo")
    assert (await world.put(zoe, f"replies/{shown['name']}", {"wordings": ["Ask the owl."]})).status_code == 200
    await following.look()
    assert said("demo").startswith("Ask the owl.\n")
    assert said("other") == before, "another account says what it said"
    version = (await world.entry(zoe, "replies", shown["name"]))["version"]
    assert (await world.put(zoe, f"replies/{shown['name']}", {"wordings": []}, version)).status_code == 200
    await following.look()
    assert said("demo") == "no_words"
    version = (await world.entry(zoe, "replies", shown["name"]))["version"]
    await world.call(zoe, "DELETE", f"/replies/{shown['name']}", params={"version": version})
    await following.look()
    assert said("demo") == before


async def test_wording_of_another_release_that_cannot_be_said_changes_nothing(world: World):
    from cluster.bot import make_bot

    part = BotPart(answers=make_bot(SETTINGS.bot, SETTINGS.intent))
    following = Following(world.redis, SETTINGS.accounts, changed=lambda account: wording.take(account))
    wording = OwnWording(SETTINGS, part, following)
    store = AdministrationStore(world.redis, world.directory, world.clock)
    draft = Draft(section="replies", name="x:en", before=None, after=Reply(wordings=("{new_place}",)), by="zoe")
    await store.change("demo", draft)
    await following.look()
    assert part.answers_of("demo") is part.answers
