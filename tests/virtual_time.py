"""An event loop whose clock jumps to the next timer as soon as nothing else is left to do.

For code that only waits for timers and futures: an hour of retries takes milliseconds, and the same
program runs the same way each time.
"""

import asyncio
import selectors
from typing import Any


class _Instant(selectors.DefaultSelector):
    """Never waits; the time it was asked to wait for passes on the loop's clock."""

    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self.loop.now_s += timeout
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop in virtual time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        selector = _Instant()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Run everything that happens in the next ``seconds``."""
        self.run_until_complete(asyncio.sleep(seconds))
