"""``raydesk status``: how a system runs, from what its processes tell the store; needs no Ray.

Rates are differences between two looks a second apart; latencies are those since each process' start.
"""

import time
from collections.abc import Callable
from typing import Any

import redis
from redis.exceptions import RedisError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cluster.settings import Settings
from deployments.commands.readiness import reports, store_client

_BETWEEN_LOOKS_S = 1.1
_SILENT_MS = 2_500
_NOT_RUNNING = 1
_PIPE_COLUMNS = 160
_LEFT = ("name", "address", "account", "state", "process", "node")
_INTENT_RATES = ("texts", "hits", "batches", "rows", "real_tokens", "padded_tokens", "late")

Told = dict[str, list[dict[str, Any]]]


class Look:
    """What all processes told at one moment, and what they had told a moment before."""

    def __init__(self, told: Told, store: dict[str, Any], before: "Look | None" = None) -> None:
        self.told = told
        self.store = store
        self.at_ms = time.time_ns() // 1_000_000
        self._before = {(about["kind"], about["name"], about["pid"]): about for about in before.all()} if before else {}

    def all(self) -> list[dict[str, Any]]:
        """List every process."""
        return [about for kind in self.told.values() for about in kind]

    def rate(self, about: dict[str, Any], value: Callable[[dict[str, Any]], float]) -> float | None:
        """Return by how much a value of a process grew per second; None where nothing is known of before."""
        earlier = self._before.get((about["kind"], about["name"], about["pid"]))
        if earlier is None or about["at_ms"] <= earlier["at_ms"]:
            return None
        return (value(about) - value(earlier)) * 1000 / (about["at_ms"] - earlier["at_ms"])


def show_status(settings: Settings, *, watch: bool) -> int:
    """Print how the system runs, once or until Ctrl-C; returns 1 when nothing runs."""
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_COLUMNS
    with store_client(settings) as client:
        first = _look(client, None)
        if first is None or not first.all():
            # no system is a state, not an error of this command; the status tells scripts
            console.print(_nothing(settings, first), highlight=False, soft_wrap=True)
            return _NOT_RUNNING
        time.sleep(_BETWEEN_LOOKS_S)
        look = _look(client, first) or first
        if not (watch and console.is_terminal):
            console.print(_page(look))
            return 0
        with Live(_page(look), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(_BETWEEN_LOOKS_S)
                found = _look(client, look)
                if found is None:
                    live.update(Text(_nothing(settings, None)), refresh=True)
                    continue
                look = found
                live.update(_page(look), refresh=True)


def _look(client: redis.Redis, before: Look | None) -> Look | None:
    try:
        told = reports(client)
        store: dict[str, Any] = client.info()  # type: ignore[assignment]
    except RedisError:
        return None
    return Look(told, store, before)


def _nothing(settings: Settings, look: Look | None) -> str:
    where = f"in {settings.store.data_dir}" if settings.store.embedded else f"on the store {settings.store.url}"
    if look is None and not settings.store.embedded:
        return f"The store {settings.store.url} does not answer; no system can run without it."
    return f"No raydesk runs {where}. Start it with `raydesk up`."


def _page(look: Look) -> RenderableType:
    drawn = (_nodes, _routers, _gateways, _dispatcher, _outbox, _intent, _stages, _processes, _store)
    tables = [draw(look) for draw in drawn]
    parts: list[RenderableType] = []
    for table in tables:
        if table.row_count:
            parts += [table, Text()]
    return Group(*parts)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="left" if column in _LEFT else "right", no_wrap=True)
    return table


def _nodes(look: Look) -> Table:
    table = _table("Nodes", "node", "processes", "sockets", "cpu", "memory")
    for node in sorted({about["node"] for about in look.all()}):
        here = [about for about in look.all() if about["node"] == node]
        cpu = [rate for about in here if (rate := look.rate(about, lambda told: told["cpu_s"])) is not None]
        table.add_row(
            node,
            str(len(here)),
            f"{sum(about.get('sockets', 0) for about in here):,}",
            f"{sum(cpu) * 100:.0f} %" if cpu else "-",
            f"{sum(about['memory_kb'] for about in here) / 1024:,.0f} MB",
        )
    return table


def _processes(look: Look) -> Table:
    table = _table("Processes", "process", "node", "pid", "up", "cpu", "memory")
    for about in look.all():
        cpu = look.rate(about, lambda told: told["cpu_s"])
        silent_ms = look.at_ms - about["at_ms"]
        up = _duration(look.at_ms / 1000 - about["started_at"])
        table.add_row(
            _called(about),
            about["node"],
            str(about["pid"]),
            up if silent_ms < _SILENT_MS else f"silent {_duration(silent_ms / 1000)}",
            "-" if cpu is None else f"{cpu * 100:.0f} %",
            f"{about['memory_kb'] / 1024:.0f} MB",
        )
    return table


def _called(about: dict[str, Any]) -> str:
    return about["kind"] if about["name"] == about["kind"] else f"{about['kind']} {about['name']}"


