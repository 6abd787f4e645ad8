"""The waiting line and the ranking below it."""

from hypothesis import given
from hypothesis import strategies as st

from models.routing.policy import Lane
from models.routing.ranking import Ranking
from models.routing.work_queue import WorkQueue

TAX = Lane("tax")
ANY = Lane("")


def test_a_conversation_that_is_handed_back_stands_where_it_stood_before():
    queue = WorkQueue()
    for name, since in (("s1", 1), ("s2", 2), ("s3", 3)):
        queue.put(name, TAX, (since, name))
    queue.discard("s1")
    assert queue.first(TAX) == ((2, "s2"), "s2")
    queue.put("s1", TAX, (1, "s1"))
    assert queue.first(TAX) == ((1, "s1"), "s1")


def test_a_conversation_stands_in_one_lane_only():
    queue = WorkQueue()
    queue.put("s1", TAX, (1, "s1"))
    queue.put("s1", ANY, (1, "s1"))
    assert queue.first(TAX) is None
    assert list(queue.lanes(["tax", ""])) == [ANY]
    assert len(queue) == 1


def test_the_oldest_is_found_across_lanes():
    queue = WorkQueue()
    assert queue.oldest() is None
    queue.put("s2", ANY, (2, "s2"))
    queue.put("s1", TAX, (1, "s1"))
    assert queue.oldest() == (1, "s1")


KEYS = st.integers(0, 12)
STEPS = st.lists(st.tuples(st.sampled_from(("put", "put", "discard", "take")), KEYS, KEYS), max_size=120)


@given(STEPS)
def test_a_ranking_agrees_with_a_sorted_dictionary(steps):
    ranking: Ranking[int, int] = Ranking()
    model: dict[int, int] = {}
    for step, key, rank in steps:
        if step == "put":
            ranking.put(key, rank)
            model[key] = rank
        elif step == "discard":
            ranking.discard(key)
            model.pop(key, None)
        else:
            due = sorted((rank_, key_) for key_, rank_ in model.items() if rank_ <= rank)
            assert ranking.take_until(rank) == [key_ for _, key_ in due]
            model = {key_: rank_ for key_, rank_ in model.items() if rank_ > rank}
        assert len(ranking) == len(model)
        assert ranking.first() == min(((rank_, key_) for key_, rank_ in model.items()), default=None)


def test_a_ranking_does_not_grow_with_what_left_it():
    ranking: Ranking[int, int] = Ranking()
    for rank in range(10_000):
        ranking.put(1, rank)
    assert len(ranking._heap) < 100
