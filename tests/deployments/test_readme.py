"""The README's programs, and what sockets tell about themselves.

Ingress, gateway, dispatcher and store are real; only Ray is not there.
"""

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from argon2 import PasswordHasher
from websockets.asyncio.client import connect

import deployments.gateway
from cluster.clients import RouterClient
from cluster.gateways import LiveGateways
from cluster.settings import Settings
from cluster.store.directory import Directory
from cluster.store.reading import Reading
from deployments.desk_about import make_desk_about
from deployments.desk_methods import DeskMethods
from deployments.dispatcher import DispatcherActor
from deployments.gateway import GatewayActor
from deployments.http.parts import IngressParts
from deployments.ingress import build_ingress
from models.domain.agent import User
from models.protocol.methods import methods_at
from models.security.tokens import TokenSigner
from tests.fakes import LocalRouter
from tests.readme import Place, programs, run_both

pytestmark = pytest.mark.anyio
SECRET = "k" * 40
PASSWORD = "correct horse"


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


async def until(condition, within_s=10.0):
    """Wait for a condition, plain or awaitable, with a deadline."""
    async with asyncio.timeout(within_s):
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)


class LocalActor:
    """An actor in this process, reached as a named one is."""

    def __init__(self, actor):
        self.actor = actor

    async def call(self, method, *args):
        return await getattr(self.actor, method)(*args)


@asynccontextmanager
async def serving(app, port):
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started)
        yield
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def place(store_url, redis, monkeypatch):
    settings = Settings.model_validate(
        {
            "accounts": {"demo": {}},
            "inboxes": {"web": {"account": "demo", "channel": "web"}},
            "store": {"url": store_url},
            "security": {"secret_key": SECRET},
            "gateway": {"port": free_port(), "count": 1},
            "router": {"count": 1},
        }
    )
    local = LocalRouter(redis)

    def client(_=None):
        return RouterClient(local.carry, shards=1, batch_bytes=80_000, queue_limit=1_000, deadline_s=5.0)

    directory = Directory(redis, hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    await directory.add_account("demo")
    await directory.add("demo", User(name="ann"), PASSWORD)
    # nobody tells this dispatcher of new conversations, so it finds them by comparing with the store
    dispatcher = DispatcherActor(settings, router=client(), superseded=lambda: None, audit_s=0.2, poll_s=0.2)
    monkeypatch.setattr(deployments.gateway, "router_client", client)
    monkeypatch.setattr(deployments.gateway, "NamedActor", lambda *_: LocalActor(dispatcher))
    monkeypatch.setattr(deployments.gateway, "settle_garbage_collector", lambda: None)
    gateway = GatewayActor(settings, 0)
    router = client()
    parts = IngressParts(
        settings=settings,
        redis=redis,
        router=router,
        directory=directory,
        signer=TokenSigner(SECRET),
        gateways=LiveGateways(redis, monotonic=time.monotonic),
        rpc=DeskMethods(
            router=router,
            set_presence=dispatcher.set_presence,
            reading=Reading(redis),
            about=make_desk_about(settings, redis, dispatcher.here),
            attaching=gateway.attaching,
            text_bytes=settings.limits.text_bytes,
        ).rpc,
    )
    port = free_port()
    async with serving(build_ingress(parts), port):
        await until(lambda: LiveGateways(redis, monotonic=time.monotonic)())
        yield Place(base=f"http://127.0.0.1:{port}", inbox="web", account="demo", name="ann", password=PASSWORD)
    await gateway.drain()
    await dispatcher.drain()
    await router.aclose()


async def test_a_visitor_gets_the_agents_answer(place):
    printed = await run_both(place)
    assert "agent: It comes today." in printed


def test_each_program_has_ten_lines():
    for title, code in programs().items():
        assert len([line for line in code.splitlines() if line.strip()]) <= 10, title
    assert len(programs()) == 2


@pytest.mark.parametrize("kind", ["desk", "visitor"])
async def test_each_kind_of_socket_tells_what_can_be_called_on_it(place, kind):
    async with httpx.AsyncClient(base_url=place.base) as http:
        found = (await http.post("/v1/connect", json={"inbox": place.inbox})).json()["gateway"]
        served = (await http.get(f"/openrpc/{kind}.json")).json()
    async with connect(found.replace("/visitor", f"/{kind}")) as client:
        await client.send('{"jsonrpc":"2.0","id":7,"method":"rpc.discover"}')
        answer = json.loads(await client.recv())
    assert answer == {"jsonrpc": "2.0", "id": 7, "result": served}
    assert [method["name"] for method in served["methods"]] == list(methods_at(kind))
