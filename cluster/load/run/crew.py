"""The generators of a run as Ray actors: one process each, on a Ray of the load's own or on a cluster's nodes.

A Ray of its own lives on this machine's loopback with a token of its own, and ends with this process; it has nothing
to do with the Ray of the system under load, so neither's traffic is in the other's way.
"""

import asyncio
import os
import secrets
import tempfile
from collections.abc import Awaitable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from cluster.load.orders import CannotGenerate, Orders, Outcome, Progress, Standing
from cluster.load.run.needs import peak_rate, sockets
from cluster.load.scenario.faults import Storm
from cluster.load.scenario.tables import Scenario
from cluster.ray_address import await_head
from cluster.ray_flags import FLAGS, LOCAL_FLAGS, export

#: What one message leaves behind in the facts, generously, and what Ray's store needs besides.
_BYTES_A_MESSAGE = 100
_STORE_BYTES = 256 * 1024 * 1024
_MOST_STORE_BYTES = 4 * 1024**3
#: Calls that one generator answers at once: progress and storms beside the long ones.
_CONCURRENCY = 32
_STARTED_WITHIN_S = 60.0
#: Messages a second that one generator sends with ease, on a core that it has for itself.
_MESSAGES_EACH = 40_000
_NAMESPACE = "raydesk-load"

_T = TypeVar("_T")
Shown = tuple[dict[int, bytes], dict[int, bytes]]


class Ray:
    """The Ray that generators run on; left, and ended if it is our own, by `close`.

    Args:
        address: of a running one; empty: one of our own.
        messages: as many as the largest run will have, for the room that they need on their way back.
    """

    def __init__(self, address: str, messages: int) -> None:
        self._address = address
        self._messages = messages
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> None:
        """Start or join it.

        Raises:
            CannotGenerate: the one to join does not answer.
        """
        export(FLAGS)
        shared: dict[str, Any] = {"namespace": _NAMESPACE, "configure_logging": False, "log_to_driver": False}
        if self._address:
            import ray
            from ray.exceptions import RayError

            try:
                await_head(self._address)
                ray.init(self._address, **shared)
            except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
                raise CannotGenerate(f"--ray-address: cannot join {self._address}: {_line(error)}") from None
            return
        self._folder = tempfile.TemporaryDirectory(prefix="rd-load-")
        token = Path(self._folder.name) / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        export({**LOCAL_FLAGS, "RAY_AUTH_TOKEN_PATH": str(token)})
        import ray

        ray.init(
            "local",
            num_cpus=max(os.cpu_count() or 1, 2),
            include_dashboard=False,
            object_store_memory=min(_STORE_BYTES + self._messages * _BYTES_A_MESSAGE, _MOST_STORE_BYTES),
            **shared,
        )

    def close(self) -> None:
        """Leave it; safe twice, and where it was never started."""
        import ray

        ray.shutdown()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


class Crew:
    """The generators of one run; made in `start`, killed in `aclose`.

    Args:
        orders: of each.
    """

    def __init__(self, orders: Sequence[Orders]) -> None:
        self._orders = orders
        self._actors: list[Any] = []
        self.members: list[Member] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Make the processes.

        Raises:
            CannotGenerate: there is no room for them.
        """
        import ray

        from cluster.load.clients.generator import GeneratorActor

        for orders in self._orders:
            remote = ray.remote(GeneratorActor).options(  # type: ignore[call-overload]
                num_cpus=0, max_restarts=0, max_concurrency=_CONCURRENCY, scheduling_strategy="SPREAD"
            )
            actor = cast("Any", remote.remote(orders))
            self._actors.append(actor)
            self.members.append(Member(actor, orders.generator))
        try:
            async with asyncio.timeout(_STARTED_WITHIN_S):
                await asyncio.gather(*(member.pid() for member in self.members))
        except TimeoutError:
            raise CannotGenerate(f"the generators did not start within {_STARTED_WITHIN_S:g} s") from None

    async def pids(self) -> dict[str, int]:
        """Return the process of each generator on this machine."""
        here = os.uname().nodename
        found = {f"generator {member.number}": await member.pid() for member in self.members}
        return {name: pid for name, (pid, node) in found.items() if node == here}

    async def aclose(self) -> None:
        """End the processes; safe twice."""
        import ray

        actors, self._actors = self._actors, []
        for actor in actors:
            ray.kill(actor)


class Member:
    """One generator in its process; keeps `Generates`.

    Args:
        actor: its handle.
        number: which.
    """

    def __init__(self, actor: Any, number: int) -> None:
        self._actor = actor
        self.number = number

    async def pid(self) -> tuple[int, str]:
        """Return its process id and its machine."""
        return await self._asked(self._actor.__ray_call__.remote(_where))

    async def connect(self) -> None:
        """See `Generates`, here and below."""
        await self._asked(self._actor.connect.remote())

    async def begin(self, begin_at: float) -> None:
        """Start at a wall-clock time."""
        await self._asked(self._actor.begin.remote(begin_at))

    async def progress(self) -> Progress:
        """Tell how it fares."""
        return await self._asked(self._actor.progress.remote())

    async def storm(self, storm: Storm, seed: int) -> float | None:
        """Break sockets, and wait until all are back."""
        return await self._asked(self._actor.storm.remote(storm, seed))

    async def standing(self) -> Standing:
        """Tell what was shown there."""
        return await self._asked(self._actor.standing.remote())

    async def unshown(self, shown: Shown) -> int:
        """Count what has a receipt and was shown nowhere."""
        return await self._asked(self._actor.unshown.remote(shown))

    async def finish(self, shown: Shown) -> Outcome:
        """Hand in everything."""
        return await self._asked(self._actor.finish.remote(shown))

    async def aclose(self) -> None:
        """Close every socket."""
        await self._asked(self._actor.aclose.remote())

    async def _asked(self, call: Awaitable[_T]) -> _T:
        """Wait for an answer; what Ray wraps is raised as it was."""
        from ray.exceptions import RayActorError, RayTaskError

        try:
            return await call
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, CannotGenerate) else error) from None
        except RayActorError as error:
            raise CannotGenerate(f"generator {self.number} died: {_line(error)}") from None


def generators_for(scenario: Scenario, sockets_each: int, cores: int) -> int:
    """Return how many generators a scenario asks for: for its sockets, and for its rate where there are cores."""
    by_sockets = -(-sockets(scenario) // sockets_each)
    by_rate = -(-round(peak_rate(scenario)) // _MESSAGES_EACH)
    most = max(cores - 1, 1)
    return max(by_sockets, min(by_rate, most), 1)


def _where(_: Any) -> tuple[int, str]:
    """Say where this runs; asked of a generator's process."""
    return os.getpid(), os.uname().nodename


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
