"""Token buckets: how often somebody may do something, in memory and cheap enough for every message.

A bucket of rate *r* and burst *b* lets through at most ``b + r * t`` in any stretch of ``t`` seconds
(https://en.wikipedia.org/wiki/Token_bucket). Time is an argument; a clock that steps back grants nothing.
"""

from collections import OrderedDict


class TokenBucket:
    """One allowance, full at first."""

    __slots__ = ("_burst", "_rate", "_tokens", "_updated_s")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """Start full.

        Args:
            rate: tokens that come back per second.
            burst: the most that can be saved up; at least 1.
            now: seconds on a clock that does not step back.

        Raises:
            ValueError: the rate is not positive, or the burst below 1.
        """
        if not rate > 0 or not burst >= 1:
            raise ValueError(f"a bucket needs a positive rate and a burst of at least 1, not {rate} and {burst}")
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._updated_s = now

    def take(self, now: float, n: float = 1) -> float:
        """Take ``n`` tokens, or none.

        Returns:
            0.0 when they were taken; else the seconds after which as many will be there, ``inf`` when
            ``n`` is more than the bucket ever holds.
        """
        elapsed_s = now - self._updated_s
        if elapsed_s > 0.0:
            tokens = self._tokens + elapsed_s * self._rate
            self._tokens = tokens if tokens < self._burst else self._burst
            self._updated_s = now
        if self._tokens >= n:
            self._tokens -= n
            return 0.0
        if n > self._burst:
            return float("inf")
        return (n - self._tokens) / self._rate


class BucketTable:
    """One bucket for each of many names (addresses, keys, users), the most recent ``capacity`` of them.

    Whoever is forgotten starts with a full bucket again, so the capacity should exceed the number of
    names that can come back within ``burst / rate`` seconds.
    """

    __slots__ = ("_buckets", "_burst", "_capacity", "_rate")

    def __init__(self, rate: float, burst: float, capacity: int) -> None:
        """Give every name the same rate and burst.

        Raises:
            ValueError: a number does not make a bucket, or the table cannot hold one.
        """
        if capacity < 1:
            raise ValueError(f"a table of buckets holds at least 1, not {capacity}")
        TokenBucket(rate, burst, 0.0)
        self._rate = rate
        self._burst = burst
        self._capacity = capacity
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        """Return how many names are remembered."""
        return len(self._buckets)

    def take(self, name: str, now: float, n: float = 1) -> float:
        """Take from the bucket of ``name`` as `TokenBucket.take` does."""
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= self._capacity:
                self._buckets.popitem(last=False)
            bucket = self._buckets[name] = TokenBucket(self._rate, self._burst, now)
        else:
            self._buckets.move_to_end(name)
        return bucket.take(now, n)
