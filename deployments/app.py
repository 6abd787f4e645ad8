"""The one place that wires: the graph of Serve deployments, from settings.

``serve run deployments.app:app`` and ``raydesk up`` use the same ``build``.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from ray import serve
from ray.serve import Application, Deployment
from ray.serve.handle import DeploymentHandle

from cluster.actors import APP_NAME as APP_NAME
from cluster.actors import DISPATCHER, INTENT_MODEL, NamedActor, router_client
from cluster.gateways import LiveGateways
from cluster.settings import Settings, load_settings
from cluster.store.directory import Directory
from cluster.store.files import make_file_store
from cluster.store.reading import Reading
from cluster.store.valkey import connect
from deployments.attaching import Attaching
from deployments.channels.catalogue import make_channels
from deployments.channels.webhook import webhook_routes
from deployments.desk_about import make_desk_about
from deployments.desk_methods import DeskMethods
from deployments.file_sweep import keep_sweeping
from deployments.http.parts import IngressParts
from deployments.ingress import Ingress
from deployments.intent import IntentModel
from deployments.intent_client import IntentClient
from deployments.loopback import keep_on_loopback
from deployments.supervisor import Supervisor
from models.security.tokens import TokenSigner

#: Calls that a replica of the intent model hears at once, and that a caller keeps for it; its queue counts texts.
_INTENT_CALLS = 1_000
#: Calls under way at which one replica of the intent model has full batches and another one would help.
_INTENT_BUSY = 32
#: Logical CPUs of a replica: some, as for the actors.
_REPLICA_CPUS = 0.1
#: The supervisor takes down gateways, outbox, routers and dispatcher, 15 s for each kind at worst, and then the store.
_TAKE_DOWN_S = 75.0


def make_ingress_parts(
    settings: Settings, _supervisor: DeploymentHandle | None = None, intent: DeploymentHandle | None = None
) -> IngressParts:
    """Make an ingress' collaborators in its own process, inside its event loop.

    ``_supervisor`` is not called; its place among the arguments makes Serve bring it up with the ingress.
    ``intent`` is the model's, None where the settings turn it off.
    """
    redis = connect(settings.store)
    router = router_client(settings)
    dispatcher = NamedActor(DISPATCHER, settings.ray.namespace)
    channels = make_channels(settings, time.time)
    directory = Directory(redis)
    signer = TokenSigner(settings.security.secret_key.get_secret_value())
    files = make_file_store(settings, redis)

    async def set_presence(account: str, agent: str, status: str, reason: str) -> None:
        await dispatcher.call("set_presence", account, agent, status, reason)

    async def who_is_here(account: str) -> list[str]:
        return await dispatcher.call("here", account)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        sweeping = asyncio.ensure_future(keep_sweeping(files, directory)) if files is not None else None
        try:
            yield
        finally:
            if sweeping is not None:
                sweeping.cancel()
            await router.aclose()
            for channel in channels.values():
                await channel.aclose()
            await redis.aclose()

    open_parts: AbstractAsyncContextManager[None] = running()
    return IngressParts(
        settings=settings,
        redis=redis,
        router=router,
        directory=directory,
        signer=signer,
        gateways=LiveGateways(redis, monotonic=time.monotonic),
        rpc=DeskMethods(
            router=router,
            set_presence=set_presence,
            reading=Reading(redis),
            about=make_desk_about(settings, redis, who_is_here),
            attaching=Attaching(signer, time.time),
            text_bytes=settings.limits.text_bytes,
        ).rpc,
        channel_routers=[webhook_routes(channels, router)],
        intent=None if intent is None else IntentClient(intent),
        files=files,
        here=who_is_here,
        running=lambda: open_parts,
    )


class _BoundIngress(Ingress):
    """The ingress with its parts made from what Serve hands to a replica."""

    def __init__(self, settings: Settings, supervisor: DeploymentHandle, intent: DeploymentHandle | None) -> None:
        keep_on_loopback()
        super().__init__(partial(make_ingress_parts, settings, supervisor, intent))


def build(settings: Settings) -> Application:
    """Return the graph of one system."""
    supervisor = serve.deployment(Supervisor).options(
        name="Supervisor",
        num_replicas=1,
        ray_actor_options={"num_cpus": _REPLICA_CPUS},
        graceful_shutdown_timeout_s=_TAKE_DOWN_S,
        health_check_period_s=2.0,
    )
    ingress = serve.deployment(serve.ingress()(_BoundIngress)).options(
        name="Ingress",
        ray_actor_options={"num_cpus": _REPLICA_CPUS},
        max_ongoing_requests=settings.ingress.max_ongoing_requests,
        health_check_period_s=2.0,
        autoscaling_config={
            "min_replicas": settings.ingress.min_replicas,
            "max_replicas": settings.ingress.max_replicas,
            "target_ongoing_requests": max(1, settings.ingress.max_ongoing_requests // 4),
        },
    )
    intent = intent_deployment(settings).bind(settings) if settings.intent.enabled else None
    return ingress.bind(settings, supervisor.bind(settings), intent)


def intent_deployment(settings: Settings) -> Deployment:
    """Return the deployment of the intent model, to be bound to the settings."""
    return serve.deployment(IntentModel).options(
        name=INTENT_MODEL,
        ray_actor_options={"num_cpus": _REPLICA_CPUS},
        max_ongoing_requests=_INTENT_CALLS,
        max_queued_requests=_INTENT_CALLS,
        health_check_period_s=2.0,
        autoscaling_config={
            "min_replicas": settings.intent.min_replicas,
            "max_replicas": settings.intent.max_replicas,
            "target_ongoing_requests": _INTENT_BUSY,
        },
    )


def __getattr__(name: str) -> Application:
    """Build ``app`` when it is asked for, from the settings found where the process runs."""
    if name == "app":
        return build(load_settings())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
