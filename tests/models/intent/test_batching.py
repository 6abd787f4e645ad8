"""Whatever arrives, leaves or grows late in between: no text is lost or doubled, none starves, every bound holds."""

import itertools
import random
import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from models.domain.errors import Overloaded, TooLarge
from models.intent.batching import Batcher, Ticket

BUDGET, WAITING, RUN = 24, 12, 6
NUMBERS = itertools.count()


def batcher(**changes):
    return Batcher(**{"token_budget": BUDGET, "max_waiting": WAITING, "run_tokens": RUN} | changes)


def ticket(length, name="", *, until_s=100.0, place=0):
    """A text unlike all others, unless it has the name of another."""
    key = name or f"text {next(NUMBERS)}"
    return Ticket(caller=name, place=place, key=key, tokens=[1] * length, deadline_s=until_s)


def lengths(batch):
    return sorted(len(row[0].tokens) for row in batch.rows)


class AnyInterleaving(RuleBasedStateMachine):
    """Keeps its own plain list of what waits, and compares."""

    def __init__(self):
        super().__init__()
        self.now_s = 1_000.0
        self.line = []  # what waits, oldest first
        self.ended = {}  # ticket -> how
        self.all = []

    @initialize(budget=st.integers(4, 60), waiting=st.integers(1, 20), run=st.integers(0, 20))
    def start(self, budget, waiting, run):
        self.budget, self.bound, self.run = budget, waiting, run
        self.batcher = Batcher(token_budget=budget, max_waiting=waiting, run_tokens=run)

    @rule(texts=st.lists(st.tuples(st.integers(2, 30), st.integers(0, 3)), max_size=8), patience_s=st.integers(-1, 30))
    def a_caller_asks(self, texts, patience_s):
        tickets = [
            # of one length only a few different texts, so that some are alike
            Ticket(caller=self, place=place, key=f"{length}/{kind}", tokens=[kind] * length, deadline_s=0)
            for place, (length, kind) in enumerate(texts)
        ]
        for each in tickets:
            each.deadline_s = self.now_s + patience_s
        try:
            self.batcher.put(tickets, self.now_s)
        except TooLarge:
            assert len(tickets) > self.bound
        except Overloaded:
            assert len(self.line) + len(tickets) > self.bound
        else:
            self.line += tickets
            self.all += tickets
            assert len(self.line) <= self.bound

    @rule(data=st.data())
    def a_caller_leaves(self, data):
        """Some of the texts that it withdraws may be long done with."""
        leaving = data.draw(st.lists(st.sampled_from(self.all), max_size=5) if self.all else st.just([]))
        self.batcher.withdraw(leaving)
        for each in leaving:
            if each in self.line:
                self.end([each], "withdrawn")

    @rule(seconds=st.sampled_from([0.0, 0.5, 5.0, 40.0]))
    def time_passes(self, seconds):
        self.now_s += seconds

    @rule()
    def some_become_late(self):
        self.hear_late(self.batcher.expire(self.now_s))

    @rule()
    def the_model_is_free(self):
        batch = self.batcher.take(self.now_s)
        self.hear_late(batch.late)
        assert bool(batch.rows) == bool(self.line)
        if not batch.rows:
            return
        taken = [each for row in batch.rows for each in row]
        assert self.line[0] in taken, "the text that waits longest was passed over"
        for row in batch.rows:
            assert len({each.key for each in row}) == 1
        keys = {row[0].key for row in batch.rows}
        assert len(keys) == len(batch.rows), "the same text runs twice"
        rest = [each for each in self.line if each not in taken]
        assert not [each for each in rest if each.key in keys], "a text that is being run waits on"
        rows = lengths(batch)
        padded = len(rows) * rows[-1]
        assert padded <= self.budget or len(rows) == 1
        assert padded - sum(rows) <= self.run
        self.check_that_no_more_fits(rows, rest)
        self.check_that_none_of_its_length_was_passed_over(batch, rest)
        assert batch.tokens == [row[0].tokens for row in batch.rows]
        self.end(taken, "run")

    def check_that_no_more_fits(self, rows, rest):
        for length in {len(each.tokens) for each in rest}:
            longest = max(rows[-1], length)
            padded = (len(rows) + 1) * longest
            fits = padded <= self.budget and padded - sum(rows) - length <= self.run
            assert not fits, f"{length} would have fitted into {rows}"

    def check_that_none_of_its_length_was_passed_over(self, batch, rest):
        for row in batch.rows:
            alike = [each for each in rest if len(each.tokens) == len(row[0].tokens)]
            assert all(self.line.index(row[0]) < self.line.index(each) for each in alike)

    def hear_late(self, late):
        assert {id(each) for each in late} == {id(each) for each in self.line if each.deadline_s <= self.now_s}
        self.end(late, "late")

    def end(self, tickets, how):
        for each in tickets:
            assert each not in self.ended, "a text was handled twice"
            assert each in self.line
            self.ended[each] = how
            self.line.remove(each)

    @invariant()
    def everything_is_accounted_for(self):
        counts = self.batcher.counts
        by_how = [sum(how == wanted for how in self.ended.values()) for wanted in ("run", "late", "withdrawn")]
        assert [counts.run, counts.late, counts.withdrawn] == by_how
        assert len(self.batcher) == len(self.line) == counts.accepted - sum(by_how)
        assert counts.rows + counts.riders == counts.run
        assert [each.waiting for each in self.line] == [True] * len(self.line)
        assert not [each for each in self.ended if each.waiting]


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_similar_lengths_go_together():
    waiting = batcher(token_budget=64, max_waiting=100)
    waiting.put([ticket(length) for length in (8, 30, 9, 7, 31, 8)], 0)
    assert lengths(waiting.take(0)) == [7, 8, 8, 9]
    assert lengths(waiting.take(0)) == [30, 31]


