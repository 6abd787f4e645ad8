"""The supervisor: brings up the store and the named actors, watches them, and takes them down in order.

It is a Serve deployment with one replica, so that ``serve run``, ``serve deploy`` and a RayService bring
up and tear down everything. It holds no state: the actors are detached and outlive it, the next one
adopts what runs. Ray restarts an actor that died; the supervisor makes anew what has no name any more,
and restarts the embedded store.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from redis.exceptions import RedisError

from cluster.actors import DISPATCHER, OUTBOX, gateway_name, router_name
from cluster.settings import Settings
from cluster.store.directory import Directory
from cluster.store.embedded import EmbeddedStore
from cluster.store.valkey import STORE_DOWN, connect
from deployments.dispatcher import DispatcherActor
from deployments.gateway import GatewayActor
from deployments.loopback import keep_on_loopback
from deployments.outbox import OutboxActor
from deployments.router import RouterActor

log = logging.getLogger(__name__)
#: How often the embedded store's process is looked at: a look is one system call.
_STORE_WATCH_S = 0.1
_ACTOR_WATCH_S = 1.0
_RETRY_S = 0.1
_READY_S = 60.0
_DRAIN_S = 15.0
#: Logical CPUs of one actor. They say "some", so that an autoscaler sees the load and a laptop fits all.
_ACTOR_CPUS = 0.1
#: Methods that one async actor may have under way: every sender's batches and the health checks.
_CONCURRENCY = 1000


@dataclass(frozen=True)
class ActorPlan:
    """One named actor that must run.

    Args:
        name: its Ray name.
        kind: its class.
        args: what it is built from, besides the settings.
    """

    name: str
    kind: type
    args: tuple[Any, ...] = ()


def plan(settings: Settings) -> list[ActorPlan]:
    """List the actors of a system, in the order in which they are taken down."""
    return [
        *(ActorPlan(gateway_name(index), GatewayActor, (index,)) for index in range(settings.gateway.count)),
        ActorPlan(OUTBOX, OutboxActor),
        *(ActorPlan(router_name(shard), RouterActor, (shard,)) for shard in range(settings.router.count)),
        ActorPlan(DISPATCHER, DispatcherActor),
    ]


def create_actor(settings: Settings, planned: ActorPlan) -> Any:
    """Return the handle of a named actor, which is made if nobody has the name."""
    return (
        ray.remote(planned.kind)
        .options(
            name=planned.name,
            namespace=settings.ray.namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            # a repeated call could run twice; our own retries carry numbers and source ids
            max_task_retries=0,
            max_concurrency=_CONCURRENCY,
            num_cpus=_ACTOR_CPUS,
            enable_task_events=False,
            scheduling_strategy=_placement(settings),
        )
        .remote(settings, *planned.args)
    )


def _placement(settings: Settings) -> Any:
    """Keep all beside an embedded store, whose socket other nodes cannot reach; spread them otherwise."""
    if not settings.store.embedded:
        return "SPREAD"
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


class Supervisor:
    """Keeps the system of ``settings`` running while it lives."""

    def __init__(self, settings: Settings) -> None:
        keep_on_loopback()
        self._settings = settings
        self._plan = plan(settings)
        self._store = (
            EmbeddedStore(settings.store.data_dir, appendfsync=settings.store.appendfsync)
            if settings.store.embedded
            else None
        )
        self._closing = False
        self._ready = asyncio.Event()
        # Serve builds a deployment inside its running event loop
        self._tasks = [asyncio.ensure_future(self._watch_store()), asyncio.ensure_future(self._watch_actors())]

    async def ready(self) -> bool:
        """Return once everything serves.

        Raises:
            TimeoutError: something did not come up; the log tells what.
        """
        async with asyncio.timeout(_READY_S):
            await self._ready.wait()
        return True

    async def check_health(self) -> None:
        """Tell Serve that the watching goes on."""
        for task in self._tasks:
            if task.done() and not self._closing:
                raise RuntimeError("a watcher of the supervisor ended")

    async def __del__(self) -> None:
        """Take everything down, in the order in which nothing accepted is lost; Serve awaits this."""
        if self._closing:
            return
        self._closing = True
        for task in self._tasks:
            task.cancel()
        for kind in dict.fromkeys(planned.kind for planned in self._plan):
            # all of a kind at once: one after the other, a store that is down would cost more than Serve waits
            fellows = [self._take_down(planned) for planned in self._plan if planned.kind is kind]
            for ended in await asyncio.gather(*fellows, return_exceptions=True):
                if isinstance(ended, Exception):
                    log.error("a %s could not be taken down: %r", kind.__name__, ended)
        if self._store is not None:
            await asyncio.to_thread(self._store.stop)

    # -- the store ------------------------------------------------------------------------------------

    async def _watch_store(self) -> None:
        """Keep the embedded store alive; our own store is somebody else's to keep."""
        while self._store is not None:
            try:
                if await asyncio.to_thread(self._store.ensure_alive):
                    log.warning("the embedded store was started")
                self._store.let_rewrites_wait()
            except Exception:
                # a watcher that ends fails the health check, and Serve would take the whole system down for it
                log.exception("the embedded store cannot be started")
                await asyncio.sleep(_ACTOR_WATCH_S)
            await asyncio.sleep(_STORE_WATCH_S)
        await asyncio.Event().wait()

    async def _register_accounts(self) -> None:
        """Make the configured accounts known in the store."""
        redis = connect(self._settings.store)
        directory = Directory(redis)
        while True:
            try:
                for account in self._settings.accounts:
                    await directory.add_account(account)
                return
            except (*STORE_DOWN, RedisError) as error:
                log.info("waiting for the store: %s", error)
                await asyncio.sleep(_RETRY_S)
            finally:
                await redis.aclose()

    # -- the actors -----------------------------------------------------------------------------------

    async def _watch_actors(self) -> None:
        """Make every actor that is not there; Ray itself restarts those that died."""
        self._create_missing()
        await self._register_accounts()
        for planned in self._plan:
            await self._wait_ready(planned)
        self._ready.set()
        while True:
            await asyncio.sleep(_ACTOR_WATCH_S)
            self._create_missing()

    def _create_missing(self) -> None:
        for planned in self._plan:
            if self._closing:
                return
            try:
                self._create(planned)
            except Exception:
                # RayError, or ValueError for a name that is just being given up; nothing may end the watch
                log.exception("%s could not be made", planned.name)

    def _create(self, planned: ActorPlan) -> Any:
        return create_actor(self._settings, planned)

    async def _wait_ready(self, planned: ActorPlan) -> None:
        while True:
            try:
                if await self._create(planned).ready.remote():
                    return
            except (RayError, ValueError) as error:
                log.info("%s is not ready: %s", planned.name, error)
            await asyncio.sleep(_RETRY_S)

    async def _take_down(self, planned: ActorPlan) -> None:
        """Let an actor finish what it has accepted, then end it for good."""
        try:
            actor = ray.get_actor(planned.name, namespace=self._settings.ray.namespace)
        except ValueError:
            return
        try:
            async with asyncio.timeout(_DRAIN_S):
                await actor.drain.remote()
        except (RayError, TimeoutError):
            log.warning("%s did not drain in time", planned.name)
        ray.kill(actor, no_restart=True)
