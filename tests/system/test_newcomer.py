"""A newcomer's first hour: the real command, an ordinary WebSocket client, Ctrl-C, and everything found again."""

import json
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import psutil
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.system.command import Raydesk, api_key, passwords

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]
_WITHIN_S = 20.0


class Socket:
    """A desk's or a visitor's socket: calls are answered, pushed events are kept in order."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._calls = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._calls += 1
        self._connection.send(json.dumps({"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}))
        while (frame := self._next()).get("id") != self._calls:
            self._keep(frame)
        assert "result" in frame, frame
        return frame["result"]

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first event that is wanted, waiting for it."""
        deadline = time.monotonic() + _WITHIN_S
        while True:
            found = next(filter(wanted, self.events), None)
            if found is not None:
                return found
            assert time.monotonic() < deadline, self.events
            self._keep(self._next())

    def _next(self) -> dict[str, Any]:
        return json.loads(self._connection.recv(timeout=_WITHIN_S))

    def _keep(self, frame: dict[str, Any]) -> None:
        self.events += frame.get("params", {}).get("events", [])


@contextmanager
def visitor(system: Raydesk, token: str | None = None) -> Iterator[tuple[Socket, dict[str, Any], str]]:
    """A visitor's socket, what opening it answered, and the token for the next time."""
    body = {"inbox": "demo-web"} | ({"token": token} if token else {})
    visit = httpx.post(f"{system.base}/v1/connect", json=body).raise_for_status().json()
    with connect(visit["gateway"]) as connection:
        socket = Socket(connection)
        yield socket, socket.call("visit.open", token=visit["token"]), visit["token"]


@contextmanager
def desk(system: Raydesk, cursor: int | None = None) -> Iterator[tuple[Socket, dict[str, Any]]]:
    """Alice's desk, and what opening it answered."""
    login = {"account": "demo", "name": "alice", "password": passwords(system.said)["alice"]}
    token = httpx.post(f"{system.base}/v1/login", json=login).raise_for_status().json()["token"]
    agent = {"Authorization": f"Bearer {token}"}
    gateway = httpx.post(f"{system.base}/v1/connect", headers=agent).raise_for_status().json()["gateway"]
    with connect(gateway) as connection:
        socket = Socket(connection)
        more = {} if cursor is None else {"cursor": cursor}
        yield socket, socket.call("desk.open", token=token, presence="online", **more)


def said(text: str) -> Callable[[dict[str, Any]], bool]:
    def is_it(event: dict[str, Any]) -> bool:
        messages = event.get("messages") or [event.get("message")]
        return any(isinstance(message, dict) and message.get("text") == text for message in messages)

    return is_it


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [message["text"] for message in messages]


def listening(system: Raydesk) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for process in system.processes():
        with suppress(psutil.NoSuchProcess):
            found += [
                (connection.laddr.ip, connection.laddr.port)
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            ]
    return found


def test_it_listens_on_the_loopback_alone(system):
    deadline = time.monotonic() + _WITHIN_S
    found = listening(system)
    # HAProxy hands its port from process to process when it learns of a replica
    while not {system.http_port, system.gateway_port} <= {port for _, port in found}:
        assert time.monotonic() < deadline, found
        found = listening(system)
    assert not [(ip, port) for ip, port in found if ip.removeprefix("::ffff:") not in ("127.0.0.1", "::1")]


def test_what_it_writes_is_for_its_owner_alone(system):
    assert stat.S_IMODE(system.data_dir.stat().st_mode) == 0o700
    for name in ("secrets.toml", "demo.toml", "ray.token", "up.log", "up.pid"):
        assert stat.S_IMODE((system.data_dir / name).stat().st_mode) == 0o600, name


def test_status_tells_what_runs(system):
    shown = system.run("status")
    assert shown.returncode == 0, shown.stderr
    for expected in ("router 0", "router 1", "0-511", "512-1023", f"ws://127.0.0.1:{system.gateway_port}", "demo"):
        assert expected in shown.stdout, shown.stdout


def test_a_second_start_in_the_same_folder_is_refused(system):
    again = system.run("up")
    assert again.returncode == 1
    assert "already runs" in again.stderr
    assert "raydesk down" in again.stderr


def test_users_and_keys_are_changed_while_it_runs(system):
    added = system.run("user", "add", "dora", "--account", "demo", "--password-stdin", typed="a long password\n")
    assert added.returncode == 0, added.stderr
    login = {"account": "demo", "name": "dora", "password": "a long password"}
    assert httpx.post(f"{system.base}/v1/login", json=login).status_code == 200
    made = system.run("key", "add", "shop", "--account", "demo")
    body = {"inbox": "demo-web", "external_id": "v1", "source_id": str(uuid.uuid4()), "text": "by key"}
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert httpx.post(f"{system.base}/v1/messages", headers=headers, json=body).status_code == 200


def test_visitor_and_agent_talk_and_find_everything_after_a_restart(system):
    printed = system.said
    with visitor(system) as (customer, _, visit_token), desk(system) as (agent, opened):
        receipt = customer.call("message.send", client_id="1", text="Where is my parcel?")
        agent.until(said("Where is my parcel?"))
        agent.call("message.send", conversation=receipt["conversation"], client_id="1", text="It comes today.")
        customer.until(said("It comes today."))
        customer.call("message.send", client_id="2", text="Thank you!")
        agent.until(said("Thank you!"))
    said_before = ["Where is my parcel?", "It comes today.", "Thank you!"]

    assert system.ctrl_c() == 0
    assert not system.still_running()

    again = system.up("--demo")
    assert passwords(again) == passwords(printed)
    assert api_key(again) == api_key(printed)
    with visitor(system, visit_token) as (customer, visit, _), desk(system, opened["cursor"]) as (agent, _):
        assert texts(visit["messages"]) == said_before
        page = agent.call("history.page", conversation=receipt["conversation"])
        assert texts(page["messages"]) == said_before
        agent.until(said("Thank you!"))
        sent = customer.call("message.send", client_id="3", text="One more thing")
        assert sent["conversation"] == receipt["conversation"]
        agent.until(said("One more thing"))
        duplicate = customer.call("message.send", client_id="2", text="Thank you!")
        assert duplicate["duplicate"]
