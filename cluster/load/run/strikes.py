"""Faults as they are really done: SIGKILL, SIGSTOP and SIGCONT, a relay that stands still, sockets that break.

Processes are found by what the system tells the store of itself, and the replicas of Serve as siblings of an actor:
children of the same raylet, by the names that Ray gives them. So nothing is struck that is not of this system. What
runs on another machine cannot be struck from here, and is told so.

* **kill**: SIGKILL. The time until another process of the kind says that it lives is measured.
* **pause**: SIGSTOP, and SIGCONT after the time. A paused process keeps its sockets and its fences; it is the nearest
  to a machine that stands still.
* **cut**: of a gateway or the ingress only, and only in a system of the load's own, where a relay
  (`cluster/load/run/relay.py`) stands between it and its clients; the relay is stopped. Bytes wait in the kernel, as
  packets that are sent again do. What lies between other processes is Ray's, and cannot be parted on one machine
  without a network of each their own.
* **rewrite**: BGREWRITEAOF to the store, and how long it took. Its process forks, and writes all that it holds.
"""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import psutil
import redis

from cluster.load.orders import CannotGenerate
from cluster.load.scenario.faults import Cut, Fault, Kill, Pause, Rewrite
from cluster.load.scenario.quantities import Duration
from cluster.store import keys
from cluster.store.valkey import STORE_DOWN

#: Kinds that tell the store that they live.
_TELLING = ("router", "gateway", "dispatcher", "outbox", "intent")
#: Of Serve's replicas, how Ray titles their processes.
_REPLICAS = {"ingress": "ray::ServeReplica:raydesk:Ingress", "supervisor": "ray::ServeReplica:raydesk:Supervisor"}
_LOOK_EVERY_S = 0.1
_BACK_WITHIN_S = 60.0


class Found(NamedTuple):
    """A process of the system.

    Args:
        name: such as ``router:0``, ``ingress`` or ``store``.
        pid: here.
        since_s: Unix time at which it says that it began; 0: it does not say.
    """

    name: str
    pid: int
    since_s: float = 0.0


