"""Ctrl-C and SIGTERM: the first asks for an orderly end, the second forces it."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """Somebody asked for the end while the system was starting."""


class Forced(BaseException):
    """Somebody asked for the end twice."""


class Interrupts:
    """Handles the signals of this process; must be made in its main thread.

    While ``abrupt`` is true the first signal raises `Stopped` wherever the main thread is; later it only
    sets ``asked``. Another one raises `Forced`.
    """

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.abrupt = True
        self._forced = False

    def install(self) -> None:
        """Take the signals; to be repeated after a library that takes them itself."""
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)

    @contextmanager
    def held(self) -> Generator[None]:
        """Let a block end before the first signal counts: half an import is worse than none."""
        before, self.abrupt = self.abrupt, False
        try:
            yield
        finally:
            self.abrupt = before
        if before and self.asked.is_set():
            raise Stopped

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._forced:
            return
        if self.asked.is_set():
            self._forced = True
            raise Forced
        self.asked.set()
        if self.abrupt:
            raise Stopped
