"""A whole system for a load or a test: the real command in a folder of its own, on ports that are free.

Everything of it lives in ``folder``; `OwnSystem.stop` ends it as Ctrl-C does, and nothing of it is left running
afterwards, whatever happened in between.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import redis
import tomli_w

from cluster.settings import Settings, load_settings
from cluster.store.valkey import STORE_DOWN, store_url
from deployments.commands.boot import project_root
from deployments.commands.failure import CommandError

READY = "raydesk is ready"
#: Clear of the ports that Ray, Serve and the kernel's ephemeral range take.
_PORTS = range(20_000, 29_000)
_READY_WITHIN_S = 180.0
_STOPPED_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.1
#: Of what the command printed, as much as an error shows.
_LAST_CHARACTERS = 4_000


class DidNotStart(CommandError):
    """The command ended, or did not get ready in time; the text is what it said."""


class OwnSystem:
    """One system, from `start` to `stop`; may be started again and finds its data.

    Args:
        config: its settings as in ``config.toml``; ports and data folder are added, and neither bot nor intent
            model runs unless they are asked for.
        arguments: of ``raydesk up``, besides ``--config``.
        gateways: how many; their ports are chosen together.
    """

    def __init__(self, config: Mapping[str, Any] | None = None, *arguments: str, gateways: int = 1) -> None:
        # short, as a unix socket's path has an end
        self.folder = Path(tempfile.mkdtemp(prefix="rd-"))
        first = free_ports(gateways + 1)
        sections: dict[str, Any] = {name: dict(section) for name, section in (config or {}).items()}
        sections.setdefault("http", {}).setdefault("port", first)
        sections.setdefault("gateway", {}).update(port=first + 1, count=gateways)
        sections.setdefault("store", {})["data_dir"] = str(self.folder / "data")
        for section in ("intent", "bot"):
            # whoever measures or breaks the way of a message to a human wants each one there, whatever it says
            sections.setdefault(section, {}).setdefault("enabled", False)
        self.config = self.folder / "config.toml"
        self.config.write_text(tomli_w.dumps(sections))
        self.config.chmod(0o600)
        self.output = self.folder / "output.txt"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._tree: list[psutil.Process] = []

    # -- life -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Run ``raydesk up`` and return once it says that it is ready.

        Raises:
            DidNotStart: it did not.
        """
        with self.output.open("ab") as output:
            said_before = output.tell()
            self._process = subprocess.Popen(
                [*command(), "up", "--config", str(self.config), *self._arguments],
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _READY_WITHIN_S
        while READY not in (said := self.output.read_text()[said_before:]):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise DidNotStart(f"The system did not get ready; it said:\n{said[-_LAST_CHARACTERS:].strip()}")
            time.sleep(_LOOK_EVERY_S)
        self._tree = self.processes()

    def stop(self) -> int | None:
        """End it as Ctrl-C does; returns the exit status, None if it had to be killed. Safe twice."""
        process, self._process = self._process, None
        if process is None:
            return None
        # what it started since; a process that died is none that we end
        left = {*self._tree, *family(process.pid)}
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(_STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            return None
        finally:
            for each in left:
                try:
                    each.kill()
                except psutil.NoSuchProcess:
                    continue
            process.wait()

    def remove(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "OwnSystem":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    # -- where it is ----------------------------------------------------------------------------------

    @cached_property
    def settings(self) -> Settings:
        """Its settings, as its own processes have them."""
        return load_settings(self.config)

    @property
    def base(self) -> str:
        """The URL of its HTTP ingress."""
        return f"http://127.0.0.1:{self.settings.http.port}"

    @property
    def said(self) -> str:
        """What the command printed."""
        return self.output.read_text()

    @property
    def pid(self) -> int | None:
        """The process id of the command; None while it does not run."""
        return self._process.pid if self._process else None

    def processes(self) -> list[psutil.Process]:
        """List the processes that run now; each is known by more than its id."""
        if self._process is None:
            return []
        found = family(self._process.pid)
        if (store := self.pid_of_store()) is not None:
            found.append(psutil.Process(store))
        return found

    def store(self) -> redis.Redis:
        """Return a blocking client of its store."""
        return redis.Redis.from_url(store_url(self.settings.store), socket_timeout=5.0)

    def pid_of_store(self) -> int | None:
        """Return the process id of valkey-server, None while it does not answer."""
        try:
            with self.store() as client:
                return int(client.info("server")["process_id"])  # type: ignore[index]
        except STORE_DOWN:
            return None


def free_ports(count: int) -> int:
    """Return the first of ``count`` consecutive TCP ports of the loopback that nobody has."""
    for first in random.sample(_PORTS, 200):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise CommandError(f"There are no {count} free ports in a row from {_PORTS[0]} to {_PORTS[-1]}.")


def command() -> list[str]:
    """Return the command ``raydesk`` of this environment, or what it runs where it is not installed."""
    installed = Path(sys.executable).with_name("raydesk")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "deployments.cli"]


def environment() -> dict[str, str]:
    """Return an environment with nothing of the user's own raydesk or Ray in it, and our packages on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("RAYDESK_", "RAY_"))}
    return kept | {"PYTHONPATH": str(project_root())}


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all that descends from it."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
