"""An account's hours as routers count them, and the rows that the board makes of one or several.

Routers count in the same append that stores what is counted, so an hour says neither more nor less than the messages
do: nothing is counted that was not stored, and what a client sends twice is counted once. An hour is a whole one since
the Unix epoch, in UTC; a day is cut where its reader's clock says.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from models.board.buckets import percentile

HOUR_MS = 3_600_000
#: An hour is kept for that many seconds: 400 days, so that the same week of the last year can be compared.
KEPT_S = 400 * 86_400
#: Prefix of a bucket of seconds that a contact waited for an answer of a human, see `models.board.buckets`.
WAIT = "wait:"
#: Prefix of an intent: of how many conversations the first message that was understood had it.
INTENT = "intent:"
Counts = Mapping[str, int]
_MINUTES_A_DAY = 1_440


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in a stretch of time."""

    from_ms: Annotated[int, Meta(description="Its beginning, as Unix time in milliseconds.")]
    contact: Annotated[int, Meta(description="Messages of contacts.")]
    agent: Annotated[int, Meta(description="Answers of agents.")]
    bot: Annotated[int, Meta(description="Messages of the bot.")]
    note: Annotated[int, Meta(description="Notes among agents.")]
    opened: Annotated[int, Meta(description="Conversations that began.")]
    bot_opened: Annotated[int, Meta(description="Those of them that began with the bot.")]
    bot_answered: Annotated[int, Meta(description="Questions that the bot answered.")]
    handed_over: Annotated[int, Meta(description="Conversations that the bot handed to humans.")]
    bot_resolved: Annotated[int, Meta(description="Conversations that ended with the bot.")]
    resolved: Annotated[int, Meta(description="Conversations that a human resolved.")]
    reopened: Annotated[int, Meta(description="Conversations that were opened again.")]
    taken_over: Annotated[int, Meta(description="Conversations that a supervisor took over.")]
    answered: Annotated[int, Meta(description="Times that a contact waited for a human, and was answered.")]
    late: Annotated[int, Meta(description="Those that took longer than `accounts.<name>.answer_within_s`.")]
    wait_p50_s: Annotated[float | None, Meta(description="Half waited no longer, in seconds, to an eighth.")]
    wait_p90_s: Annotated[float | None, Meta(description="Nine of ten waited no longer, in seconds, to an eighth.")]
    undelivered: Annotated[int, Meta(description="Answers that a vendor's channel did not take.")]
    rated: Annotated[int, Meta(description="Conversations that were rated.")]
    rating: Annotated[float | None, Meta(description="The mean of the ratings, 1 to 5.")]
    intents: Annotated[dict[str, int], Meta(description="What conversations were about, by the name of the intent.")]


#: What a row shows as it was counted.
PLAIN = tuple(
    name for name in Row.__struct_fields__ if name not in ("from_ms", "wait_p50_s", "wait_p90_s", "rating", "intents")
)


def hour_of(at_ms: int) -> int:
    """Return the hour of an instant, counted from the Unix epoch."""
    return at_ms // HOUR_MS


def row_of(from_ms: int, counts: Counts) -> Row:
    """Show what was counted; names that this version does not know are left out."""
    waits = {int(name.removeprefix(WAIT)): count for name, count in counts.items() if name.startswith(WAIT)}
    intents = {name.removeprefix(INTENT): count for name, count in counts.items() if name.startswith(INTENT)}
    rated = counts.get("rated", 0)
    return Row(
        from_ms=from_ms,
        wait_p50_s=percentile(waits, 50),
        wait_p90_s=percentile(waits, 90),
        rating=round(counts.get("stars", 0) / rated, 2) if rated else None,
        intents=dict(sorted(intents.items(), key=lambda each: (-each[1], each[0]))),
        **{name: counts.get(name, 0) for name in PLAIN},
    )


def by_hour(hours: Mapping[int, Counts]) -> list[Row]:
    """Show each hour in which anything happened, oldest first."""
    return [row_of(hour * HOUR_MS, counts) for hour, counts in sorted(hours.items()) if counts]


def by_day(hours: Mapping[int, Counts], utc_offset_min: int) -> list[Row]:
    """Show each day in which anything happened, oldest first.

    Args:
        hours: what was counted.
        utc_offset_min: minutes by which the reader's clock is ahead of UTC. Where they are no whole hours, an hour
            belongs to the day in which it begins.
    """
    days: dict[int, list[Counts]] = {}
    for hour, counts in sorted(hours.items()):
        if counts:
            days.setdefault((hour * 60 + utc_offset_min) // _MINUTES_A_DAY, []).append(counts)
    return [row_of((day * _MINUTES_A_DAY - utc_offset_min) * 60_000, added(each)) for day, each in days.items()]


def added(several: Iterable[Counts]) -> dict[str, int]:
    """Add what was counted in several stretches of time."""
    total: dict[str, int] = {}
    for counts in several:
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
    return total
