"""Token buckets: never more than burst + rate * t, and a wait that is true."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.security.rate import BucketTable, TokenBucket

rates = st.floats(min_value=0.01, max_value=10_000)
bursts = st.floats(min_value=1, max_value=10_000)
steps = st.lists(st.tuples(st.floats(min_value=0, max_value=100), st.integers(min_value=1, max_value=50)), max_size=60)


@given(rates, bursts, steps)
def test_no_stretch_of_time_lets_through_more_than_burst_and_rate(
    rate: float, burst: float, takes: list[tuple[float, int]]
) -> None:
    now = 1000.0
    bucket = TokenBucket(rate, burst, now)
    taken: list[tuple[float, int]] = []
    for wait_s, n in takes:
        now += wait_s
        if bucket.take(now, n) == 0.0:
            taken.append((now, n))
    for first, (start, _) in enumerate(taken):
        total = 0
        for at, n in taken[first:]:
            total += n
            allowed = burst + rate * (at - start)
            assert total <= allowed + 1e-6 * allowed


@given(rates, bursts, steps)
def test_after_the_wait_it_says_there_is_enough(rate: float, burst: float, takes: list[tuple[float, int]]) -> None:
    now = 1000.0
    bucket = TokenBucket(rate, burst, now)
    for wait_s, n in takes:
        now += wait_s
        missing_s = bucket.take(now, n)
        if missing_s == 0.0:
            continue
        if n > burst:
            assert math.isinf(missing_s)
            continue
        assert missing_s <= burst / rate + 1e-9
        now += missing_s * (1 + 1e-6) + 1e-6
        assert bucket.take(now, n) == 0.0


def test_a_refusal_takes_nothing() -> None:
    bucket = TokenBucket(1, 2, 0)
    assert bucket.take(0, 2) == 0.0
    assert [bucket.take(0.5) for _ in range(5)] == [0.5] * 5
    assert bucket.take(1.0) == 0.0


def test_a_clock_that_steps_back_grants_nothing() -> None:
    bucket = TokenBucket(1, 1, 100)
    assert bucket.take(100) == 0.0
    assert bucket.take(50) == 1.0
    assert bucket.take(100) == 1.0
    assert bucket.take(101) == 0.0


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0), (math.nan, 1), (1, math.nan)])
def test_a_bucket_that_could_never_let_through_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="bucket"):
        TokenBucket(rate, burst, 0)
    with pytest.raises(ValueError, match="bucket"):
        BucketTable(rate, burst, 1)


def test_names_do_not_share_a_bucket() -> None:
    table = BucketTable(1, 1, 10)
    assert table.take("a", 0) == 0.0
    assert table.take("a", 0) == 1.0
    assert table.take("b", 0) == 0.0


def test_the_table_forgets_who_was_away_longest() -> None:
    table = BucketTable(1, 1, 2)
    for name in "ab":
        table.take(name, 0)
    assert table.take("a", 0) == 1.0
    table.take("c", 0)
    assert len(table) == 2
    assert table.take("a", 0) == 1.0
    assert table.take("b", 0) == 0.0
