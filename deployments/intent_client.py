"""Asking the intent model from another process: lists of texts out, what was understood back, within a bounded time."""

import asyncio
from typing import Any, Protocol

import grpc
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from cluster.codec import decode_intents, decode_understandings
from models.domain.errors import Overloaded, RaydeskError, Unavailable
from models.intent.taxonomy import Taxonomy
from models.intent.understanding import Understanding

#: What the way to a replica and back may take beside the wait itself; a replica that is gone is noticed by this.
_ROAD_S = 1.0


class IntentPort(Protocol):
    """The intent model as its callers see it."""

    async def understand(self, texts: list[str], wait_ms: int) -> list[Understanding | None]:
        """Return what is understood of each text; None for one that failed or was late."""
        ...

    async def taxonomy(self) -> Taxonomy:
        """Return the intents that the model knows."""
        ...


class IntentClient:
    """The intent model of this system, over a Serve handle.

    Args:
        handle: a ``DeploymentHandle`` of ``IntentModel``.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._taxonomy: Taxonomy | None = None

    async def understand(self, texts: list[str], wait_ms: int) -> list[Understanding | None]:
        """Return what is understood of each text; None for one that failed or was late.

        Cancelling takes the texts out of the model's queue.

        Raises:
            TooLarge: the list is longer than the model's queue.
            Overloaded: the queue is full.
            Unavailable: no replica answers.
        """
        return decode_understandings(await self._call("understand", wait_ms / 1000, texts, wait_ms))

    async def taxonomy(self) -> Taxonomy:
        """Return the intents that the model knows; asked for once, as a new artefact comes with new processes.

        Raises:
            Unavailable: no replica answers.
        """
        if self._taxonomy is None:
            self._taxonomy = Taxonomy(decode_intents(await self._call("intents", 0.0)), "the artefact")
        return self._taxonomy

    async def _call(self, method: str, wait_s: float, *args: Any) -> bytes:
        response: Any = None
        try:
            async with asyncio.timeout(wait_s + _ROAD_S):
                response = getattr(self._handle, method).remote(*args)
                return await response
        except asyncio.CancelledError:
            _give_up(response)
            raise
        except TimeoutError:
            _give_up(response)
            raise Unavailable("the intent model does not answer") from None
        except BackPressureError:
            raise Overloaded("the queue of the intent model is full") from None
        except RayTaskError as error:
            if isinstance(error.cause, RaydeskError):
                raise error.cause from None
            raise Unavailable(f"the intent model failed: {type(error.cause).__name__}") from None
        except (RayError, RayServeException, grpc.RpcError) as error:
            raise Unavailable(f"the intent model is down: {type(error).__name__}") from None


def _give_up(response: Any) -> None:
    if response is not None:
        response.cancel()
