"""A whole system as a user starts it, for tests: `OwnSystem` with what tests ask of it besides.

The one way in which tests start a system.
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import psutil

from cluster.store import keys
from cluster.store.valkey import STORE_DOWN
from deployments.commands.boot import project_root
from deployments.commands.own_system import READY, DidNotStart, OwnSystem, command, environment, family, free_ports

__all__ = ["READY", "ROOT", "DidNotStart", "RunningSystem", "command", "environment", "free_ports", "wait_until"]

ROOT = project_root()
_LOOK_EVERY_S = 0.1


class RunningSystem(OwnSystem):
    """One system, and who it is made of."""

    def report(self, kind: str, name: str) -> dict[str, Any]:
        """Return what one of its processes told of itself last, empty if it has been silent for long."""
        with self.store() as client:
            told = client.get(keys.alive(kind, name))
        return msgspec.json.decode(told) if told else {}  # type: ignore[arg-type]

    def pid_of(self, kind: str, name: str) -> int | None:
        """Return the process id of a router, gateway, dispatcher or outbox that told in the last seconds."""
        try:
            return self.report(kind, name).get("pid")
        except STORE_DOWN:
            return None

    def pids_of_ingress(self) -> list[int]:
        """Return the process ids of the ingress' replicas, which Ray names so."""
        assert self.pid is not None
        return [each.pid for each in family(self.pid) if _title(each).startswith("ray::ServeReplica:raydesk:Ingress")]


def wait_until(condition: Callable[[], Any], within_s: float, what: str) -> Any:
    """Return what ``condition`` returns once that is true.

    Raises:
        TimeoutError: it was not, for that long.
    """
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s} s: {what}")
        time.sleep(_LOOK_EVERY_S)
    return found


def _title(process: psutil.Process) -> str:
    try:
        return (process.cmdline() or [""])[0]
    except psutil.Error:
        return ""
