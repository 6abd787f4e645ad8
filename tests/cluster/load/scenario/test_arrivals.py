"""Arrivals follow the curve, are Poisson where they are to be, and divide among generators without a seam."""

import time

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cluster.load.scenario.arrivals import Arrivals, Curve, repeats_of
from cluster.load.scenario.people import People
from cluster.load.scenario.phases import Bursts, Day, Ramp, Steady
from cluster.load.scenario.quantities import Duration, Rate
from cluster.load.scenario.tables import Contacts, Mix, Repeats, Scenario, Visitors

RATES = st.floats(0, 300).map(Rate)
LASTS = st.floats(0.1, 8).map(Duration)
PHASES = st.lists(
    st.one_of(
        st.builds(Steady, lasts_s=LASTS, rate=RATES),
        st.builds(Ramp, lasts_s=LASTS, begin=RATES, end=RATES),
        st.builds(Day, lasts_s=LASTS, peak=RATES),
        st.builds(
            Bursts,
            lasts_s=LASTS,
            rate=RATES,
            peak=RATES,
            every_s=st.floats(1, 3).map(Duration),
            each_s=st.floats(0.1, 1).map(Duration),
        ),
    ),
    min_size=1,
    max_size=4,
)


def scenario(*phases, **more) -> Scenario:
    return Scenario(phases=tuple(phases), **{"visitors": Visitors(count=7), **more})


def arrivals(case: Scenario) -> Arrivals:
    return Arrivals.of(case, People(case))


def whole(case: Scenario, generator=0, generators=1):
    windows = list(arrivals(case).windows(generator, generators))
    return [np.concatenate(parts) for parts in zip(*windows, strict=True)]


@settings(deadline=None)
@given(PHASES)
def test_a_curve_is_the_integral_of_its_rate_and_has_an_inverse(phases):
    curve = Curve(phases)
    at_s = np.linspace(0, curve.lasts_s, 4_001)
    rates = curve.rate(np.minimum(at_s + curve.lasts_s / 8_000, curve.lasts_s * (1 - 1e-9)))[:-1]
    summed = np.concatenate([[0], np.cumsum(rates) * curve.lasts_s / 4_000])
    assert curve.expected(at_s) == pytest.approx(summed, abs=curve.total * 0.02 + 0.05)
    assert curve.expected(np.array([curve.lasts_s]))[0] == pytest.approx(curve.total)
    assume(curve.total > 1)
    numbers = np.linspace(0, curve.total, 101)[1:-1]
    assert curve.expected(curve.when(numbers)) == pytest.approx(numbers, rel=1e-6, abs=1e-6)
    assert np.all(np.diff(curve.when(numbers)) >= 0)


@settings(deadline=None, max_examples=40)
@given(PHASES, st.sampled_from(["poisson", "even"]), st.integers(0, 9), st.integers(1, 5))
def test_all_generators_together_send_what_one_would(phases, kind, seed, generators):
    case = scenario(*phases, arrivals=kind, seed=seed)
    due_s, writers, numbers = whole(case)
    parts = [whole(case, generator, generators) for generator in range(generators)]
    assert all((part[1] % generators == generator).all() for generator, part in enumerate(parts))
    together = sorted(zip(*(np.concatenate(columns) for columns in zip(*parts, strict=True)), strict=True))
    assert together == sorted(zip(due_s, writers, numbers, strict=True))
    assert arrivals(case).offered().sum() == len(due_s)


@settings(deadline=None, max_examples=40)
@given(PHASES, st.sampled_from(["poisson", "even"]), st.integers(0, 9))
def test_each_window_is_in_order_and_each_writer_counts_from_zero(phases, kind, seed):
    case = scenario(*phases, arrivals=kind, seed=seed)
    for place, window in enumerate(arrivals(case).windows()):
        assert np.all(np.diff(window.due_s) >= 0)
        assert np.all((window.due_s >= place) & (window.due_s < place + 1))
    _, writers, numbers = whole(case)
    for writer in range(7):
        assert numbers[writers == writer].tolist() == list(range(int((writers == writer).sum())))


def test_poisson_arrivals_scatter_as_poisson_and_even_ones_do_not():
    steady = Steady(lasts_s=Duration(400), rate=Rate(200))
    for kind, dispersion in (("poisson", 1.0), ("even", 0.0)):
        due_s, _, _ = whole(scenario(steady, arrivals=kind))
        counts = np.bincount((due_s * 10).astype(int), minlength=4_000)
        assert counts.mean() == pytest.approx(20, rel=0.02)
        assert counts.var() / counts.mean() == pytest.approx(dispersion, abs=0.08)


