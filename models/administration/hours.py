"""When an inbox is open: weekly hours on the wall clock of a time zone, and days that are different.

What counts is what a clock on the wall says. Where that clock jumps ahead, hours inside the jump do not happen on
that day; where it goes back, hours that it shows twice are open twice. `is_open` and `next_opening` agree: the
next opening is the first instant from now on at which `is_open` is true.

Nothing here knows what time it is. The one thing read from outside is the database of time zones, of the system
or of the package ``tzdata``.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from models.domain.errors import InvalidField

MOST_SPANS = 6
MOST_DAYS = 200
MAX_LABEL_CHARS = 64
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
#: Neither a file of this machine nor one of its copies of the database.
_ZONE = re.compile(r"[A-Z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_MIDNIGHT = "24:00"
_DAY_MINUTES = 24 * 60
#: A clock of any zone can show their days and those beside them.
_YEARS = range(2000, 3000)
#: A jump within this time of a day, before or after, may open or close it.
_JUMP_NEAR_MS = 3 * 3_600_000


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open from one time of a day until before another one: ``09:00`` to ``18:00``; ``24:00`` is the day's end."""

    opens: str
    closes: str


class Day(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A day that is not as its weekday: closed, or open at other times.

    Args:
        date: as in ``2026-12-25``, in the time zone of the hours.
        label: what the day is called.
        spans: when it is open; none means never.
    """

    date: str
    label: str = ""
    spans: tuple[Span, ...] = ()


class Hours(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When somebody is there.

    Args:
        zone: name in the time zone database, as in ``Asia/Shanghai``.
        week: seven lists of spans, Monday's first.
        days: the days that are different, in order.
    """

    zone: str
    week: tuple[tuple[Span, ...], ...]
    days: tuple[Day, ...] = ()


def check_hours(hours: Hours) -> None:
    """Check what the types alone do not say.

    Raises:
        InvalidField: zone, times or dates are not allowed.
    """
    if not _is_zone(hours.zone):
        raise InvalidField("not a time zone; allowed: a name like Asia/Shanghai or Europe/Berlin", "zone")
    if len(hours.week) != len(DAYS):
        raise InvalidField("seven lists of times, Monday's first", "week")
    for index, spans in enumerate(hours.week):
        _check_spans(f"week.{index}", spans)
    if len(hours.days) > MOST_DAYS:
        raise InvalidField(f"at most {MOST_DAYS}", "days")
    before = ""
    for index, day in enumerate(hours.days):
        _check_day(f"days.{index}", day)
        if day.date <= before:
            raise InvalidField("each date once, in order", f"days.{index}.date")
        before = day.date


def is_open(hours: Hours, now_ms: int) -> bool:
    """Tell whether it is open at an instant, in Unix milliseconds."""
    wall = _instant(now_ms).astimezone(_zone(hours.zone))
    minute = wall.hour * 60 + wall.minute
    return any(_minutes(span.opens) <= minute < _minutes(span.closes) for span in _spans_on(hours, wall.date()))


def next_opening(hours: Hours, now_ms: int) -> int | None:
    """Return the first instant from now on at which it is open, in Unix milliseconds.

    That is ``now_ms`` itself while it is open, and None when it never opens again.
    """
    if is_open(hours, now_ms):
        return now_ms
    found: list[int] = []
    for day in _days_with_hours(hours, now_ms):
        # where a day is left out or shown twice, the one after may open before it
        if found and _midnight_ms(hours, day) > found[0]:
            break
        found = sorted({*found, *(at for at in _openings(hours, day) if at > now_ms and is_open(hours, at))})
    return found[0] if found else None


# -- how


def _check_day(place: str, day: Day) -> None:
    try:
        found = date.fromisoformat(day.date)
    except ValueError:
        found = None
    # other ISO forms, as 2026-W01-1, are dates as well
    if found is None or found.isoformat() != day.date or found.year not in _YEARS:
        raise InvalidField("not a date; allowed: one like 2026-12-25", f"{place}.date")
    if len(day.label) > MAX_LABEL_CHARS:
        raise InvalidField(f"at most {MAX_LABEL_CHARS} characters", f"{place}.label")
    _check_spans(f"{place}.spans", day.spans)


def _check_spans(place: str, spans: tuple[Span, ...]) -> None:
    if len(spans) > MOST_SPANS:
        raise InvalidField(f"at most {MOST_SPANS} times a day", f"{place}")
    last = 0
    for index, span in enumerate(spans):
        if not _CLOCK.fullmatch(span.opens):
            raise InvalidField("not a time; allowed: 00:00 to 23:59", f"{place}.{index}.opens")
        if not _CLOCK.fullmatch(span.closes) and span.closes != _MIDNIGHT:
            raise InvalidField("not a time; allowed: 00:01 to 24:00", f"{place}.{index}.closes")
        opens, closes = _minutes(span.opens), _minutes(span.closes)
        if closes <= opens:
            raise InvalidField("after it opens; past midnight goes on with the next day", f"{place}.{index}.closes")
        if index and opens <= last:
            raise InvalidField("after the time before it closes", f"{place}.{index}.opens")
        last = closes


def _is_zone(name: str) -> bool:
    if not _ZONE.fullmatch(name):
        return False
    try:
        _zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


@lru_cache(maxsize=1_000)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=_DAY_MINUTES + 1)
def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC)


def _spans_on(hours: Hours, day: date) -> tuple[Span, ...]:
    written = day.isoformat()
    special = next((each for each in hours.days if each.date == written), None)
    return hours.week[day.weekday()] if special is None else special.spans


def _days_with_hours(hours: Hours, now_ms: int) -> Iterator[date]:
    """List the days on which it opens, from yesterday on, up to one past which there is no other.

    Each different day can take one weekday's hours away, so a weekday with hours comes within as many weeks and one.
    """
    today = _instant(now_ms).astimezone(_zone(hours.zone)).date()
    some = 7 * (len(hours.days) + 2) if any(hours.week) else 0
    regular = (today + timedelta(days=step) for step in range(-1, some))
    named = (date.fromisoformat(day.date) for day in hours.days if day.spans)
    for day in sorted({*regular, *(day for day in named if day >= today - timedelta(days=1))}):
        if _spans_on(hours, day):
            yield day


def _openings(hours: Hours, day: date) -> Iterator[int]:
    """List the instants of a day at which it may come to be open: where a span begins, and where the clock jumps."""
    zone = _zone(hours.zone)
    for span in _spans_on(hours, day):
        minute = _minutes(span.opens)
        wall = datetime.combine(day, time(minute // 60, minute % 60), zone)
        yield _ms(wall)
        yield _ms(wall.replace(fold=1))
    start = _midnight_ms(hours, day)
    yield from _jumps(zone, start - _JUMP_NEAR_MS, start + _DAY_MINUTES * 60_000 + _JUMP_NEAR_MS)


def _jumps(zone: ZoneInfo, low_ms: int, high_ms: int) -> Iterator[int]:
    """Give the instant between two at which the clock of a zone jumps, to the second; it does so at most once a day."""
    before = _offset(zone, low_ms)
    if before == _offset(zone, high_ms):
        return
    low, high = low_ms // 1000, high_ms // 1000
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle * 1000) == before:
            low = middle
        else:
            high = middle
    yield high * 1000


def _offset(zone: ZoneInfo, at_ms: int) -> timedelta | None:
    return _instant(at_ms).astimezone(zone).utcoffset()


def _midnight_ms(hours: Hours, day: date) -> int:
    return _ms(datetime.combine(day, time(), _zone(hours.zone)))


def _ms(wall: datetime) -> int:
    return int(wall.timestamp()) * 1000
