"""Reaching named Ray actors through their deaths: a call to an actor that is gone ends in `Unavailable`.

Ray repeats nothing for us (``max_task_retries`` stays 0): a call that failed may have run, so only
callers who know that repeating is safe do it.
"""

import asyncio
from typing import Any, Protocol, cast

import ray
from ray.exceptions import ActorDiedError, RayActorError, RayError, RayTaskError

from cluster.clients import RouterClient, Transport
from cluster.direct import DirectCaller, Whereabouts
from cluster.settings import Settings
from models.domain.errors import Unavailable


def router_name(shard: int) -> str:
    """Name of the actor that owns a shard."""
    return f"router:{shard}"


def gateway_name(index: int) -> str:
    """Name of a gateway actor."""
    return f"gateway:{index}"


DISPATCHER = "dispatcher"
OUTBOX = "outbox"
#: The Serve application of a system, and its deployment that understands texts.
APP_NAME = "raydesk"
INTENT_MODEL = "IntentModel"
LOOPBACK = "127.0.0.1"


class Calls(Protocol):
    """A named actor as its callers reach it."""

    async def call(self, method: str, *args: Any) -> Any:
        """Call a method and wait for its result; ``Unavailable`` when the actor cannot be reached."""
        ...


class NamedActor:
    """A named actor, looked up again whenever it died.

    Args:
        name: the actor's name.
        namespace: the Ray namespace of this system.
    """

    def __init__(self, name: str, namespace: str) -> None:
        self.name = name
        self.namespace = namespace
        self._handle: Any = None

    def _look_up(self) -> Any:
        return cast("Any", ray.get_actor(self.name, namespace=self.namespace))

    async def call(self, method: str, *args: Any) -> Any:
        """Call a method and wait for its result.

        Raises:
            Unavailable: the actor is not there, or died during the call, which then may have run.
        """
        try:
            if self._handle is None:
                # it asks Ray's control service and blocks, while the event loop has better to do
                self._handle = await asyncio.to_thread(self._look_up)
            return await getattr(self._handle, method).remote(*args)
        except ActorDiedError:
            # dead for good under this handle; a new actor may have the name
            self._handle = None
            raise Unavailable(f"{self.name} is down") from None
        except RayActorError:
            raise Unavailable(f"{self.name} is restarting") from None
        except RayTaskError:
            # what the method itself raised
            raise
        except RayError as error:
            # the call or its answer was lost on the way, so it may have run
            raise Unavailable(f"{self.name} did not answer: {type(error).__name__}") from None
        except ValueError:
            raise Unavailable(f"{self.name} is not there") from None


def router_transport(namespace: str, shards: int) -> Transport:
    """Return the transport of a `RouterClient`: Ray tells where a router listens, and batches go straight to it."""
    routers = [_direct_to(NamedActor(router_name(shard), namespace)) for shard in range(shards)]

    async def carry(shard: int, sender: str, generation: int, number: int, payload: bytes) -> bytes:
        return await routers[shard].call(sender, generation, number, payload)

    return carry


def _direct_to(actor: NamedActor) -> DirectCaller:
    async def find() -> Whereabouts | None:
        return await actor.call("whereabouts")

    return DirectCaller(actor.name, find)


def own_address() -> str:
    """Return the address at which other nodes reach this process' node; the loopback's if Ray does not run."""
    return cast("str", ray.util.get_node_ip_address()) if ray.is_initialized() else LOOPBACK


def router_client(settings: Settings) -> RouterClient:
    """Return a client of this system's routers, over Ray."""
    return RouterClient(
        router_transport(settings.ray.namespace, settings.router.count),
        shards=settings.router.count,
        batch_bytes=settings.router.batch_bytes,
        queue_limit=settings.router.queue_limit,
        deadline_s=settings.router.deadline_s,
        queue_wait_s=settings.router.queue_wait_s,
    )
