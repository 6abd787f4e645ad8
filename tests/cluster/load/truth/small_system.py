"""A system of a few lines that takes messages, numbers them, and shows them to desks; honest, or with one lie.

It exists to be audited: each lie is one thing that a real system could do wrong, told by name.
"""

import random
from dataclasses import dataclass, field

import numpy as np

from cluster.load.truth.audit import Audience, Audit
from cluster.load.truth.facts import Facts, merged
from cluster.load.truth.findings import Findings
from cluster.load.truth.ledger import Ledger, key_of
from cluster.load.truth.readers import FOREIGN, DeskReader, VisitorReader

RUN = "t1"
GENERATORS = 2
#: What each lie must be found as; nothing else may be reported.
LIES = {
    "not pushed": {"lost"},
    "confirmed and thrown away": {"lost"},
    "pushed twice": {"doubled"},
    "pushed again later": {"doubled"},
    "stored twice": {"doubled"},
    "confirmed under two numbers": {"doubled"},
    "pushed in another order": {"reordered"},
    "stored in another order": {"reordered"},
    "shown to another desk": {"misplaced"},
    "confirmed under another number": {"misplaced"},
    "put into another's conversation": {"misplaced"},
    "refused and stored": {"contradicted"},
    "not answered": {"unaccounted"},
    "confirmed what nobody sent": {"invented"},
    "an entry sent twice": {"entries_again"},
    "an entry left out": {"entries_skipped"},
    "a word of the bot left out": {"gaps"},
    "a word of the bot twice": {"foreign_again"},
    "offered to two desks": {"held_twice"},
    "removed what was not there": {"mishaps"},
}
ANSWER_LIES = {
    "answer not shown": {"lost"},
    "answer shown twice": {"doubled"},
    "answers in another order": {"reordered"},
    "answer shown to another": {"misplaced"},
}


@dataclass
class Case:
    """One conversation: its messages' keys, and where it is."""

    name: str
    person: int
    keys: list[int] = field(default_factory=list)
    holder: int = -1
    revision: int = 1
    shown: int = 0
    answers: list[tuple[int, int]] = field(default_factory=list)


