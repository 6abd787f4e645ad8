"""The audit of a run: what was sent, confirmed and shown, reconciled message by message; it trusts nothing.

A receipt, a showing and a line of the history are three witnesses; each names a message by the id that it carries
and says where it stands. Whatever one of them says and another does not is a finding
(`cluster/load/truth/findings.py`). All work is on arrays, some ten seconds and two gigabytes for ten million messages.

Order is judged by what the sender can know: of two messages of one writer in one conversation the later one must
not stand first, if it left for the first time after the earlier one left for the last time. So a message that had
to be sent again is not held against the system for what overtook it meanwhile, and is for all that left later.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cluster.load.scenario.people import Writers
from cluster.load.truth.facts import KIND_BITS, SEQ_BITS, WRITER_SHIFT, Facts, Ints, Shown, column
from cluster.load.truth.findings import Findings
from cluster.load.truth.stays import held_elsewhere, held_twice

Mask = npt.NDArray[np.bool_]
_LOW = (1 << 32) - 1
_MOST_EXAMPLES = 8
_NOWHERE = -1
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
        self._sent = column(facts.sent)
        self._offset = np.concatenate([[0], np.cumsum(self._sent)])
        self._examples: dict[str, list[str]] = {}
        self._receipt = self._first_places(facts.receipts)
        self._stored = self._first_places(facts.stored)
        shown, rows = self._indexes(facts.shown[0])
        self._shown_index = shown
        self._shown_place = column(facts.shown[1])[rows]
        by = column(facts.shown[2])[rows]
        self._reader, self._kind = by >> KIND_BITS, by & ((1 << KIND_BITS) - 1)
        seen = self._nowhere()
        seen[shown[::-1]] = self._shown_place[::-1]
        self._seen = seen
        #: where a message stands; a receipt alone is only the system's word.
        self._place = np.where(seen >= 0, seen, np.where(self._stored >= 0, self._stored, self._receipt))

    def run(self) -> Findings:
        """Reconcile everything."""
        facts = self._facts
        accepted = self._receipt >= 0
        at_reader = self._mask(self._shown_index[self._kind != Shown.STRAY])
        gone = accepted & self._gone()
        kept = accepted & ~at_reader & (self._stored >= 0) & self._waiting() & ~self._must_be_heard()
        lost = (accepted & ~at_reader & ~kept) | gone
        refused_index, rows = self._indexes(facts.refused[0])
        refused = self._mask(refused_index)
        not_stored = self._mask(refused_index[column(facts.refused[1])[rows] == 1])
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
        unsent = np.maximum(column(facts.intended) - self._sent, 0)
        return Findings(
            intended=int(self._sent.sum() + unsent.sum()),
            sent=int(self._sent.sum()),
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

    # -- from facts to one row for each message that was sent

    def _known(self, keys: Ints) -> Mask:
        """Tell of each key whether its message was sent."""
        writer, number = keys >> WRITER_SHIFT, keys & _LOW
        known = (writer >= 0) & (writer < len(self._sent))
        known[known] &= number[known] < self._sent[writer[known]]
        return known

    def _indexes(self, keys: bytes) -> tuple[Ints, npt.NDArray[np.intp]]:
        """Return the rows of the messages that were sent, and which of the facts they are."""
        found = column(keys)
        rows = np.flatnonzero(self._known(found))
        return self._offset[found[rows] >> WRITER_SHIFT] + (found[rows] & _LOW), rows

    def _invented(self) -> int:
        """Count the facts about messages that were never sent."""
        facts = self._facts
        witnesses = (facts.receipts[0], facts.refused[0], facts.shown[0], facts.stored[0], facts.pushed_back)
        strange = np.concatenate([found[~self._known(found)] for found in map(column, witnesses)])
        if len(strange):
            named = strange[:_MOST_EXAMPLES]
            self._examples["invented"] = [f"{facts.run}-{key >> WRITER_SHIFT}-{key & _LOW}" for key in named]
        return len(strange)

    def _first_places(self, columns: tuple[bytes, bytes]) -> Ints:
        """Return where each message stands by the first fact about it."""
        index, rows = self._indexes(columns[0])
        places = self._nowhere()
        places[index[::-1]] = column(columns[1])[rows][::-1]
        return places

    def _nowhere(self) -> Ints:
        return np.full(int(self._offset[-1]), _NOWHERE, dtype=np.int64)

    def _mask(self, index: Ints) -> Mask:
        mask = np.zeros(int(self._offset[-1]), dtype=np.bool_)
        mask[index] = True
        return mask

    # -- what is wrong

    def _doubled(self) -> Mask:
        """Pushed twice, in whatever turn; or told of in two places by one kind of witness."""
        pushed = self._shown_index[(self._kind == Shown.LIVE) | (self._kind == Shown.LATE)]
        twice = np.bincount(pushed, minlength=len(self._place)) > 1
        twice |= self._mask(self._shown_index[self._kind == Shown.AGAIN])
        twice |= self._mask(self._late(seen_before=True))
        pushed_back, _ = self._indexes(self._facts.pushed_back)
        twice |= np.bincount(pushed_back, minlength=len(self._place)) > 1
        return twice | self._two_places()

    def _two_places(self) -> Mask:
        """Told of in two places by one kind of witness."""
        twice = self._mask(self._shown_index[self._shown_place != self._seen[self._shown_index]])
        for columns, first in ((self._facts.receipts, self._receipt), (self._facts.stored, self._stored)):
            index, rows = self._indexes(columns[0])
            twice |= self._mask(index[column(columns[1])[rows] != first[index]])
        return twice

    def _misplaced(self) -> Mask:
        wrong = self._mask(self._shown_index[self._kind == Shown.STRAY])
        pairs = ((self._receipt, self._seen), (self._receipt, self._stored), (self._seen, self._stored))
        differ = np.logical_or.reduce([(one >= 0) & (other >= 0) & (one != other) for one, other in pairs])
        # of what stands in two places, one witness may know the one and one the other
        wrong |= differ & ~self._two_places()
        wrong |= self._sharing_a_place()
        if self._persons is not None:
            first = self._first_persons()
            here = np.flatnonzero(self._place >= 0)
            wrong[here] |= self._persons[self._writer(here)] != first[self._place[here] >> SEQ_BITS]
        if self._audience is not None:
            owner = self._owners()[self._shown_place >> SEQ_BITS]
            others = (owner >= 0) & (self._audience.persons[self._reader] != owner)
            wrong |= self._mask(self._shown_index[others])
        return wrong

    def _owners(self) -> Ints:
        """Return of each conversation whose it is, and -1 at last, for messages without one."""
        known: Mapping[str, int] = self._audience.owners if self._audience is not None else _NOBODY
        return np.array([*(known.get(name, _NOWHERE) for name in self._facts.conversations), _NOWHERE], dtype=np.int64)

    def _must_be_heard(self) -> Mask:
        """Tell of each answer whether who it is for has a socket."""
        if self._audience is None:
            return np.zeros(len(self._receipt), dtype=np.bool_)
        owner = self._owners()[np.where(self._receipt >= 0, self._receipt >> SEQ_BITS, _NOWHERE)]
        return np.isin(owner, self._audience.persons[: self._audience.listeners])

    def _sharing_a_place(self) -> Mask:
        """Of several messages under one number, all but the first."""
        here = np.flatnonzero(self._place >= 0)
        order = here[np.argsort(self._place[here], kind="stable")]
        places = self._place[order]
        return self._mask(order[1:][places[1:] == places[:-1]])

    def _first_persons(self) -> Ints:
        """Return, of each conversation, the person who wrote its first message; -1: nobody did."""
        found = np.full(len(self._facts.conversations), _NOWHERE, dtype=np.int64)
        if self._persons is not None:
            here = np.flatnonzero(self._place >= 0)
            order = here[np.argsort(self._place[here], kind="stable")][::-1]
            found[self._place[order] >> SEQ_BITS] = self._persons[self._writer(order)]
        return found

    def _reordered(self) -> Mask:
        late = self._mask(self._late(seen_before=False))
        here = np.flatnonzero((self._seen >= 0) | (self._stored >= 0))
        if not len(here):
            return late
        writer = self._writer(here)
        number = here - self._offset[writer]
        place = self._place[here]
        # rows of one writer and one conversation together, by number; they stand by writer and number already
        order = np.lexsort((place >> SEQ_BITS, writer))
        here, writer, number, place = here[order], writer[order], number[order], place[order]
        starts = np.concatenate(
            [[True], (writer[1:] != writer[:-1]) | (place[1:] >> SEQ_BITS != place[:-1] >> SEQ_BITS)]
        )
        group = np.cumsum(starts) << SEQ_BITS
        stands = group | (place & _LOW)
        earliest_from_here_on = np.minimum.accumulate(stands[::-1])[::-1]
        # the first one that left after this one had left for the last time
        later = np.searchsorted(group | number, group | self._sent_until()[here], side="left")
        judged = later < len(here)
        overtaken = np.zeros(len(here), dtype=np.bool_)
        # a later group's numbers are larger than all of this one, so they never count as overtaking
        overtaken[judged] = earliest_from_here_on[later[judged]] < stands[judged]
        late[here[overtaken]] = True
        return late

    def _late(self, *, seen_before: bool) -> Ints:
        """Return what was pushed after a later one, to readers who had, or had not, been shown it before.

        The facts about one reader come from one generator, in the order of time.
        """
        late = np.flatnonzero(self._kind == Shown.LATE)
        to = self._shown_index << WRITER_SHIFT | self._reader
        pairs, first = np.unique(to, return_index=True)
        before = first[np.searchsorted(pairs, to[late])] < late
        return self._shown_index[late[before == seen_before]]

    def _sent_until(self) -> Ints:
        """Return, for each message, how many its writer had sent when it left for the last time, itself among them."""
        until = np.arange(len(self._place)) - np.repeat(self._offset[:-1], self._sent) + 1
        index, rows = self._indexes(self._facts.resent[0])
        np.maximum.at(until, index, column(self._facts.resent[1])[rows])
        return until

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
        np.maximum.at(beyond, self._shown_place >> SEQ_BITS, self._shown_place & _LOW)
        beyond[conversations[until == 0]] = _LOW
        return (self._receipt & _LOW) > beyond[np.where(self._receipt >= 0, self._receipt >> SEQ_BITS, len(beyond) - 1)]

    # -- words

    def _writer(self, index: npt.NDArray[np.intp]) -> Ints:
        return np.searchsorted(self._offset, index, side="right").astype(np.int64) - 1

    def _name(self, place: int) -> str:
        return f"{self._facts.conversations[place >> SEQ_BITS]}-{place & _LOW}" if place >= 0 else "nowhere"

    def _story(self, which: int) -> str:
        """Say what is known of a message."""
        told = [f"receipt {self._name(int(self._receipt[which]))}"]
        for row in np.flatnonzero(self._shown_index == which)[:_MOST_EXAMPLES]:
            kind = Shown(int(self._kind[row])).name.lower()
            told.append(f"{kind} at reader {self._reader[row]} as {self._name(int(self._shown_place[row]))}")
        if self._stored[which] >= 0:
            told.append(f"in the history as {self._name(int(self._stored[which]))}")
        return ", ".join(told)

    def _tell(self, fault: str, which: Mask, words: Callable[[int], str]) -> None:
        found = np.flatnonzero(which)[:_MOST_EXAMPLES]
        if len(found):
            writers = self._writer(found)
            self._examples[fault] = [
                f"{self._facts.run}-{writer}-{index - self._offset[writer]}: {words(int(index))}"
                for index, writer in zip(found, writers, strict=True)
            ]
