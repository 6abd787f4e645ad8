"""Expectations are read, judged, and refused with the part that is wrong; the bound of the losses is the right one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.load.scenario.expect import Expectation, InvalidExpectation, judge, parse_expectations, parse_percentile
from cluster.load.truth.findings import statement, upper_bound


def test_parts_are_read():
    assert parse_expectations("p99_ms<68, lost=0,achieved_per_s >= 40_000,receipt.p99.9_ms!=3,doubled==0,") == (
        Expectation("p99_ms", "<", 68),
        Expectation("lost", "=", 0),
        Expectation("achieved_per_s", ">=", 40_000),
        Expectation("receipt.p99.9_ms", "!=", 3),
        Expectation("doubled", "=", 0),
    )
    assert parse_expectations("  ") == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lost=0,p99_ms", "found 'p99_ms'; allowed: a figure, a sign and a number, such as p99_ms<68"),
        ("p99<68", "'p99<68': found figure 'p99' (did you mean p99_ms?)"),
        ("losst=0", "'losst=0': found figure 'losst' (did you mean lost?)"),
        ("lost=none", "'lost=none': found 'none' after the sign; allowed: a number"),
        ("lost<inf", "'lost<inf': found 'inf' after the sign"),
        ("lost<nan", "'lost<nan': found 'nan' after the sign"),
        ("dekk.p99_ms<3", "'dekk.p99_ms<3': found stage 'dekk'; allowed: desk, receipt"),
        ("p99.99999_ms<3", "found figure 'p99.99999_ms'"),
        ("lost=>0", "after the sign; allowed: a number"),
        ("<3", "found '<3'; allowed: a figure"),
    ],
)
def test_a_bad_part_is_named(text, problem):
    with pytest.raises(InvalidExpectation) as caught:
        parse_expectations(text)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("figure", "found"),
    [
        ("p50_ms", ("desk", 50)),
        ("receipt.p99.9_ms", ("receipt", 99.9)),
        ("p100_ms", ("desk", 100)),
        ("lost", None),
        ("p101_ms", None),
    ],
)
def test_percentiles_are_known_by_their_form(figure, found):
    assert parse_percentile(figure) == found


@pytest.mark.parametrize(
    ("sign", "measured", "held"),
    [
        *(("<", 2, True), ("<", 3, False), ("<=", 3, True), ("<=", 4, False), (">", 4, True), (">", 3, False)),
        *((">=", 3, True), (">=", 2, False), ("=", 3, True), ("=", 2, False), ("!=", 2, True), ("!=", 3, False)),
    ],
)
def test_each_sign_means_what_it_says(sign, measured, held):
    assert Expectation("lost", sign, 3).holds(measured) is held


def test_what_was_not_measured_does_not_hold():
    held, failed, missing = judge(parse_expectations("lost=0,p99_ms<68,p50_ms<5"), {"lost": 0, "p99_ms": 70}.get)
    assert (held.held, failed.held, missing.held) == (True, False, False)
    assert (failed.expected, failed.measured, missing.measured) == ("p99_ms<68", 70, None)


def test_no_loss_is_stated_with_the_rule_of_three():
    assert statement(0, 10_000_000) == "0 lost of 10,000,000: at most 1 in 3,333,333 with 95 % confidence (3/N)"
    assert statement(0, 2) == "0 lost of 2: at most all of them with 95 % confidence (3/N)"
    assert (
        statement(1, 1_000_000)
        == "1 lost of 1,000,000: at most 1 in 210,798 with 95 % confidence (exact Poisson bound)"
    )


@given(st.integers(1, 3_000))
def test_the_bound_leaves_five_percent(seen):
    bound = upper_bound(seen)
    logs = [number * math.log(bound) - bound - math.lgamma(number + 1) for number in range(seen + 1)]
    assert sum(math.exp(each) for each in logs) == pytest.approx(0.05, rel=1e-4)


@pytest.mark.parametrize(("seen", "bound"), [(1, 4.743865), (2, 6.295794), (10, 16.962219)])
def test_the_bound_is_that_of_the_tables(seen, bound):
    assert upper_bound(seen) == pytest.approx(bound, abs=1e-5)