def test_distances_of_poisson_arrivals_are_exponential():
    due_s, _, _ = whole(scenario(Steady(lasts_s=Duration(100), rate=Rate(500))))
    gaps = np.sort(np.diff(due_s)) * 500
    # Kolmogorov-Smirnov at 1 %: 1.63 / sqrt(n)
    assert np.abs(np.arange(1, len(gaps) + 1) / len(gaps) - (1 - np.exp(-gaps))).max() < 1.63 / np.sqrt(len(gaps))


def test_even_arrivals_stand_at_equal_distances():
    due_s, _, _ = whole(scenario(Steady(lasts_s=Duration(5), rate=Rate(7)), arrivals="even"))
    assert due_s == pytest.approx((np.arange(35) + 0.5) / 7)


def test_arrivals_follow_a_ramp_and_bursts():
    ramp = Ramp(lasts_s=Duration(40), begin=Rate(0), end=Rate(2_000))
    due_s, _, _ = whole(scenario(ramp))
    assert np.bincount(due_s.astype(int) // 10) == pytest.approx([2_500, 7_500, 12_500, 17_500], rel=0.05)
    bursts = Bursts(lasts_s=Duration(20), rate=Rate(100), peak=Rate(5_000), every_s=Duration(10), each_s=Duration(2))
    due_s, _, _ = whole(scenario(bursts))
    quiet = due_s[(due_s % 10) >= 2]
    assert len(quiet) == pytest.approx(1_600, rel=0.1)
    assert len(due_s) - len(quiet) == pytest.approx(20_000, rel=0.05)


def test_a_day_has_its_peak_where_it_is():
    curve = Curve([Day(lasts_s=Duration(24), peak=Rate(1_000))])
    rates = curve.rate(np.arange(24) + 1e-9)
    assert rates.argmax() == 20
    assert rates.max() == pytest.approx(1_000)
    assert rates.argmin() == 4


def test_equal_seeds_give_equal_messages_and_others_do_not():
    steady = Steady(lasts_s=Duration(3), rate=Rate(100))
    one, same, other = (whole(scenario(steady, seed=seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])


def test_channels_have_their_share_and_their_writers():
    case = scenario(
        Steady(lasts_s=Duration(20), rate=Rate(1_000)),
        mix=Mix(web=3, wechat=0, rest=1, bulk=0),
        visitors=Visitors(count=10, several_channels=0.2),
        contacts=Contacts(wechat=5, rest=4),
    )
    people = People(case)
    _, writers, _ = whole(case)
    assert set(writers) == set(range(10)) | {15, 16, 17, 18}
    assert (writers < 10).mean() == pytest.approx(0.75, abs=0.02)
    assert [people.channel_of(writer) for writer in (0, 9, 10, 15)] == ["web", "web", "wechat", "rest"]
    with pytest.raises(ValueError, match="there are 19"):
        people.channel_of(19)
    assert people.linked() == [(0, 10), (1, 11)]
    assert people.persons()[[0, 10, 1, 11, 12]].tolist() == [0, 0, 1, 1, 12]
    assert sorted(writer for generator in range(3) for writer in people.owned(generator, 3)) == list(range(19))


def test_a_vendor_repeats_its_share():
    case = scenario(
        Steady(lasts_s=Duration(1), rate=Rate(20_000)),
        mix=Mix(web=1, wechat=1),
        contacts=Contacts(wechat=5),
    )
    (window,) = arrivals(case).windows()
    repeats = Repeats(share=0.5, most=3, within_s=Duration(4))
    rows, at_s = repeats_of(window, range(7, 12), repeats, seed=1, place=0)
    calls = int((window.writers >= 7).sum())
    assert (window.writers[rows] >= 7).all()
    assert len(set(rows.tolist())) == pytest.approx(calls / 2, rel=0.05)
    assert len(rows) == pytest.approx(calls, rel=0.05)
    after = at_s - window.due_s[rows]
    assert after.min() >= 0
    assert after.max() <= 4
    assert np.all(np.diff(at_s) >= 0)
    again = repeats_of(window, range(7, 12), repeats, seed=1, place=0)
    assert np.array_equal(rows, again[0])
    none = repeats_of(window, range(7, 12), msgspec.structs.replace(repeats, share=0.0), seed=1, place=0)
    assert len(none[0]) == 0


def test_forty_thousand_a_second_cost_a_generator_little():
    case = scenario(Steady(lasts_s=Duration(20), rate=Rate(40_000)), visitors=Visitors(count=50_000))
    windows = arrivals(case).windows(0, 2)
    began = time.process_time()
    count = sum(len(window.due_s) for window in windows)
    assert count == pytest.approx(400_000, rel=0.02)
    assert time.process_time() - began < 20 * 0.1
