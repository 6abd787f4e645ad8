"""The histogram that adds up: each value has one bucket, and a percentile is right to an eighth."""

from hypothesis import given
from hypothesis import strategies as st

from models.board.buckets import added, bounds_of, bucket_of, percentile

values = st.integers(0, 10**9)


@given(values)
def test_a_value_lies_in_its_bucket(value):
    least, greatest = bounds_of(bucket_of(value))
    assert least <= value <= greatest
    assert greatest - least <= max(0, least // 4)


@given(values)
def test_buckets_follow_each_other_without_a_gap(value):
    _, greatest = bounds_of(bucket_of(value))
    assert bucket_of(greatest + 1) == bucket_of(value) + 1


@given(st.lists(values, min_size=1, max_size=60), st.sampled_from([50, 90, 99]))
def test_a_percentile_is_right_to_an_eighth(found, percent):
    counts = added({bucket_of(value): 1} for value in found)
    rank = max(1, -(-len(found) * percent // 100))
    exact = sorted(found)[rank - 1]
    shown = percentile(counts, percent)
    assert shown is not None
    assert abs(shown - exact) <= exact / 8 + 0.5


def test_nothing_has_no_percentile():
    assert percentile({}, 50) is None


def test_a_time_before_it_began_counts_as_none():
    assert bucket_of(-5) == 0
