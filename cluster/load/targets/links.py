"""Sockets of raydesk: one link each, from the opening of its session until it is lost.

What the harness sends is formatted as bytes at once; what several messages of a tick send on one socket leaves in one
write. A frame is decoded once, straight into what the client is told.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from cluster.load.targets.frames import (
    DeskEvent,
    DeskParams,
    Error,
    Texts,
    VisitorParams,
    call,
    desk_frame,
    desk_opening,
    notification,
    page_of,
    receipt_of,
    visit_opening,
    visitor_frame,
)
from cluster.load.targets.said import Held, Record, Refusal, Said, Written
from cluster.load.targets.sockets import OPENING, SocketLink
from cluster.load.targets.target import HearsAgent, HearsVisitor

_SEND = b'{"jsonrpc":"2.0","id":%d,"method":"message.send","params":{"client_id":"%b","text":%b}}'
_ANSWER = b'{"jsonrpc":"2.0","id":%d,"method":"message.send","params":{"client_id":"%b","conversation":"%b","text":%b}}'
#: Why a conversation goes when its time was up.
_BY_TIME = frozenset(("offer_expired", "agent_away"))
_ACK = b'{"jsonrpc":"2.0","method":"desk.ack","params":{"cursor":%d}}'


class VisitLink(SocketLink):
    """A visitor's socket.

    Args:
        hears: who is told.
        texts: how texts are encoded.
        gone: told when the socket has ended.
    """

    def __init__(self, hears: HearsVisitor, texts: Texts, gone: "Callable[[SocketLink], None]") -> None:
        super().__init__(texts, gone)
        self._hears = hears

    def send(self, messages: Sequence[Written]) -> None:
        """Send messages in one write; the number of a call is that of its message, plus one."""
        encoded = self._texts.encoded
        self.send_texts([_SEND % (each.number + 1, each.id.encode(), encoded(each.text)) for each in messages])

    def ack(self, cursor: str) -> None:
        """Confirm what was seen."""
        self.send_text(notification("visit.ack", {"cursor": cursor}))

    def begin(self, payload: bytes) -> Refusal | None:
        """Take the answer to ``visit.open``."""
        frame = visit_opening(payload)
        if frame.error is not None or frame.result is None:
            return (frame.error or Error()).refusal()
        self._hears.on_open(self, frame.result.cursor or "")
        if frame.result.messages:
            self._hears.on_missed(frame.result.messages, fresh=frame.result.snapshot)
        return None

    def take(self, payload: memoryview) -> None:
        """Take a receipt, a refusal, or what is pushed."""
        frame = visitor_frame(payload)
        if frame.id:
            if frame.result is not None:
                self._hears.on_receipt(frame.id - 1, frame.result)
            else:
                self._hears.on_refused(frame.id - 1, (frame.error or Error()).refusal())
        elif frame.params is not None:
            self._pushed(frame.method, frame.params)

    def _pushed(self, method: str, params: VisitorParams) -> None:
        if method == "visit.snapshot":
            self._hears.on_missed(params.messages, fresh=True)
        for event in params.events:
            if event.message is not None:
                self._hears.on_said(event.message)

    def lost(self) -> None:
        """Tell the visitor."""
        self._hears.on_lost()


Action = Literal["answer", "accept", "decline", "transfer", "resolve", "presence", "read_back"]
_METHODS = {
    "accept": "conversation.accept",
    "decline": "conversation.decline",
    "transfer": "conversation.transfer",
    "resolve": "conversation.resolve",
}


class DeskLink(SocketLink):
    """A desk's socket.

    Args:
        hears: who is told.
        texts: how texts are encoded.
        gone: told when the socket has ended.
    """

    def __init__(self, hears: HearsAgent, texts: Texts, gone: "Callable[[SocketLink], None]") -> None:
        super().__init__(texts, gone)
        self._hears = hears
        #: number of a call -> what it was, about which conversation, and the number of the answer, or before which.
        self._calls: dict[int, tuple[Action, str, int]] = {}
        self._number = OPENING

    # -- doing

    def answer(self, conversation: str, written: Written) -> None:
        """Say something."""
        number = self._next("answer", conversation, written.number)
        text = self._texts.encoded(written.text)
        self.send_text(_ANSWER % (number, written.id.encode(), conversation.encode(), text))

    def accept(self, conversation: str) -> None:
        """Take what was offered."""
        self._do("accept", conversation)

    def decline(self, conversation: str) -> None:
        """Turn down what was offered."""
        self._do("decline", conversation)

    def transfer(self, conversation: str, to_agent: str) -> None:
        """Hand a conversation to a colleague."""
        self._do("transfer", conversation, to_agent=to_agent)

    def resolve(self, conversation: str) -> None:
        """Say that it is done."""
        self._do("resolve", conversation)

    def presence(self, *, online: bool) -> None:
        """Go away, or come back."""
        number = self._next("presence", "")
        self.send_text(call(number, "presence.set", {"status": "online" if online else "away"}))

    def read_back(self, conversation: str, before: int, limit: int) -> None:
        """Ask for what lies before a number."""
        number = self._next("read_back", conversation, before)
        params = {"conversation": conversation, "before": before, "limit": limit}
        self.send_text(call(number, "history.page", params))

    def typing(self, conversation: str) -> None:
        """Show that one types."""
        self.send_text(notification("typing", {"conversation": conversation}))

    def ack(self, cursor: int) -> None:
        """Confirm what was shown."""
        self.send_text(_ACK % cursor)

    def _do(self, action: Action, conversation: str, **more: str) -> None:
        number = self._next(action, conversation)
        self.send_text(call(number, _METHODS[action], {"conversation": conversation, **more}))

    def _next(self, action: Action, conversation: str, number: int = 0) -> int:
        self._number += 1
        self._calls[self._number] = (action, conversation, number)
        return self._number

    # -- hearing

    def begin(self, payload: bytes) -> Refusal | None:
        """Take the answer to ``desk.open``."""
        frame = desk_opening(payload)
        if frame.error is not None or frame.result is None:
            return (frame.error or Error()).refusal()
        self._hears.on_open(self)
        if frame.result.snapshot:
            self._hears.on_snapshot(frame.result.cursor, frame.result.conversations)
        return None

    def take(self, payload: memoryview) -> None:
        """Take what is pushed, or the answer to a call."""
        frame = desk_frame(payload)
        if frame.params is not None:
            self._pushed(frame.method, frame.params)
        elif frame.id is not None:
            known = self._calls.pop(frame.id, None)
            if known is not None:
                self._answered(known, frame.result, frame.error)

    def _pushed(self, method: str, params: DeskParams) -> None:
        if method == "desk.snapshot":
            self._hears.on_snapshot(params.cursor, params.conversations)
            return
        if params.cursor:
            self._hears.on_entry(params.cursor)
        for event in params.events:
            if type(event.message) is Said:
                self._hears.on_said(event.message)
            elif type(event.conversation) is Record:
                self._moved(event, event.conversation)

    def _moved(self, event: DeskEvent, conversation: Record) -> None:
        if event.type == "offered":
            self._hears.on_offered(Held(conversation, event.messages))
        elif event.type == "removed":
            self._hears.on_removed(conversation, by_time=event.change in _BY_TIME)

    def _answered(self, known: tuple[Action, str, int], result: msgspec.Raw, error: Error | None) -> None:
        action, conversation, number = known
        if error is not None:
            refusal = error.refusal()
            if action == "answer":
                self._hears.on_refused(number, refusal)
            else:
                self._hears.on_undone(action, conversation, refusal)
        elif action == "answer":
            self._hears.on_receipt(number, receipt_of(result))
        elif action == "read_back":
            self._hears.on_page(conversation, number, page_of(result).messages)

    def lost(self) -> None:
        """Tell the desk."""
        self._calls.clear()
        self._hears.on_lost()
