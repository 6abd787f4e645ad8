"""Before the first message: the agents and the key that a scenario needs, made in a running system; and after the last.

Agents get random passwords and names of the run, and are removed at the end with their desks' logs, the key is revoked,
and conversations that are still open are resolved, so that the next run does not find its agents' desks full. What was
written stays in the store, as everything that has a receipt does.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from argon2 import PasswordHasher
from redis.asyncio import Redis

from cluster.load.orders import AgentLogin, CannotGenerate, WebhookAccount
from cluster.load.run.needs import channels, disagreements, inboxes_of
from cluster.load.scenario.tables import Channel, Scenario
from cluster.settings import Settings
from cluster.store.directory import Directory
from cluster.store.valkey import STORE_DOWN, connect
from models.domain.agent import User
from models.domain.errors import NotFound
from models.security.tokens import AgentClaims, TokenSigner

_PASSWORD_BYTES = 18
#: Checking a password takes a core some 40 ms; beyond so many agents their tokens are made here instead.
_MOST_LOGINS = 200
_AT_ONCE = 32
_ANSWER_S = 10.0
_INBOX_OF: dict[Channel, str] = {"web": "web", "wechat": "wechat", "rest": "api", "bulk": "api"}
_SUPERVISOR_CAPACITY = 1
#: Gateways write acks once a second.
_ACKS_WRITTEN_S = 1.5


class Prepared:
    """What generators must know of a system; see `Orders`."""

    def __init__(self, base: str, account: str, key: str) -> None:
        self.base = base
        self.account = account
        self.key = key
        self.inboxes: dict[Channel, str] = {}
        self.agents: tuple[AgentLogin, ...] = ()
        self.webhook: WebhookAccount | None = None


class Preparation:
    """Makes what a run needs, and takes it away.

    Args:
        settings: of the system, as its own processes have them.
        scenario: that is to run.
        run: its name.
        account: that the load belongs to.
        base: URL of the system's HTTP door.
    """

    def __init__(self, settings: Settings, scenario: Scenario, run: str, account: str, base: str) -> None:
        self._settings = settings
        self._scenario = scenario
        self._run = run
        self._account = account
        self._base = base
        self._redis: Redis | None = None
        self._key_id = ""
        self._made: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.aclose()

    async def start(self) -> Prepared:
        """Check the system and make what is needed.

        Raises:
            CannotGenerate: the system does not answer, or its settings do not fit; one line for each.
        """
        if problems := disagreements(self._scenario, self._settings, self._account):
            raise CannotGenerate("\n".join(problems))
        await self._ask()
        self._redis = connect(self._settings.store)
        try:
            await self._redis.ping()  # type: ignore[misc]
        except STORE_DOWN as error:
            raise CannotGenerate(f"the store of the system does not answer: {error}") from None
        # the passwords are random, so a hash that is dear to guess would protect nothing
        directory = Directory(self._redis, hasher=PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        await directory.add_account(self._account)
        key, about = await directory.create_key(self._account, f"load {self._run}")
        self._key_id = about.id
        prepared = Prepared(self._base, self._account, key)
        prepared.agents = await self._make_agents(directory)
        self._name_inboxes(prepared)
        return prepared

    async def aclose(self) -> None:
        """Take agents and key away; safe twice, and whether or not `start` came to its end."""
        redis, self._redis = self._redis, None
        if redis is None:
            return
        directory = Directory(redis)
        try:
            for name in self._made:
                try:
                    await directory.remove(self._account, name)
                except NotFound:
                    continue
            if self._key_id:
                await directory.revoke_key(self._account, self._key_id)
            # what desks confirmed last is written a second later
            await asyncio.sleep(_ACKS_WRITTEN_S)
            await directory.forget(self._account, self._made)
        except (*STORE_DOWN, NotFound):
            # a system that is gone has nothing that could be taken away
            pass
        finally:
            await redis.aclose()

    async def resolve(self, conversations: Sequence[str]) -> int:
        """Resolve what a run left open; returns how many conversations were."""
        name = f"{self._run}-closer"
        if self._redis is None or not conversations:
            return 0
        if name not in self._made:
            user = User(name=name, role="supervisor", capacity=_SUPERVISOR_CAPACITY)
            await Directory(self._redis).add(self._account, user, secrets.token_urlsafe(_PASSWORD_BYTES))
            self._made.append(name)
        headers = {"authorization": f"Bearer {self._token(name, 'supervisor')}"}
        resolved = 0
        async with httpx.AsyncClient(base_url=self._base, headers=headers, timeout=_ANSWER_S) as http:
            for begin in range(0, len(conversations), _AT_ONCE):
                calls = [self._resolve(http, each) for each in conversations[begin : begin + _AT_ONCE]]
                resolved += sum(await asyncio.gather(*calls))
        return resolved

    async def _resolve(self, http: httpx.AsyncClient, conversation: str) -> bool:
        call = {"jsonrpc": "2.0", "id": 1, "method": "conversation.resolve", "params": {"conversation": conversation}}
        try:
            answer = await http.post("/rpc", json=call)
            return "result" in answer.json()
        except (httpx.HTTPError, ValueError):
            return False

    async def _ask(self) -> None:
        """Ask over HTTP whether the system is there, and whether it is the one that the settings are of."""
        async with httpx.AsyncClient(base_url=self._base, timeout=_ANSWER_S) as http:
            try:
                ready = await http.get("/readyz")
            except httpx.HTTPError as error:
                words = str(error) or type(error).__name__
                raise CannotGenerate(
                    f"{self._base} does not answer ({words}); start the system with `raydesk up`, or have one of its "
                    "own started with --start"
                ) from None
            if ready.status_code != HTTPStatus.OK:
                raise CannotGenerate(f"{self._base} is not ready: {ready.status_code} {ready.text[:200]}")
            inbox = inboxes_of(self._settings, self._account).get("web")
            if inbox is None or "web" not in channels(self._scenario):
                return
            asked = await http.post("/v1/connect", json={"inbox": inbox})
            if asked.status_code != HTTPStatus.OK:
                raise CannotGenerate(
                    f"{self._base} does not know the inbox {inbox!r} of the config file: {asked.status_code} "
                    f"{asked.text[:200]}; was it started with these settings?"
                )

    async def _make_agents(self, directory: Directory) -> tuple[AgentLogin, ...]:
        count, capacity = self._scenario.desks.agents, self._scenario.desks.capacity
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        names = [f"{self._run}-{number}" for number in range(count)]
        for begin in range(0, count, _AT_ONCE):
            some = names[begin : begin + _AT_ONCE]
            self._made += some
            await asyncio.gather(
                *(directory.add(self._account, User(name=name, capacity=capacity), password) for name in some)
            )
        if count <= _MOST_LOGINS:
            return tuple(AgentLogin(name=name, password=password) for name in names)
        return tuple(AgentLogin(name=name, token=self._token(name, "agent")) for name in names)

    def _token(self, name: str, role: Any) -> str:
        """Return what a log-in would return."""
        now_s = int(time.time())
        security = self._settings.security
        claims = AgentClaims(
            account=self._account,
            agent=name,
            role=role,
            session_started_s=now_s,
            expires_s=now_s + int(security.session_lifetime_s),
        )
        return TokenSigner(security.secret_key.get_secret_value()).sign(claims)

    def _name_inboxes(self, prepared: Prepared) -> None:
        found = inboxes_of(self._settings, self._account)
        prepared.inboxes = {channel: found[kind] for channel, kind in _INBOX_OF.items() if kind in found}
        if "wechat" not in channels(self._scenario):
            return
        name = found["wechat"]
        inbox = self._settings.inboxes[name]
        prepared.webhook = WebhookAccount(
            path=f"/v1/channels/wechat/{name}",
            token=inbox.token.get_secret_value(),
            app_id=inbox.app_id,
            encoding_aes_key=inbox.encoding_aes_key.get_secret_value(),
            mode=inbox.mode,
            api=urlsplit(inbox.api_base).netloc,
        )
