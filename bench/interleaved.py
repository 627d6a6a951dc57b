"""Rates of what is compared, measured in turns so that a busy machine is unfair to nobody."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

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


def medians(runners: Mapping[str, Runner], *, rounds: int) -> dict[str, float]:
    """Each runner's median over ``rounds`` rounds, in each of which all of them run once."""
    rates: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, measure in runners.items():
            rates[name].append(measure())
    return {name: statistics.median(seen) for name, seen in rates.items()}


def rounded(rates: Mapping[str, float]) -> dict[str, int]:
    """The same as whole numbers."""
    return {name: round(rate) for name, rate in rates.items()}


def ratio(rates: Mapping[str, float], ours: str, peer: str) -> float | None:
    """``ours`` as a multiple of ``peer``; None where that peer could not run."""
    return round(rates[ours] / rates[peer], 2) if peer in rates else None
