"""Lanes keep the order of each conversation and count what they hold; waits grow, end and are jittered."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from models.channels.backoff import Backoff
from models.channels.lanes import Lanes


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_items_leave_their_lane_in_order_and_a_lane_is_new_once(steps: list[tuple[str, bool]]):
    lanes: Lanes[int] = Lanes(5)
    model: dict[str, deque[int]] = {lane: deque() for lane in "abc"}
    for number, (lane, put) in enumerate(steps):
        if put:
            assert lanes.put(lane, number) is (not model[lane])
            model[lane].append(number)
        elif model[lane]:
            lanes.leave(lane)
            model[lane].popleft()
        assert lanes.head(lane) == (model[lane][0] if model[lane] else None)
        assert len(lanes) == sum(map(len, model.values()))
        assert lanes.full is (len(lanes) >= 5)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_waits_lie_between_half_and_whole_of_a_bounded_doubling(attempt: int, drawn: float):
    backoff = Backoff(first_s=1.0, most_s=60.0, attempts=20)
    whole_s = min(60.0, 2.0 ** min(attempt - 1, 32))
    assert whole_s / 2 <= backoff.wait_s(attempt, lambda: drawn) <= whole_s
    assert backoff.wait_s(attempt, lambda: drawn, at_least_s=600.0) == 600.0
    assert backoff.spent(attempt) is (attempt >= 20)
