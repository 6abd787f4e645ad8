"""The gateway actor: holds live sockets on a port of its own; nothing in it is not also in the store.

A frame becomes a command in the batch of its shard; a receipt becomes an answer; what the store
publishes becomes a frame. When a gateway dies, its sockets reconnect anywhere and go on by cursor.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from picows import WSCloseCode, WSUpgradeRequest, ws_create_server

from cluster.actors import DISPATCHER, Calls, NamedActor, router_client
from cluster.clients import RouterClient
from cluster.codec import encode_desk_report
from cluster.gateways import gateway_url
from cluster.settings import Settings
from cluster.store.following import Following
from cluster.store.gathering import GatheringByAccount
from cluster.store.reading import Reading
from cluster.store.valkey import STORE_DOWN, connect
from cluster.telemetry import Beacon, Meter
from deployments.attaching import Attaching
from deployments.desk_about import make_desk_about
from deployments.desk_methods import DeskMethods
from deployments.process import give_way_to_ray, settle_garbage_collector
from deployments.sockets.acks import Acks
from deployments.sockets.desk_session import DeskSession
from deployments.sockets.flusher import Flusher
from deployments.sockets.hub import Hub
from deployments.sockets.lifetimes import TICK_S, Lifetimes
from deployments.sockets.session import Session
from deployments.sockets.visitor_session import VisitorSession
from models.administration.hours import Hours
from models.domain.commands import AnyCommand, AnyReply
from models.domain.errors import RaydeskError, Unavailable
from models.protocol.methods import Ok
from models.protocol.openrpc import openrpc_document
from models.routing.desk_reports import OpenDesks
from models.security.tokens import AgentClaims, TokenSigner

log = logging.getLogger(__name__)
_RETRY_S = 0.1
#: How often every gateway tells the dispatcher that it lives; the dispatcher counts one gone after three misses.
_REPORT_S = 2.0
#: Between two reports while desks come and go: those of many share one, and none waits long.
_REPORT_PAUSE_S = 0.02
_ACKS_S = 1.0
#: Told to the dispatcher in one call: agents come in crowds.
_MOST_PRESENCES = 256
#: picows allocates this much per socket; most frames are smaller and the buffer grows for the others.
_READ_BUFFER_BYTES = 2048


class GatewayActor:
    """One gateway, as a Ray actor.

    Args:
        settings: of the whole system.
        index: which one this is, from 0; its port is ``gateway.port + index``.
        router, dispatcher: how to reach them, if not as the actors of this system.
    """

    def __init__(
        self,
        settings: Settings,
        index: int,
        *,
        router: RouterClient | None = None,
        dispatcher: Calls | None = None,
    ) -> None:
        self.settings = settings
        self._index = index
        self._name = str(index)
        self._port = settings.gateway.port + index
        self._redis = connect(settings.store)
        self.hub = Hub(connect(settings.store, protocol=2))
        self.reading = Reading(self._redis)
        self.following = Following(self._redis, settings.accounts)
        self.signer = TokenSigner(settings.security.secret_key.get_secret_value())
        self.openrpc = {door: openrpc_document(door) for door in ("desk", "visitor")}
        self.router = router or router_client(settings)
        self._dispatcher = dispatcher or NamedActor(DISPATCHER, settings.ray.namespace)
        self.attaching = Attaching(self.signer, time.time)
        self.desk_methods = DeskMethods(
            router=self.router,
            set_presence=self._set_presence,
            reading=self.reading,
            about=make_desk_about(settings, self._redis, self._who_is_here),
            attaching=self.attaching,
            text_bytes=settings.limits.text_bytes,
        )
        self.meter = Meter()
        self.flusher = Flusher()
        self.lifetimes = Lifetimes(
            idle_s={"desk": settings.gateway.ping_idle_s, "visitor": settings.gateway.visitor_ping_idle_s},
            open_timeout_s=settings.gateway.open_timeout_s,
            clock_s=time.monotonic(),
            chance=random.random,
        )
        self._sessions: set[Session] = set()
        self._addresses: Counter[str] = Counter()
        self._desks = OpenDesks(self._name, time.time_ns())
        self._desks_changed = asyncio.Event()
        self._presences = GatheringByAccount(self._tell_presences, most=_MOST_PRESENCES)
        self.acks = Acks(self._redis)
        self._server: asyncio.Server | None = None
        self._beacon = Beacon(self._redis, "gateway", self._name, self._describe)
        self._draining = False
        settle_garbage_collector()
        give_way_to_ray()
        # Ray builds the actor inside its running event loop
        self._tasks = [
            asyncio.ensure_future(self._serve()),
            asyncio.ensure_future(self._report_desks()),
            asyncio.ensure_future(self._watch_over()),
            asyncio.ensure_future(self._write_acks()),
            asyncio.ensure_future(self.following.run()),
        ]

    async def _serve(self) -> None:
        """Listen, once the store can be reached, and tell that we do."""
        gateway = self.settings.gateway
        while self._server is None:
            try:
                await self._redis.ping()  # type: ignore[misc]
                self._server = await ws_create_server(
                    self._session_for,
                    gateway.host,
                    self._port,
                    reuse_address=True,
                    backlog=4096,
                    max_frame_size=self.settings.limits.frame_bytes,
                    read_buffer_init_size=_READ_BUFFER_BYTES,
                    # sessions write to the loop's own transport, see deployments/sockets/session.py
                    use_aiofastnet=False,
                    # a task and a timer for each socket cost more than the pings, and a client's own ping is life too
                    enable_auto_ping=False,
                    enable_auto_pong=False,
                )
            except STORE_DOWN as error:
                # OSError among them: the port of a gateway that just died may need a moment
                log.warning("gateway %s cannot start yet: %s", self._name, error)
                await asyncio.sleep(_RETRY_S)
        await self.hub.start()
        await self._beacon.run()

    async def ready(self) -> bool:
        """Tell whether the gateway listens."""
        return self._server is not None

    async def drain(self) -> None:
        """Send every socket elsewhere and stop; desks and visitors resume at another gateway."""
        self._draining = True
        await self._beacon.forget()
        if self._server is not None:
            self._server.close()
        await self.router.aclose()
        for session in tuple(self._sessions):
            session.close(WSCloseCode.SERVICE_RESTART, b"gateway restarts; reconnect and resume")
        await self.acks.flush()
        for task in self._tasks:
            task.cancel()
        await self.hub.aclose()

    def _session_for(self, request: WSUpgradeRequest) -> Session | None:
        path = request.path.partition(b"?")[0]
        if self._draining:
            return None
        if path == b"/visitor":
            return VisitorSession(self)
        if path == b"/desk":
            return DeskSession(self)
        return None

    # -- what sessions ask of the gateway -------------------------------------------------------------

    def admit(self, session: Session) -> bool:
        """Count a socket; False when its address has too many."""
        self._sessions.add(session)
        self.lifetimes.begin(session)
        self._addresses[session.address] += 1
        self.meter.count("connected")
        return self._addresses[session.address] <= self.settings.limits.sockets_per_address

    def dismiss(self, session: Session) -> None:
        """Forget a socket that is gone."""
        if session not in self._sessions:
            return
        self._sessions.discard(session)
        self.lifetimes.end(session)
        self._addresses[session.address] -= 1
        if not self._addresses[session.address]:
            del self._addresses[session.address]
        if session.channel:
            self.hub.leave(session.channel, session)
        if isinstance(session, DeskSession) and session.claims is not None:
            self._desks.close((session.claims.account, session.claims.agent))
            self._desks_changed.set()

    async def feed(self, session: Session, channel: str) -> None:
        """Feed a session from ``channel`` instead of the one before; returns once nothing can be missed."""
        before, session.channel = session.channel, channel
        if before and before != channel:
            self.hub.leave(before, session)
        await self.hub.join(channel, session)
        if session.transport is None:
            # the socket went while we waited, and its channel with it
            self.hub.leave(channel, session)

    def desk_opened(self, claims: AgentClaims) -> None:
        """Let the dispatcher know that a desk of this agent is open."""
        self._desks.open((claims.account, claims.agent))
        self._desks_changed.set()

    async def presence_of(self, claims: AgentClaims, wanted: str | None) -> str:
        """Return an agent's presence, or set the one ``wanted``."""
        if wanted is not None:
            await self._set_presence(claims.account, claims.agent, wanted, "")
            return wanted
        return await self.reading.presence(claims.account, claims.agent)

    async def hours_of(self, account: str, inbox: str) -> Hours | None:
        """Return when somebody is there for the visitors of an inbox; None: always."""
        return self.following.hours(account, inbox)

    def ask_quietly(self, session: Session, command: AnyCommand, call_id: Any) -> None:
        """Ask a router for something that is not worth repeating, such as showing that somebody types."""

        def on_reply(_: None, reply: AnyReply | RaydeskError) -> None:
            if isinstance(reply, RaydeskError):
                session.fail(call_id, reply)
            else:
                session.succeed(call_id, Ok())

        self.router.submit(command, on_reply)

    async def _set_presence(self, account: str, agent: str, status: str, reason: str) -> None:
        await self._presences.ask(account, (agent, status, reason))

    async def _tell_presences(self, account: str, chosen: Sequence[tuple[str, str, str]]) -> Sequence[None]:
        await self._dispatcher.call("set_presences", account, list(chosen))
        return [None] * len(chosen)

    async def _who_is_here(self, account: str) -> list[str]:
        return await self._dispatcher.call("here", account) or []

    # -- the gateway's own tasks ------------------------------------------------------------------------

    async def _report_desks(self) -> None:
        """Tell the dispatcher which desks came and went, soon after they did, and every two seconds that we live."""
        while True:
            try:
                async with asyncio.timeout(_REPORT_S):
                    await self._desks_changed.wait()
            except TimeoutError:
                pass
            self._desks_changed.clear()
            pause_s = _RETRY_S
            try:
                report = encode_desk_report(self._desks.report())
                self._desks.heard(known=await self._dispatcher.call("report_desks", report))
                pause_s = _REPORT_PAUSE_S
            except Unavailable:
                log.debug("the dispatcher does not hear of the desks now")
            except Exception:
                log.exception("could not report the desks")
            await asyncio.sleep(pause_s)
            if not self._desks.settled:
                self._desks_changed.set()

    async def _watch_over(self) -> None:
        """Ping who is silent; close what never opened, has expired, or does not answer."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self.lifetimes.turn(time.time(), time.monotonic())
            except Exception:
                log.exception("could not watch over the sockets")

    async def _write_acks(self) -> None:
        """Write every second what was confirmed meanwhile."""
        while True:
            await asyncio.sleep(_ACKS_S)
            try:
                await self.acks.flush()
            except STORE_DOWN as error:
                log.debug("acks wait for the store: %s", error)
            except Exception:
                log.exception("could not write the acks")

    def _describe(self) -> dict[str, Any]:
        return {
            "url": gateway_url(self.settings.gateway, self._index),
            "sockets": len(self._sessions),
            "desks": len(self._desks),
            "channels": self.hub.channels,
            "waiting": self.router.waiting,
            "batches": self.router.batches,
            "batched": self.router.batched,
            "refused": self.router.refused,
            **self.meter.report(),
        }
