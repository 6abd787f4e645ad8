"""The audit of a run: what was sent, confirmed and shown, reconciled message by message; it trusts nothing.

A receipt, a showing and a line of the history are three witnesses; each names a message by the id that it carries
and says where it stands. Whatever one of them says and another does not is a finding
(`cluster/load/truth/findings.py`). All work is on arrays, some seconds and two gigabytes for ten million messages
(`python -m tests.bench.load_audit`).
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np

from cluster.load.scenario.people import Writers
from cluster.load.truth.facts import SEQ_BITS, WRITER_SHIFT, Facts, Ints, Shown, column
from cluster.load.truth.findings import Findings
from cluster.load.truth.order import late, overtaken
from cluster.load.truth.rows import NOWHERE, Indexes, Mask, Rows, Showings
from cluster.load.truth.stays import held_elsewhere, held_twice

_LOW = (1 << 32) - 1
_MOST_EXAMPLES = 8
_NOBODY: Mapping[str, int] = {}


class Audience(NamedTuple):
    """Who may see an answer.

    Args:
        owners: conversation -> its person.
        persons: of each reader.
        listeners: so many readers, from the first on, have a socket that every answer must reach; to the others it
            may go on a way that nobody here sees.
    """

    owners: Mapping[str, int]
    persons: Writers
    listeners: int = 0


class Audit:
    """One audit.

    Args:
        facts: of the whole run, merged.
        persons: of each writer, its person; a conversation has one. None: writers share conversations, as agents do.
        audience: who may see what; None: the readers themselves know (`cluster/load/truth/readers.py`).
    """

    def __init__(self, facts: Facts, persons: Writers | None = None, audience: Audience | None = None) -> None:
        self._facts = facts
        self._persons = persons
        self._audience = audience
        self._examples: dict[str, list[str]] = {}
        rows = self._rows = Rows(facts)
        self._receipt = rows.first_places(facts.receipts)
        self._stored = rows.first_places(facts.stored)
        shown = self._shown = Showings.of(facts, rows)
        seen = self._seen = rows.nowhere()
        seen[shown.rows[::-1]] = shown.places[::-1]
        #: where a message stands; a receipt alone is only the system's word.
        self._place = np.where(seen >= 0, seen, np.where(self._stored >= 0, self._stored, self._receipt))

    def run(self) -> Findings:
        """Reconcile everything."""
        facts, rows = self._facts, self._rows
        accepted = self._receipt >= 0
        at_reader = rows.mask(self._shown.rows[self._shown.kinds != Shown.STRAY])
        gone = accepted & self._gone()
        kept = accepted & ~at_reader & (self._stored >= 0) & self._waiting() & ~self._must_be_heard()
        lost = (accepted & ~at_reader & ~kept) | gone
        refused_index, which = rows.of(facts.refused[0])
        refused = rows.mask(refused_index)
        not_stored = rows.mask(refused_index[column(facts.refused[1])[which] == 1])
        contradicted = not_stored & ~accepted & ((self._seen >= 0) | (self._stored >= 0))
        unaccounted = ~accepted & ~refused
        misplaced, doubled, reordered = self._misplaced(), self._doubled(), self._reordered()
        where = {True: "not in the history", False: "shown nowhere"}
        self._tell("lost", lost, lambda which: f"{where[bool(gone[which])]}: {self._story(which)}")
        self._tell("doubled", doubled, self._story)
        self._tell("reordered", reordered, self._story)
        self._tell("misplaced", misplaced, self._story)
        self._tell("contradicted", contradicted, lambda which: f"refused; {self._story(which)}")
        self._tell("unaccounted", unaccounted, lambda which: f"no answer; {self._story(which)}")
        held = {"held_twice": held_twice(facts), "held_elsewhere": held_elsewhere(facts)}
        self._examples |= {fault: told[:_MOST_EXAMPLES] for fault, told in held.items() if told}
        if facts.mishaps:
            self._examples["mishaps"] = facts.mishaps[:_MOST_EXAMPLES]
        unsent = np.maximum(column(facts.intended) - rows.sent, 0)
        return Findings(
            intended=int(rows.count + unsent.sum()),
            sent=rows.count,
            resent=len(column(facts.resent[0])),
            accepted=int(accepted.sum()),
            duplicates=facts.duplicates,
            refused=int((refused & ~accepted).sum()),
            unaccounted=int(unaccounted.sum()),
            unsent=int(unsent.sum()),
            delivered=int((accepted & at_reader & ~gone).sum()),
            kept=int(kept.sum()),
            lost=int(lost.sum()),
            doubled=int(doubled.sum()),
            reordered=int(reordered.sum()),
            misplaced=int(misplaced.sum()),
            contradicted=int(contradicted.sum()),
            invented=self._invented(),
            held_twice=len(held["held_twice"]),
            held_elsewhere=len(held["held_elsewhere"]),
            gaps=facts.gaps,
            foreign_again=facts.foreign_again,
            entries_again=facts.entries_again,
            entries_skipped=facts.entries_skipped,
            handed_on=facts.handed_on,
            snapshots=facts.snapshots,
            conversations=len(facts.conversations),
            mishaps=len(facts.mishaps),
            examples=self._examples,
        )

    def owners(self) -> dict[str, int]:
        """Return each conversation's person: that of its first message."""
        first = self._first_persons()
        return {name: int(first[place]) for place, name in enumerate(self._facts.conversations) if first[place] >= 0}

    def _invented(self) -> int:
        """Count the facts about messages that were never sent."""
        facts, known = self._facts, self._rows.known
        witnesses = (facts.receipts[0], facts.refused[0], facts.shown[0], facts.stored[0], facts.pushed_back)
        strange = np.concatenate([found[~known(found)] for found in map(column, witnesses)])
        if len(strange):
            named = strange[:_MOST_EXAMPLES]
            self._examples["invented"] = [f"{facts.run}-{key >> WRITER_SHIFT}-{key & _LOW}" for key in named]
        return len(strange)

    # -- what is wrong

    def _doubled(self) -> Mask:
        """Pushed twice, in whatever turn; or told of in two places by one kind of witness."""
        shown, mask = self._shown, self._rows.mask
        pushed = shown.rows[(shown.kinds == Shown.LIVE) | (shown.kinds == Shown.LATE)]
        twice = np.bincount(pushed, minlength=len(self._place)) > 1
        twice |= mask(shown.rows[shown.kinds == Shown.AGAIN])
        twice |= mask(late(shown, seen_before=True))
        pushed_back, _ = self._rows.of(self._facts.pushed_back)
        twice |= np.bincount(pushed_back, minlength=len(self._place)) > 1
        return twice | self._two_places

    @cached_property
    def _two_places(self) -> Mask:
        """Told of in two places by one kind of witness."""
        shown, rows = self._shown, self._rows
        twice = rows.mask(shown.rows[shown.places != self._seen[shown.rows]])
        for columns, first in ((self._facts.receipts, self._receipt), (self._facts.stored, self._stored)):
            index, which = rows.of(columns[0])
            twice |= rows.mask(index[column(columns[1])[which] != first[index]])
        return twice

    def _misplaced(self) -> Mask:
        shown, rows = self._shown, self._rows
        wrong = rows.mask(shown.rows[shown.kinds == Shown.STRAY])
        pairs = ((self._receipt, self._seen), (self._receipt, self._stored), (self._seen, self._stored))
        differ = np.logical_or.reduce([(one >= 0) & (other >= 0) & (one != other) for one, other in pairs])
        # of what stands in two places, one witness may know the one and one the other
        wrong |= differ & ~self._two_places
        wrong[self._sharing_a_place()] = True
        if self._persons is not None:
            first = self._first_persons()
            here = np.flatnonzero(self._place >= 0)
            wrong[here] |= self._persons[rows.writers[here]] != first[self._place[here] >> SEQ_BITS]
        if self._audience is not None:
            owner = self._owners()[shown.places >> SEQ_BITS]
            others = (owner >= 0) & (self._audience.persons[shown.readers] != owner)
            wrong |= rows.mask(shown.rows[others])
        return wrong

    def _owners(self) -> Ints:
        """Return of each conversation whose it is, and -1 at last, for messages without one."""
        known: Mapping[str, int] = self._audience.owners if self._audience is not None else _NOBODY
        return np.array([*(known.get(name, NOWHERE) for name in self._facts.conversations), NOWHERE], dtype=np.int64)

    def _must_be_heard(self) -> Mask:
        """Tell of each answer whether who it is for has a socket."""
        if self._audience is None:
            return np.zeros(len(self._receipt), dtype=np.bool_)
        owner = self._owners()[np.where(self._receipt >= 0, self._receipt >> SEQ_BITS, NOWHERE)]
        return np.isin(owner, self._audience.persons[: self._audience.listeners])

    @cached_property
    def _by_place(self) -> Indexes:
        """The rows of what stands somewhere, by conversation and number."""
        here = np.flatnonzero(self._place >= 0)
        return here[np.argsort(self._place[here], kind="stable")]

    def _sharing_a_place(self) -> Ints:
        """Return, of several messages under one number, all but the first."""
        order = self._by_place
        places = self._place[order]
        return order[1:][places[1:] == places[:-1]]

    def _first_persons(self) -> Ints:
        """Return, of each conversation, the person who wrote its first message; -1: nobody did."""
        found = np.full(len(self._facts.conversations), NOWHERE, dtype=np.int64)
        if self._persons is not None:
            order = self._by_place
            conversations = self._place[order] >> SEQ_BITS
            first = order[np.concatenate([[True], conversations[1:] != conversations[:-1]])] if len(order) else order
            found[self._place[first] >> SEQ_BITS] = self._persons[self._rows.writers[first]]
        return found

    def _reordered(self) -> Mask:
        """Pushed after a later one, or standing after one."""
        wrong = self._rows.mask(late(self._shown, seen_before=False))
        told = (self._seen >= 0) | (self._stored >= 0)
        wrong[overtaken(self._rows, self._facts, told, self._place)] = True
        return wrong

    def _gone(self) -> Mask:
        """Tell of each message whether it is missing in the history of its receipt's conversation, which was read."""
        # the last row is for messages without a receipt
        read = np.zeros(len(self._facts.conversations) + 1, dtype=np.bool_)
        read[column(self._facts.read)] = True
        return read[np.where(self._receipt >= 0, self._receipt >> SEQ_BITS, len(read) - 1)] & (self._stored < 0)

    def _waiting(self) -> Mask:
        """Tell of each receipt whether its message may wait: nobody has the conversation, or was shown a later one."""
        conversations, _, _, until = (column(data) for data in self._facts.stays)
        #: of each conversation the number beyond which messages may wait; the last row is for messages without one.
        beyond = np.zeros(len(self._facts.conversations) + 1, dtype=np.int64)
        np.maximum.at(beyond, self._shown.places >> SEQ_BITS, self._shown.places & _LOW)
        beyond[conversations[until == 0]] = _LOW
        return (self._receipt & _LOW) > beyond[np.where(self._receipt >= 0, self._receipt >> SEQ_BITS, len(beyond) - 1)]

    # -- words

    def _name(self, place: int) -> str:
        return f"{self._facts.conversations[place >> SEQ_BITS]}-{place & _LOW}" if place >= 0 else "nowhere"

    def _story(self, which: int) -> str:
        """Say what is known of a message."""
        told = [f"receipt {self._name(int(self._receipt[which]))}"]
        for row in np.flatnonzero(self._shown.rows == which)[:_MOST_EXAMPLES]:
            kind = Shown(int(self._shown.kinds[row])).name.lower()
            told.append(f"{kind} at reader {self._shown.readers[row]} as {self._name(int(self._shown.places[row]))}")
        if self._stored[which] >= 0:
            told.append(f"in the history as {self._name(int(self._stored[which]))}")
        return ", ".join(told)

    def _tell(self, fault: str, which: Mask, words: Callable[[int], str]) -> None:
        found = np.flatnonzero(which)[:_MOST_EXAMPLES]
        if len(found):
            named = zip(found, self._rows.writers[found], self._rows.numbers(found), strict=True)
            self._examples[fault] = [
                f"{self._facts.run}-{writer}-{number}: {words(int(index))}" for index, writer, number in named
            ]
