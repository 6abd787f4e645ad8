"""Latencies counted to three digits, exactly as HdrHistogram counts them, a whole batch at once.

The buckets are those of HdrHistogram with a lowest value of 1 and three significant digits
(https://hdrhistogram.org), so what is counted here leaves as one of them, and two of them add without loss; but a
batch of values is one operation of numpy, a hundred times faster than one call for each.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

#: The longest latency that is told apart, 35 minutes; longer ones count as that.
LONGEST_US = (1 << 31) - 1
_DIGITS = 3
#: Buckets of one width: 2 * 10**3, rounded up to a power of two.
_HALF_BITS = 10
_BUCKETS = 22 << _HALF_BITS
#: What a curve is drawn from: percentiles at even steps of nines.
CURVE = tuple(float(100 - 100 * 10 ** (-step / 16)) for step in range(16 * 5 + 1))

Micros = npt.NDArray[np.int64]


class Latencies:
    """How often each latency was seen, in microseconds."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, dtype=np.int64)
        self._sum_us = 0
        self._longest_us = 0

    def add(self, latencies_us: Micros) -> None:
        """Count a batch; a negative one, of two clocks that disagree, counts as 0."""
        if not len(latencies_us):
            return
        values = np.clip(latencies_us, 0, LONGEST_US)
        self._counts += np.bincount(_buckets(values), minlength=_BUCKETS)
        self._sum_us += int(values.sum())
        self._longest_us = max(self._longest_us, int(values.max()))

    def merge(self, other: "Latencies") -> None:
        """Add what another one counted."""
        self._counts += other._counts
        self._sum_us += other._sum_us
        self._longest_us = max(self._longest_us, other._longest_us)

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._counts.sum())

    @property
    def mean_us(self) -> float:
        """Their mean; 0 where there are none."""
        return self._sum_us / self.count if self.count else 0.0

    @property
    def sum_us(self) -> int:
        """All together, exactly."""
        return self._sum_us

    @property
    def longest_us(self) -> int:
        """The longest, exactly."""
        return self._longest_us

    def percentiles_us(self, percentiles: Sequence[float]) -> list[int]:
        """Return, for each percentile, the latency that so many were not above; 0 where there are none."""
        until = np.cumsum(self._counts)
        if not until[-1]:
            return [0] * len(percentiles)
        wanted = np.maximum(np.floor(np.array(percentiles) * int(until[-1]) / 100 + 0.5), 1)
        buckets: Micros = np.searchsorted(until, wanted, side="left")
        return [min(int(value), self._longest_us) for value in _highest(buckets)]

    def encode(self) -> bytes:
        """Return a HdrHistogram, version 2, compressed, in base 64."""
        histogram: Any = HdrHistogram(1, LONGEST_US, _DIGITS)
        for bucket in np.flatnonzero(self._counts):
            histogram.record_value(int(_highest(np.array([bucket]))[0]), int(self._counts[bucket]))
        return bytes(histogram.encode())

    @classmethod
    def decode(cls, encoded: bytes, sum_us: int, longest_us: int) -> "Latencies":
        """Read a HdrHistogram of the same range.

        Args:
            encoded: of `encode`.
            sum_us, longest_us: what the buckets do not tell exactly.
        """
        histogram: Any = HdrHistogram.decode(encoded)
        found = cls()
        for item in histogram.get_recorded_iterator():
            value = np.array([item.value_iterated_to], dtype=np.int64)
            found._counts[_buckets(np.minimum(value, LONGEST_US))] += int(item.count_at_value_iterated_to)
        found._sum_us, found._longest_us = sum_us, longest_us
        return found


def _buckets(values: Micros) -> Micros:
    """Return the bucket of each value: of width 1 up to 2,047, and of twice the width after each doubling."""
    exponent = np.maximum(np.frexp(values.astype(np.float64))[1] - _HALF_BITS - 1, 0).astype(np.int64)
    return (exponent << _HALF_BITS) + (values >> exponent)


def _highest(buckets: Micros) -> Micros:
    """Return the highest value of each bucket."""
    exponent = np.maximum((buckets >> _HALF_BITS) - 1, 0)
    return ((buckets - (exponent << _HALF_BITS) + 1) << exponent) - 1
