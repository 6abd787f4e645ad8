"""Visitors: they write when a message is due, keep what is not confirmed, and are shown what agents answer.

A visitor is a page that loses nothing. What has neither a receipt nor a refusal is sent again, in its order and under
its old id, when a broken link is open again, and before anything newer. What was refused is not, and its writer knows;
save that of the steadfast: after a *not now* they hold back what is newer, wait until everything under way is
answered, and then send all that is not confirmed again, the oldest first.

Where nothing is under way a visitor costs one small object and its socket.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster.load.clients.clock import Agenda
from cluster.load.clients.notes import Notes
from cluster.load.clients.opener import Opener
from cluster.load.targets.said import Receipt, Refusal, Said, Written
from cluster.load.targets.target import Target, VisitorLink
from cluster.load.truth.readers import VisitorReader

#: Until the steadfast look again whether all that is under way is answered.
_LOOK_AGAIN_S = 0.05

#: Told with a visitor, whenever one of its messages is answered for good.
Answered = Callable[["Visitor"], None]


@dataclass(kw_only=True, slots=True)
class Ward:
    """What all visitors of a generator share.

    Args:
        target: the system.
        opener: opens their links again.
        notes: what they write down.
        answered: told when a message has its receipt or refusal; None: nobody waits for it.
        agenda: for what the steadfast send again; None: they are not.
    """

    target: Target
    opener: Opener
    notes: Notes
    answered: Answered | None = None
    agenda: Agenda | None = None


class Visitor:
    """One contact with a socket.

    Args:
        writer: its number; negative: it is idle, and never writes.
        ward: what it shares with the others.
    """

    __slots__ = (
        "_acked",
        "_asked",
        "_conversation",
        "_outbox",
        "_reader",
        "_refused",
        "_seq",
        "_told",
        "_under_way",
        "_waiting",
        "_ward",
        "attempts",
        "ever_open",
        "link",
        "number",
        "quiet",
        "writer",
    )

    def __init__(self, writer: int, ward: Ward) -> None:
        self.writer = writer
        self._ward = ward
        self.link: VisitorLink | None = None
        self.attempts = 0
        self.ever_open = False
        #: nothing was sent since the last look; then a heartbeat is due.
        self.quiet = True
        #: the number of its next message, where it is not drawn.
        self.number = 0
        self._reader = VisitorReader(ward.notes.answers, max(writer, 0))
        #: the newest message seen, without a gap before it; with which the link was opened; and the one that is
        #: confirmed.
        self._conversation, self._seq = "", 0
        self._asked = ("", 0)
        self._acked = self._told = ""
        #: number -> message without receipt or refusal; None: there was none yet.
        self._under_way: dict[int, Written] | None = None
        #: of them, those that were refused for the moment; None: nothing is held back.
        self._refused: set[int] | None = None
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
        if self.link is None or self._refused is not None:
            self._waiting += outbox
            return
        self._send(outbox)

    def _send(self, messages: list[Written]) -> None:
        under_way = self._under_way
        if under_way is None:
            under_way = self._under_way = {}
        leaves = self._ward.notes.leaves
        for written in messages:
            under_way[written.number] = written
            leaves(self.writer, written)
        self.quiet = False
        if self.link is not None:
            self.link.send(messages)

    def _send_all_again(self, link: VisitorLink) -> None:
        """Send what is not confirmed, and then what was held back."""
        self._refused = None
        if self._under_way:
            again = list(self._under_way.values())
            for written in again:
                self._ward.notes.leaves_again(self.writer, written)
            link.send(again)
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._send(waiting)

    # -- its link

    async def open(self) -> None:
        """Open its link; see `cluster.load.clients.opener.Opens`."""
        self._asked = (self._conversation, self._seq)
        cursor = f"{self._conversation}-{self._seq}" if self._conversation else None
        await self._ward.target.visitor(self.writer, self, cursor)

    def forget_cursor(self) -> None:
        """Begin anew."""
        self._ward.notes.answers.mishap(
            f"visitor {self.writer}: its cursor {self._conversation}-{self._seq} is not known"
        )
        self._conversation, self._seq = "", 0

    def on_open(self, link: VisitorLink, cursor: str) -> None:
        """Send again what is not confirmed, and then what was due meanwhile."""
        self.link = link
        if cursor:
            conversation, _, seq = cursor.rpartition("-")
            self._conversation, self._seq = conversation, int(seq)
        self._send_all_again(link)

    def on_lost(self) -> None:
        """Come back after a moment."""
        self.link = None
        self._ward.opener.lost(self)

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
            self._ward.notes.messages.mishap(f"visitor {self.writer}: a receipt for {number}, which waits for none")
            return
        self._ward.notes.receipt(self.writer, written, receipt)
        if receipt.seq == self._seq + 1 and receipt.conversation == self._conversation:
            self._seq = receipt.seq
        elif receipt.seq == 1 and receipt.conversation > self._conversation:
            self._conversation, self._seq = receipt.conversation, 1
        self._settle()

    def on_refused(self, number: int, refusal: Refusal) -> None:
        """A message was answered with an error."""
        written = self._under_way.get(number) if self._under_way else None
        notes, agenda = self._ward.notes, self._ward.agenda
        if self._under_way is None or written is None:
            notes.messages.mishap(f"visitor {self.writer}: {refusal.name} for {number}, which waits for nothing")
            return
        if refusal.again and agenda is not None:
            notes.turned_away(self.writer, written, refusal, last=False)
            self._hold_back(number, agenda, refusal.retry_after_s)
            return
        del self._under_way[number]
        notes.turned_away(self.writer, written, refusal)
        self._settle()

    def _hold_back(self, number: int, agenda: Agenda, wait_s: float) -> None:
        if self._refused is None:
            self._refused = set()
            # not all at the same moment
            agenda.after(random.uniform(0.5, 1.0) * wait_s, self._go_on)
        self._refused.add(number)

    def _go_on(self) -> None:
        """Send again what was refused, once everything else is answered; after a break all was sent again anyhow."""
        if self._refused is None or self.link is None or self._ward.agenda is None:
            return
        if len(self._refused) < len(self._under_way or ()):
            self._ward.agenda.after(_LOOK_AGAIN_S, self._go_on)
        else:
            self._send_all_again(self.link)

    def _settle(self) -> None:
        if self._ward.answered is not None:
            self._ward.answered(self)

    def on_said(self, said: Said) -> None:
        """Something is pushed."""
        self._reader.live(said.conversation, said.seq, self._ward.notes.at_visitor(said))
        if (said.conversation, said.seq) > (self._conversation, self._seq):
            self._conversation, self._seq = said.conversation, said.seq
        self._told = f"{said.conversation}-{said.seq}"

    def on_missed(self, messages: Sequence[Said], *, fresh: bool) -> None:
        """What follows the cursor, or all that is to be shown."""
        by_conversation: dict[str, list[tuple[int, int]]] = {}
        for said in messages:
            by_conversation.setdefault(said.conversation, []).append((said.seq, self._ward.notes.at_visitor(said)))
        for conversation, shown in by_conversation.items():
            after = 0 if fresh or conversation != self._asked[0] else self._asked[1]
            self._reader.context(conversation, shown, after=after)
        if messages and self.link is not None:
            last = messages[-1]
            self._conversation, self._seq = last.conversation, last.seq
