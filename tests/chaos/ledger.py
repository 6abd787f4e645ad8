"""What happened in a run, as the clients saw it: sent, confirmed, shown; nothing here judges.

Times are seconds of the monotonic clock of the process that runs all clients.
"""

import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

#: (seq, source id) of messages of one conversation, oldest first.
Messages = Sequence[tuple[int, str]]


class Note(NamedTuple):
    """One thing that a desk was told, in the order in which it was told.

    Args:
        kind: ``entry`` a frame with a cursor begins; ``live`` a message; ``offered`` a conversation came, with its
            newest messages; ``removed`` it went; ``read_back`` a page of it was read; ``snapshot`` all that the
            desk knew was replaced.
        at_s: when.
        conversation: which one; empty for ``entry`` and ``snapshot``.
        number: the cursor, or the revision of the conversation.
        messages: what was shown.
        detail: through what it went; or the conversations of a snapshot, with blanks between.
    """

    kind: Literal["entry", "live", "offered", "removed", "read_back", "snapshot"]
    at_s: float
    conversation: str = ""
    number: int = 0
    messages: Messages = ()
    detail: str = ""


class Ledger:
    """Everything that the clients of one run saw."""

    def __init__(self) -> None:
        #: the contacts who read answers on a socket.
        self.visitors: set[str] = set()
        #: contact -> the source ids of its messages, in the order in which they were to be sent.
        self.written: dict[str, list[str]] = defaultdict(list)
        #: source id -> when it was due.
        self.due: dict[str, float] = {}
        #: source id -> (conversation, seq) of its receipt.
        self.receipts: dict[str, tuple[str, int]] = {}
        #: source id -> when its receipt came.
        self.confirmed_at: dict[str, float] = {}
        self.duplicates = 0
        #: agent -> what its desk was told.
        self.desks: dict[str, list[Note]] = defaultdict(list)
        #: agent -> when messages were shown there.
        self.shown_at: dict[str, array[float]] = defaultdict(lambda: array("d"))
        #: source id -> when it was shown at a desk first.
        self.first_shown: dict[str, float] = {}
        #: client id of an agent's answer -> (conversation, seq) of its receipt.
        self.answered: dict[str, tuple[str, int]] = {}
        #: client id of an answer -> each time that its visitor was shown it: its number, and by what.
        self.answers_shown: dict[str, list[tuple[int, str]]] = defaultdict(list)
        #: what was refused and is sent again, by reason.
        self.refused: Counter[str] = Counter()
        #: what must not happen to a client at all.
        self.mishaps: list[str] = []

    def sent(self, contact: str, source_id: str, due_s: float) -> None:
        """A contact wrote."""
        self.written[contact].append(source_id)
        self.due[source_id] = due_s

    def confirmed(self, source_id: str, conversation: str, seq: int, *, duplicate: bool) -> None:
        """A message has its receipt."""
        if source_id in self.receipts:
            self.mishap(f"{source_id} has two receipts")
        self.receipts[source_id] = (conversation, seq)
        self.confirmed_at[source_id] = time.monotonic()
        self.duplicates += duplicate

    def entry(self, agent: str, cursor: int, at_s: float) -> None:
        """A desk got one entry of its log; what it is told next is part of it."""
        self.desks[agent].append(Note("entry", at_s, number=cursor))

    def live(self, agent: str, conversation: str, seq: int, source_id: str, at_s: float) -> None:
        """A desk was shown a message."""
        self.desks[agent].append(Note("live", at_s, conversation, messages=[(seq, source_id)]))
        self.shown_at[agent].append(at_s)
        self.first_shown.setdefault(source_id, at_s)

    def offered(self, agent: str, conversation: str, revision: int, messages: Messages, at_s: float) -> None:
        """A conversation came to a desk, with its newest messages."""
        self.desks[agent].append(Note("offered", at_s, conversation, revision, messages))
        self._shown(agent, messages, at_s)

    def read_back(self, agent: str, conversation: str, messages: Messages, at_s: float) -> None:
        """A desk read what lay before the newest messages."""
        self.desks[agent].append(Note("read_back", at_s, conversation, messages=messages))
        self._shown(agent, messages, at_s)

    def removed(self, agent: str, conversation: str, revision: int, change: str) -> None:
        """A conversation left a desk."""
        self.desks[agent].append(Note("removed", 0.0, conversation, revision, detail=change))

    def snapshot(self, agent: str, cursor: int, conversations: set[str]) -> None:
        """A desk starts afresh; ``offered`` notes of what it holds follow."""
        self.desks[agent].append(Note("snapshot", 0.0, number=cursor, detail=" ".join(sorted(conversations))))

    def mishap(self, what: str) -> None:
        """Note what must not happen."""
        self.mishaps.append(what)

    def _shown(self, agent: str, messages: Messages, at_s: float) -> None:
        self.shown_at[agent].append(at_s)
        for _, source_id in messages:
            self.first_shown.setdefault(source_id, at_s)
