"""The place of a conversation in the queue, and how long it may last; silent where it could only guess."""

#: What came in within less than this says nothing about how fast it goes: they may all have come at once.
_LEAST_S = 20.0


def estimated_wait_s(ahead: int, first_since_ms: int, own_since_ms: int) -> int | None:
    """Return about how many seconds a conversation still waits, None where nothing can be said.

    In a queue that neither grows nor shrinks, those ahead go in the time in which they came (John Little's law,
    https://en.wikipedia.org/wiki/Little%27s_law): the time between the first one's coming and one's own.

    Args:
        ahead: how many are before it.
        first_since_ms: Unix time since when the first in the queue waits, in milliseconds.
        own_since_ms: the same for this one.
    """
    took_s = (own_since_ms - first_since_ms) / 1_000
    return round(took_s) if ahead > 0 and took_s >= _LEAST_S else None
