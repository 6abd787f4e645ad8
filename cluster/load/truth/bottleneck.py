"""When a run measured its own generators instead of the system: they sent late, or used a whole core."""

from collections.abc import Sequence

import msgspec

from cluster.load.scenario.quantities import Duration


class GeneratorLoad(msgspec.Struct, frozen=True, kw_only=True):
    """How one generator fared.

    Args:
        name: which one.
        due: messages that it was to send after the warm-up.
        late: of them, those that left more than `Limits.late_ms` after they were due, or never.
        lag_p99_ms, worst_lag_ms: of those that left.
        cpu: of each second after the warm-up, the share of a core that it used.
    """

    name: str
    due: int
    late: int
    lag_p99_ms: float
    worst_lag_ms: float
    cpu: list[float]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When a generator measured itself instead of the system.

    Args:
        late_ms: a message that leaves later than this after it was due is late.
        late_share: of its messages, at most late.
        cpu: share of a core from which a generator is full.
        full_share: of its seconds, at most full.
    """

    late_ms: float = 20.0
    late_share: float = 0.01
    cpu: float = 0.95
    full_share: float = 0.2


def invalid_because(generators: Sequence[GeneratorLoad], limits: Limits | None = None) -> list[str]:
    """Say why a run measured its generators and not the system; empty: it did not.

    Its latencies are not wrong then (they count from the intended time) but they are not the system's, and neither
    is the rate.
    """
    within = limits or Limits()
    reasons: list[str] = []
    for each in generators:
        if each.late > within.late_share * each.due:
            reasons.append(
                f"{each.name}: {each.late:,} of {each.due:,} messages left more than {within.late_ms:g} ms after they "
                f"were due, or never; the worst by {Duration(each.worst_lag_ms / 1e3)}"
            )
        full = sum(share >= within.cpu for share in each.cpu)
        if full > within.full_share * len(each.cpu):
            reasons.append(f"{each.name}: {full} of {len(each.cpu)} seconds used {within.cpu:.0%} of a core or more")
    return reasons
