"""Which gateways live, and which of them a desk or visitor is sent to.

Each gateway tells the store every second that it lives (`cluster.telemetry.Beacon` of kind
``gateway``, with its ``url``); what it told expires by itself. A contact or agent goes to one gateway
as long as the same ones live (rendezvous hashing, https://en.wikipedia.org/wiki/Rendezvous_hashing):
when one dies only its own sockets move, and all processes agree without talking to each other.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import cast

import msgspec
from redis.asyncio import Redis

from cluster.settings_sections import GatewaySettings
from cluster.store import keys

log = logging.getLogger(__name__)
CACHE_S = 1.0
"""A dead gateway is handed out for at most this long more; a client that cannot reach it asks again."""


class LiveGateway(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway says of itself.

    Args:
        name: as in ``gateway-0``.
        url: where its sockets are, without a path: ``ws://127.0.0.1:7410``.
        at_ms: Unix time at which it said so, in milliseconds.
        draining: it serves the sockets it has and wants no new ones.
    """

    name: str
    url: str
    at_ms: int
    draining: bool = False


_gateway = msgspec.json.Decoder(LiveGateway)


def gateway_url(settings: GatewaySettings, index: int) -> str:
    """Return the URL by which clients reach a gateway, without a path; ``index`` counts from 0."""
    public = settings.public_url or "ws://{host}:{port}"
    return public.replace("{host}", settings.host).replace("{port}", str(settings.port + index))


def choose_gateway(gateways: Sequence[LiveGateway], key: str) -> LiveGateway | None:
    """Return the gateway for a contact or agent, None when there is none.

    Draining ones are chosen only when nothing else lives.
    """
    candidates = [gateway for gateway in gateways if not gateway.draining] or gateways
    return max(candidates, key=lambda gateway: _weight(gateway.name, key), default=None)


def _weight(name: str, key: str) -> bytes:
    return blake2b(f"{name}\0{key}".encode(), digest_size=8).digest()


class LiveGateways:
    """The living gateways as the store tells, remembered for a second; however many ask, it is read once."""

    def __init__(self, redis: Redis, *, monotonic: Callable[[], float]) -> None:
        """Read through ``redis``; ``monotonic`` is a clock in seconds that never steps back."""
        self._redis = redis
        self._monotonic = monotonic
        self._found: list[LiveGateway] = []
        self._read_at = float("-inf")
        self._reading: asyncio.Task[list[LiveGateway]] | None = None

    async def __call__(self) -> list[LiveGateway]:
        """List the living gateways.

        Raises:
            redis.exceptions.RedisError: the store does not answer and nothing fresh is remembered.
        """
        if self._monotonic() - self._read_at < CACHE_S:
            return self._found
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(self._refresh())
            self._reading.add_done_callback(_heard)
        # whoever leaves does not end the reading of the others
        return await asyncio.shield(self._reading)

    async def _refresh(self) -> list[LiveGateway]:
        began_at = self._monotonic()
        self._found = await self._read()
        self._read_at = began_at
        return self._found

    async def _read(self) -> list[LiveGateway]:
        names = sorted(cast("set[bytes]", await self._redis.smembers(keys.alive_names("gateway"))))  # type: ignore[misc]
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.get(keys.alive("gateway", name.decode()))
            reports = cast("list[bytes | None]", await pipe.execute())
        return [gateway for report in reports if report and (gateway := _decoded(report))]


def _heard(reading: "asyncio.Task[list[LiveGateway]]") -> None:
    """Take note of how a reading ended, which those who waited for it may have left before."""
    if not reading.cancelled():
        reading.exception()


def _decoded(report: bytes) -> LiveGateway | None:
    """Read a report; one of another form, of another version perhaps, must not hide the others."""
    try:
        return _gateway.decode(report)
    except msgspec.DecodeError as error:
        log.warning("a gateway reports in a form that is not known: %s", error)
        return None
