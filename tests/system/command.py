"""The real command ``raydesk`` in a folder of its own, as a newcomer types it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.running import free_ports

RAYDESK = Path(sys.executable).parent / "raydesk"
READY_WITHIN_S = 120.0
END_WITHIN_S = 90.0


class Raydesk:
    """One system, in the folder ``folder`` and on free ports; every call runs the installed command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.http_port = free_ports(2)
        self.gateway_port = self.http_port + 1
        self.process: subprocess.Popen[bytes] | None = None
        self.started: list[psutil.Process] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("RAYDESK_", "RAY_"))}
        ports = {
            "RAYDESK_HTTP__PORT": str(self.http_port),
            "RAYDESK_GATEWAY__PORT": str(self.gateway_port),
            "RAYDESK_GATEWAY__COUNT": "1",
            "RAYDESK_ROUTER__COUNT": "2",
            # these tests are about agents, who must get each conversation, whatever it says
            "RAYDESK_BOT__ENABLED": "false",
        }
        return {**kept, **ports, "NO_COLOR": "1", **more}

    def run(self, *arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [RAYDESK, *arguments],
            cwd=self.folder,
            env=self.environment(**environment),
            input=typed,
            capture_output=True,
            text=True,
            timeout=END_WITHIN_S,
            check=False,
        )

    def up(self, *arguments: str) -> str:
        """Start the system, in a process group of its own as a terminal does, and return what it printed."""
        printed = self.folder / "printed.txt"
        with printed.open("wb") as file:
            self.process = subprocess.Popen(
                [RAYDESK, "up", *arguments],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_WITHIN_S
        while "Ctrl-C stops it" not in (text := printed.read_text()):
            assert self.process.poll() is None, f"raydesk up ended: {text}\n{self.log()}"
            assert time.monotonic() < deadline, f"not ready: {text}\n{self.log()}"
            time.sleep(0.1)
        self.started = [*self.descendants(), *self.stores()]
        return text

    def printed(self) -> str:
        return (self.folder / "printed.txt").read_text()

    def log(self) -> str:
        with contextlib.suppress(OSError):
            return (self.data_dir / "up.log").read_text()
        return ""

    def descendants(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def stores(self) -> list[psutil.Process]:
        """The valkey-server of our data directory, which is no child of ours."""
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            return [psutil.Process(int((self.data_dir / "store" / "valkey.pid").read_text()))]
        return []

    def ctrl_c(self) -> int:
        """Press Ctrl-C: the whole process group gets the signal; returns the exit status."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(END_WITHIN_S)

    def still_running(self) -> list[str]:
        """What the system started and is still there a moment after its end."""
        _, alive = psutil.wait_procs(self.started, timeout=5.0)
        return [f"{process.pid} {name}" for process in alive if (name := _name(process))]

    def kill(self) -> None:
        """End whatever a failed test left."""
        if self.process is not None and self.process.poll() is None:
            self.started = [*self.descendants(), *self.stores()]
            self.process.kill()
            self.process.wait()
        for process in self.started:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def passwords(printed: str) -> dict[str, str]:
    """Read the demo logins from what ``raydesk up --demo`` printed."""
    return dict(re.findall(r"^    (alice|bob|carol) +(\S+) +(?:agent|supervisor)$", printed, re.MULTILINE))


def api_key(printed: str) -> str:
    """Read the demo account's API key."""
    found = re.search(r"API key +(rdk_\S+)", printed)
    assert found, printed
    return found[1]


def _name(process: psutil.Process) -> str:
    """Its name, empty for a dead one that nobody has waited for."""
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else process.name()
    except psutil.NoSuchProcess:
        return ""
