"""The audit of a run: what was confirmed against what is stored and what was shown, id by id; it trusts nothing.

Three witnesses must agree: the senders (what they wrote, in which order, and their receipts), the store (the
session lists, read after the run) and the desks (every note in its order). In the words of the table:

* **accepted** has a receipt; **delivered** was shown at the desk that held its conversation.
* **lost**: has a receipt, and the store or every desk lacks it.
* **doubled**: stored twice, or told twice live, to one desk or to two; or an entry of a log that came twice.
* **reordered**: stored in another order than written, or shown in another order than stored, or a gap in a log.
* **misplaced**: shown at a desk that did not hold the conversation, or held by two desks at once.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tests.chaos.ledger import Ledger, Note

#: (seq, author, source id) of a conversation's messages as stored, oldest first.
Stored = Mapping[str, Sequence[tuple[int, str, str]]]
_MOST_EXAMPLES = 8


class Stay(NamedTuple):
    """The time of one conversation on one desk, by its revisions; ``until`` is 0 while it is there."""

    conversation: str
    agent: str
    since: int
    until: int = 0


@dataclass
class Findings:
    """What an audit found; the lists name each case."""

    written: int = 0
    accepted: int = 0
    delivered: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    handed_on: list[str] = field(default_factory=list)
    answers: int = 0
    answers_lost: list[str] = field(default_factory=list)
    answers_doubled: list[str] = field(default_factory=list)
    conversations: int = 0
    transfers: int = 0
    snapshots: int = 0
    mishaps: list[str] = field(default_factory=list)

    @property
    def faults(self) -> dict[str, list[str]]:
        """Return everything that must not be, by its name."""
        names = ("lost", "doubled", "reordered", "misplaced", "answers_lost", "answers_doubled", "handed_on", "mishaps")
        return {name: found for name in names if (found := getattr(self, name))}

    def table(self) -> str:
        """Write the counts, and the first examples of what is wrong."""
        rows = [
            ("written", self.written),
            ("accepted", self.accepted),
            ("delivered", self.delivered),
            ("lost", len(self.lost)),
            ("doubled", len(self.doubled)),
            ("reordered", len(self.reordered)),
            ("misplaced", len(self.misplaced)),
            ("handed on by the grace period", len(self.handed_on)),
            ("conversations", self.conversations),
            ("transfers", self.transfers),
            ("snapshots after a break", self.snapshots),
            ("answers confirmed", self.answers),
            ("answers lost", len(self.answers_lost)),
            ("answers doubled", len(self.answers_doubled)),
            ("mishaps", len(self.mishaps)),
        ]
        lines = [f"  {name:<32}{count:>10,}" for name, count in rows]
        for name, found in self.faults.items():
            lines += [f"  {name}: {each}" for each in found[:_MOST_EXAMPLES]]
        return "\n".join(lines)


class Audit:
    """One audit.

    Args:
        ledger: what the clients saw.
        stored: every conversation of the account, as the store has it.
        held: conversation -> agent, as the store has it.
    """

    def __init__(self, ledger: Ledger, stored: Stored, held: Mapping[str, str]) -> None:
        self._ledger = ledger
        self._stored = stored
        self._held = held
        self._found = Findings()
        #: (conversation, seq) that a desk showed while it held the conversation.
        self._shown: set[tuple[str, int]] = set()
        self._live: set[tuple[str, int]] = set()
        self._stays: dict[str, list[Stay]] = defaultdict(list)
        self._place: dict[str, tuple[str, int]] = {}

    def run(self) -> Findings:
        """Compare all witnesses."""
        found, ledger = self._found, self._ledger
        found.written = sum(map(len, ledger.written.values()))
        found.accepted = len(ledger.receipts)
        found.conversations = len(self._stored)
        found.mishaps += ledger.mishaps
        self._check_store()
        for agent, notes in ledger.desks.items():
            self._check_desk(agent, notes)
        self._check_stays()
        self._check_receipts()
        self._check_answers()
        return found

    # -- senders against store

    def _check_store(self) -> None:
        """Every contact's messages are stored once, in the order in which they were written, without gaps."""
        found = self._found
        rank = {
            source_id: number for sources in self._ledger.written.values() for number, source_id in enumerate(sources)
        }
        for conversation, messages in sorted(self._stored.items()):
            newest: dict[str, int] = {}
            for place, (seq, author, source_id) in enumerate(messages, 1):
                if seq != place:
                    found.reordered.append(f"{conversation}: number {seq} is stored at place {place}")
                if author != "contact":
                    continue
                if source_id in self._place:
                    found.doubled.append(f"{source_id} is stored as {self._place[source_id]} and {(conversation, seq)}")
                    continue
                self._place[source_id] = (conversation, seq)
                contact = source_id.rpartition(":")[0]
                number = rank.get(source_id, -1)
                if number < newest.get(contact, -1):
                    found.reordered.append(f"{source_id} is stored after a later one, as {conversation}-{seq}")
                newest[contact] = max(number, newest.get(contact, -1))

    def _check_receipts(self) -> None:
        """What has a receipt is stored where the receipt says, and was shown."""
        for source_id, (conversation, seq) in self._ledger.receipts.items():
            place = self._place.get(source_id)
            if place is None:
                self._found.lost.append(f"{source_id} has a receipt and is not stored")
            elif place != (conversation, seq):
                self._found.lost.append(f"{source_id} is stored as {place}, its receipt says {(conversation, seq)}")
            elif place not in self._shown:
                self._found.lost.append(f"{source_id}, stored as {conversation}-{seq}, was shown at no desk")
            else:
                self._found.delivered += 1

    # -- desks against store

    def _check_desk(self, agent: str, notes: Sequence[Note]) -> None:
        desk = _DeskAudit(agent, self._found, self._stored)
        for note in notes:
            desk.take(note)
        for conversation, seq in desk.live:
            if (conversation, seq) in self._live:
                self._found.doubled.append(f"{conversation}-{seq} was shown live at {agent} and at another desk")
        self._live |= desk.live
        self._shown |= desk.shown
        for stay in desk.all_stays():
            self._stays[stay.conversation].append(stay)

    def _check_stays(self) -> None:
        """A conversation was on one desk at a time, and ended where the store says."""
        for conversation, stays in self._stays.items():
            stays.sort(key=lambda stay: stay.since)
            self._found.transfers += len(stays) - 1
            for before, after in pairwise(stays):
                if not before.until or before.until > after.since:
                    self._found.misplaced.append(f"{conversation} was on the desks of {before} and {after} at once")
        for conversation in self._stored:
            stays = self._stays.get(conversation, [])
            holder = stays[-1].agent if stays and not stays[-1].until else ""
            if holder != self._held.get(conversation, ""):
                owner = self._held.get(conversation, "nobody")
                self._found.misplaced.append(f"{conversation} is on the desk of {holder or 'nobody'}, held by {owner}")

    # -- agents against store and visitors

    def _check_answers(self) -> None:
        """An answer with a receipt was shown to its visitor, once; contacts of the backend have no socket."""
        shown = self._ledger.answers_shown
        for client_id, (conversation, seq) in self._ledger.answered.items():
            messages = self._stored.get(conversation, ())
            if messages and messages[0][2].rpartition(":")[0] not in self._ledger.visitors:
                continue
            self._found.answers += 1
            if seq > len(messages) or messages[seq - 1] != (seq, "agent", client_id):
                self._found.answers_lost.append(f"{client_id} is not stored as {conversation}-{seq}")
            elif client_id not in shown:
                self._found.answers_lost.append(f"{client_id}, stored as {conversation}-{seq}, was not shown")
        self._found.answers_doubled += [f"{name} was shown by {each}" for name, each in shown.items() if len(each) > 1]


