"""What the user sees while the system starts and stops: a spinner and a line per phase, or plain lines.

Ray and Serve write to the process' own standard output and error, in part from C++, so while they run
those go to a log file and only `Progress` reaches the terminal.
"""

import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner


class Progress:
    """Tells phases and their durations on one console.

    Args:
        console: where to; plain lines are written if it is no terminal.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str, doing: str) -> Generator[Callable[[str], None]]:
        """Show ``doing`` until the block ends, then that the phase is done and how long it took.

        Yields:
            A function that tells what the phase waits for.
        """
        begun = time.monotonic()
        if self.console.is_terminal:
            spinner = Spinner("dots", f"{doing} ...")
            # Not redirected: what libraries write belongs into the log file.
            with Live(spinner, console=self.console, transient=True, redirect_stdout=False, redirect_stderr=False):
                yield lambda what: spinner.update(text=f"{doing}: waiting for {what} ...")
        else:
            yield lambda what: print(f"waiting for {what}", flush=True)
        self.done(name, time.monotonic() - begun)

    def done(self, name: str, took_s: float) -> None:
        """Tell that a phase ended well."""
        self.seconds[name] = took_s
        if self.console.is_terminal:
            self.console.print(f"[green]✓[/] {name} [dim]{took_s:.1f} s[/]", highlight=False)
        else:
            self.console.print(f"{name}: {took_s:.1f} s", highlight=False)


@contextmanager
def terminal_of_our_own(log_file: Path) -> Generator[tuple[TextIO, TextIO]]:
    """Send this process' output, from whatever library, to a file; yield the real output and error.

    Both are restored at the end, so that an error that is raised meets the terminal.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    out, err = os.dup(1), os.dup(2)
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    terminal = os.fdopen(out, "w", encoding="utf-8", errors="replace", closefd=False)
    errors = os.fdopen(err, "w", encoding="utf-8", errors="replace", closefd=False)
    try:
        yield terminal, errors
    finally:
        for stream in (terminal, errors, sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
