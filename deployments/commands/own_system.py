"""A whole system for a load or a test: the real command in a folder of its own, on ports that are free.

Everything of it lives in ``folder``; `Launched.stop` ends it as Ctrl-C does, and nothing of it is left running
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
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import psutil
import redis
import tomli_w

from cluster.settings import Settings, load_settings
from cluster.store.valkey import store_url
from deployments.commands.boot import project_root
from deployments.commands.failure import CommandError

#: The last line that `raydesk up` prints.
READY = "Ctrl-C stops it"
#: Clear of the ports that Ray, Serve and the kernel's ephemeral range take.
_PORTS = range(20_000, 29_000)
_READY_WITHIN_S = 180.0
STOPPED_WITHIN_S = 90.0
_LOOK_EVERY_S = 0.1
#: Of what the command printed, as much as an error shows.
_LAST_CHARACTERS = 4_000


class DidNotStart(CommandError):
    """The command ended, or did not get ready in time; the text is what it said."""


class Launched:
    """What ``raydesk up`` starts in a folder; may be started again and finds its data in ``data`` there.

    Args:
        folder: where the command stands.
        environment: of the command.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.output = folder / "output.txt"
        self._environment = environment
        #: the command, while it was not stopped.
        self.process: subprocess.Popen[bytes] | None = None
        #: who ran when it was ready; each is known by more than its id.
        self.started: list[psutil.Process] = []
        self._before = 0

    def begin(self, *arguments: str) -> None:
        """Run ``raydesk up``, in a process group of its own as a terminal does; returns at once."""
        with self.output.open("ab") as output:
            self._before = output.tell()
            self.process = subprocess.Popen(
                [*command(), "up", *arguments],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Return once it says that it is ready.

        Raises:
            DidNotStart: it ended, or took too long.
        """
        deadline = time.monotonic() + _READY_WITHIN_S
        while READY not in self.said:
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise DidNotStart(f"The system did not get ready; it said:\n{self.said[-_LAST_CHARACTERS:].strip()}")
            time.sleep(_LOOK_EVERY_S)
        self.started = self.processes()

    def stop(self) -> int | None:
        """End it as Ctrl-C does; returns the exit status, None if it had to be killed. Safe twice."""
        process, self.process = self.process, None
        if process is None:
            return None
        # what it started since; a process that died is none that we end
        left = {*self.started, *family(process.pid), *self.stores()}
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            return None
        finally:
            end(left)
            process.wait()

    @property
    def said(self) -> str:
        """What the command printed since it was started last."""
        return self.output.read_bytes()[self._before :].decode() if self.output.exists() else ""

    @property
    def pid(self) -> int | None:
        """The process id of the command; None while it does not run."""
        return self.process.pid if self.process else None

    def processes(self) -> list[psutil.Process]:
        """List the processes that run now, the store among them, which is no child of the command."""
        running = self.process is not None and self.process.poll() is None
        return [*(family(self.pid or 0) if running else []), *self.stores()]

    def stores(self) -> list[psutil.Process]:
        """Return the valkey-server of the folder's data, while it lives."""
        try:
            found = psutil.Process(int((self.data_dir / "store" / "valkey.pid").read_text()))
            # the file of one that was killed may name somebody else by now
            return [found] if str(self.data_dir) in " ".join(found.cmdline()) else []
        except (OSError, ValueError, psutil.Error):
            return []


class OwnSystem(Launched):
    """One system with settings of one's own, from `start` to `stop`.

    Args:
        config: its settings as in ``config.toml``; ports and data folder are added, and neither bot nor intent
            model runs unless they are asked for.
        arguments: of ``raydesk up``, besides ``--config``.
        gateways: how many; their ports are chosen together.
    """

    def __init__(self, config: Mapping[str, Any] | None = None, *arguments: str, gateways: int = 1) -> None:
        # short, as a unix socket's path has an end
        super().__init__(Path(tempfile.mkdtemp(prefix="rd-")), environment())
        first = free_ports(gateways + 1)
        sections: dict[str, Any] = {name: dict(section) for name, section in (config or {}).items()}
        sections.setdefault("http", {}).setdefault("port", first)
        sections.setdefault("gateway", {}).update(port=first + 1, count=gateways)
        sections.setdefault("store", {})["data_dir"] = str(self.data_dir)
        for section in ("intent", "bot"):
            # whoever measures or breaks the way of a message to a human wants each one there, whatever it says
            sections.setdefault(section, {}).setdefault("enabled", False)
        self.config = self.folder / "config.toml"
        self.config.write_text(tomli_w.dumps(sections))
        self.config.chmod(0o600)
        self._arguments = arguments

    def start(self) -> None:
        """Run ``raydesk up`` and return once it says that it is ready.

        Raises:
            DidNotStart: it did not.
        """
        self.begin("--config", str(self.config), *self._arguments)
        self.wait()

    def remove(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @cached_property
    def settings(self) -> Settings:
        """Its settings, as its own processes have them."""
        return load_settings(self.config)

    @property
    def base(self) -> str:
        """The URL of its HTTP ingress."""
        return f"http://127.0.0.1:{self.settings.http.port}"

    def store(self) -> redis.Redis:
        """Return a blocking client of its store."""
        return redis.Redis.from_url(store_url(self.settings.store), socket_timeout=5.0)


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
    return clean_environment() | {"PYTHONPATH": str(project_root())}


def clean_environment() -> dict[str, str]:
    """Return an environment with nothing of the user's own raydesk or Ray in it."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(("RAYDESK_", "RAY_"))}


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all that descends from it."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill processes, those that are gone already excepted."""
    for each in processes:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
