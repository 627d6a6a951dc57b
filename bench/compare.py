"""This run beside another one: which figures of ours got faster or slower, noise set apart.

A figure counts as changed where

1. it moved by more than ``LEAST_CHANGE``, and by more than ``SPREADS`` times what the rounds of
   both runs were apart, added up; and
2. it still did after the machine's own pace was taken out: peers are the same code in both runs, so
   what *their* figures did in a bench (the median of all of them) is what the machine did.

Ratios to peers have the pace taken out already. Peers' own figures are not judged, nor are those by
the clock on the wall, in which everybody's work shows. Between different machines or paths of the
engine only ratios are.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bench.figures import Figure, is_peer, walk
from bench.results import Document

LEAST_CHANGE = 0.07
"""Two runs of one build differ by as much now and then, on a machine that others use too."""
SPREADS = 2.0
LEAST_CHANGE_UNPACED = 0.15
"""Of figures in benches without a peer, whose machine nobody watched."""
WALL = "wall_"
"""What the names of figures by the clock on the wall begin with."""


class Change(StrEnum):
    """What became of a figure."""

    FASTER = "faster"
    SAME = "same"
    SLOWER = "slower"
    PEER = "peer"
    """Not ours."""
    NEW = "new"
    """The other run has none of that name, or no comparison would mean anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A figure of this run and, where there is one, of the other."""

    bench: str
    path: tuple[str, ...]
    now: Figure
    before: Figure | None
    gain: float | None
    """How much better it is as a factor, the machine's pace taken out; below 1 is worse."""
    threshold: float
    """By how much it has to differ from 1 to count."""
    change: Change

    @property
    def name(self) -> str:
        """The names that lead to it."""
        return " ".join(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All figures of this run."""

    rows: tuple[Compared, ...]
    same_machine: bool
    paces: Mapping[str, float]
    """By bench: how fast the machine was, as a multiple of the other run."""

    def of(self, change: Change) -> list[Compared]:
        """Those, the most changed first."""
        chosen = [row for row in self.rows if row.change is change]
        return sorted(chosen, key=lambda row: row.gain or 1, reverse=change is not Change.SLOWER)

    @property
    def judged(self) -> int:
        """How many figures were compared."""
        return sum(row.change in (Change.FASTER, Change.SAME, Change.SLOWER) for row in self.rows)

    def at(self, bench: str, path: tuple[str, ...]) -> Compared | None:
        """The row of one figure."""
        return next((row for row in self.rows if (row.bench, row.path) == (bench, path)), None)


def compare(now: Document, before: Document | None) -> Comparison:
    """Every figure of ``now``, beside ``before`` where that has it too."""
    same_machine = before is not None and now.identity == before.identity
    rows: list[Compared] = []
    paces: dict[str, float] = {}
    for bench, result in now.results.items():
        other = before.results.get(bench) if before is not None else None
        old = dict(walk(other))
        pace = _pace(result, old)
        if pace is not None:
            paces[bench] = pace
        for path, figure in walk(result):
            rows.append(_row(bench, path, figure, old.get(path), pace, same_machine))
    return Comparison(rows=tuple(rows), same_machine=same_machine, paces=paces)


def _pace(result: Mapping[str, Any], old: Mapping[tuple[str, ...], Figure]) -> float | None:
    """What the machine's own speed did, seen on the peers of one bench."""
    gains = [
        _gain(figure, old[path])
        for path, figure in walk(result)
        if path in old and _is_peers(path, figure)
    ]
    return statistics.median(gains) if gains else None


def _row(
    bench: str,
    path: tuple[str, ...],
    now: Figure,
    before: Figure | None,
    pace: float | None,
    same_machine: bool,
) -> Compared:
    gain, threshold, change = None, 0.0, Change.NEW
    if _is_peers(path, now):
        gain, change = (_gain(now, before) if before else None), Change.PEER
    elif before is not None and not _by_clock(path) and (same_machine or now.unit == "ratio"):
        paced = now.unit == "ratio" or pace is not None
        gain = _gain(now, before) / (pace if pace is not None and now.unit != "ratio" else 1.0)
        threshold = max(
            LEAST_CHANGE if paced else LEAST_CHANGE_UNPACED,
            SPREADS * (now.spread + before.spread),
        )
        change = _judged(gain, threshold)
    return Compared(
        bench=bench,
        path=path,
        now=now,
        before=before,
        gain=gain,
        threshold=threshold,
        change=change,
    )


def _judged(gain: float, threshold: float) -> Change:
    if gain < 1 / (1 + threshold):
        return Change.SLOWER
    return Change.FASTER if gain > 1 + threshold else Change.SAME


def _gain(now: Figure, before: Figure) -> float:
    # A difference of two figures may be nothing, or less, within its noise.
    if now.median <= 0 or before.median <= 0:
        return 1.0
    change = now.median / before.median
    return change if now.more_is_better else 1 / change


def _by_clock(path: tuple[str, ...]) -> bool:
    return any(name.startswith(WALL) for name in path)


def _is_peers(path: tuple[str, ...], figure: Figure) -> bool:
    return figure.unit != "ratio" and any(is_peer(name) for name in path)
