"""Results, targets and comparisons as tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench import words
from bench.compare import Change, Comparison
from bench.figures import read
from bench.results import Document
from bench.targets import Judged, Outcome

WIDTH = 110
COLOURS = {
    Change.FASTER: "green",
    Change.SAME: "",
    Change.SLOWER: "bold red",
    Change.PEER: "dim",
    Change.NEW: "dim",
}
OUTCOMES = {Outcome.MET: "green", Outcome.MISSED: "bold red", Outcome.NOT_MEASURED: "dim"}
_SKIPPED = ("question", "run", "paths")


def show(name: str, result: Mapping[str, object]) -> None:
    """One bench: each figure by its path in the result."""
    console = Console(width=WIDTH)
    console.print(f"\n{name}: {result['question']}", highlight=False)
    table = Table("figure")
    table.add_column("value", justify="right")
    table.add_column("spread", justify="right", style="dim")
    shown = {key: value for key, value in result.items() if key not in _SKIPPED}
    for path, value, spread in _leaves(shown):
        table.add_row(escape(path), escape(value), spread)
    console.print(table)


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, str, str]]:
    figure = read(value)
    if figure is not None:
        yield path, words.figure(figure), words.spread(figure)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path} {key}".strip())
    elif value is not None:
        yield path, str(value), ""


def show_targets(judged: list[Judged]) -> None:
    """Every target."""
    table = Table("target", title="Targets", title_justify="left")
    for name in ("demand", "measured"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for each in judged:
        measured = words.figure(each.figure) if each.figure else ""
        what = each.target.what + (f"\n  {each.why}" if each.why else "")
        table.add_row(
            escape(what),
            words.demand(each.target.demand, each.target.unit),
            measured,
            f"[{OUTCOMES[each.outcome]}]{each.outcome}[/]",
        )
    Console(width=WIDTH).print(table)


def show_comparison(comparison: Comparison, before: Document | None) -> None:
    """The headline, and every figure that was judged."""
    console = Console(width=WIDTH)
    if before is not None and comparison.judged:
        table = Table("figure", title=words.beside(comparison, before), title_justify="left")
        for name in ("before", "now", "change", "noise"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        for change in (Change.SLOWER, Change.FASTER, Change.SAME):
            for row in comparison.of(change):
                table.add_row(
                    escape(words.label(row)),
                    words.figure(row.before) if row.before else "",
                    words.figure(row.now),
                    words.percent(row.gain or 1),
                    f"±{row.threshold * 100:.0f} %",
                    str(change),
                    style=COLOURS[change],
                )
        console.print(table)
    change, text = words.headline(comparison, before)
    console.print(f"\n{escape(text)}", style=COLOURS[change], highlight=False)
