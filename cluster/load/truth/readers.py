"""Those who are shown messages: a desk and a visitor, each of which checks what comes in which order.

They are told what the socket brought, in its order, and write each message down with how it was shown. A reader
keeps one small record for each conversation that is there, so ten thousand of them fit in a process.

Messages of the bot, of the system and of the agents themselves take numbers too; they are told with the key -1,
count for order and gaps, and are not written down.
"""

from collections.abc import Iterable
from itertools import pairwise

from cluster.load.truth.facts import Shown
from cluster.load.truth.ledger import Ledger

#: The key of a message that is none of those which this ledger is about.
FOREIGN = -1
#: Of a jump over more numbers than this, the first are remembered.
_MOST_MISSING = 10_000


class _Stay:
    """A conversation that is at a reader: from which revision, and which numbers were shown."""

    __slots__ = ("first", "missing", "newest", "since")

    def __init__(self, since: int, first: int, newest: int) -> None:
        self.since = since
        self.first = first
        self.newest = newest
        self.missing: set[int] | None = None

    def take(self, seq: int) -> Shown:
        """Note a number that was pushed, and say how it came."""
        if seq > self.newest:
            self.skip_to(seq)
            self.first = self.first or seq
            self.newest = seq
            return Shown.LIVE
        if seq < self.first:
            return Shown.LATE
        if self.missing and seq in self.missing:
            self.missing.discard(seq)
            return Shown.LATE
        return Shown.AGAIN

    def skip_to(self, seq: int) -> None:
        """Note as missing what lies between the newest number and a later one that is shown."""
        if self.newest and seq > self.newest + 1:
            skipped = range(self.newest + 1, min(seq, self.newest + 1 + _MOST_MISSING))
            self.missing = (self.missing or set()) | set(skipped)

    def fill(self, seqs: Iterable[int]) -> None:
        """Note numbers that a page brought."""
        if self.missing:
            self.missing.difference_update(seqs)


