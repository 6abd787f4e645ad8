"""A histogram that several processes can fill and one can read: counts by bucket, four buckets to each doubling.

A bucket is a small number, so counts add up across processes and hours without loss, and a percentile is known to an
eighth of its value. Up to 7 each value has a bucket of its own.
"""

from collections.abc import Iterable, Mapping

Buckets = Mapping[int, int]
_FINE = 4


def bucket_of(value: int) -> int:
    """Return the bucket of a value; below 0 counts as 0."""
    if value < _FINE:
        return max(0, value)
    doublings = value.bit_length() - 3
    return _FINE * doublings + (value >> doublings)


def bounds_of(bucket: int) -> tuple[int, int]:
    """Return the least and the greatest value of a bucket."""
    if bucket < _FINE:
        return bucket, bucket
    doublings, part = divmod(bucket - _FINE, _FINE)
    return (part + _FINE) << doublings, ((part + _FINE + 1) << doublings) - 1


def percentile(counts: Buckets, percent: float) -> float | None:
    """Return the value that ``percent`` of all do not exceed, as the middle of its bucket; None for no values."""
    total = sum(counts.values())
    if not total:
        return None
    wanted, reached = max(1.0, total * percent / 100), 0
    middle = 0.0
    for bucket in sorted(counts):
        least, greatest = bounds_of(bucket)
        middle = (least + greatest) / 2
        reached += counts[bucket]
        if reached >= wanted:
            break
    return middle


def added(several: Iterable[Buckets]) -> dict[int, int]:
    """Add histograms up."""
    total: dict[int, int] = {}
    for counts in several:
        for bucket, count in counts.items():
            total[bucket] = total.get(bucket, 0) + count
    return total
