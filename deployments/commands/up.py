"""``raydesk up``: starts the whole system, waits while it runs, and ends it in order.

Whatever ends it (Ctrl-C, SIGTERM, ``raydesk down``, an error while starting), nothing of it is left running:
Serve takes the actors and the store down in order, then Ray ends, then whatever is still there is killed.
Accepted messages are in the store by then; a second start finds them.
"""

import asyncio
import json
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console

from cluster.settings import Settings
from cluster.store.directory import Directory
from cluster.store.embedded import EmbeddedStore
from cluster.store.valkey import connect
from deployments.commands import boot, readiness
from deployments.commands.demo import ACCOUNT, INBOX, USERS, Demo, settle_demo
from deployments.commands.failure import CommandError
from deployments.commands.interrupts import Forced, Interrupts, Stopped
from deployments.commands.progress import Progress, terminal_of_our_own
from deployments.commands.runfile import RunFile

LOG_FILE = "up.log"
_READY_WITHIN_S = 120.0
_LOOK_EVERY_S = 1.0
_FORCED_STATUS = 130


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be started.

    Args:
        settings: complete ones.
        demo: the demo account's secrets; None = without it.
    """

    settings: Settings
    demo: Demo | None = None


def run_up(plan: Plan) -> int:
    """Start the system, wait for its end, and return the exit status.

    Raises:
        CommandError: it cannot start.
        StoreError: the embedded store cannot start.
    """
    data_dir = plan.settings.store.data_dir
    run_file = RunFile(data_dir)
    run_file.take()
    boot.check_ports(plan.settings)
    with terminal_of_our_own(data_dir / LOG_FILE) as (out, _):
        return _System(plan, run_file, Progress(Console(file=out))).run()


class _System:
    """One system between its start and its end."""

    def __init__(self, plan: Plan, run_file: RunFile, progress: Progress) -> None:
        self._plan = plan
        self._run_file = run_file  # locked while we live
        self._settings = plan.settings
        self._progress = progress
        self._interrupts = Interrupts()
        self._store = EmbeddedStore(self._settings.store.data_dir, appendfsync=self._settings.store.appendfsync)
        self._logs: Path | None = None
        self._demo: Future[Demo | None] = Future()
        self._opening = threading.Thread(target=self._open_store, name="store", daemon=True)
        self._vitals: list[psutil.Process] = []

    def run(self) -> int:
        """Start, wait and end; whatever happens, end."""
        self._interrupts.install()
        status = 0
        try:
            self._start()
            self._interrupts.abrupt = False
            if not self._interrupts.asked.is_set():
                status = self._wait()
        except Stopped:
            self._interrupts.abrupt = False
            self._say("Stopping before the start was complete.")
        except CommandError as error:
            raise CommandError(f"{error}\n{self._where_to_look()}") from error
        finally:
            self._interrupts.abrupt = False
            if not self._end():
                status = _FORCED_STATUS
        return status

    # -- start ------------------------------------------------------------------------------------------

    def _start(self) -> None:
        begun = time.monotonic()
        since_s = time.time()
        boot.stand_in_project()
        boot.prepare_environment(self._settings)
        self._opening.start()
        preloading = threading.Thread(target=boot.preload, name="preload", daemon=True)
        with self._progress.phase("Ray", "Joining Ray" if self._settings.ray.address else "Starting Ray"):
            with self._interrupts.held():
                boot.load_ray()
            preloading.start()
            self._logs = boot.start_ray(self._settings)
            self._interrupts.install()  # Ray takes SIGTERM for itself
            with self._interrupts.held():
                preloading.join()
            boot.start_actors(self._settings)
        self._vitals = psutil.Process().children()
        with self._progress.phase("Store", "Starting the store"):
            demo = self._demo.result()
        with self._progress.phase("HTTP", "Starting Serve and HAProxy"):
            boot.start_serve(self._settings)
        with self._progress.phase("Routers, dispatcher, gateways", "Starting routers, dispatcher, gateways") as tell:
            boot.deploy(self._settings)
            readiness.wait_until_ready(
                self._settings,
                since_s=since_s,
                bound_s=_READY_WITHIN_S,
                trouble=boot.deploy_trouble,
                tell=tell,
            )
        self._greet(time.monotonic() - begun, demo)

    def _open_store(self) -> None:
        """Have a store that answers, and the demo account in it, while Ray starts."""
        try:
            if self._settings.store.embedded:
                self._store.start()
            self._demo.set_result(asyncio.run(self._settle()))
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            self._demo.set_exception(error)

    async def _settle(self) -> Demo | None:
        async with connect(self._settings.store) as redis:
            await redis.ping()  # type: ignore[misc]
            if self._plan.demo is None:
                return None
            return await settle_demo(self._plan.demo, Directory(redis), self._settings.store.data_dir)

    # -- run --------------------------------------------------------------------------------------------

    def _wait(self) -> int:
        """Return 0 when somebody asked for the end, 1 when Ray ended by itself."""
        while not self._interrupts.asked.wait(_LOOK_EVERY_S):
            dead = [process for process in self._vitals if _is_dead(process)]
            if dead:
                self._say(f"Ray ended by itself (process {dead[0].pid}). {self._where_to_look()}")
                return 1
        return 0

    # -- end --------------------------------------------------------------------------------------------

    def _end(self) -> bool:
        """Take everything down; False if that was forced."""
        try:
            if not self._progress.console.is_terminal:
                self._say("Stopping ...")
            # the last one first, and each whatever became of those before it
            with self._progress.phase("Stopped", "Stopping (Ctrl-C again to force)"), ExitStack() as steps:
                steps.callback(self._stop_store)
                steps.callback(boot.end_ray)
                steps.callback(boot.end_serve, self._settings)
        except Forced:
            self._say("Forced to end.")
            boot.kill(psutil.Process().children(recursive=True))
            self._stop_store()
            return False
        return True

    def _stop_store(self) -> None:
        """Stop the embedded store, which the supervisor did already if it could."""
        if self._opening.is_alive():
            self._opening.join()
        if self._settings.store.embedded:
            self._store.stop()

    # -- words ------------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _where_to_look(self) -> str:
        folders = [str(self._settings.store.data_dir / LOG_FILE), *([str(self._logs)] if self._logs else [])]
        return f"More in {' and '.join(folders)}"

    def _greet(self, took_s: float, demo: Demo | None) -> None:
        http = (
            self._settings.http.public_url or f"http://{_authority(self._settings.http.host, self._settings.http.port)}"
        )
        self._say(f"\nraydesk is ready after {took_s:.1f} s.\n")
        lines = [
            ("HTTP", http),
            ("OpenAPI", f"{http}/openapi.json"),
            ("OpenRPC", f"{http}/openrpc.json"),
            *(("Sockets", f"{url}/desk  {url}/visitor") for url in _gateway_urls(self._settings)),
            ("Data", str(self._settings.store.data_dir)),
            ("Logs", str(self._logs)),
        ]
        for name, text in lines:
            self._say(f"  {name:<8} {text}")
        if demo is not None:
            self._say(_demo_text(http, demo))
        self._say("\nCtrl-C stops it; `raydesk status` shows how it runs.")


def _is_dead(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _gateway_urls(settings: Settings) -> list[str]:
    gateway = settings.gateway
    ports = range(gateway.port, gateway.port + gateway.count)
    if gateway.public_url:
        return [gateway.public_url.replace("{port}", str(port)).rstrip("/") for port in ports]
    return [f"ws://{_authority(gateway.host, port)}" for port in ports]


def _demo_text(http: str, demo: Demo) -> str:
    logins = [
        f"    {user.name:<6} {demo.passwords[user.name] or '(changed with `raydesk user passwd`)':<14} {user.role}"
        for user in USERS
    ]
    body = json.dumps({"inbox": INBOX, "external_id": "visitor-1", "source_id": "1", "text": "Hello!"})
    login = json.dumps({"account": ACCOUNT, "name": "alice", "password": demo.passwords["alice"]})
    return "\n".join(
        [
            f"\nDemo account '{ACCOUNT}', web inbox '{INBOX}':",
            *logins,
            f"  API key       {demo.api_key}",
            f"  Vouch secret  {demo.vouch_secret}",
            "\nWrite as a customer, log in as an agent:",
            f"  curl {http}/v1/messages -H 'Authorization: Bearer {demo.api_key}' \\",
            f"    -H 'Content-Type: application/json' -d '{body}'",
            f"  curl {http}/v1/login -H 'Content-Type: application/json' \\",
            f"    -d '{login}'",
        ]
    )
