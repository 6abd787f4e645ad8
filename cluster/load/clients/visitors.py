"""Visitors: they write when a message is due, keep what is not confirmed, and are shown what agents answer.

A visitor is a page that loses nothing. What has neither a receipt nor a refusal is sent again, in its order and under
its old id, when a broken link is open again, and before anything newer. What was refused is not: its writer knows.
Where nothing is under way a visitor costs one small object and its socket.
"""

from collections.abc import Callable, Sequence

from cluster.load.clients.notes import Notes
from cluster.load.clients.opener import Opener
from cluster.load.clients.targets import Receipt, Refusal, Said, Target, VisitorLink, Written
from cluster.load.readers import VisitorReader

#: Told with a visitor's number and its next message's, whenever one of its messages is answered.
Answered = Callable[["Visitor"], None]


class Visitor:
    """One contact with a socket.

    Args:
        writer: its number; negative: it is idle, and never writes.
        target: the system.
        opener: opens its link again.
        notes: what it writes down.
        answered: told when a message of it has its receipt or refusal.
    """

    __slots__ = (
        "_acked",
        "_answered",
        "_conversation",
        "_notes",
        "_opener",
        "_outbox",
        "_reader",
        "_seq",
        "_target",
        "_told",
        "_under_way",
        "_waiting",
        "attempts",
        "ever_open",
        "link",
        "number",
        "quiet",
        "writer",
    )

    def __init__(
        self, writer: int, target: Target, opener: Opener, notes: Notes, answered: Answered | None = None
    ) -> None:
        self.writer = writer
        self._target = target
        self._opener = opener
        self._notes = notes
        self._answered = answered
        self.link: VisitorLink | None = None
        self.attempts = 0
        self.ever_open = False
        #: nothing was sent since the last look; then a heartbeat is due.
        self.quiet = True
        #: the number of its next message, where it is not drawn.
        self.number = 0
        self._reader = VisitorReader(notes.answers, max(writer, 0))
        #: the newest message seen, without a gap before it; and the one that is confirmed.
        self._conversation, self._seq = "", 0
        self._acked = self._told = ""
        #: number -> message without receipt or refusal; None: there was none yet.
        self._under_way: dict[int, Written] | None = None
        self._waiting: list[Written] = []
        self._outbox: list[Written] = []

    # -- writing

    @property
    def unconfirmed(self) -> int:
        """How many messages have neither receipt nor refusal, those that have not left among them."""
        return len(self._under_way or ()) + len(self._waiting) + len(self._outbox)

    def write(self, written: Written) -> bool:
        """Have a message sent with the next `flush`; returns whether it is the first one there."""
        self._outbox.append(written)
        return len(self._outbox) == 1

    def flush(self) -> None:
        """Send what gathered in one write, or keep it until the link is open again."""
        outbox, self._outbox = self._outbox, []
        if self.link is None:
            self._waiting += outbox
            return
        self._send(outbox)

    def _send(self, messages: list[Written]) -> None:
        under_way = self._under_way
        if under_way is None:
            under_way = self._under_way = {}
        leaves = self._notes.leaves
        for written in messages:
            under_way[written.number] = written
            leaves(self.writer, written)
        self.quiet = False
        if self.link is not None:
            self.link.send(messages)

    # -- its link

    async def open(self) -> None:
        """Open its link; see `cluster.load.clients.opener.Opens`."""
        cursor = f"{self._conversation}-{self._seq}" if self._conversation else None
        await self._target.visitor(self.writer, self, cursor)

    def forget_cursor(self) -> None:
        """Begin anew."""
        self._notes.answers.mishap(f"visitor {self.writer}: its cursor {self._conversation}-{self._seq} is not known")
        self._conversation, self._seq = "", 0

    def on_open(self, link: VisitorLink, cursor: str) -> None:
        """Send again what is not confirmed, and then what was due meanwhile."""
        self.link = link
        if cursor:
            conversation, _, seq = cursor.rpartition("-")
            self._conversation, self._seq = conversation, int(seq)
        if self._under_way:
            again = list(self._under_way.values())
            for written in again:
                self._notes.leaves_again(self.writer, written)
            link.send(again)
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._send(waiting)

    def on_lost(self) -> None:
        """Come back after a moment."""
        self.link = None
        self._opener.lost(self)

    def look(self) -> None:
        """Once a heartbeat: show that one lives, and confirm what was seen."""
        if self.link is None:
            return
        if self._told != self._acked:
            self._acked = self._told
            self.link.ack(self._acked)
        elif self.quiet:
            self.link.ping()
        self.quiet = True

    # -- what it is told

    def on_receipt(self, number: int, receipt: Receipt) -> None:
        """A message is stored."""
        written = self._under_way.pop(number, None) if self._under_way else None
        if written is None:
            self._notes.messages.mishap(f"visitor {self.writer}: a receipt for {number}, which waits for none")
            return
        self._notes.receipt(self.writer, written, receipt)
        if receipt.seq == self._seq + 1 and receipt.conversation == self._conversation:
            self._seq = receipt.seq
        elif receipt.seq == 1 and receipt.conversation > self._conversation:
            self._conversation, self._seq = receipt.conversation, 1
        if self._answered is not None:
            self._answered(self)

    def on_refused(self, number: int, refusal: Refusal) -> None:
        """A message was answered with an error."""
        written = self._under_way.pop(number, None) if self._under_way else None
        if written is None:
            self._notes.messages.mishap(f"visitor {self.writer}: {refusal.name} for {number}, which waits for nothing")
            return
        self._notes.turned_away(self.writer, written, refusal)
        if self._answered is not None:
            self._answered(self)

    def on_said(self, said: Said) -> None:
        """Something is pushed."""
        self._reader.live(said.conversation, said.seq, self._notes.at_visitor(said))
        if (said.conversation, said.seq) > (self._conversation, self._seq):
            self._conversation, self._seq = said.conversation, said.seq
        self._told = f"{said.conversation}-{said.seq}"

    def on_missed(self, messages: Sequence[Said]) -> None:
        """What was missed, or all that is to be shown."""
        by_conversation: dict[str, list[tuple[int, int]]] = {}
        for said in messages:
            by_conversation.setdefault(said.conversation, []).append((said.seq, self._notes.at_visitor(said)))
        for conversation, shown in by_conversation.items():
            self._reader.context(conversation, shown)
        if messages and self.link is not None:
            last = messages[-1]
            self._conversation, self._seq = last.conversation, last.seq
