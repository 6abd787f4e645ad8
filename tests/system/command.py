"""The real command ``raydesk`` in a folder of its own, as a newcomer types it: no config file, and no path to us."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import psutil

from deployments.commands.own_system import STOPPED_WITHIN_S, Launched, clean_environment, command, end, free_ports


class Raydesk(Launched):
    """One system, in the folder ``folder`` and on free ports; every call runs the installed command."""

    def __init__(self, folder: Path) -> None:
        self.http_port = free_ports(2)
        self.gateway_port = self.http_port + 1
        super().__init__(folder, self.environment())

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def environment(self, **more: str) -> dict[str, str]:
        ports = {
            "RAYDESK_HTTP__PORT": str(self.http_port),
            "RAYDESK_GATEWAY__PORT": str(self.gateway_port),
            "RAYDESK_GATEWAY__COUNT": "1",
            "RAYDESK_ROUTER__COUNT": "2",
            # these tests are about agents, who must get each conversation, whatever it says
            "RAYDESK_BOT__ENABLED": "false",
        }
        return {**clean_environment(), **ports, "NO_COLOR": "1", **more}

    def run(self, *arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [*command(), *arguments],
            cwd=self.folder,
            env=self.environment(**environment),
            input=typed,
            capture_output=True,
            text=True,
            timeout=STOPPED_WITHIN_S,
            check=False,
        )

    def up(self, *arguments: str) -> str:
        """Start the system, and return what it printed."""
        self.begin(*arguments)
        self.wait()
        return self.said

    def ctrl_c(self) -> int:
        """Press Ctrl-C: the whole process group gets the signal; returns the exit status."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(STOPPED_WITHIN_S)

    def still_running(self) -> list[str]:
        """What the system started and is still there a moment after its end."""
        _, alive = psutil.wait_procs(self.started, timeout=5.0)
        return [f"{process.pid} {name}" for process in alive if (name := _name(process))]

    def kill(self) -> None:
        """End whatever a failed test left."""
        end([*self.started, *self.processes()])
        if self.process is not None:
            self.process.wait()


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
    with contextlib.suppress(psutil.NoSuchProcess):
        return "" if process.status() == psutil.STATUS_ZOMBIE else process.name()
    return ""
