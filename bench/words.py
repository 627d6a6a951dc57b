"""How figures, changes and verdicts are put into words, in the terminal and on the page."""

from __future__ import annotations

from bench.compare import Change, Compared, Comparison
from bench.figures import MORE_IS_BETTER, Figure
from bench.results import Document

UNIT_WORDS = {"per_second": "/s", "ratio": "×", "us": " µs", "ms": " ms", "mb": " MB"}

MUCH_NOISE = 0.25
NOISY = " But the machine was too busy to tell: run it again on a quiet one."

_THOUSAND = 1_000


def number(value: float) -> str:
    """With three digits that count, and commas where it is long."""
    if abs(value) >= _THOUSAND:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def figure(value: Figure) -> str:
    """The median and its unit."""
    return number(value.median) + UNIT_WORDS[value.unit]


def demand(value: float, unit: str) -> str:
    """What a target asks for."""
    return f"{'≥' if unit in MORE_IS_BETTER else '≤'} {value:,g}{UNIT_WORDS[unit]}"


def spread(value: Figure) -> str:
    """How far the rounds lay apart."""
    return f"±{value.spread * 100:.1f} %"


def percent(gain: float) -> str:
    """``gain`` as so much better or worse."""
    return f"{(gain - 1) * 100:+.1f} %".replace("-", "−")


def label(row: Compared) -> str:
    """Where a figure stands."""
    return f"{row.bench}: {row.name}"


def headline(comparison: Comparison, before: Document | None) -> tuple[Change, str]:
    """The one line that says whether this build got slower; NEW where nobody can tell."""
    if before is None:
        return Change.NEW, "No earlier run to compare with: this one is kept for the next."
    if not comparison.judged:
        return (
            Change.NEW,
            "Nothing to compare: the other run has no figure in common with this one.",
        )
    slower, faster = comparison.of(Change.SLOWER), comparison.of(Change.FASTER)
    of_all = f"of {comparison.judged} figures that were compared"
    also = f"; {len(faster)} got faster" if faster else ""
    doubt = NOISY if comparison.noise > MUCH_NOISE else ""
    if slower:
        worst = slower[0]
        return Change.SLOWER, (
            f"Slower: {len(slower)} {of_all}, worst {label(worst)} "
            f"({percent(worst.gain or 1)}){also}.{doubt}"
        )
    if faster:
        best = faster[0]
        return Change.NEW if doubt else Change.FASTER, (
            f"Not slower: {len(faster)} {of_all} got faster, most {label(best)} "
            f"({percent(best.gain or 1)}), and none slower.{doubt}"
        )
    noise = f"±{comparison.noise * 100:.0f} % for half of them"
    return (
        Change.NEW if doubt else Change.SAME,
        f"Not slower: none {of_all} changed beyond the noise, {noise}.{doubt}",
    )


def beside(comparison: Comparison, before: Document) -> str:
    """Which run this one is compared with."""
    runs = [result["run"] for result in before.results.values()]
    commits = ", ".join(sorted({run["commit"] for run in runs}))
    text = f"Compared with {commits}, measured {span([run['at'] for run in runs])} UTC"
    if not comparison.same_machine:
        text += " on another machine or by other code paths, so only ratios are compared"
    return text + "."


def span(times: list[str]) -> str:
    """From the first to the last."""
    first, last = min(times, default=""), max(times, default="")
    return first if first == last else f"{first} to {last}"
