"""Each sender's batches are taken in their order, whatever arrives."""

from hypothesis import given
from hypothesis import strategies as st

from models.timeline import order
from models.timeline.order import SenderOrder


def test_batches_are_taken_in_their_order_only():
    taken = SenderOrder()
    assert taken.admit("a", 0, 0)
    assert not taken.admit("a", 0, 2)
    assert not taken.admit("a", 0, 0)
    assert taken.admit("a", 0, 1)


def test_senders_do_not_wait_for_each_other():
    taken = SenderOrder()
    assert taken.admit("a", 0, 0)
    assert taken.admit("b", 0, 0)
    assert taken.admit("a", 0, 1)


def test_a_new_generation_begins_at_its_first_batch_and_ends_the_old_one():
    taken = SenderOrder()
    assert taken.admit("a", 0, 0)
    assert not taken.admit("a", 1, 1)
    assert taken.admit("a", 0, 1)
    assert taken.admit("a", 1, 0)
    assert not taken.admit("a", 0, 2)
    assert taken.admit("a", 1, 1)


def test_after_a_failure_only_a_new_generation_is_taken():
    taken = SenderOrder()
    assert taken.admit("a", 3, 0)
    taken.break_all()
    assert not taken.admit("a", 3, 1)
    assert not taken.admit("a", 3, 0)
    assert taken.admit("a", 4, 0)


def test_a_new_router_takes_no_batch_from_the_middle():
    assert not SenderOrder().admit("a", 7, 1)
    assert SenderOrder().admit("a", 7, 0)


def test_memory_of_senders_is_bounded(monkeypatch):
    monkeypatch.setattr(order, "MOST_SENDERS", 3)
    taken = SenderOrder()
    for sender in "abcd":
        assert taken.admit(sender, 0, 0)
    assert taken.admit("d", 0, 1)
    assert not taken.admit("a", 0, 1)
    assert taken.admit("a", 1, 0)


def test_a_batch_is_early_only_while_its_turn_can_still_come():
    taken = SenderOrder()
    assert taken.early("a", 0, 1)
    assert not taken.early("a", 0, 0)
    taken.admit("a", 0, 0)
    assert not taken.early("a", 0, 1)
    assert taken.early("a", 0, 2)
    assert not taken.early("a", 0, 2 + order.MOST_EARLY)
    assert taken.early("a", 1, 1)
    taken.break_all()
    assert not taken.early("a", 0, 2)
    assert taken.early("a", 1, 1)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.booleans())))
def test_what_is_taken_is_each_generation_from_its_start_without_a_gap(arrivals):
    taken, accepted, broken = SenderOrder(), [], set()
    for generation, number, failure in arrivals:
        if taken.admit("a", generation, number):
            assert generation not in broken
            accepted.append((generation, number))
        if failure:
            taken.break_all()
            broken.update(each for each, _ in accepted)
    assert accepted == sorted(set(accepted))
    for generation in {each for each, _ in accepted}:
        numbers = [number for each, number in accepted if each == generation]
        assert numbers == list(range(len(numbers)))
