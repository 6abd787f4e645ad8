"""``raydesk down``: ends what ``raydesk up`` started in this data directory, and a store that it left behind."""

import os
import signal
import time

from redis.exceptions import RedisError

from cluster.settings import Settings
from cluster.store.embedded import EmbeddedStore
from cluster.telemetry import ALIVE_S
from deployments.commands.failure import CommandError
from deployments.commands.readiness import reports, store_client
from deployments.commands.runfile import RunFile

#: Draining takes a minute at worst; then Ray has to end.
_END_WITHIN_S = 120.0
_LOOK_EVERY_S = 0.1


def run_down(settings: Settings) -> int:
    """End the system, and say what was done.

    Raises:
        CommandError: it belongs to another user, does not end, or was not started by `raydesk up`.
        StoreError: a store that was left behind does not end.
    """
    run_file = RunFile(settings.store.data_dir)
    pid = run_file.holder()
    if pid is not None:
        _end(run_file, pid)
        print(f"Stopped raydesk (process {pid}) in {settings.store.data_dir}.")
        return 0
    if settings.store.embedded and _left_behind(settings):
        EmbeddedStore(settings.store.data_dir).stop()
        print(f"No raydesk runs in {settings.store.data_dir}; stopped the store that was left running there.")
        return 0
    print(f"No raydesk runs in {settings.store.data_dir}.")
    return 0


def _end(run_file: RunFile, pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise CommandError(f"raydesk runs as another user (process {pid}); stop it as that one.") from None
    deadline = time.monotonic() + _END_WITHIN_S
    while run_file.holder() == pid:
        if time.monotonic() >= deadline:
            raise CommandError(
                f"raydesk (process {pid}) still runs after {_END_WITHIN_S:.0f} s; send it a second SIGTERM."
            )
        time.sleep(_LOOK_EVERY_S)


def _left_behind(settings: Settings) -> bool:
    """Tell whether an embedded store runs that nobody uses.

    What a process that was killed told of itself stays for some seconds; it is waited for.

    Raises:
        CommandError: somebody uses it, as after ``serve run``.
    """
    deadline = time.monotonic() + ALIVE_S + 1
    try:
        with store_client(settings) as client:
            while any(reports(client).values()):
                if time.monotonic() >= deadline:
                    raise CommandError(
                        f"A system runs in {settings.store.data_dir} that `raydesk up` did not start.\n"
                        "Stop it where it was started (`serve run` or `serve deploy`)."
                    )
                time.sleep(_LOOK_EVERY_S)
    except RedisError:
        return False
    return True
