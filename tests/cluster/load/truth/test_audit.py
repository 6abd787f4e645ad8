"""The audit finds each lie, and reports nothing of an honest system, however unlucky the run."""

import random
import time

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.load.truth.audit import Audit
from cluster.load.truth.facts import Facts, Shown, merged
from cluster.load.truth.ledger import Ledger, key_of
from tests.bench import load_audit
from tests.cluster.load.truth.lies import tell
from tests.cluster.load.truth.small_system import ANSWER_LIES, LIES, SmallSystem

SEEDS = st.integers(0, 2**32 - 1)
STEPS = st.integers(0, 120)


def run(seed: int, steps: int) -> SmallSystem:
    system = SmallSystem(random.Random(seed))
    for _ in range(steps):
        system.step()
    return system


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS, steps=STEPS)
def test_an_honest_run_has_no_fault(seed, steps):
    system = run(seed, steps)
    system.finish()
    found, answers = system.audit()
    assert (found.faults, found.examples) == ({}, {})
    assert (answers.faults, answers.examples) == ({}, {})
    assert found.sent == found.intended == sum(system.written)
    assert found.accepted + found.refused == found.sent
    assert found.delivered + found.kept == found.accepted
    assert answers.delivered == sum(system.answered)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, steps=STEPS, after=st.integers(0, 30))
@pytest.mark.parametrize("lie", LIES)
def test_each_lie_is_found_and_nothing_else(lie, seed, steps, after):
    system = run(seed, steps)
    tell(system, lie)
    if lie not in ("offered to two desks", "not pushed", "a word of the bot left out"):  # a fresh start would show it
        for _ in range(after):
            system.step()
    system.finish()
    found, answers = system.audit()
    assert set(found.faults) == LIES[lie]
    assert all(count == 1 for count in found.faults.values())
    assert answers.faults == {}
    named = LIES[lie] - {"entries_again", "entries_skipped", "gaps", "foreign_again"}
    assert all(found.examples[name] for name in named)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, steps=STEPS, after=st.integers(0, 30))
@pytest.mark.parametrize("lie", ANSWER_LIES)
def test_each_lie_about_answers_is_found(lie, seed, steps, after):
    system = run(seed, steps)
    tell(system, lie)
    for _ in range(after):
        system.step()
    system.finish()
    found, answers = system.audit()
    assert found.faults == {}
    assert answers.faults == dict.fromkeys(ANSWER_LIES[lie], 1)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, steps=STEPS)
def test_facts_are_the_same_after_a_journey_and_in_any_order(seed, steps):
    system = run(seed, steps)
    tell(system, random.Random(seed).choice(list(LIES)))
    system.finish()
    parts = [ledger.facts() for ledger in system.ledgers]
    sent = [msgspec.msgpack.decode(msgspec.msgpack.encode(part), type=Facts) for part in parts]
    there, back = (Audit(merged(each), system.persons).run() for each in (parts, sent[::-1]))
    # which of two facts is "the first" may differ; what is counted may not
    assert msgspec.structs.replace(there, examples={}) == msgspec.structs.replace(back, examples={})


def two_messages() -> Ledger:
    ledger = Ledger("r", 1)
    for number in range(2):
        ledger.intend(0, number)
        ledger.sent(0, number)
    return ledger


def test_what_was_sent_again_may_stand_after_what_overtook_it():
    ledger = two_messages()
    ledger.resent(0, 0)  # after the second had left
    ledger.stored(0, 1, "s1", 1)
    ledger.stored(0, 0, "s1", 2)
    assert Audit(ledger.facts()).run().reordered == 0


def test_what_was_sent_again_must_stand_before_what_left_later():
    ledger = two_messages()
    ledger.resent(0, 0)
    ledger.intend(0, 2)
    ledger.sent(0, 2)
    for number, seq in ((2, 1), (0, 2), (1, 3)):
        ledger.stored(0, number, "s1", seq)
    found = Audit(ledger.facts()).run()
    assert found.reordered == 2
    assert found.examples["reordered"][0].startswith("r-0-0: receipt nowhere, in the history as s1-2")


def test_messages_that_wait_are_kept_and_those_that_a_desk_passed_over_are_lost():
    ledger = two_messages()
    for number in range(2):
        ledger.receipt(0, number, "s1", number + 1)
        ledger.stored(0, number, "s1", number + 1)
    assert (Audit(ledger.facts()).run().kept, Audit(ledger.facts()).run().lost) == (2, 0)
    ledger.shown(key_of(0, 1), ledger.place("s1", 2), 7, Shown.LIVE)
    ledger.stay("s1", 7, 1, 2)
    assert (Audit(ledger.facts()).run().kept, Audit(ledger.facts()).run().lost) == (0, 1)


def test_a_message_that_could_not_leave_is_unsent():
    ledger = Ledger("r", 1)
    ledger.intend_all(np.array([0, 0], dtype=np.int32), np.array([0, 1], dtype=np.int32))
    ledger.sent(0, 0)
    ledger.receipt(0, 0, "s1", 1)
    found = Audit(ledger.facts()).run()
    assert (found.intended, found.sent, found.unsent) == (2, 1, 1)


def test_a_generator_that_skips_a_message_is_wrong():
    ledger = Ledger("r", 1)
    with pytest.raises(ValueError, match="writer 0: 1 was sent after 0 others"):
        ledger.sent(0, 1)


def test_facts_of_different_runs_do_not_merge():
    with pytest.raises(ValueError, match="different runs"):
        merged([Ledger("a", 1).facts(), Ledger("b", 1).facts()])


def test_an_empty_run_is_no_proof():
    found = Audit(Ledger("r", 3).facts(), np.arange(3, dtype=np.int32)).run()
    assert found.faults == {}
    assert found.statement == "nothing was accepted, so nothing is proved"


def test_a_message_takes_few_bytes_and_its_audit_little_time():
    count, writers = 200_000, 100
    ledger = Ledger("r", writers)
    names = [f"s{writer}" for writer in range(writers)]
    for each in range(count):
        number, writer = divmod(each, writers)
        ledger.sent(writer, number)
        ledger.receipt(writer, number, names[writer], number + 1)
        ledger.shown(key_of(writer, number), ledger.place(names[writer], number + 1), 0, Shown.LIVE)
    facts = ledger.facts()
    assert len(msgspec.msgpack.encode(facts)) < 41 * count
    began = time.process_time()
    assert Audit(facts, np.arange(writers, dtype=np.int32)).run().delivered == count
    assert time.process_time() - began < 2.0


def test_a_large_run_is_audited_in_little_memory():
    """The same as ``python -m tests.bench.load_audit``, which takes ten million and prints what they cost."""
    told: list[str] = []
    outcomes = [load_audit.lived(generator, 2, 60_000, 200, told.append) for generator in range(2)]
    found = load_audit.audited(outcomes, 200, told.append)
    assert (found.faults, found.accepted, found.delivered) == ({}, 60_000, 60_000)
    columns = [each for outcome in outcomes for each in (*outcome.messages.receipts, *outcome.messages.shown)]
    assert sum(map(len, columns)) + sum(len(outcome.nowhere) for outcome in outcomes) <= 40 * 60_000
