"""The end of a run of several generators: what a vendor was not told is found out from what others saw."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cluster.load.orders import Outcome
from cluster.load.run.draining import Places, completed
from cluster.load.truth.audit import Audience, Audit
from cluster.load.truth.facts import KIND_BITS, Shown, merged
from cluster.load.truth.ledger import Ledger, key_of
from cluster.load.truth.recorder import Recorder


def _outcome(messages: Ledger, answers: Ledger, nowhere=(), at_vendor=()) -> Outcome:
    keys, readers = zip(*at_vendor, strict=True) if at_vendor else ((), ())
    return Outcome(
        messages=messages.facts(),
        answers=answers.facts(),
        measured=Recorder(0.0, 1.0).measured(),
        sockets=0,
        nowhere=np.array(nowhere, dtype=np.int64).tobytes(),
        at_vendor=(np.array(keys, dtype=np.int64).tobytes(), np.array(readers, dtype=np.int64).tobytes()),
    )


def _ledgers():
    return Ledger("k", 2), Ledger("k", 1)


def _sent(ledger: Ledger, count: int) -> None:
    for number in range(count):
        ledger.intend(0, number)
        ledger.sent(0, number)


def test_a_vendors_message_stands_where_another_generator_was_shown_it():
    (one, one_answers), (other, other_answers) = _ledgers(), _ledgers()
    _sent(one, 2)
    # another conversation comes first there, so that numbers of conversations differ between the two
    other.place("elsewhere", 1)
    other.shown(key_of(0, 0), other.place("c", 1), 3, Shown.LIVE)
    one.stored(0, 1, "c", 2)
    outcomes = completed(
        [_outcome(one, one_answers, nowhere=[key_of(0, 0), key_of(0, 1)]), _outcome(other, other_answers)]
    )
    found = Audit(merged([each.messages for each in outcomes])).run()
    assert found.faults == {}
    assert (found.accepted, found.delivered, found.kept) == (2, 1, 1)


def test_what_a_vendor_was_told_is_taken_and_stands_nowhere_is_lost():
    messages, answers = _ledgers()
    _sent(messages, 1)
    outcomes = completed([_outcome(messages, answers, nowhere=[key_of(0, 0)])])
    found = Audit(outcomes[0].messages).run()
    assert found.faults == {"lost": 1}


def test_an_answer_that_a_vendor_was_told_twice_is_doubled_and_one_for_another_contact_misplaced():
    messages, answers = _ledgers()
    _sent(answers, 3)
    for number in range(3):
        answers.receipt(0, number, "c", number + 1)
    to, stranger = 0 << KIND_BITS | Shown.LIVE, 1 << KIND_BITS | Shown.LIVE
    told = [(key_of(0, 0), to), (key_of(0, 1), to), (key_of(0, 1), to), (key_of(0, 2), stranger)]
    outcomes = completed([_outcome(messages, answers, at_vendor=told)])
    audience = Audience({"c": 0}, np.array([0, 1], dtype=np.int32))
    found = Audit(outcomes[0].answers, None, audience).run()
    assert found.faults == {"doubled": 1, "misplaced": 1}


KEYS = st.integers(0, 5)
PLACES = st.tuples(st.sampled_from("abc"), st.integers(1, 3))
KINDS = st.sampled_from(["stored", "shown", "receipts"])
WITNESSES = st.lists(st.tuples(st.integers(0, 1), KINDS, KEYS, PLACES), max_size=30)


@given(WITNESSES, st.lists(st.lists(KEYS, max_size=6), min_size=2, max_size=2))
def test_a_place_is_that_of_the_best_witness_of_any_generator(told, wanted):
    parts = [Ledger("k", 1), Ledger("k", 1)]
    best = {}
    for rank, witness in enumerate(["stored", "shown", "receipts"]):
        for part in (0, 1):
            for which, kind, key, place in told:
                if (which, kind) == (part, witness):
                    best[key] = (rank, place)
    for which, kind, key, (conversation, seq) in told:
        ledger = parts[which]
        match kind:
            case "stored":
                ledger.stored(0, key, conversation, seq)
            case "shown":
                ledger.shown(key, ledger.place(conversation, seq), 0, Shown.LIVE)
            case "receipts":
                ledger.receipt(0, key, conversation, seq)
    places = Places([ledger.facts() for ledger in parts], [np.array(keys, dtype=np.int64) for keys in wanted])
    for keys in wanted:
        for key, place in zip(keys, places.of(np.array(keys, dtype=np.int64)).tolist(), strict=True):
            found = None if place < 0 else (places.names[place >> 32], place & 0xFFFFFFFF)
            assert found == (best[key][1] if key in best else None)


def test_of_many_messages_of_a_vendor_each_one_stands_where_it_was_shown():
    (one, one_answers), (other, other_answers) = _ledgers(), _ledgers()
    _sent(one, 50_000)
    for number in range(50_000):
        name, seq = f"c{number // 100}", number % 100 + 1
        if number % 1_000 != 999:
            other.shown(key_of(0, number), other.place(name, seq), 3, Shown.LIVE)
    nowhere = [key_of(0, number) for number in range(50_000)]
    outcomes = completed([_outcome(one, one_answers, nowhere=nowhere), _outcome(other, other_answers)])
    found = Audit(merged([each.messages for each in outcomes])).run()
    assert (found.accepted, found.delivered, found.faults) == (50_000, 49_950, {"lost": 50})