class SmallSystem:
    """Writers, desks and the system between, all in one."""

    def __init__(self, rng: random.Random, writers: int = 6, desks: int = 3) -> None:
        self.rng = rng
        self.writers, self.desk_count = writers, desks
        # the last two writers are one person
        self.persons = np.arange(writers, dtype=np.int32)
        self.persons[writers - 1] = writers - 2
        self.ledgers = [Ledger(RUN, writers) for _ in range(GENERATORS)]
        self.answer_ledgers = [Ledger(RUN, desks) for _ in range(GENERATORS)]
        self.desks = [DeskReader(self.ledgers[desk % GENERATORS], desk) for desk in range(desks)]
        self.visitors = [VisitorReader(self.answer_ledgers[w % GENERATORS], w) for w in range(writers)]
        self.cursors = [0] * desks
        self.written = [0] * writers
        self.answered = [0] * desks
        self.cases: dict[int, Case] = {}
        self.opened = 0
        #: of each writer, what it must send again before it writes anew.
        self.unsure: dict[int, list[int]] = {}

    # -- the system

    def case_of(self, person: int) -> Case:
        if person not in self.cases:
            self.opened += 1
            self.cases[person] = Case(f"s{self.opened:04}", person)
        return self.cases[person]

    def store(self, case: Case, key: int) -> int:
        case.keys.append(key)
        return len(case.keys)

    def push(self, case: Case, seq: int, desk: int | None = None) -> None:
        desk = case.holder if desk is None else desk
        if desk >= 0:
            self.entry(desk)
            self.desks[desk].live(case.name, seq, case.keys[seq - 1])
            case.shown = max(case.shown, seq)

    def entry(self, desk: int) -> None:
        self.cursors[desk] += 1
        self.desks[desk].entry(self.cursors[desk])

    def offer(self, case: Case, desk: int) -> None:
        case.holder = desk
        case.revision += 1
        self.entry(desk)
        self._come(case, desk)

    def _come(self, case: Case, desk: int) -> None:
        known = list(enumerate(case.keys, 1))
        self.desks[desk].offered(case.name, case.revision, known[-5:])
        first = max(len(known) - 4, 1)
        if case.shown + 1 < first:
            self.desks[desk].page(case.name, known[case.shown : first - 1])
        case.shown = len(known)

    def withdraw(self, case: Case) -> None:
        case.revision += 1
        self.entry(case.holder)
        self.desks[case.holder].removed(case.name, case.revision)
        case.holder = -1

    # -- the people

    def new_key(self, writer: int) -> int:
        number = self.written[writer]
        self.written[writer] += 1
        mine = self.ledgers[writer % GENERATORS]
        mine.intend(writer, number)
        mine.sent(writer, number)
        return key_of(writer, number)

    def confirm(self, key: int, case: Case, seq: int, *, duplicate: bool = False) -> None:
        writer, number = key >> 32, key & 0xFFFFFFFF
        self.ledgers[writer % GENERATORS].receipt(writer, number, case.name, seq, duplicate=duplicate)

    def refuse(self, key: int, *, stored: bool) -> None:
        writer, number = key >> 32, key & 0xFFFFFFFF
        self.ledgers[writer % GENERATORS].refused(writer, number, stored=stored)

    def write(self, writer: int) -> int:
        """One message, by one of the honest ways; returns its key."""
        key = self.new_key(writer)
        case = self.case_of(int(self.persons[writer]))
        match self.rng.choice(["well", "well", "well", "answer lost", "not stored", "refused", "unavailable"]):
            case "well":
                seq = self.store(case, key)
                self.push(case, seq)
                self.confirm(key, case, seq)
            case "answer lost":
                self.push(case, self.store(case, key))
                self.unsure.setdefault(writer, []).append(key)
            case "not stored":
                self.unsure.setdefault(writer, []).append(key)
            case "refused":
                self.refuse(key, stored=False)
            case "unavailable":
                self.refuse(key, stored=True)
                if self.rng.random() < 0.5:
                    self.push(case, self.store(case, key))
                self.unsure.setdefault(writer, []).append(key)
        return key

    def send_again(self, writer: int) -> None:
        """What has no answer goes again, and is recognised if it had been stored."""
        case = self.case_of(int(self.persons[writer]))
        for key in self.unsure.pop(writer, []):
            self.ledgers[writer % GENERATORS].resent(writer, key & 0xFFFFFFFF)
            known = key in case.keys
            if known:
                seq = case.keys.index(key) + 1
            else:
                seq = self.store(case, key)
                self.push(case, seq)
            self.confirm(key, case, seq, duplicate=known)
            if self.rng.random() < 0.1:
                self.confirm(key, case, seq, duplicate=True)

    def foreign(self, case: Case) -> None:
        self.push(case, self.store(case, FOREIGN))

    def answer(self, case: Case) -> tuple[int, int]:
        """The agent who has it says something; it is not yet shown to the contact."""
        desk = case.holder
        number = self.answered[desk]
        self.answered[desk] += 1
        mine = self.answer_ledgers[desk % GENERATORS]
        mine.intend(desk, number)
        mine.sent(desk, number)
        seq = self.store(case, FOREIGN)
        self.push(case, seq)
        mine.receipt(desk, number, case.name, seq)
        return seq, key_of(desk, number)

    def show_answer(self, case: Case, said: tuple[int, int], person: int | None = None) -> None:
        seq, key = said
        self.visitors[case.person if person is None else person].live(case.name, seq, key)
        case.answers.append(said)

    def step(self) -> None:
        """Anything that may happen."""
        writer = self.rng.randrange(self.writers)
        case = self.case_of(int(self.persons[writer]))
        match self.rng.choice(["write"] * 8 + ["again", "assign", "assign", "wait", "foreign", "answer", "fresh"]):
            case "write":
                self.write(writer)
            case "again":
                self.send_again(writer)
            case "assign":
                if case.holder >= 0:
                    self.withdraw(case)
                self.offer(case, self.rng.randrange(self.desk_count))
            case "wait" if case.holder >= 0:
                self.withdraw(case)
            case "foreign":
                self.foreign(case)
            case "answer" if case.holder >= 0:
                self.show_answer(case, self.answer(case))
            case "fresh":
                self.fresh_start(self.rng.randrange(self.desk_count))
            case _:
                pass

    def fresh_start(self, desk: int) -> None:
        """A desk was cut off; meanwhile things happened that it is told at once."""
        held = [case for case in self.cases.values() if case.holder == desk]
        for case in held:
            if self.rng.random() < 0.3:
                case.holder = -1
                case.revision += 1
            else:
                self.store(case, FOREIGN)
        self.cursors[desk] += 3
        held = [case for case in held if case.holder == desk]
        self.desks[desk].snapshot(self.cursors[desk], [case.name for case in held])
        for case in held:
            self._come(case, desk)

    def finish(self) -> None:
        """Everything that has no answer goes once more; the history is read; the desks are put away."""
        for writer in range(self.writers):
            self.send_again(writer)
        for case in self.cases.values():
            for seq, key in enumerate(case.keys, 1):
                if key != FOREIGN:
                    self.ledgers[0].stored(key >> 32, key & 0xFFFFFFFF, case.name, seq)
        for desk in self.desks:
            desk.close()

    def audit(self) -> tuple[Findings, Findings]:
        """Return what is found of messages and of answers."""
        whole = Audit(merged([ledger.facts() for ledger in self.ledgers]), self.persons)
        found = whole.run()
        answers = merged([ledger.facts() for ledger in self.answer_ledgers])
        return found, Audit(answers, audience=Audience(whole.owners(), self.persons)).run()

    def facts(self) -> Facts:
        return merged([ledger.facts() for ledger in self.ledgers])
