"""Rows of hours and days: sums, shares and percentiles, and where a day is cut."""

from models.board.buckets import bucket_of
from models.board.hours import HOUR_MS, WAIT, by_day, by_hour, row_of

#: 2026-11-23T22:00Z, in hours since the Unix epoch.
TEN_PM = 1_795_471_200 // 3_600


def test_a_row_shows_what_was_counted_and_nothing_that_was_not():
    counts = {"contact": 7, "late": 1, "answered": 2, f"{WAIT}{bucket_of(4)}": 1, f"{WAIT}{bucket_of(200)}": 1}
    row = row_of(5, counts | {"intent:refund": 1, "intent:delivery": 3, "from a later version": 9})
    assert (row.from_ms, row.contact, row.agent, row.late) == (5, 7, 0, 1)
    assert row.wait_p50_s == 4
    assert row.wait_p90_s is not None
    assert abs(row.wait_p90_s - 200) <= 25
    assert list(row.intents.items()) == [("delivery", 3), ("refund", 1)]


def test_without_a_rating_or_a_wait_there_is_no_mean():
    row = row_of(0, {"contact": 1})
    assert (row.rating, row.wait_p50_s, row.wait_p90_s) == (None, None, None)
    assert row_of(0, {"rated": 2, "stars": 9}).rating == 4.5


def test_hours_in_which_nothing_happened_are_left_out():
    rows = by_hour({TEN_PM + 2: {"contact": 2}, TEN_PM: {"contact": 1}, TEN_PM + 1: {}})
    assert [(row.from_ms // HOUR_MS, row.contact) for row in rows] == [(TEN_PM, 1), (TEN_PM + 2, 2)]


def test_a_day_is_cut_where_its_readers_clock_says():
    hours = {TEN_PM + n: {"contact": 1, f"{WAIT}3": 1, "intent:refund": 1} for n in range(4)}
    in_utc = by_day(hours, 0)
    assert [row.contact for row in in_utc] == [2, 2]
    assert in_utc[1].from_ms == (TEN_PM + 2) * HOUR_MS
    in_beijing = by_day(hours, 480)
    assert [row.contact for row in in_beijing] == [4]
    assert in_beijing[0].from_ms % (24 * HOUR_MS) == 16 * HOUR_MS
    assert in_beijing[0].intents == {"refund": 4}
    in_new_york = by_day(hours, -300)
    assert [row.contact for row in in_new_york] == [4]
    in_delhi = by_day(hours, 330)
    assert sum(row.contact for row in in_delhi) == 4
    assert in_delhi[0].from_ms % (24 * HOUR_MS) == 18.5 * HOUR_MS
