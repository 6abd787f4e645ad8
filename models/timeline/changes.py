"""What one batch must write, as values: the store turns them into one atomic, fenced append.

Everything that a batch decides for one account stands here together, so that either all of it is
durable or nothing is: a message is never stored without the event that brings it to a desk.
"""

from models.domain.conversation import ContactRecord, ConversationRecord
from models.domain.outgoing import Outgoing


class Changes:
    """All that one batch changes in one account.

    Attributes:
        slots: slots whose fence must still be ours.
        messages: conversation -> JSON of its new messages, oldest first.
        conversations, contacts: records that replace the stored ones.
        opened: (contact, conversation) pairs for the contact's index.
        desk: agent -> JSON of the events its log gets as one entry.
        desk_live: agent -> JSON of events shown to open desks and not kept (typing).
        visitors: contact -> JSON of the events its open sockets get now.
        waiting: conversation -> Unix ms since when it waits, None when it no longer does.
        queues: conversation -> (skill whose queue it left, skill whose queue it stands in); None means no queue.
        held: conversation -> (agent whose desk it left, agent whose desk it came to); empty means nobody.
        snoozed: conversation -> Unix ms at which it comes back, None when it did.
        bot: conversation -> Unix ms at which the bot's time is up, None when it holds it no longer.
        outgoing: answers that a channel must send.
        files: (file, contact who may read it or empty, message) of what the messages bring.
        tags: tag -> Unix ms at which somebody used it last.
        at_ms: Unix time of the batch, in milliseconds.
        counts: what happened -> how often, for the account's hour (`models.board.hours`).
        waits_ms: how long each contact had waited that a human answered.
    """

    __slots__ = (
        "at_ms",
        "bot",
        "contacts",
        "conversations",
        "counts",
        "desk",
        "desk_live",
        "files",
        "held",
        "messages",
        "opened",
        "outgoing",
        "queues",
        "slots",
        "snoozed",
        "tags",
        "visitors",
        "waiting",
        "waits_ms",
    )

    def __init__(self, at_ms: int = 0) -> None:
        self.slots: set[int] = set()
        self.messages: dict[str, list[bytes]] = {}
        self.conversations: dict[str, ConversationRecord] = {}
        self.contacts: dict[str, ContactRecord] = {}
        self.opened: list[tuple[str, str]] = []
        self.desk: dict[str, list[bytes]] = {}
        self.desk_live: dict[str, list[bytes]] = {}
        self.visitors: dict[str, list[bytes]] = {}
        self.waiting: dict[str, int | None] = {}
        self.queues: dict[str, tuple[str | None, str | None]] = {}
        self.held: dict[str, tuple[str, str]] = {}
        self.snoozed: dict[str, int | None] = {}
        self.bot: dict[str, int | None] = {}
        self.outgoing: list[Outgoing] = []
        self.files: list[tuple[str, str, str]] = []
        self.tags: dict[str, int] = {}
        self.at_ms = at_ms
        self.counts: dict[str, int] = {}
        self.waits_ms: list[int] = []

    def count(self, what: str, n: int = 1) -> None:
        """Count something that happened, for the account's hour."""
        self.counts[what] = self.counts.get(what, 0) + n

    def tell_desk(self, agent: str, event: bytes) -> None:
        """Append ``event`` to what the agent's log gets."""
        events = self.desk.get(agent)
        if events is None:
            self.desk[agent] = [event]
        else:
            events.append(event)

    def tell_visitors(self, contact: str, event: bytes) -> None:
        """Show ``event`` to the sockets that the contact has open."""
        self.visitors.setdefault(contact, []).append(event)

    @property
    def empty(self) -> bool:
        """Whether nothing at all must be written or published."""
        return not (
            self.messages
            or self.conversations
            or self.contacts
            or self.desk
            or self.desk_live
            or self.visitors
            or self.outgoing
            or self.counts
        )