class _DeskAudit:
    """Walks through one desk's notes."""

    def __init__(self, agent: str, found: Findings, stored: Stored) -> None:
        self.agent = agent
        self.live: set[tuple[str, int]] = set()
        self.shown: set[tuple[str, int]] = set()
        self._found = found
        self._stored = stored
        self._cursor: int | None = None
        #: conversation -> its stay and the newest number that was shown in it.
        self._here: dict[str, tuple[Stay, int]] = {}
        self._ended: list[Stay] = []
        self._ever: set[str] = set()
        self._take = {
            "entry": self._entry,
            "live": self._said,
            "offered": self._offered,
            "removed": self._removed,
            "read_back": self._read_back,
            "snapshot": self._snapshot,
        }

    def take(self, note: Note) -> None:
        """Check one note."""
        self._take[note.kind](note)

    def all_stays(self) -> list[Stay]:
        """Return the stays that ended and those that go on."""
        return [*self._ended, *(stay for stay, _ in self._here.values())]

    def _entry(self, note: Note) -> None:
        """Entries of a log come one after the other."""
        if self._cursor is not None and note.number <= self._cursor:
            self._found.doubled.append(f"{self.agent}: entry {note.number} came after {self._cursor}")
        elif self._cursor is not None and note.number != self._cursor + 1:
            self._found.reordered.append(f"{self.agent}: entry {note.number} came after {self._cursor}")
        self._cursor = note.number

    def _snapshot(self, note: Note) -> None:
        if self._cursor is not None:
            self._found.snapshots += 1
        self._cursor = note.number
        kept = set(note.detail.split())
        for conversation in [each for each in self._here if each not in kept]:
            stay, _ = self._here.pop(conversation)
            # it went at a revision that the desk was not told; the next desk's stay bounds it
            self._ended.append(stay._replace(until=stay.since))

    def _offered(self, note: Note) -> None:
        before = self._here.get(note.conversation)
        since = before[0].since if before else note.number
        newest = max([seq for seq, _ in note.messages], default=0)
        self._check_run(note)
        if before is not None and before[1] > newest:
            self._found.reordered.append(f"{self.agent}: {note.conversation} came anew without what was shown of it")
        self._ever.add(note.conversation)
        self._here[note.conversation] = (Stay(note.conversation, self.agent, since), newest)
        self._show(note)

    def _removed(self, note: Note) -> None:
        here = self._here.pop(note.conversation, None)
        if here is None:
            self._found.misplaced.append(f"{self.agent}: {note.conversation} went and was not there")
            return
        self._ended.append(here[0]._replace(until=note.number))
        if note.detail in ("agent_away", "offer_expired"):
            self._found.handed_on.append(f"{self.agent}: {note.conversation} went through {note.detail}")

    def _said(self, note: Note) -> None:
        ((seq, source_id),) = note.messages
        place = (note.conversation, seq)
        told_before = place in self.live
        self.live.add(place)
        here = self._here.get(note.conversation)
        if here is None:
            self._found.misplaced.append(f"{source_id} was shown at {self.agent}, who does not hold {place[0]}")
            return
        stay, newest = here
        if told_before or seq == newest:
            self._found.doubled.append(f"{source_id} ({note.conversation}-{seq}) was shown twice at {self.agent}")
        elif seq != newest + 1:
            self._found.reordered.append(
                f"{source_id} ({note.conversation}-{seq}) was shown at {self.agent} after number {newest}"
            )
        self._here[note.conversation] = (stay, max(seq, newest))
        self._show(note)

    def _read_back(self, note: Note) -> None:
        """A page counts for a desk that holds, or held, the conversation."""
        if note.conversation not in self._ever:
            self._found.misplaced.append(f"{self.agent} read {note.conversation}, which it never held")
            return
        self._check_run(note)
        self._show(note)

    def _check_run(self, note: Note) -> None:
        seqs = [seq for seq, _ in note.messages]
        if seqs and seqs != list(range(seqs[0], seqs[0] + len(seqs))):
            self._found.reordered.append(f"{self.agent}: {note.conversation} was shown as {seqs}")

    def _show(self, note: Note) -> None:
        """Count as shown what is shown as it is stored; an id under another number is not that message."""
        messages = self._stored.get(note.conversation, ())
        for seq, source_id in note.messages:
            if seq <= len(messages) and messages[seq - 1][2] == source_id:
                self.shown.add((note.conversation, seq))
            else:
                self._found.misplaced.append(f"{self.agent}: {source_id} was shown as {note.conversation}-{seq}")


# -- silence


@dataclass(frozen=True)
class Kill:
    """One death: what died, when, and when it was there again."""

    what: str
    at_s: float
    back_after_s: float = 0.0


def longest_silence_s(shown_at: Mapping[str, Sequence[float]], since_s: float, until_s: float) -> float:
    """Return the longest time in seconds, within a stretch of the run, in which one desk was shown nothing."""
    longest = 0.0
    for times in shown_at.values():
        first, end = bisect_left(times, since_s), bisect_left(times, until_s)
        before = times[first - 1] if first else since_s
        marks = [before, *times[first:end], until_s]
        longest = max(longest, *(after - earlier for earlier, after in pairwise(marks)))
    return longest


def longest_wait_s(begun: Mapping[str, float], ended: Mapping[str, float], since_s: float, until_s: float) -> float:
    """Return the longest time in seconds that a message waited within a stretch of the run.

    Args:
        begun: when each message began to wait, by its source id.
        ended: when its wait was over.
        since_s, until_s: the stretch.
    """
    waits = (
        min(ended.get(source_id, until_s), until_s) - begun_s
        for source_id, begun_s in begun.items()
        if since_s <= begun_s < until_s
    )
    return max(waits, default=0.0)