def test_a_batch_is_built_around_the_text_that_waits_longest():
    waiting = batcher(token_budget=16, run_tokens=2)
    waiting.put([ticket(16, "long"), *(ticket(4) for _ in range(8))], 0)
    assert [row[0].caller for row in waiting.take(0).rows] == ["long"]
    assert lengths(waiting.take(0)) == [4, 4, 4, 4]


def test_a_long_text_is_not_passed_over_by_ever_new_short_ones():
    waiting = batcher(token_budget=8, run_tokens=0)
    waiting.put([ticket(3), ticket(20, "long")], 0)
    taken = []
    for _ in range(2):
        taken += [row[0].caller for row in waiting.take(0).rows]
        waiting.put([ticket(3) for _ in range(2)], 0)
    assert "long" in taken


def test_a_text_over_the_budget_runs_alone():
    waiting = batcher(token_budget=10, run_tokens=100)
    waiting.put([ticket(30), ticket(30), ticket(5)], 0)
    assert [lengths(waiting.take(0)) for _ in range(3)] == [[30], [30], [5]]


def test_padding_is_worth_a_run_and_no_more():
    waiting = batcher(token_budget=1000, run_tokens=6)
    waiting.put([ticket(length) for length in (10, 6, 8, 4)], 0)
    assert lengths(waiting.take(0)) == [6, 8, 10]
    assert waiting.counts.padded_tokens - waiting.counts.real_tokens == 6


def test_the_same_text_runs_once_for_all_who_asked_for_it():
    waiting = batcher(token_budget=8)
    same = [ticket(4, "same") for _ in range(3)]
    waiting.put([*same[:2], ticket(4), same[2]], 0)
    waiting.withdraw([same[1]])
    batch = waiting.take(0)
    assert batch.rows[0] == [same[0], same[2]]
    assert len(batch.rows) == 2
    assert (waiting.counts.run, waiting.counts.rows, waiting.counts.riders) == (3, 2, 1)
    assert waiting.counts.real_tokens == 8


def test_a_list_is_refused_as_a_whole():
    waiting = batcher(max_waiting=4)
    waiting.put([ticket(3) for _ in range(3)], 0)
    with pytest.raises(Overloaded):
        waiting.put([ticket(3) for _ in range(2)], 0)
    assert len(waiting) == 3
    with pytest.raises(TooLarge, match="at most 4 texts"):
        waiting.put([ticket(3) for _ in range(5)], 0)
    waiting.put([ticket(3)], 0)
    assert waiting.counts.accepted == 4


def test_late_texts_come_out_apart_and_never_run():
    waiting = batcher()
    late, last = ticket(4, "late", until_s=5.0), ticket(4, "last", until_s=5.5)
    waiting.put([late, last], 0)
    batch = waiting.take(5.0)
    assert batch.late == [late]
    assert batch.rows == [[last]]
    assert waiting.counts.late == 1


def test_tickets_that_left_are_not_kept():
    """A caller may ask for a long wait and leave at once, for ever."""
    waiting = batcher()
    waiting.put([ticket(4, "stays", until_s=1e9)], 0)
    for _ in range(5_000):
        tickets = [ticket(4, until_s=1e9)]
        waiting.put(tickets, 0)
        waiting.withdraw(tickets)
    assert len(waiting._deadlines) < 1_000
    assert waiting.expire(1e9)[0].caller == "stays"


def test_deadlines_are_kept_in_any_order_of_arrival():
    waiting = batcher(max_waiting=1_000)
    deadlines = list(range(1_000))
    random.Random(7).shuffle(deadlines)
    waiting.put([ticket(4, str(until_s), until_s=until_s) for until_s in deadlines], 0)
    assert [each.caller for each in waiting.expire(499)] == [str(until_s) for until_s in range(500)]
    assert len(waiting) == 500


def calls_of_a_take(waits):
    waiting = batcher(max_waiting=waits)
    waiting.put([ticket(4 + n % 5) for n in range(waits)], 0)
    calls = 0

    def count(*_):
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        waiting.take(0)
    finally:
        sys.setprofile(None)
    return calls


def test_the_cost_of_a_take_does_not_grow_with_what_waits():
    assert calls_of_a_take(10_000) == calls_of_a_take(100)
