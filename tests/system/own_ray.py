"""A Ray that an administrator started, beside that of the system: a head of our own, ended by its process ids."""

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from deployments.commands.boot import project_root
from deployments.commands.own_system import environment, free_ports

_BIN = Path(sys.executable).parent
_WORKER_PORTS = 40
_HEAD = "start --head --block --num-cpus=4 --include-dashboard=false --object-store-memory=100000000"


class OwnRay:
    """A Ray head, and what else is run with its address.

    Args:
        folder: where its processes write what they say.
        more: for the environment of all of them.
    """

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder = folder
        self.port = free_ports(1)
        self.environment = environment() | {
            "RAY_ADDRESS": f"127.0.0.1:{self.port}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            **more,
        }
        self.started: list[subprocess.Popen[bytes]] = []

    def start_head(self) -> None:
        """Start it; whoever joins waits for it."""
        # workers' ports of its own, so that two Rays of one machine never want the same
        first = free_ports(_WORKER_PORTS)
        ports = (f"--min-worker-port={first}", f"--max-worker-port={first + _WORKER_PORTS - 1}")
        self.start("ray", "ray", *_HEAD.split(), f"--port={self.port}", "--node-ip-address=127.0.0.1", *ports)

    def start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a program of this Python's, which says into ``name``.txt."""
        with (self.folder / f"{name}.txt").open("wb") as output:
            process = subprocess.Popen(
                [_BIN / words[0], *words[1:]],
                cwd=project_root(),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def kill(self) -> None:
        """End whatever is left, by pid."""
        for process in self.started:
            if process.poll() is None:
                family = psutil.Process(process.pid).children(recursive=True)
                os.killpg(process.pid, signal.SIGKILL)
                for child in family:
                    if child.is_running():
                        child.kill()
                process.wait()
