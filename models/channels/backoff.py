"""How long to wait before the next attempt: exponential, bounded, jittered."""

from collections.abc import Callable

import msgspec


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Waits that double from ``first_s`` up to ``most_s``; after ``attempts`` attempts one gives up.

    Half of each wait is fixed and half is drawn, so that what failed together does not come back
    together, and still nobody hammers.
    """

    first_s: float
    most_s: float
    attempts: int

    def wait_s(self, attempt: int, uniform: Callable[[], float], at_least_s: float = 0.0) -> float:
        """Return the seconds to wait after the ``attempt``-th failure (from 1).

        Args:
            attempt: how many attempts have failed.
            uniform: draws from [0, 1).
            at_least_s: what the other side asked for.
        """
        full = min(self.most_s, self.first_s * 2.0 ** min(attempt - 1, 32))
        return max(full * (0.5 + 0.5 * uniform()), at_least_s)

    def spent(self, attempt: int) -> bool:
        """Tell whether the ``attempt``-th failure was the last one allowed."""
        return attempt >= self.attempts