class DeskReader:
    """One desk: it holds conversations, and is pushed every message of them.

    Args:
        ledger: where to write.
        desk: number of its agent.
    """

    def __init__(self, ledger: Ledger, desk: int) -> None:
        self._ledger = ledger
        self._desk = desk
        self._cursor: int | None = None
        self._here: dict[str, _Stay] = {}
        self._ever: set[str] = set()

    @property
    def holds(self) -> int:
        """How many conversations are here."""
        return len(self._here)

    def entry(self, cursor: int) -> None:
        """An entry of the desk's log begins; what comes next is part of it."""
        if self._cursor is not None and cursor <= self._cursor:
            self._ledger.entries_again += 1
            return
        if self._cursor is not None:
            self._ledger.entries_skipped += cursor - self._cursor - 1
        self._cursor = cursor

    def snapshot(self, cursor: int, conversations: Iterable[str]) -> None:
        """All that the desk knew is replaced; an `offered` for each conversation follows."""
        if self._cursor is not None:
            self._ledger.snapshots += 1
        self._cursor = cursor
        kept = set(conversations)
        for conversation in [each for each in self._here if each not in kept]:
            stay = self._here.pop(conversation)
            # it went at a revision that the desk was not told; the next desk's stay bounds it
            self._end(conversation, stay, stay.since)

    def offered(self, conversation: str, revision: int, messages: Iterable[tuple[int, int]]) -> None:
        """A conversation comes, or comes anew in a snapshot, with its newest messages.

        Args:
            conversation: its id.
            revision: of its record.
            messages: (number in the conversation, key), oldest first.
        """
        shown = list(messages)
        seqs = [seq for seq, _ in shown]
        self._check_run(seqs)
        before = self._here.get(conversation)
        newest = seqs[-1] if seqs else 0
        if before is not None:
            if newest < before.newest:
                told = f"{conversation} came anew up to {newest}, and {before.newest} had been shown of it"
                self._ledger.mishap(f"desk {self._desk}: {told}")
            before.fill(seqs)
            before.skip_to(seqs[0] if seqs else 0)
            before.newest = max(before.newest, newest)
            before.first = before.first or (seqs[0] if seqs else 0)
        else:
            self._here[conversation] = _Stay(revision, seqs[0] if seqs else 0, newest)
            self._ever.add(conversation)
        self._show(conversation, shown, Shown.CONTEXT)

    def live(self, conversation: str, seq: int, key: int) -> None:
        """A message is pushed."""
        stay = self._here.get(conversation)
        how = Shown.STRAY if stay is None else stay.take(seq)
        if key != FOREIGN:
            self._ledger.shown(key, self._ledger.place(conversation, seq), self._desk, how)
        elif how is not Shown.LIVE:
            self._ledger.foreign_again += 1

    def page(self, conversation: str, messages: Iterable[tuple[int, int]]) -> None:
        """A page of history was read; it counts at a desk that has, or had, the conversation."""
        shown = list(messages)
        seqs = [seq for seq, _ in shown]
        self._check_run(seqs)
        if (stay := self._here.get(conversation)) is not None:
            stay.fill(seqs)
        self._show(conversation, shown, Shown.CONTEXT if conversation in self._ever else Shown.STRAY)

    def removed(self, conversation: str, revision: int, *, by_time: bool = False) -> None:
        """A conversation goes; ``by_time``: it was taken, because its time was up."""
        self._ledger.handed_on += by_time
        stay = self._here.pop(conversation, None)
        if stay is None:
            self._ledger.mishap(f"desk {self._desk}: {conversation} went and was not there")
        else:
            self._end(conversation, stay, revision)

    def close(self) -> None:
        """Write down what is still here; once, at the end of the run."""
        for conversation, stay in self._here.items():
            self._end(conversation, stay, 0)
        self._here = {}

    def _end(self, conversation: str, stay: _Stay, until: int) -> None:
        self._ledger.stay(conversation, self._desk, stay.since, until)
        self._ledger.gaps += len(stay.missing or ())

    def _show(self, conversation: str, messages: list[tuple[int, int]], how: Shown) -> None:
        for seq, key in messages:
            if key != FOREIGN:
                self._ledger.shown(key, self._ledger.place(conversation, seq), self._desk, how)

    def _check_run(self, seqs: list[int]) -> None:
        if any(after != before + 1 for before, after in pairwise(seqs)):
            self._ledger.mishap(f"desk {self._desk}: messages came together as {seqs[:12]}, not one after the other")


class VisitorReader:
    """One visitor: is pushed the answers of its own conversation, among which its own messages have no place.

    Args:
        ledger: of the answers.
        visitor: its number.
    """

    __slots__ = ("_conversation", "_ledger", "_newest", "_visitor")

    def __init__(self, ledger: Ledger, visitor: int) -> None:
        self._ledger = ledger
        self._visitor = visitor
        self._conversation = ""
        self._newest = 0

    def live(self, conversation: str, seq: int, key: int) -> None:
        """An answer is pushed."""
        if conversation != self._conversation:
            self._conversation, self._newest = conversation, 0
        how = Shown.LIVE if seq > self._newest else Shown.LATE
        self._newest = max(seq, self._newest)
        if key != FOREIGN:
            self._ledger.shown(key, self._ledger.place(conversation, seq), self._visitor, how)
        elif how is not Shown.LIVE:
            self._ledger.foreign_again += 1

    def context(self, conversation: str, messages: Iterable[tuple[int, int]], *, after: int = 0) -> None:
        """Messages came together, as what was missed or as a page.

        Args:
            conversation: its id.
            messages: (number in the conversation, key), in order.
            after: number up to which the visitor had said that it was shown all; 0: it had not.
        """
        for seq, key in messages:
            # ids of conversations sort by time; a page of an older one leaves the present one as it is
            if conversation > self._conversation:
                self._conversation, self._newest = conversation, 0
            if conversation == self._conversation:
                self._newest = max(seq, self._newest)
            if key != FOREIGN:
                how = Shown.CONTEXT if seq > after else Shown.AGAIN
                self._ledger.shown(key, self._ledger.place(conversation, seq), self._visitor, how)
            elif seq <= after:
                self._ledger.foreign_again += 1
