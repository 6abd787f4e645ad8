"""When a system is ready: everything that was planned tells the store that it lives, and HTTP answers."""

import http.client
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import redis

from cluster.settings import Settings
from cluster.store import keys
from cluster.store.valkey import STORE_DOWN, store_url
from deployments.commands.failure import CommandError

_LOOK_EVERY_S = 0.1
_ANSWER_S = 2.0
KINDS = ("router", "gateway", "dispatcher", "outbox", "intent")


def store_client(settings: Settings) -> redis.Redis:
    """Return a blocking client of the store, which connects at its first command."""
    return redis.Redis.from_url(
        store_url(settings.store),
        password=settings.store.password.get_secret_value() or None,
        socket_timeout=_ANSWER_S,
        socket_connect_timeout=_ANSWER_S,
    )


def reports(client: redis.Redis) -> dict[str, list[dict[str, Any]]]:
    """Return what each living process tells, by kind, in the order of their names.

    Raises:
        redis.exceptions.RedisError: the store does not answer.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for kind in KINDS:
        names = sorted(client.smembers(keys.alive_names(kind)), key=_by_number)  # type: ignore[arg-type]
        told = client.mget([keys.alive(kind, name.decode()) for name in names]) if names else []
        found[kind] = [msgspec.json.decode(report) for report in told if report]  # type: ignore[union-attr]
    return found


def _by_number(name: bytes) -> tuple[int, bytes]:
    return (int(name) if name.isdigit() else 0, name)


def missing_parts(settings: Settings, since_s: float, told: dict[str, list[dict[str, Any]]]) -> list[str]:
    """List in plain words what is planned and has not told since ``since_s`` (Unix time) that it serves."""
    fresh = {kind: [about for about in all_of if about["started_at"] >= since_s] for kind, all_of in told.items()}
    serving = {
        "router": sum(bool(about.get("epoch")) for about in fresh["router"]),
        "gateway": len(fresh["gateway"]),
        "dispatcher": sum(_decides(about) for about in fresh["dispatcher"]),
        "outbox": sum(about.get("state") == "running" for about in fresh["outbox"]),
        "intent": len(fresh["intent"]),
    }
    planned = {
        "router": settings.router.count,
        "gateway": settings.gateway.count,
        "dispatcher": 1,
        "outbox": 1,
        "intent": settings.intent.min_replicas if settings.intent.enabled else 0,
    }
    return [
        f"{kind} ({serving[kind]} of {count})" if count > 1 else kind
        for kind, count in planned.items()
        if serving[kind] < count
    ]


def _decides(about: dict[str, Any]) -> bool:
    accounts = about.get("accounts", {})
    return all(account["running"] for account in accounts.values())


def answers_http(settings: Settings) -> bool:
    """Tell whether the ingress answers that it can do its work."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.http.host, settings.http.host)
    connection = http.client.HTTPConnection(host, settings.http.port, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_ready(
    settings: Settings, *, since_s: float, bound_s: float, trouble: Callable[[], str], tell: Callable[[str], None]
) -> None:
    """Return once everything serves.

    Args:
        settings: of the system.
        since_s: Unix time of the start; what an earlier system told does not count.
        bound_s: seconds to wait at most.
        trouble: returns why the start was given up, empty while it was not.
        tell: hears what is still missing, whenever that changes.

    Raises:
        CommandError: it was given up, or the bound is reached; the text names what is missing.
    """
    deadline = time.monotonic() + bound_s
    before: list[str] = []
    with store_client(settings) as client:
        for missing in _looks(settings, since_s, client):
            if not missing:
                return
            if missing != before:
                tell(", ".join(missing))
                before = missing
            if reason := trouble():
                raise CommandError(f"The system did not start: {reason}")
            if time.monotonic() >= deadline:
                raise CommandError(f"Not ready after {bound_s:.0f} s; still missing: {', '.join(missing)}.")


def _looks(settings: Settings, since_s: float, client: redis.Redis) -> Iterator[list[str]]:
    while True:
        try:
            missing = missing_parts(settings, since_s, reports(client))
        except STORE_DOWN:
            missing = ["store"]
        if not missing and not answers_http(settings):
            missing = ["HTTP"]
        yield missing
        time.sleep(_LOOK_EVERY_S)
