"""Who runs the system of a data directory: a file with a process id, locked for as long as that process lives.

The kernel lets go of the lock at the process' end, however it ends, so a file that was left behind is never
taken for a running system and a process id is trusted only while the lock is held.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import BinaryIO

from deployments.commands.failure import CommandError

NAME = "up.pid"
#: A holder writes its id right after it took the lock.
_WRITE_WITHIN_S = 2.0
_LOOK_EVERY_S = 0.05


class RunFile:
    """The run file of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / NAME
        self._file: BinaryIO | None = None

    def take(self) -> None:
        """Become the one process that runs this system, until it ends.

        Raises:
            CommandError: another one does, or the directory cannot be written.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        except OSError as error:
            raise CommandError(
                f"store.data_dir: {self.path.parent} cannot be written: {error.strerror}\n"
                "Give raydesk the right to write there, or set another folder."
            ) from error
        if not _locked(file):
            file.close()
            raise CommandError(
                f"raydesk already runs in {self.path.parent} (process {self.holder() or 'unknown'}).\n"
                "Look at it with `raydesk status`, or stop it with `raydesk down`."
            )
        file.truncate()
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        self._file = file

    def holder(self) -> int | None:
        """Return the id of the process that runs the system, None when none does."""
        deadline = time.monotonic() + _WRITE_WITHIN_S
        while time.monotonic() < deadline:
            try:
                with self.path.open("rb") as file:
                    if _locked(file):
                        return None
                    written = file.read().decode(errors="replace").strip()
            except OSError:
                return None
            if written.isdigit():
                return int(written)
            time.sleep(_LOOK_EVERY_S)
        return None


def _locked(file: BinaryIO) -> bool:
    """Lock a file for its owner's life, if nobody else has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
