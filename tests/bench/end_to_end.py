"""Messages from visitor sockets to desk sockets, through a whole system, all on this machine.

``python -m tests.bench.end_to_end`` starts the system with the real command (AOF always), lets visitors
and desks connect as clients do, and sends at given rates, open-loop. It prints for each rate the latency
from the intended send time to the desk, the audit, the batch sizes, the processor time of each process per
message, and what each stage cost. The generator shares the machine and is listed among the processes.

The store rewrites its log whenever it has doubled, past 256 MB; at these rates that is every 20 s or so, and it
takes a core for a second. So that a row does not depend on when that happens, the log is rewritten before each row,
and the last row says what it costs when it happens in the middle.
"""

import argparse
import asyncio
import json
import multiprocessing
import platform
import time
from typing import Any

import httpx
import psutil
import redis
import uvloop

from cluster.store import keys
from cluster.store.directory import Directory
from cluster.store.valkey import connect
from models.domain.agent import User
from tests.bench.generator import Load
from tests.running import RunningSystem

ACCOUNT = "bench"
PASSWORD = "correct horse battery staple"
_CONFIG: dict[str, Any] = {
    "accounts": {ACCOUNT: {}},
    "inboxes": {"bench-web": {"account": ACCOUNT, "channel": "web"}},
    # one address and few sockets stand for many here
    "limits": {
        "socket_rate": 100_000,
        "socket_burst": 100_000,
        "sockets_per_address": 20_000,
        "logins_per_minute": 9_999,
        "connects_per_minute": 99_999,
    },
}


def _generate(visitors: list[tuple[str, str]], desks: list[tuple[str, str]], orders: Any, answers: Any) -> None:
    """Run the generator in a process of its own: take orders, answer with what became of them."""

    async def serve() -> None:
        load = Load(visitors, desks)
        await load.connect()
        await load.begin()
        answers.put("ready")
        loop = asyncio.get_running_loop()
        while (order := await loop.run_in_executor(None, orders.get)) is not None:
            answers.put(await (load.saturate(**order) if "window" in order else load.run(**order)))

    try:
        uvloop.run(serve())
    except BaseException as error:
        answers.put(repr(error))
        raise


class Processes:
    """The processor time of the system's processes and of the generator."""

    def __init__(self, store: redis.Redis, generator: int) -> None:
        self._processes = {"generator": psutil.Process(generator)}
        self._processes["valkey"] = psutil.Process(store.info("server")["process_id"])
        for kind in ("router", "gateway", "dispatcher"):
            for name in store.smembers(keys.alive_names(kind)):
                about = store.get(keys.alive(kind, name.decode()))
                if about:
                    self._processes[f"{kind}:{name.decode()}"] = psutil.Process(json.loads(about)["pid"])

    def seconds(self) -> dict[str, float]:
        """Return the processor seconds that each has used."""
        return {name: sum(process.cpu_times()[:2]) for name, process in self._processes.items()}


def _reports(store: redis.Redis) -> dict[str, Any]:
    """Read what routers and gateways tell of themselves."""
    found = {}
    for kind in ("router", "gateway"):
        for name in store.smembers(keys.alive_names(kind)):
            about = store.get(keys.alive(kind, name.decode()))
            if about:
                found[f"{kind}:{name.decode()}"] = json.loads(about)
    return found


def _stages(before: dict[str, Any], after: dict[str, Any]) -> str:
    parts = []
    for process, report in after.items():
        for stage, now in report["stages"].items():
            old = before.get(process, {}).get("stages", {}).get(stage, {"n": 0, "sum_ms": 0.0})
            passes = now["n"] - old["n"]
            if passes:
                mean = (now["sum_ms"] - old["sum_ms"]) / passes
                parts.append(
                    f"{process} {stage.partition('_1e-6')[0]} {mean * 1000:.0f} messages"
                    if stage.endswith("_1e-6")
                    else f"{process} {stage} {mean:.2f} ms"
                )
    return ", ".join(parts)


def _print_row(result: dict[str, Any], used: dict[str, float], total: int, stages: str) -> None:
    if "closed_loop_per_s" in result:
        print(f"\nclosed loop: {result['closed_loop_per_s']:,.0f} messages/s")
    else:
        print(
            f"\n{result['offered_per_s']:>8,.0f}/s offered: {result['achieved_per_s']:,.0f}/s, to the desk "
            + " ".join(f"p{p} {result[f'p{p}_ms']:.1f}" for p in (50, 90, 99, 99.9))
            + f" max {result['max_ms']:.1f} ms; receipt p50 {result['receipt_p50_ms']:.1f} p99 "
            f"{result['receipt_p99_ms']:.1f} ms; generator late by {result['generator_lag_ms']:.0f} ms at most"
        )
    print("   audit: " + ", ".join(f"{name} {result[name]:,}" for name in _AUDIT))
    print("   processor us/message: " + ", ".join(f"{name} {s / total * 1e6:.1f}" for name, s in used.items()))
    print("   stages: " + stages)


