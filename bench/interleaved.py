"""Rates of what is compared, measured in turns so that a busy machine is unfair to nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from bench.progress import each_round

Runner = Callable[[], float]
"""Does its work once and answers how many items a second of CPU time that was."""

T = TypeVar("T")


def runner(items: Iterable[T], work: Callable[[T], object]) -> Runner:
    """``work`` on each of ``items``, one after the other, on one core."""
    held = tuple(items)

    def measure() -> float:
        began = time.thread_time()
        for item in held:
            work(item)
        return len(held) / (time.thread_time() - began)

    return measure


def measured(
    runners: Mapping[str, Runner], *, rounds: int, warm: bool = False
) -> dict[str, list[float]]:
    """What each runner answered in each of ``rounds`` rounds, in which all of them run in turns.

    ``warm``: each runs once more before it is measured, since the caches are full of the runner
    before.
    """
    rates: dict[str, list[float]] = {name: [] for name in runners}
    for _ in each_round(rounds):
        for name, measure in runners.items():
            if warm:
                measure()
            rates[name].append(measure())
    return rates
