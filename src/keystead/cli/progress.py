"""How far a long run is, on standard error: a bar where rich is there, else one plain line.

Nothing is shown of a run that is over in two seconds, nor where nobody would see it or it would
stand between the answers: standard error has to be a terminal, and standard output must not be.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, TextIO

from keystead.system.clock import Stopwatch

if TYPE_CHECKING:
    from rich.progress import Progress

SHOWN_AFTER_S: Final = 2.0
_PLAIN_WIDTH: Final = 60


class RunProgress:
    """``total_bytes`` is how much there is to read, None where nobody knows."""

    def __init__(self, *, total_bytes: int | None, stopwatch: Stopwatch) -> None:
        self._total_bytes = total_bytes
        self._stopwatch = stopwatch
        self._wanted = _is_terminal(sys.stderr) and not _is_terminal(sys.stdout)
        self._bar: Progress | None = None
        self._plain = False

    def show(self, *, lines: int, bytes_read: int) -> None:
        """Say how far it is by now."""
        seconds = self._stopwatch.seconds()
        if not self._wanted or seconds < SHOWN_AFTER_S:
            return
        if self._bar is None and not self._plain:
            self._bar = _bar(self._total_bytes)
            self._plain = self._bar is None
        text = f"{lines:,} lines, {round(lines / seconds):,} a second"
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=bytes_read, text=text, refresh=True)
        else:
            print(f"\r{text.ljust(_PLAIN_WIDTH)}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
        if self._plain:
            print(f"\r{' ' * _PLAIN_WIDTH}\r", end="", file=sys.stderr, flush=True)


def _is_terminal(stream: TextIO | None) -> bool:
    """Standard streams are None where they were closed before."""
    return stream is not None and stream.isatty()


def _bar(total_bytes: int | None) -> Progress | None:
    """None without rich, which a relying party need not have."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    except ImportError:
        return None
    console = Console(stderr=True)
    if console.is_dumb_terminal:
        return None
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[text]}"))
    bar = Progress(
        *columns,
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,  # else what is printed meanwhile would go to the terminal
        redirect_stderr=False,
    )
    bar.add_task("verify", total=total_bytes, text="")
    bar.start()
    return bar
