"""This run beside another one: which figures of ours got faster or slower, noise set apart.

Peers are the same code in both runs, so what *their* figures did the machine did. A figure of ours
counts as changed where it moved, after the pace of the machine (the median of what the peers of its
bench did) was taken out, by more than

1. ``LEAST_CHANGE``,
2. ``SPREADS`` times what the rounds of both runs were apart, added up, and
3. what any peer of its bench did, the pace taken out as well; twice over in a ratio.

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


JUDGED = frozenset({Change.FASTER, Change.SAME, Change.SLOWER})


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
class Pace:
    """What the machine did between two runs of one bench, seen on its peers."""

    gain: float
    """How fast it was, as a multiple of the other run."""
    apart: float
    """By how much the peer that strayed most from that did so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All figures of this run."""

    rows: tuple[Compared, ...]
    same_machine: bool
    paces: Mapping[str, Pace]
    """Of every bench that has peers."""

    def of(self, change: Change) -> list[Compared]:
        """Those, the most changed first."""
        chosen = [row for row in self.rows if row.change is change]
        return sorted(chosen, key=lambda row: row.gain or 1, reverse=change is not Change.SLOWER)

    @property
    def judged(self) -> int:
        """How many figures were compared."""
        return sum(row.change in JUDGED for row in self.rows)

    @property
    def noise(self) -> float:
        """What half of the figures that were compared would have had to change to be noticed."""
        thresholds = [row.threshold for row in self.rows if row.change in JUDGED]
        return statistics.median(thresholds) if thresholds else 0.0

    def at(self, bench: str, path: tuple[str, ...]) -> Compared | None:
        """The row of one figure."""
        return next((row for row in self.rows if (row.bench, row.path) == (bench, path)), None)


def compare(now: Document, before: Document | None) -> Comparison:
    """Every figure of ``now``, beside ``before`` where that has it too."""
    same_machine = before is not None and now.identity == before.identity
    rows: list[Compared] = []
    paces: dict[str, Pace] = {}
    for bench, result in now.results.items():
        other = before.results.get(bench) if before is not None else None
        old = dict(walk(other))
        pace = _pace(result, old)
        if pace is not None:
            paces[bench] = pace
        for path, figure in walk(result):
            rows.append(_row(bench, path, figure, old.get(path), pace, same_machine))
    return Comparison(rows=tuple(rows), same_machine=same_machine, paces=paces)


def _pace(result: Mapping[str, Any], old: Mapping[tuple[str, ...], Figure]) -> Pace | None:
    gains = [
        _gain(figure, old[path])
        for path, figure in walk(result)
        if path in old and _is_peers(path, figure)
    ]
    if not gains:
        return None
    gain = statistics.median(gains)
    return Pace(gain=gain, apart=max(max(each / gain, gain / each) for each in gains) - 1)


def _row(
    bench: str,
    path: tuple[str, ...],
    now: Figure,
    before: Figure | None,
    pace: Pace | None,
    same_machine: bool,
) -> Compared:
    gain, threshold, change = None, 0.0, Change.NEW
    if _is_peers(path, now):
        gain, change = (_gain(now, before) if before else None), Change.PEER
    elif before is not None and not _by_clock(path) and (same_machine or now.unit == "ratio"):
        own = pace if pace is not None and now.unit != "ratio" else None
        gain = _gain(now, before) / (own.gain if own else 1.0)
        threshold = max(
            LEAST_CHANGE if pace is not None or now.unit == "ratio" else LEAST_CHANGE_UNPACED,
            SPREADS * (now.spread + before.spread),
            _strayed(now.unit, pace),
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


def _strayed(unit: str, pace: Pace | None) -> float:
    """How far two figures of one build may be apart, by what the peers did; in a ratio both sides
    may stray."""
    apart = pace.apart if pace is not None else 0.0
    return (1 + apart) ** 2 - 1 if unit == "ratio" else apart


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
