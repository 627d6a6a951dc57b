"""How far a bench is, on standard error, wherever that takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

# A terminal's line is written over; a log gets a line now and then.
_TERMINAL_EVERY_S = 0.5
_LOG_EVERY_S = 10.0
_PATIENCE_S = 2.0


def each_round(rounds: int, *, what: str = "round") -> Iterator[int]:
    """The numbers of the rounds, and meanwhile which one it is and about how long it takes yet."""
    began = said = time.monotonic()
    terminal = sys.stderr.isatty()
    every_s = _TERMINAL_EVERY_S if terminal else _LOG_EVERY_S
    for number in range(rounds):
        now = time.monotonic()
        each_s = (now - began) / number if number else 0.0
        slow = each_s * rounds > _PATIENCE_S
        if (number == 0 and terminal) or (slow and now - said >= every_s):
            left = f", about {each_s * (rounds - number):.0f} s left" if number else ""
            say(f"  {what} {number + 1} of {rounds}{left}", passing=terminal)
            said = now
        yield number
    if terminal:
        say("", passing=True)


def say(line: str, *, passing: bool = False) -> None:
    """A line; one that is ``passing`` is written over by the next."""
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{start}{line}", end="" if passing else "\n", file=sys.stderr, flush=True)
