"""When it is open: the clock on the wall of a time zone, days that are different, and clocks that jump."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.administration.hours import Day, Hours, Span, check_hours, is_open, next_opening
from models.domain.errors import InvalidField

NEVER: tuple[tuple[Span, ...], ...] = ((),) * 7
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def span(text: str) -> Span:
    opens, closes = text.split("-")
    return Span(opens=opens, closes=closes)


def every_day(*spans: str) -> tuple[tuple[Span, ...], ...]:
    return (tuple(map(span, spans)),) * 7


def workdays(*spans: str) -> tuple[tuple[Span, ...], ...]:
    return (*every_day(*spans)[:5], (), ())


def ms(text: str, zone: str = "UTC", fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


SHOP = Hours(zone="Asia/Shanghai", week=workdays("09:00-12:00", "13:30-18:00"))


@pytest.mark.parametrize(
    ("wall", "open_then"),
    [
        ("2026-11-23 08:59:59", False),
        ("2026-11-23 09:00", True),
        ("2026-11-23 11:59:59", True),
        ("2026-11-23 12:00", False),
        ("2026-11-23 13:30", True),
        ("2026-11-23 18:00", False),
        ("2026-11-28 10:00", False),
    ],
)
def test_is_open_from_the_minute_it_opens_until_before_the_one_it_closes(wall: str, open_then: bool):
    assert is_open(SHOP, ms(wall, "Asia/Shanghai")) is open_then


def test_next_opening_is_now_while_it_is_open():
    now = ms("2026-11-23 10:17:31", "Asia/Shanghai")
    assert next_opening(SHOP, now) == now


def test_next_opening_passes_over_the_weekend():
    friday_evening = ms("2026-11-27 18:00", "Asia/Shanghai")
    assert next_opening(SHOP, friday_evening) == ms("2026-11-30 09:00", "Asia/Shanghai")


def test_next_opening_after_lunch_is_on_the_same_day():
    assert next_opening(SHOP, ms("2026-11-23 12:00", "Asia/Shanghai")) == ms("2026-11-23 13:30", "Asia/Shanghai")


def test_a_day_that_is_different_counts_in_place_of_its_weekday():
    days = (Day(date="2026-12-24", spans=(span("10:00-14:00"),)), Day(date="2026-12-25", label="Christmas"))
    hours = Hours(zone="Europe/Berlin", week=workdays("09:00-18:00"), days=days)
    assert not is_open(hours, ms("2026-12-24 09:30", "Europe/Berlin"))
    assert is_open(hours, ms("2026-12-24 13:59", "Europe/Berlin"))
    assert not is_open(hours, ms("2026-12-25 10:00", "Europe/Berlin"))
    assert next_opening(hours, ms("2026-12-24 14:00", "Europe/Berlin")) == ms("2026-12-28 09:00", "Europe/Berlin")


def test_a_day_that_is_different_may_be_the_only_one_on_which_it_opens():
    fair = Hours(zone="UTC", week=NEVER, days=(Day(date="2029-05-01", spans=(span("10:00-16:00"),)),))
    assert next_opening(fair, ms("2026-11-23 12:00")) == ms("2029-05-01 10:00")
    assert next_opening(fair, ms("2029-05-01 16:00")) is None


def test_what_never_opens_has_no_next_opening():
    assert next_opening(Hours(zone="UTC", week=NEVER), ms("2026-11-23 12:00")) is None


def test_a_weekday_that_is_a_holiday_for_months_still_opens_at_last():
    mondays = tuple(
        Day(date=(datetime(2026, 11, 23, tzinfo=UTC) + timedelta(weeks=week)).date().isoformat()) for week in range(60)
    )
    hours = Hours(zone="UTC", week=(*every_day("09:00-10:00")[:1], *NEVER[:6]), days=mondays)
    assert next_opening(hours, ms("2026-11-23 00:00")) == ms("2026-11-23 09:00") + 60 * 7 * 24 * HOUR_MS


def test_all_day_is_open_through_midnight():
    always = Hours(zone="America/New_York", week=every_day("00:00-24:00"))
    assert is_open(always, ms("2026-11-23 23:59:59", "America/New_York"))
    assert is_open(always, ms("2026-11-24 00:00", "America/New_York"))


def test_hours_inside_a_jump_ahead_begin_with_the_jump():
    """Berlin, 29 March 2026: 02:00 is 03:00."""
    hours = Hours(zone="Europe/Berlin", week=every_day("02:30-04:00"))
    jump = ms("2026-03-29 01:00")
    assert not is_open(hours, jump - MINUTE_MS)
    assert next_opening(hours, jump - HOUR_MS) == jump
    assert is_open(hours, jump)


def test_hours_that_lie_wholly_inside_a_jump_do_not_happen():
    hours = Hours(zone="Europe/Berlin", week=every_day("02:10-02:50"))
    assert next_opening(hours, ms("2026-03-29 00:00")) == ms("2026-03-30 02:10", "Europe/Berlin")


def test_hours_that_the_clock_shows_twice_are_open_twice():
    """Berlin, 25 October 2026: 03:00 is 02:00 again."""
    hours = Hours(zone="Europe/Berlin", week=every_day("02:10-02:50"))
    first, second = ms("2026-10-25 02:10", "Europe/Berlin"), ms("2026-10-25 02:10", "Europe/Berlin", fold=1)
    assert second - first == HOUR_MS
    assert next_opening(hours, ms("2026-10-25 00:00", "Europe/Berlin")) == first
    assert not is_open(hours, first + 50 * MINUTE_MS)
    assert next_opening(hours, first + 40 * MINUTE_MS) == second


def test_a_jump_back_may_open_what_has_closed():
    hours = Hours(zone="Europe/Berlin", week=every_day("01:00-02:30"))
    assert next_opening(hours, ms("2026-10-25 02:45", "Europe/Berlin")) == ms(
        "2026-10-25 02:00", "Europe/Berlin", fold=1
    )


def test_a_clock_may_jump_at_midnight():
    """Cairo, 24 April 2026: midnight is 01:00."""
    hours = Hours(zone="Africa/Cairo", week=every_day("00:30-02:00"))
    jump = ms("2026-04-23 22:00")
    assert next_opening(hours, jump - 5 * HOUR_MS) == jump


def test_an_island_may_leave_a_day_out():
    """Apia had no 30 December 2011."""
    hours = Hours(zone="Pacific/Apia", week=every_day("09:00-17:00"))
    evening = ms("2011-12-29 17:00", "Pacific/Apia")
    assert next_opening(hours, evening) == ms("2011-12-31 09:00", "Pacific/Apia") == evening + 16 * HOUR_MS


ZONES = (
    "UTC",
    "Asia/Shanghai",
    "Asia/Kathmandu",
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Apia",
    "Pacific/Chatham",
)


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@st.composite
def spans(draw: st.DrawFn) -> tuple[Span, ...]:
    marks = sorted(draw(st.sets(st.integers(0, 96), max_size=6)))
    pairs = zip(marks[::2], marks[1::2], strict=False)
    return tuple(Span(opens=clock(15 * opens), closes=clock(15 * closes)) for opens, closes in pairs)


@st.composite
def schedules(draw: st.DrawFn, day: datetime) -> Hours:
    days = draw(st.lists(st.tuples(st.integers(-2, 5), spans()), max_size=3, unique_by=lambda pair: pair[0]))
    return Hours(
        zone=draw(st.sampled_from(ZONES)),
        week=draw(st.tuples(*[spans()] * 7)),
        days=tuple(
            Day(date=(day + timedelta(days=step)).date().isoformat(), spans=found) for step, found in sorted(days)
        ),
    )


@st.composite
def moments(draw: st.DrawFn) -> tuple[Hours, int]:
    """Draw some hours and an instant, often close to a clock's jump."""
    jumps = ("2026-03-29", "2026-10-25", "2026-03-08", "2026-04-24", "2026-04-05", "2026-10-04", "2011-12-29")
    day = datetime.fromisoformat(draw(st.sampled_from((*jumps, "2027-01-01")))).replace(tzinfo=UTC)
    minute = draw(st.integers(-2 * 1440, 2 * 1440))
    return draw(schedules(day)), int(day.timestamp() * 1000) + minute * MINUTE_MS


