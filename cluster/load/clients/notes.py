"""What the clients of one generator write down: the facts for the audit, and the latencies.

Each message passes here three times: sent, answered, shown. On the way a latency is some integers appended to
arrays; once a second `Notes.fold` computes all stages of the second at once.
"""

from array import array
from collections import Counter

import numpy as np

from cluster.load.clients.clock import Clock
from cluster.load.targets.said import Receipt, Refusal, Said, Written
from cluster.load.truth.facts import KIND_BITS, Ints, Shown
from cluster.load.truth.ledger import Ledger, key_of
from cluster.load.truth.message_ids import MessageIds
from cluster.load.truth.readers import FOREIGN
from cluster.load.truth.recorder import Recorder
from cluster.load.truth.seen import Seen


class Notes:
    """One generator's.

    Args:
        clock: of the run.
        ids: of the run.
        messages: ledger of what contacts write.
        answers: ledger of what agents write.
        recorder: of the latencies.
    """

    def __init__(self, clock: Clock, ids: MessageIds, messages: Ledger, answers: Ledger, recorder: Recorder) -> None:
        self.clock = clock
        self.ids = ids
        self.messages = messages
        self.answers = answers
        self.recorder = recorder
        #: messages that desks here were shown, and answers that visitors here were shown.
        self.shown, self.heard = Seen(), Seen()
        #: messages and answers that left and have neither receipt nor refusal.
        self.unanswered = 0
        self.sent = 0
        self.refused = 0
        self.refusals: Counter[str] = Counter()
        #: accepted, and the vendor is not told where they stand: keys of messages.
        self.nowhere: array[int] = array("q")
        #: answers that reached a vendor, which is not told where they stand: key, and reader with kind.
        self.at_vendor: tuple[array[int], array[int]] = (array("q"), array("q"))
        self.last_lag_p99_ms = 0.0
        self._ready = _columns(2)
        self._sent = array("q")
        self._receipts = _columns(2)
        self._refusals = _columns(2)
        self._shown = _columns(5)
        self._answers = _columns(2)

    # -- contacts

    def write(self, writer: int, number: int, due_us: int, text: str) -> Written:
        """Make a message that is ready to leave; how late it is now is the harness' own doing."""
        now_us = self.clock.now_us()
        due, now = self._ready
        due.append(due_us)
        now.append(now_us)
        return Written(number, self.ids.write(writer, number, due_us, max(now_us - due_us, 0)), text, due_us)

    def leaves(self, writer: int, written: Written) -> None:
        """A message of a contact leaves for the first time."""
        self.messages.sent(writer, written.number)
        self._sent.append(self.clock.now_us())
        self.unanswered += 1
        self.sent += 1

    def leaves_again(self, writer: int, written: Written) -> None:
        """It leaves under its old id."""
        written.again = True
        self.messages.resent(writer, written.number)
        self.recorder.count("resent", self.clock.now_us())

    def receipt(self, writer: int, written: Written, receipt: Receipt) -> None:
        """A message of a contact has its receipt."""
        self.messages.receipt(writer, written.number, receipt.conversation, receipt.seq, duplicate=receipt.duplicate)
        self._confirmed(written)

    def taken(self, writer: int, written: Written) -> None:
        """It has a receipt that does not say where it stands."""
        self.nowhere.append(key_of(writer, written.number))
        self.messages.confirmed += 1
        self._confirmed(written)

    def _confirmed(self, written: Written) -> None:
        due, now = self._receipts
        due.append(written.due_us)
        now.append(self.clock.now_us())
        self.unanswered -= 1

    def turned_away(self, writer: int, written: Written, refusal: Refusal, *, last: bool = True) -> None:
        """A message of a contact was answered with an error.

        Args:
            writer, written: which one.
            refusal: what was said. Of one that left twice nobody knows whether the first was stored.
            last: it is not sent again.
        """
        self.messages.refused(writer, written.number, stored=refusal.again or written.again)
        due, now = self._refusals
        due.append(written.due_us)
        now.append(self.clock.now_us())
        self.refusals[refusal.name] += 1
        self.refused += 1
        self.unanswered -= last

    # -- desks

    def at_desk(self, said: Said, *, first_desk: bool = True) -> int:
        """A desk is shown a message; returns its key, `FOREIGN` for those of others.

        Args:
            said: the message.
            first_desk: no desk can have been shown it before, save those of this generator.
        """
        if said.author != "contact":
            return FOREIGN
        found = self.ids.find(said.source_id, said.text)
        if found is None:
            return FOREIGN
        if self.shown.first(found.writer, found.number) and first_desk:
            due, lag, received, at, now = self._shown
            due.append(found.due_us)
            lag.append(found.lag_us)
            received.append(said.received_at_ms)
            at.append(said.at_ms)
            now.append(self.clock.now_us())
        return key_of(found.writer, found.number)

    def pushed_back(self, said: Said) -> None:
        """A desk is pushed an answer: its agent's own, in its turn among the others."""
        if said.author == "agent" and (found := self.ids.find(said.source_id, said.text)) is not None:
            self.answers.pushed_back(key_of(found.writer, found.number))

    def silence(self, begin_us: int, end_us: int) -> None:
        """A desk was told nothing for a while."""
        # one that lasts until the end of a second belongs to that second
        self.recorder.record("silence", end_us - 1, end_us - begin_us)

    def answer(self, agent: int, number: int, due_us: int, text: str, *, tagged: bool) -> Written:
        """Make an answer that is ready to leave, and note that it was due; ``tagged``: a vendor hides its id."""
        self.answers.intend(agent, number)
        named = self.ids.write(agent, number, due_us)
        return Written(number, named, self.ids.tagged(text, named) if tagged else text, due_us)

    def answer_leaves(self, agent: int, written: Written) -> None:
        """An answer leaves for the first time."""
        self.answers.sent(agent, written.number)
        self.unanswered += 1

    def answer_leaves_again(self, agent: int, written: Written) -> None:
        """It leaves under its old id."""
        written.again = True
        self.answers.resent(agent, written.number)

    def answer_receipt(self, agent: int, written: Written, receipt: Receipt) -> None:
        """An answer has its receipt."""
        self.answers.receipt(agent, written.number, receipt.conversation, receipt.seq, duplicate=receipt.duplicate)
        self.unanswered -= 1

    def answer_refused(self, agent: int, written: Written, refusal: Refusal, *, last: bool = True) -> None:
        """An answer was answered with an error; ``last``: it is not sent again."""
        self.answers.refused(agent, written.number, stored=refusal.again or written.again)
        self.refusals[f"answer: {refusal.name}"] += 1
        self.unanswered -= last

    # -- those who are answered

    def at_visitor(self, said: Said) -> int:
        """A visitor is shown something; returns the key of an answer, `FOREIGN` for all else."""
        if said.author != "agent":
            return FOREIGN
        found = self.ids.find(said.source_id, said.text)
        if found is None:
            return FOREIGN
        if self.heard.first(found.writer, found.number):
            self._answered(found.due_us)
        return key_of(found.writer, found.number)

    def reached_vendor(self, text: str, writer: int, kind: Shown) -> None:
        """The vendor is told an answer for a contact; who also reads it on a page is not pushed it twice by that."""
        found = self.ids.find("", text)
        if found is None:
            return
        keys, readers = self.at_vendor
        keys.append(key_of(found.writer, found.number))
        readers.append(writer << KIND_BITS | kind)
        if self.heard.first(found.writer, found.number):
            self._answered(found.due_us)

    def _answered(self, due_us: int) -> None:
        due, now = self._answers
        due.append(due_us)
        now.append(self.clock.now_us())

    # -- once a second

    @property
    def moved(self) -> int:
        """Grows with whatever happens."""
        return (
            self.sent
            + self.refused
            + self.messages.confirmed
            + self.messages.seen
            + self.answers.confirmed
            + (self.shown.count + self.heard.count)
        )

    def fold(self) -> None:
        """Compute the latencies of what was noted since the last time."""
        due, now = _taken(self._ready)
        self.recorder.record_all("lag", due, np.maximum(now - due, 0))
        self.recorder.count_all("sent", _taken((self._sent,))[0])
        self.last_lag_p99_ms = float(np.percentile(now - due, 99)) / 1e3 if len(due) else 0.0
        due, now = _taken(self._receipts)
        self.recorder.record_all("receipt", due, now - due)
        self.recorder.count_all("accepted", now)
        due, now = _taken(self._refusals)
        self.recorder.record_all("refusal", due, now - due)
        self.recorder.count_all("refused", due)
        due, now = _taken(self._answers)
        self.recorder.record_all("answer", due, now - due)
        self.recorder.count_all("answered", now)
        self._fold_shown(*_taken(self._shown))
        self.recorder.fold()

    def _fold_shown(self, due: Ints, lag: Ints, received_ms: Ints, at_ms: Ints, now: Ints) -> None:
        self.recorder.record_all("desk", due, now - due)
        self.recorder.count_all("shown", now)
        told = (received_ms > 0) & (at_ms > 0)
        due, lag, now = due[told], lag[told], now[told]
        received = received_ms[told] * 1000 - self.clock.zero_wall_us
        at = at_ms[told] * 1000 - self.clock.zero_wall_us
        self.recorder.record_all("reach", due, received - due - lag)
        self.recorder.record_all("route", due, at - received)
        self.recorder.record_all("push", due, now - at)


def _columns(count: int) -> "tuple[array[int], ...]":
    return tuple(array("q") for _ in range(count))


def _taken(columns: "tuple[array[int], ...]") -> tuple[Ints, ...]:
    """Return what columns hold, and empty them."""
    found = tuple(np.array(each, dtype=np.int64) for each in columns)
    for each in columns:
        del each[:]
    return found
