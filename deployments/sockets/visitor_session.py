"""A visitor: one open client of a contact; writes, and sees each answer exactly once.

The cursor of a visitor is the id of a message. What agents say arrives live; after any break the
session reads the conversation's own list from its cursor on. A visitor's own messages are confirmed by
receipts and not pushed to the socket that sent them.
"""

import time
from collections import deque
from typing import Any

import msgspec

from cluster.clients import TOO_MANY
from cluster.store import keys
from cluster.store.reading import VisitState
from deployments.desk_methods import receipt_result
from deployments.sockets.host import Host
from deployments.sockets.session import Session, method_table
from models.administration.hours import is_open, next_opening
from models.domain.commands import AnyReply, Rate, Receipt, Receive, Typing
from models.domain.errors import Forbidden, NotFound, Overloaded, RaydeskError, Unauthorized
from models.domain.ids import is_conversation_id, message_id, split_message_id
from models.protocol import jsonrpc, methods
from models.security.tokens import VisitorClaims

#: Receipts remembered, as a visitor may confirm its own messages too.
_OWN_MESSAGES = 256


class _Seen(msgspec.Struct, gc=False):
    conversation: str
    seq: int
    author: str = ""
    channel: str = ""


class _LiveEvent(msgspec.Struct, gc=False):
    type: str
    message: _Seen | None = None
    contact: str = ""


_encode = msgspec.json.Encoder().encode
_refused = jsonrpc.refuses("message.send", Overloaded(TOO_MANY))
_events = msgspec.json.Decoder(list[msgspec.Raw])
_event = msgspec.json.Decoder(_LiveEvent)
_seen = msgspec.json.Decoder(_Seen)