class Population:
    """The processes of a system that run on this machine.

    Args:
        client: a blocking client of its store; all calls block for milliseconds.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._elsewhere: set[str] = set()

    def all(self) -> list[Found]:
        """List all; of what does not answer, nothing.

        A store that is down tells nothing, and then the list is empty.
        """
        try:
            told = [about for kind in _TELLING for about in self._told(kind)]
            server: Mapping[str, Any] = self._client.info("server")  # type: ignore[assignment]
        except STORE_DOWN:
            return []
        here = socket.gethostname()
        self._elsewhere = {_called(about) for about in told if about["node"] != here}
        found = [Found(_called(about), about["pid"], about["started_at"]) for about in told if about["node"] == here]
        if psutil.pid_exists(int(server["process_id"])):
            found.append(Found("store", int(server["process_id"])))
        return found + _replicas(found)

    def of(self, target: str) -> list[Found]:
        """List the processes that a fault's target names: one kind, or a certain one.

        Raises:
            CannotGenerate: they run on other machines only.
        """
        found = [each for each in self.all() if each.name == target or each.name.partition(":")[0] == target]
        if not found and any(name.partition(":")[0] == target.partition(":")[0] for name in self._elsewhere):
            raise CannotGenerate(f"{target}: it runs on another machine, where nothing can be struck from here")
        return found

    def reports(self) -> dict[str, dict[str, Any]]:
        """Return what each process told of itself last, by its name."""
        try:
            return {_called(about): about for kind in _TELLING for about in self._told(kind)}
        except STORE_DOWN:
            return {}

    # -- the store's log

    def rewrite_log(self) -> None:
        """Have the store write its log anew; one that does so already is left to it."""
        try:
            self._client.bgrewriteaof()
        except redis.ResponseError as error:
            if "in progress" not in str(error):
                raise

    def log_state(self) -> str:
        """Return ``off``, ``rewritten`` while the store writes its log anew, ``kept`` else; ``down``: no answer."""
        try:
            info: Mapping[str, Any] = self._client.info("persistence")  # type: ignore[assignment]
        except STORE_DOWN:
            return "down"
        if not info["aof_enabled"]:
            return "off"
        return "rewritten" if info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"] else "kept"

    def _told(self, kind: str) -> list[dict[str, Any]]:
        names: list[bytes] = sorted(self._client.smembers(keys.alive_names(kind)))  # type: ignore[arg-type]
        told: list[bytes | None] = (
            self._client.mget([keys.alive(kind, name.decode()) for name in names]) if names else []  # type: ignore[assignment]
        )
        return [json.loads(report) for report in told if report]


class Struck(NamedTuple):
    """A fault that was done.

    Args:
        kind: ``kill``, ``pause``, ``cut``, ``rewrite`` or ``storm``.
        what: in words.
        at_s: when, since the begin of the run.
        ended_s: when the hand was taken off again: at once for a kill.
        replaced_s: after a kill, how long until another process was there; None: there was none.
    """

    kind: str
    what: str
    at_s: float
    ended_s: float
    replaced_s: float | None = None


class Strikes:
    """Does the faults of a run that are done to processes.

    Args:
        population: of the system.
        relays: target -> process id of the relay in front of it.
        now: seconds since the begin of the run.
    """

    def __init__(self, population: Population, relays: Mapping[str, int], now: Callable[[], float]) -> None:
        self._population = population
        self._relays = relays
        self._now = now

    def check(self, faults: Sequence[Fault]) -> None:
        """Find before the run what could not be done in it.

        Raises:
            CannotGenerate: with a line for each fault that cannot be done.
        """
        problems: list[str] = []
        for fault in faults:
            if isinstance(fault, Cut):
                if not self._relayed(fault.target):
                    problems.append(
                        f"cut {fault.target}: allowed: gateway, gateway:0, ingress, of a system that --start begins, "
                        "where a relay stands before them; everything else can be paused"
                    )
            elif isinstance(fault, Rewrite):
                if self._population.log_state() == "off":
                    problems.append("rewrite store: it keeps no append-only file (appendonly no)")
            elif isinstance(fault, Kill | Pause) and not self._population.of(fault.target):
                word = "kill" if isinstance(fault, Kill) else "pause"
                problems.append(f"{word} {fault.target}: no such process runs")
        if problems:
            raise CannotGenerate("\n".join(problems))

    async def strike(self, fault: Kill | Pause | Cut | Rewrite) -> Struck:
        """Do a fault now; returns when it is over, and a kill when another process is there.

        When cancelled, what was stopped goes on.
        """
        match fault:
            case Kill():
                return await self._kill(fault.target)
            case Rewrite():
                return await self._rewrite()
            case Pause():
                found = await asyncio.to_thread(self._population.of, fault.target)
                # one of several, as one machine of several
                name, pids = (found[0].name, [found[0].pid]) if found else (fault.target, [])
                return await self._stop("pause", name, pids, fault.lasts_s)
            case Cut():
                return await self._stop("cut", fault.target, self._relayed(fault.target), fault.lasts_s)

    async def _stop(self, kind: str, name: str, pids: Sequence[int], lasts_s: Duration) -> Struck:
        at_s = self._now()
        await _stopped(pids, float(lasts_s))
        return Struck(kind, f"{kind} {name} for {lasts_s}", at_s, self._now())

    async def _kill(self, target: str) -> Struck:
        found = await asyncio.to_thread(self._population.of, target)
        if not found:
            return Struck("kill", f"kill {target}: none was there", self._now(), self._now())
        victim = found[0]
        before = {each.pid for each in found}
        os.kill(victim.pid, signal.SIGKILL)
        at_s, began = self._now(), time.monotonic()
        while time.monotonic() - began < _BACK_WITHIN_S:
            await asyncio.sleep(_LOOK_EVERY_S)
            now_there = {each.pid for each in await asyncio.to_thread(self._population.of, target)}
            if now_there - before:
                took_s = round(time.monotonic() - began, 2)
                return Struck("kill", f"kill {victim.name} (another one after {Duration(took_s)})", at_s, at_s, took_s)
        return Struck("kill", f"kill {victim.name} (no other one within {Duration(_BACK_WITHIN_S)})", at_s, at_s)

    async def _rewrite(self) -> Struck:
        at_s, began = self._now(), time.monotonic()
        try:
            await asyncio.to_thread(self._population.rewrite_log)
        except redis.RedisError as error:
            return Struck("rewrite", f"rewrite store: it was refused ({error})", at_s, self._now())
        while await asyncio.to_thread(self._population.log_state) == "rewritten":
            await asyncio.sleep(_LOOK_EVERY_S)
            if time.monotonic() - began > _BACK_WITHIN_S:
                return Struck(
                    "rewrite", f"rewrite store (not over after {Duration(_BACK_WITHIN_S)})", at_s, self._now()
                )
        took = Duration(round(time.monotonic() - began, 1))
        return Struck("rewrite", f"rewrite store (took {took})", at_s, self._now())

    def _relayed(self, target: str) -> list[int]:
        return [pid for name, pid in self._relays.items() if target in (name, name.partition(":")[0])]


async def _stopped(pids: Sequence[int], lasts_s: float) -> None:
    """Let processes stand still for a time."""
    stopped: list[int] = []
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
        await asyncio.sleep(lasts_s)
    finally:
        for pid in stopped:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue


def _called(about: Mapping[str, Any]) -> str:
    return about["kind"] if about["name"] == about["kind"] else f"{about['kind']}:{about['name']}"


def _replicas(actors: Sequence[Found]) -> list[Found]:
    """Return Serve's replicas of this system: siblings of its actors, by their titles."""
    raylets: set[psutil.Process] = set()
    for each in actors:
        if each.name == "store":
            continue
        try:
            if (parent := psutil.Process(each.pid).parent()) is not None:
                raylets.add(parent)
        except psutil.Error:
            continue
    found: list[Found] = []
    for raylet in raylets:
        for child in _children(raylet):
            title = _title(child)
            kind = next((name for name, start in _REPLICAS.items() if title.startswith(start)), None)
            if kind is not None:
                number = sum(each.name.partition(":")[0] == kind for each in found)
                found.append(Found(f"{kind}:{number}", child.pid))
    return found


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.Error:
        return []


def _title(process: psutil.Process) -> str:
    try:
        return (process.cmdline() or [""])[0]
    except psutil.Error:
        return ""
