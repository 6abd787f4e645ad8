"""Waiting for a condition, with a deadline: never a sleep for luck."""

import time
from collections.abc import Callable
from typing import Any

_LOOK_EVERY_S = 0.1


def wait_until(condition: Callable[[], Any], within_s: float, what: str) -> Any:
    """Return what ``condition`` returns once that is true.

    Raises:
        TimeoutError: it was not, for that long.
    """
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s} s: {what}")
        time.sleep(_LOOK_EVERY_S)
    return found