@settings(max_examples=120, deadline=None)
@given(moments())
@example((Hours(zone="Africa/Cairo", week=every_day("00:15-00:45")), ms("2026-04-23 20:00")))
def test_next_opening_is_the_first_minute_at_which_it_is_open(drawn: tuple[Hours, int]):
    hours, now = drawn
    check_hours(hours)
    found = next_opening(hours, now)
    within = range(now, now + 4 * 1440 * MINUTE_MS, MINUTE_MS)
    by_hand = next((at for at in within if is_open(hours, at)), None)
    if by_hand is not None:
        assert found == by_hand
    else:
        assert found is None or found >= within.stop
        assert found is None or is_open(hours, found)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"zone": "../../../etc/localtime"}, "zone"),
        ({"zone": "localtime"}, "zone"),
        ({"zone": "America"}, "zone"),
        ({"zone": ""}, "zone"),
        ({"week": NEVER[:6]}, "week"),
        ({"week": every_day("9:00-10:00")}, "week.0.0.opens"),
        ({"week": every_day("24:00-24:00")}, "week.0.0.opens"),
        ({"week": every_day("09:00-24:01")}, "week.0.0.closes"),
        ({"week": every_day("09:00-09:00")}, "week.0.0.closes"),
        ({"week": every_day("22:00-02:00")}, "week.0.0.closes"),
        ({"week": every_day("09:00-12:00", "11:00-13:00")}, "week.0.1.opens"),
        ({"week": every_day(*(f"{hour:02}:00-{hour:02}:30" for hour in range(7)))}, "week.0"),
        ({"days": (Day(date="2026-02-29"),)}, "days.0.date"),
        ({"days": (Day(date="20260228"),)}, "days.0.date"),
        ({"days": (Day(date="9999-12-31"),)}, "days.0.date"),
        ({"days": (Day(date="2026-12-25"), Day(date="2026-12-24"))}, "days.1.date"),
        ({"days": (Day(date="2026-12-25"), Day(date="2026-12-25"))}, "days.1.date"),
        ({"days": (Day(date="2026-12-25", label="x" * 65),)}, "days.0.label"),
        ({"days": (Day(date="2026-12-25", spans=(span("08:00-07:00"),)),)}, "days.0.spans.0.closes"),
        ({"days": tuple(Day(date=f"{2100 + year}-01-01") for year in range(201))}, "days"),
    ],
)
def test_wrong_hours_are_refused_with_their_place(changed: dict[str, object], field: str):
    right: dict[str, object] = {"zone": "UTC", "week": NEVER}
    with pytest.raises(InvalidField) as refused:
        check_hours(Hours(**right | changed))  # type: ignore[arg-type]
    assert refused.value.field == field


def test_hours_may_meet_but_not_overlap_or_touch():
    with pytest.raises(InvalidField):
        check_hours(Hours(zone="UTC", week=every_day("09:00-12:00", "12:00-13:00")))
