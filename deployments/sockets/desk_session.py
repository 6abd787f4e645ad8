"""A desk: one open client of an agent, fed from the agent's log so that each event is seen exactly once.

The session keeps the cursor of the last entry it sent. A live entry that is the next one is sent; one
that was sent already is dropped; one that leaves a gap makes the session read the log. While a desk
opens, resumes, or does not read fast enough, live entries are dropped or kept back and the log fills in.
"""

import logging
import time
from typing import Any

import msgspec

from cluster.store import keys
from cluster.store.reading import DeskState
from deployments.sockets.host import Host
from deployments.sockets.session import Session, method_table
from models.domain.commands import Typing
from models.domain.errors import CursorAhead, NotFound, Unauthorized
from models.domain.ids import is_conversation_id
from models.protocol import jsonrpc, methods
from models.protocol.results import DeskSnapshot, Held
from models.security.tokens import AgentClaims

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class DeskSession(Session):
    """One desk socket."""

    door = "desk"
    __slots__ = ("_opening", "claims", "cursor")

    def __init__(self, gateway: Host) -> None:
        super().__init__(gateway)
        self.claims: AgentClaims | None = None
        self.cursor = 0
        self._opening = False

    # -- opening and resuming ---------------------------------------------------------------------

    def on_open(self, params: methods.DeskOpen, call_id: Any) -> None:
        """``desk.open``: subscribe first, then read the log, so that no gap opens."""
        if self._opening or self.claims is not None:
            raise Unauthorized("this socket has a desk already")
        claims = self.gateway.signer.verify_agent(params.token, time.time())
        self._opening = True
        self.spawn(self._open(claims, params, call_id), call_id)

    async def _open(self, claims: AgentClaims, params: methods.DeskOpen, call_id: Any) -> None:
        try:
            self.begin_read()
            await self.gateway.feed(self, keys.desk_channel(claims.account, claims.agent))
            state = await self.gateway.reading.desk(claims.account, claims.agent, params.cursor)
            presence = await self.gateway.presence_of(claims, params.presence)
        finally:
            self._opening = False
        if self.transport is None:
            # the socket went, and the client of the store may have lost the cancellation that told us:
            # a desk that is counted now would count for ever
            return
        self.claims = claims
        self.open_until(claims.expires_s)
        self.gateway.desk_opened(claims)
        self.succeed(call_id, _opened(claims, presence, state, params.cursor))
        self.cursor = state.cursor if state.held is not None else params.cursor or 0
        self._replay(state)
        self.go_live()

    def _replay(self, state: DeskState) -> None:
        for cursor, events in state.entries:
            self._push(cursor, events)

    async def fill(self) -> None:
        """Read the log from the last entry sent; a log that lost it gives a snapshot."""
        claims = self._claims()
        try:
            state = await self.gateway.reading.desk(claims.account, claims.agent, self.cursor)
        except CursorAhead:
            # the store lost what it had confirmed (restored from a backup): begin anew
            state = await self.gateway.reading.desk(claims.account, claims.agent, None)
        if state.held is not None:
            self.cursor = state.cursor
            self.send(jsonrpc.notification("desk.snapshot", _encode(_snapshot(state))))
        self._replay(state)

    def take(self, payload: bytes) -> None:
        """Take one entry as published: its cursor, a space, its events; cursor 0 is shown and not kept."""
        if self.paused:
            return
        head, _, events = payload.partition(b" ")
        cursor = int(head)
        if cursor == 0:
            self.send(jsonrpc.live_frame(events))
        elif cursor <= self.cursor:
            return
        elif cursor == self.cursor + 1:
            self._push(cursor, events)
        else:
            self.spawn(self.resume())

    def _push(self, cursor: int, events: bytes) -> None:
        self.cursor = cursor
        self.send(jsonrpc.events_frame(cursor, events))

    # -- calls --------------------------------------------------------------------------------------

    def on_ack(self, params: methods.DeskAck, call_id: Any) -> None:
        """``desk.ack``: remember how far a desk of this agent has shown its events."""
        claims = self._claims()
        if params.cursor > self.cursor:
            raise CursorAhead(f"cursor {params.cursor} was not sent to this desk, which is at {self.cursor}")
        self.gateway.acks.desk(claims.account, claims.agent, params.cursor)
        self.succeed(call_id, methods.Ok())

    def on_renew(self, params: methods.SessionRenew, call_id: Any) -> None:
        """``session.renew``: go on with a newer token of the same agent."""
        claims = self._claims()
        renewed = self.gateway.signer.verify_agent(params.token, time.time())
        if (renewed.account, renewed.agent) != (claims.account, claims.agent):
            raise Unauthorized("the token is another agent's")
        self.claims = renewed
        self.open_until(renewed.expires_s)
        self.succeed(call_id, methods.Ok())

    def on_typing(self, params: methods.ConversationRef, call_id: Any) -> None:
        """``typing``: show the contact that the agent types."""
        claims = self._claims()
        if not is_conversation_id(params.conversation):
            raise NotFound("no such conversation")
        self.gateway.ask_quietly(
            self,
            Typing(account=claims.account, conversation=params.conversation, by=claims.agent, role=claims.role),
            call_id,
        )

    def on_seen(self, params: methods.ConversationSeen, call_id: Any) -> None:
        """``conversation.seen``: show the contact how far the agent has seen what it wrote."""
        claims = self._claims()
        if not is_conversation_id(params.conversation):
            raise NotFound("no such conversation")
        self.gateway.acks.seen(claims.account, claims.agent, params.conversation, params.seq)
        self.succeed(call_id, methods.Ok())

    def on_history(self, params: methods.HistoryPage, call_id: Any) -> None:
        """``history.page``: older messages of any conversation of the account."""
        claims = self._claims()
        read = self.gateway.desk_methods.table["history.page"]
        self.spawn(self.page(lambda: read(claims, params), call_id), call_id)

    def _claims(self) -> AgentClaims:
        if self.claims is None or not self.opened:
            raise self.not_opened("desk.open")
        return self.claims


def _snapshot(state: DeskState) -> DeskSnapshot:
    return DeskSnapshot(state.cursor, _held(state))


def _held(state: DeskState) -> list[Held]:
    return [
        Held(msgspec.Raw(record), [msgspec.Raw(message) for message in messages])
        for record, messages in state.held or ()
    ]


def _opened(claims: AgentClaims, presence: str, state: DeskState, cursor: int | None) -> methods.DeskOpened:
    return methods.DeskOpened(
        agent=claims.agent,
        role=claims.role,
        cursor=state.cursor if state.held is not None else cursor or 0,
        presence=presence,
        snapshot=state.held is not None,
        now_ms=time.time_ns() // 1_000_000,
        conversations=_held(state),
    )


def _shared(name: str) -> Any:
    """Make the handler of a method that ``POST /rpc`` has too."""

    def handle(session: DeskSession, params: Any, call_id: Any) -> None:
        session.spawn(session.gateway.desk_methods.table[name](session._claims(), params), call_id)

    return handle


DeskSession.table = method_table(
    methods.methods_on("desk"),
    {name: _shared(name) for name in methods.http_methods()}
    | {
        "rpc.discover": DeskSession.on_discover,
        "desk.open": DeskSession.on_open,
        "desk.ack": DeskSession.on_ack,
        "session.renew": DeskSession.on_renew,
        "typing": DeskSession.on_typing,
        "conversation.seen": DeskSession.on_seen,
        "history.page": DeskSession.on_history,
    },
)
