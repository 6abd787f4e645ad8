"""Latencies are counted as HdrHistogram counts them; rates and percentiles by the second; a slow generator is told."""

import msgspec
import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.load.truth.bottleneck import GeneratorLoad, invalid_because
from cluster.load.truth.latencies import LONGEST_US, Latencies
from cluster.load.truth.recorder import Measured, Recorder

PERCENTILES = [0.1, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0]
VALUES = st.lists(st.integers(1, LONGEST_US) | st.integers(1, 5_000), min_size=1, max_size=200)


def counted(values):
    found = Latencies()
    found.add(np.array(values, dtype=np.int64))
    return found


@settings(deadline=None)
@given(VALUES)
def test_percentiles_are_those_of_the_reference(values):
    reference = HdrHistogram(1, LONGEST_US, 3)
    for value in values:
        reference.record_value(value)
    expected = [reference.get_value_at_percentile(percentile) for percentile in PERCENTILES]
    longest = max(values)
    assert counted(values).percentiles_us(PERCENTILES) == [min(value, longest) for value in expected]


@settings(deadline=None, max_examples=30)
@given(VALUES, VALUES)
def test_two_are_added_and_sent_without_loss(one, other):
    first, second = counted(one), counted(other)
    sent = Latencies.decode(first.encode(), first.sum_us, first.longest_us)
    sent.merge(second)
    together = counted(one + other)
    assert sent.percentiles_us(PERCENTILES) == together.percentiles_us(PERCENTILES)
    assert (sent.count, sent.sum_us, sent.longest_us) == (len(one + other), sum(one + other), max(one + other))


def test_latencies_out_of_range_count_at_its_ends():
    found = counted([-5, LONGEST_US * 4])
    assert found.percentiles_us([1, 100]) == [0, LONGEST_US]


def test_nothing_has_no_percentile():
    assert (Latencies().percentiles_us([50]), Latencies().mean_us) == ([0], 0.0)


def test_the_warm_up_is_in_the_curves_and_in_no_percentile():
    recorder = Recorder(warm_up_s=1.0, lasts_s=3.0)
    recorder.record("desk", 999_999, 900_000)
    recorder.record("desk", 1_000_000, 5_000)
    recorder.fold()
    assert recorder.stages["desk"].count == 1
    assert recorder.stages["desk"].longest_us == 5_000
    first, second, third = recorder.percentile_by_second_ms("desk", 50)
    assert first == pytest.approx(900, rel=0.03)
    assert second == pytest.approx(5, rel=0.03)
    assert third is None
    assert recorder.longest_by_second_ms("desk") == [900.0, 5.0, None]


def test_rates_count_by_the_second_and_what_comes_late_in_the_last():
    recorder = Recorder(0.0, 2.0)
    recorder.offer(np.array([0.1, 0.9, 1.5]))
    for at_us in (999_999, 1_000_000, 7_000_000):
        recorder.count("shown", at_us)
    recorder.fold()
    assert recorder.rate("offered").tolist() == [2, 1]
    assert recorder.rate("shown").tolist() == [1, 2]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 4_999_999), st.integers(1, 3_000_000)), max_size=60), st.integers(1, 4))
def test_several_generators_are_as_good_as_one(records, generators):
    one = Recorder(1.0, 5.0)
    many = [Recorder(1.0, 5.0) for _ in range(generators)]
    for number, (due_us, latency_us) in enumerate(records):
        for recorder in (one, many[number % generators]):
            recorder.record("desk", due_us, latency_us)
            recorder.count("shown", due_us + latency_us)
    one.fold()
    sent = [msgspec.msgpack.encode(each.measured()) for each in many]
    whole = Recorder.merged([msgspec.msgpack.decode(each, type=Measured) for each in sent])
    assert whole.rate("shown").tolist() == one.rate("shown").tolist()
    for percentile in (50, 99):
        assert whole.percentile_by_second_ms("desk", percentile) == one.percentile_by_second_ms("desk", percentile)
    if records:
        assert whole.stages["desk"].percentiles_us(PERCENTILES) == one.stages["desk"].percentiles_us(PERCENTILES)


def test_measurements_of_different_runs_do_not_merge():
    with pytest.raises(ValueError, match="different runs"):
        Recorder.merged([Recorder(0, 2).measured(), Recorder(0, 3).measured()])


def generator(*, lag_us: int, late: int, sent: int = 1_000, cpu: float = 0.5) -> GeneratorLoad:
    recorder = Recorder(0.0, 10.0)
    recorder.offer(np.linspace(0, 9.9, 1_000))
    for number in range(sent):
        recorder.record("lag", number * 9_900, lag_us if number < late else 100)
    for second in range(10):
        recorder.cpu(second, cpu)
    recorder.finish("generator 0")
    return recorder.generators[0]


def test_a_generator_that_keeps_up_is_valid():
    assert invalid_because([generator(lag_us=15_000, late=1_000), generator(lag_us=500_000, late=10)]) == []


def test_a_generator_that_is_late_is_told():
    (reason,) = invalid_because([generator(lag_us=500_000, late=11)])
    assert reason == (
        "generator 0: 11 of 1,000 messages left more than 20 ms after they were due, or never; the worst by 500ms"
    )


def test_what_never_left_is_late():
    (reason,) = invalid_because([generator(lag_us=0, late=0, sent=900)])
    assert reason.startswith("generator 0: 100 of 1,000 messages")


def test_a_full_core_is_told():
    (reason,) = invalid_because([generator(lag_us=0, late=0, cpu=0.97)])
    assert reason == "generator 0: 10 of 10 seconds used 95% of a core or more"
