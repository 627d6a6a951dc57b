"""How the demo tells what it does: one line a step while it runs, then what was checked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from keystead.demo.failure import StepFailed
from keystead.errors import KeysteadError

_INDENT = "    "


class Story:
    """The terminal, and how long each step took (``timings_ms``, in the steps' order)."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._checks: list[Text] = []
        self.timings_ms: dict[str, int] = {}
        self.current = ""

    def begin(self, banner: str) -> None:
        """What nobody may overlook."""
        self._console.print(Panel(Text(banner), style="bold yellow", expand=False))

    @contextmanager
    def step(self, key: str, what: str) -> Iterator[None]:
        """A step while it lasts: its checks stand below it once it is over, or has failed."""
        self.current = name = key.replace("_", " ")
        started = time.monotonic()
        try:
            with self._console.status(Text(f"{name}: {what}")):
                yield
        except (StepFailed, KeysteadError):
            self._show(Text("✗", style="bold red"), name, what, time.monotonic() - started)
            raise
        elapsed_s = time.monotonic() - started
        self.timings_ms[key] = round(elapsed_s * 1000)
        self._show(Text("✓", style="bold green"), name, what, elapsed_s)

    def check(self, holds: bool, what: str) -> None:
        """Go on only if it holds; StepFailed otherwise."""
        if not holds:
            self._checks.append(Text(f"{_INDENT}✗ {what}", style="red"))
            raise StepFailed(f"this does not hold: {what}")
        self._checks.append(Text(f"{_INDENT}✓ {what}", style="green"))

    def passed(self, what: str) -> None:
        """Something that could not have been reached without holding."""
        self.check(True, what)

    def note(self, what: str) -> None:
        """Something to see that is not a check."""
        self._checks.append(Text(f"{_INDENT}{what}", style="dim"))

    def end(self, total_s: float) -> None:
        """The last line."""
        text = f"\nThe main job works, end to end, in {total_s:.1f} s. Nothing is left running."
        self._console.print(Text(text, style="bold"))

    def _show(self, mark: Text, name: str, what: str, elapsed_s: float) -> None:
        head = Text.assemble(mark, " ", (name, "bold"), f"  {what}")
        head.append(f"  {elapsed_s * 1000:.0f} ms", style="dim")
        for line in (head, *self._checks):
            self._console.print(line, soft_wrap=True)
        self._checks.clear()