def _routers(look: Look) -> Table:
    table = _table("Routers", "name", "slots", "epoch", "contacts", "messages/s", "per turn", "waiting")
    for about in look.told["router"]:
        messages = look.rate(about, lambda told: told["counts"].get("messages", 0))
        turns = look.rate(about, lambda told: told["counts"].get("turns", 0))
        first, last = about["slots"]
        table.add_row(
            about["name"],
            f"{first}-{last}",
            str(about["epoch"] or "none"),
            f"{about['contacts']:,}",
            _number(messages),
            _ratio(messages, turns),
            str(about["waiting"]),
        )
    return table


def _gateways(look: Look) -> Table:
    table = _table("Gateways", "name", "address", "sockets", "desks", "connects/s", "commands/s", "waiting")
    for about in look.told["gateway"]:
        connects = look.rate(about, lambda told: told["counts"].get("connected", 0))
        table.add_row(
            about["name"],
            about["url"],
            f"{about['sockets']:,}",
            f"{about['desks']:,}",
            _number(connects),
            _number(look.rate(about, lambda told: told["batched"])),
            str(about["waiting"]),
        )
    return table


def _dispatcher(look: Look) -> Table:
    columns = ("epoch", "present", "with the bot", "waiting", "oldest", "held", "snoozed", "offers/s")
    table = _table("Dispatcher", "account", *columns)
    for about in look.told["dispatcher"]:
        for account, census in about["accounts"].items():
            offers = look.rate(about, lambda told, name=account: told["accounts"].get(name, {}).get("offers", 0))
            running = census["running"]
            table.add_row(
                account,
                str(census["epoch"]),
                *(f"{census.get(name, 0):,}" if running else "starting" for name in ("present", "bot", "waiting")),
                _duration(census.get("oldest_wait_ms", 0) / 1000),
                *(f"{census.get(name, 0):,}" for name in ("held", "snoozed")),
                _number(offers),
            )
    return table


def _outbox(look: Look) -> Table:
    table = _table("Outbox", "state", "epoch", "queued", "owed", "sent", "failed", "retried")
    for about in look.told["outbox"]:
        counts = (f"{about[name]:,}" for name in ("queued", "owed", "sent", "failed", "retried"))
        table.add_row(about["state"], str(about["epoch"]), *counts)
    return table


def _intent(look: Look) -> Table:
    """What the intent model does; of all texts, those that the cache answers are no work for it."""
    columns = ("texts/s", "from cache", "batches/s", "per batch", "padding", "late/s", "failed", "waiting")
    table = _table("Intent", "name", *columns)
    for about in look.told["intent"]:
        rates = {name: look.rate(about, lambda told, name=name: told["counts"].get(name, 0)) for name in _INTENT_RATES}
        table.add_row(
            about["name"],
            _number(rates["texts"]),
            _share(rates["hits"], rates["texts"]),
            _number(rates["batches"]),
            _ratio(rates["rows"], rates["batches"]),
            _share(_less(rates["padded_tokens"], rates["real_tokens"]), rates["padded_tokens"]),
            _number(rates["late"]),
            f"{about['counts'].get('failed', 0):,}",
            f"{about['waiting']:,}",
        )
    return table


def _less(whole: float | None, part: float | None) -> float | None:
    return None if whole is None or part is None else whole - part


def _ratio(part: float | None, whole: float | None) -> str:
    return f"{part / whole:.1f}" if part is not None and whole else "-"


def _share(part: float | None, whole: float | None) -> str:
    return f"{part / whole * 100:.0f} %" if part is not None and whole else "-"


def _stages(look: Look) -> Table:
    """Latencies of the stages that a process measures; quantities of another kind are no stage."""
    table = _table("Stages", "name", "passes/s", "p50 ms", "p99 ms")
    for about in look.all():
        for stage, times in about.get("stages", {}).items():
            if "1e-6" in stage:
                continue
            passes = look.rate(about, lambda told, name=stage: told["stages"].get(name, {}).get("n", 0))
            table.add_row(
                f"{_called(about)}: {stage}",
                _number(passes),
                f"{times['p50_ms']:.2f}",
                f"{times['p99_ms']:.2f}",
            )
    return table


def _store(look: Look) -> Table:
    table = _table("Store", "name", "clients", "commands/s", "memory", "log", "up")
    store = look.store
    table.add_row(
        f"{store.get('server_name', 'redis')} {store.get('valkey_version') or store['redis_version']}",
        f"{store['connected_clients']:,}",
        f"{store['instantaneous_ops_per_sec']:,}",
        f"{store['used_memory'] / 1e6:.0f} MB",
        f"{store['aof_current_size'] / 1e6:.0f} MB" if store.get("aof_enabled") else "off",
        _duration(store["uptime_in_seconds"]),
    )
    return table


def _number(rate: float | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate >= 10 or rate == 0 else f"{rate:.1f}"


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
