"""How long one call to a router takes, and one push to a desk, one at a time: ``python -m tests.bench.calls``.

A router and a gateway run as in a system, each an actor in a process of its own, with the embedded store. A call that
stores nothing is timed over Ray and over the way that batches take; then a message until its receipt, with its fsync;
then what the store publishes until a desk's socket has it. Prints, asserts nothing.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import ray
import uvloop
from websockets.asyncio.client import connect as socket_to

from cluster.actors import NamedActor, gateway_name, router_client, router_name
from cluster.settings import Settings
from cluster.store import keys
from cluster.store.embedded import EmbeddedStore
from cluster.store.valkey import connect
from deployments.commands.own_system import free_ports
from deployments.gateway import GatewayActor
from deployments.router import RouterActor
from deployments.supervisor import ActorPlan, create_actor
from models.domain.commands import Fence, Receive
from models.domain.ids import contact_id
from models.security.tokens import AgentClaims, TokenSigner

ACCOUNT = "bench"
SECRET = "s" * 64
_WARM_UP = 200


async def show(name: str, rounds: int, call: Callable[[int], Awaitable[Any]]) -> None:
    """Make calls one after the other, and print how long they took."""
    took = []
    for number in range(_WARM_UP + rounds):
        begin = time.perf_counter()
        await call(number)
        took.append((time.perf_counter() - begin) * 1e3)
    took = sorted(took[_WARM_UP:])
    mean, p50, p99 = sum(took) / rounds, took[rounds // 2], took[rounds * 99 // 100]
    print(f"{name:<58} {mean:8.2f} {p50:8.2f} {p99:8.2f} {took[-1]:8.2f}", flush=True)


def message(number: int) -> Receive:
    """Return what a contact writes."""
    return Receive(
        account=ACCOUNT,
        contact=contact_id(ACCOUNT, "web", "web", "v"),
        channel="web",
        inbox="web",
        external_id="v",
        source_id=str(number),
        text="Where is my parcel? It should have come on Monday.",
        received_at_ms=time.time_ns() // 1_000_000,
    )


async def measure(settings: Settings, rounds: int) -> None:
    """Bring up the actors, and print the table."""
    for planned in (ActorPlan(router_name(0), RouterActor, (0,)), ActorPlan(gateway_name(0), GatewayActor, (0,))):
        actor = create_actor(settings, planned)
        while not await actor.ready.remote():
            await asyncio.sleep(0.05)
    print(f"{rounds} each, one at a time; milliseconds {'mean':>21} {'p50':>8} {'p99':>8} {'max':>8}")
    named, router = NamedActor(router_name(0), settings.ray.namespace), router_client(settings)
    await show("router, over Ray", rounds, lambda _: named.call("ready"))
    await show("router, over its own connection", rounds, lambda _: router.ask(Fence(account=ACCOUNT, epoch=0, slot=0)))
    await show("a message until its receipt, durable", rounds, lambda number: router.receive(message(number)))
    now = int(time.time())
    claims = AgentClaims(account=ACCOUNT, agent="ann", role="agent", session_started_s=now, expires_s=now + 900)
    token = TokenSigner(SECRET).sign(claims)
    store = connect(settings.store)
    async with socket_to(f"ws://127.0.0.1:{settings.gateway.port}/desk", ping_interval=None) as desk:
        opening = {"jsonrpc": "2.0", "id": 1, "method": "desk.open", "params": {"token": token}}
        await desk.send(msgspec.json.encode(opening).decode())
        await desk.recv()
        channel = keys.desk_channel(ACCOUNT, "ann")

        async def push(_: int) -> None:
            # the answer of the store and the frame at the desk cross; the later of the two ends the round
            await store.publish(channel, '0 [{"type":"typing","conversation":"s","author":"contact"}]')
            await desk.recv()

        await show("published in the store until at a desk's socket", rounds, push)
    await store.aclose()
    await router.aclose()


def main() -> None:
    """Start Ray and a store of its own, measure, end both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rd-") as folder, EmbeddedStore(Path(folder)) as store:
        settings = Settings.model_validate(
            {
                "store": {"url": store.url},
                "accounts": {ACCOUNT: {}},
                "inboxes": {"web": {"account": ACCOUNT, "channel": "web"}},
                "router": {"count": 1},
                "gateway": {"count": 1, "port": free_ports(1)},
                "intent": {"enabled": False},
                "security": {"secret_key": SECRET},
                "limits": {"socket_rate": 100_000, "socket_burst": 100_000},
            }
        )
        ray.init("local", num_cpus=4, include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False)
        try:
            uvloop.run(measure(settings, given.rounds))
        finally:
            ray.shutdown()


if __name__ == "__main__":
    main()
