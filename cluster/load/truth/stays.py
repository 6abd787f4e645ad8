"""Where conversations were, and when: no two desks at once, and at the end where the system's record says.

A stay is the time of a conversation on one desk, from one revision of its record to another, 0 while it is there. So
stays of different desks are compared without a clock.
"""

import numpy as np

from cluster.load.truth.facts import Facts, column

_EVER = (1 << 32) - 1


def held_twice(facts: Facts) -> list[str]:
    """Tell of each conversation of which one stay began before the one before it had ended."""
    conversation, desk, since, until = (column(data) for data in facts.stays)
    order = np.lexsort((np.where(until == 0, _EVER, until), since, conversation))
    before, after = order[:-1], order[1:]
    at_once = (conversation[before] == conversation[after]) & ((until[before] == 0) | (until[before] > since[after]))
    told: dict[int, str] = {}
    for one, other in zip(before[at_once].tolist(), after[at_once].tolist(), strict=True):
        told.setdefault(
            int(conversation[one]),
            f"{facts.conversations[conversation[one]]}: on desk {desk[one]} from revision {since[one]} to "
            f"{until[one] or 'the end'}, on desk {desk[other]} from {since[other]}",
        )
    return list(told.values())


def held_elsewhere(facts: Facts) -> list[str]:
    """Tell of each conversation that stood, at the revision of the system's record, elsewhere than the record says."""
    stays: dict[int, list[tuple[int, int, int]]] = {}
    for where, desk, since, until in zip(*(column(data).tolist() for data in facts.stays), strict=True):
        stays.setdefault(where, []).append((desk, since, until or _EVER))
    told: dict[int, str] = {}
    for where, revision, holder in zip(*(column(data).tolist() for data in facts.holders), strict=True):
        here = {desk for desk, since, until in stays.get(where, ()) if since <= revision < until}
        if here != {holder} - {-1}:
            named = "no desk" if holder < 0 else f"desk {holder}"
            stands = ", ".join(f"desk {desk}" for desk in sorted(here)) or "no desk"
            told[where] = f"{facts.conversations[where]}: {named} has it at revision {revision}, and it is at {stands}"
    return list(told.values())