class VisitorSession(Session):
    """One visitor socket."""

    door = "visitor"
    __slots__ = ("_opening", "_own", "claims", "contact", "cursor", "shard", "skill")

    def __init__(self, gateway: Host) -> None:
        super().__init__(gateway)
        self.claims: VisitorClaims | None = None
        #: who the visitor is after all moves; the token names who it was when it was signed.
        self.contact = ""
        self.shard = 0
        self.skill = ""
        #: (conversation, seq) of the newest message sent to this socket; a contact's SessionIDs sort by time.
        self.cursor: tuple[str, int] = ("", 0)
        self._opening = False
        #: places of the visitor's newest messages; None: it wrote none on this socket.
        self._own: deque[tuple[str, int]] | None = None

    # -- opening and resuming -----------------------------------------------------------------------

    def on_open(self, params: methods.VisitOpen, call_id: Any) -> None:
        """``visit.open``: subscribe first, then read, so that no gap opens."""
        if self._opening or self.claims is not None:
            raise Unauthorized("this socket has a visit already")
        claims = self.gateway.signer.verify_visitor(params.token, time.time())
        inbox = self.gateway.settings.inboxes.get(claims.inbox)
        if inbox is None or inbox.account != claims.account:
            raise Unauthorized("the inbox of this token does not exist any more")
        self.skill = inbox.skill
        self._opening = True
        self.spawn(self._open(claims, params.cursor, call_id), call_id)

    async def _open(self, claims: VisitorClaims, cursor: str | None, call_id: Any) -> None:
        try:
            # an opening that failed may have been another visitor's: begin with the one of this token
            self.begin_read()
            state = await self._join_and_read(claims, claims.contact, cursor)
        finally:
            self._opening = False
        self.claims = claims
        self.open_until(claims.expires_s)
        self.succeed(call_id, self._opened(state))
        self.cursor = state.cursor or ("", 0)
        self.go_live()

    async def _join_and_read(self, claims: VisitorClaims, contact: str, cursor: str | None) -> VisitState:
        """Listen to the contact's channel and read; once more if the contact moved meanwhile."""
        while True:
            if contact != self.contact:
                await self.gateway.feed(self, keys.visit_channel(claims.account, contact))
                self.contact = contact
                self.shard = self.gateway.router.shard_of(contact)
            state = await self.gateway.reading.visit(claims.account, contact, cursor)
            if state.contact == contact:
                return state
            contact = state.contact

    async def fill(self) -> None:
        """Read what was missed since the cursor; a conversation that goes on elsewhere is shown anew.

        What the contact writes on web pages is left out, as it is from live events.
        """
        claims = self._claims()
        cursor = message_id(*self.cursor) if self.cursor[0] else None
        contact = self.contact
        if claims.contact != contact:
            # it had moved; where that was undone, this visitor is a contact of its own again and sees only that
            home, _ = await self.gateway.reading.contact(claims.account, claims.contact)
            contact, cursor = (contact, cursor) if home == contact else (home, None)
        state = await self._join_and_read(claims, contact, cursor)
        if state.snapshot:
            self.cursor = state.cursor or ("", 0)
            self.send(jsonrpc.notification("visit.snapshot", _encode(self._opened(state))))
            return
        fresh = [message for message in state.messages if self._is_news(_seen.decode(message))]
        if fresh:
            events = b",".join(b'{"type":"message","message":' + message + b"}" for message in fresh)
            self.send(jsonrpc.live_frame(b"[" + events + b"]"))
        if state.cursor is not None:
            self.cursor = max(self.cursor, state.cursor)

    def _is_news(self, message: _Seen) -> bool:
        own = message.author == "contact" and message.channel == "web"
        return not own and (message.conversation, message.seq) > self.cursor

    def take(self, payload: bytes) -> None:
        """Take a JSON array of events as published."""
        if self.paused:
            return
        fresh: list[bytes] = []
        for raw in _events.decode(payload):
            event = _event.decode(raw)
            if event.type in ("moved", "parted"):
                self.spawn(self.resume())
                continue
            if event.message is not None:
                place = (event.message.conversation, event.message.seq)
                if place <= self.cursor:
                    continue
                self.cursor = place
            fresh.append(bytes(raw))
        if fresh:
            self.send(jsonrpc.live_frame(b"[" + b",".join(fresh) + b"]"))

    # -- calls ----------------------------------------------------------------------------------------

    def on_text(self, text: bytes) -> None:
        """Take one text message; while the router is late, a message of the contact is refused and not even read."""
        if not self.opened or not self.gateway.router.late(self.shard):
            super().on_text(text)
            return
        refused = _refused(text)
        if refused is None:
            super().on_text(text)
            return
        self.gateway.router.refused += 1
        if not self.over_rate(refused[0]):
            self.send(refused[1])

    def on_send(self, params: methods.Write, call_id: Any) -> None:
        """``message.send``: have a message taken; the answer is its receipt."""
        claims = self.claims
        if claims is None:
            raise self.not_opened("visit.open")
        self.check_text(params.text)
        attachments = self.gateway.attaching.by_visitor(claims, params.text, params.attachments)
        said = self.gateway.following.inbox(claims.account, claims.inbox)
        self.gateway.router.submit(
            Receive(
                account=claims.account,
                contact=self.contact,
                channel=claims.channel,
                inbox=claims.inbox,
                external_id=claims.external_id,
                source_id=params.client_id,
                text=params.text,
                received_at_ms=time.time_ns() // 1_000_000,
                skill=self.skill if said is None else said.skill,
                conversation=params.conversation,
                reply_to=params.reply_to,
                attachments=attachments,
                for_agents=params.for_agents,
            ),
            self._on_receipt,
            call_id,
        )

    def _on_receipt(self, call_id: Any, reply: AnyReply | RaydeskError) -> None:
        if type(reply) is Receipt:
            if self._own is None:
                self._own = deque(maxlen=_OWN_MESSAGES)
            self._own.append((reply.conversation, reply.seq))
            self.succeed(call_id, receipt_result(reply))
        else:
            self.fail(call_id, reply if isinstance(reply, RaydeskError) else RaydeskError("internal error"))

    def on_ack(self, params: methods.VisitAck, call_id: Any) -> None:
        """``visit.ack``: remember how far the contact has seen its conversation."""
        claims = self._claims()
        place = split_message_id(params.cursor)
        if place > self.cursor and place not in (self._own or ()):
            raise NotFound("this visitor was sent no such message")
        self.gateway.acks.visit(claims.account, self.contact, params.cursor)
        self.succeed(call_id, methods.Ok())

    def on_typing(self, params: methods.ConversationRef, call_id: Any) -> None:
        """``typing``: show the agent that the contact types."""
        claims = self._claims()
        if not is_conversation_id(params.conversation):
            raise Forbidden("this contact has no such open conversation")
        self.gateway.ask_quietly(
            self,
            Typing(account=claims.account, conversation=params.conversation, contact=self.contact),
            call_id,
        )

    def on_place(self, params: methods.Nothing, call_id: Any) -> None:
        """``visit.place``: where the conversation stands, and in the queue."""
        self.spawn(self._place(self._claims()), call_id)

    async def _place(self, claims: VisitorClaims) -> methods.VisitPlace:
        place = await self.gateway.reading.place(claims.account, self.contact)
        hours = await self.gateway.hours_of(claims.account, claims.inbox)
        now_ms = time.time_ns() // 1_000_000
        closed = hours is not None and not is_open(hours, now_ms)
        record = place.record
        return methods.VisitPlace(
            conversation=record.id if record else None,
            state=record.state if record else None,
            agent=record.agent if record and record.state == "assigned" else "",
            ahead=place.ahead,
            estimate_s=place.estimate_s,
            rating=record.rating if record else 0,
            seen_seq=place.seen_seq,
            closed=closed,
            opens_at_ms=next_opening(hours, now_ms) if hours is not None and closed else None,
        )

    def on_rate(self, params: methods.ConversationRate, call_id: Any) -> None:
        """``conversation.rate``: keep what the contact thinks of a conversation that ended."""
        claims = self._claims()
        if not is_conversation_id(params.conversation):
            raise NotFound("this contact has no such conversation")
        self.spawn(self._rate(claims, params), call_id)

    async def _rate(self, claims: VisitorClaims, params: methods.ConversationRate) -> methods.Ok:
        await self.gateway.router.ask(
            Rate(
                account=claims.account,
                conversation=params.conversation,
                contact=self.contact,
                score=params.score,
                comment=params.comment,
            )
        )
        return methods.Ok()

    def on_history(self, params: methods.HistoryPage, call_id: Any) -> None:
        """``history.page``: older messages of one of the visitor's own conversations."""
        claims = self._claims()
        self.spawn(self.page(lambda: self._history(claims, params), call_id), call_id)

    async def _history(self, claims: VisitorClaims, params: methods.HistoryPage) -> methods.Page:
        messages, more = await self.gateway.reading.history(
            claims.account, params.conversation, params.before, params.limit, contact=self.contact
        )
        return methods.Page([msgspec.Raw(message) for message in messages], more)

    def _opened(self, state: VisitState) -> methods.VisitOpened:
        settings = self.gateway.settings
        return methods.VisitOpened(
            contact=state.contact,
            conversation=state.record.id if state.record else None,
            state=state.record.state if state.record else None,
            cursor=message_id(*state.cursor) if state.cursor else None,
            snapshot=state.snapshot,
            messages=[msgspec.Raw(message) for message in state.messages],
            file_bytes=settings.limits.file_bytes if settings.files_folder else 0,
        )

    def _claims(self) -> VisitorClaims:
        if self.claims is None:
            raise self.not_opened("visit.open")
        return self.claims


VisitorSession.table = method_table(
    methods.methods_on("visitor"),
    {
        "rpc.discover": VisitorSession.on_discover,
        "visit.open": VisitorSession.on_open,
        "visit.ack": VisitorSession.on_ack,
        "visit.place": VisitorSession.on_place,
        "message.send": VisitorSession.on_send,
        "conversation.rate": VisitorSession.on_rate,
        "typing": VisitorSession.on_typing,
        "history.page": VisitorSession.on_history,
    },
)