_AUDIT = ("sent", "accepted", "delivered", "refused", "lost", "doubled", "reordered")


def _rewrite_log(store: redis.Redis) -> None:
    """Let the store rewrite its log, and wait for it."""
    store.bgrewriteaof()
    while store.info("persistence")["aof_rewrite_in_progress"] or store.info("persistence")["aof_rewrite_scheduled"]:
        time.sleep(0.05)


async def _add_agents(system: RunningSystem, agents: int, capacity: int) -> None:
    client = connect(system.settings.store)
    directory = Directory(client)
    for number in range(agents):
        user = User(name=f"agent{number}", role="agent", capacity=capacity)
        await directory.add(ACCOUNT, user, PASSWORD)
    await client.aclose()


def _clients(base: str, visitors: int, agents: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Get addresses and tokens as clients do."""
    with httpx.Client(base_url=base, timeout=30.0) as http:
        seats = []
        for _ in range(visitors):
            answer = http.post("/v1/connect", json={"inbox": "bench-web"}).raise_for_status().json()
            seats.append((answer["gateway"], answer["token"]))
        desks = []
        for number in range(agents):
            login = {"account": ACCOUNT, "name": f"agent{number}", "password": PASSWORD}
            token = http.post("/v1/login", json=login).raise_for_status().json()["token"]
            place = http.post("/v1/connect", headers={"authorization": f"Bearer {token}"})
            desks.append((place.raise_for_status().json()["gateway"], token))
        return seats, desks


def main() -> None:
    """Start a system, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=64)
    parser.add_argument("--agents", type=int, default=16)
    parser.add_argument("--rates", default="100,1000,5000,10000,20000,30000", help="messages a second, open-loop")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each rate lasts")
    parser.add_argument("--window", type=int, default=40, help="unconfirmed per visitor, closed loop")
    parser.add_argument("--rewrite-at", type=float, default=20_000.0, help="rate of the row with a rewrite; 0 = none")
    given = parser.parse_args()
    system = RunningSystem(_CONFIG)
    started = time.monotonic()
    system.start()
    print(f"{platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}, appendfsync always")
    print(f"{given.visitors} visitor sockets, {given.agents} desks; system ready in {time.monotonic() - started:.1f} s")
    context = multiprocessing.get_context("spawn")
    orders, answers = context.Queue(), context.Queue()
    generator = None
    try:
        asyncio.run(_add_agents(system, given.agents, given.visitors // given.agents + 2))
        visitors, desks = _clients(system.base, given.visitors, given.agents)
        generator = context.Process(target=_generate, args=(visitors, desks, orders, answers), daemon=True)
        generator.start()
        if (said := answers.get(timeout=120)) != "ready":
            raise SystemExit(f"the generator failed: {said}")
        store = system.store()
        processes = Processes(store, generator.pid or 0)
        plan: list[dict[str, Any]] = []
        if given.window:
            plan.append({"window": given.window, "total": 200_000, "prefix": "closed"})
        plan += [
            {
                "rate": rate,
                "total": int(rate * given.seconds),
                "prefix": f"open{number}",
                "warm_up": int(rate * min(2.0, given.seconds / 4)),
            }
            for number, rate in enumerate(float(rate) for rate in given.rates.split(","))
        ]
        if given.rewrite_at:
            total = int(given.rewrite_at * given.seconds)
            plan.append({"rate": given.rewrite_at, "total": total, "prefix": "rewrite", "warm_up": total // 5})
        for order in plan:
            _rewrite_log(store)
            time.sleep(0.5)
            before, reports = processes.seconds(), _reports(store)
            orders.put(order)
            if order["prefix"] == "rewrite":
                time.sleep(given.seconds / 2)
                store.bgrewriteaof()
                print("\nthe log is rewritten in the middle of:", end="")
            result = answers.get(timeout=300)
            used = {name: seconds - before[name] for name, seconds in processes.seconds().items()}
            time.sleep(1.5)  # what the processes tell of themselves is a second old
            _print_row(result, used, order["total"], _stages(reports, _reports(store)))
        orders.put(None)
        generator.join(10)
    finally:
        if generator is not None and generator.is_alive():
            generator.terminate()
        system.stop()


if __name__ == "__main__":
    main()
