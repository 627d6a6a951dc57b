"""The page's tables: targets, what changed, all figures, the machine and its versions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from bench import words
from bench.compare import Change, Compared, Comparison
from bench.page.markup import Markup, tag
from bench.results import Document
from bench.targets import Judged, reached

_METER = 72
CHANGE_WORDS = {
    Change.FASTER: "▲ faster",
    Change.SAME: "= same",
    Change.SLOWER: "▼ slower",
    Change.PEER: "a peer's",
    Change.NEW: "",
}


def targets(judged: Sequence[Judged], comparison: Comparison) -> Markup:
    """Every target with what was measured, and why it was missed."""
    columns = ("target", "demand", "measured", "of the demand", "outcome", "change")
    head = tag("tr", *(_stacked_column(name) for name in columns), role="row")
    bodies = [
        tag(
            "tbody",
            tag(
                "tr",
                tag("th", group, scope="rowgroup", colspan=len(columns), role="rowheader"),
                role="row",
            ),
            *(_target_row(each, comparison) for each in members),
            role="rowgroup",
        )
        for group, members in groupby(judged, key=lambda each: each.target.group)
    ]
    return _stacks("Targets", head, bodies)


def _target_row(each: Judged, comparison: Comparison) -> Markup:
    target, figure = each.target, each.figure
    why = [tag("small", each.why)] if each.why else []
    change = comparison.at(target.bench, target.path)
    return tag(
        "tr",
        tag("th", target.what, *why, scope="row", role="rowheader"),
        _number(words.demand(target.demand, target.unit)),
        _number(words.figure(figure) if figure else "–"),
        tag("td", *([_meter(reached(figure, target.demand))] if figure else []), role="cell"),
        tag("td", each.outcome, class_=each.outcome.name.lower(), role="cell"),
        _change(change),
        role="row",
    )


def _meter(part: float) -> Markup:
    """A bar that is full where the demand is met, and the same in words."""
    width = min(part, 1.0) * _METER
    return tag(
        "span",
        tag(
            "svg",
            tag("rect", width=_METER, height=8, rx=2, class_="track"),
            tag(
                "rect", width=max(width, 1), height=8, rx=2, class_="met" if part >= 1 else "missed"
            ),
            viewBox=f"0 0 {_METER} 8",
            aria_hidden="true",
        ),
        f"{part * 100:.0f} %" if math.isfinite(part) else "all",
        class_="meter",
    )


def changes(rows: Sequence[Compared], *, caption: str) -> Markup:
    """Figures beside what they were."""
    columns = ("figure", "before", "now", "moved", "noise", "outcome")
    head = tag("tr", *(_stacked_column(name) for name in columns), role="row")
    body = tag("tbody", *map(_changed_row, rows), role="rowgroup")
    return _stacks(caption, head, [body])


def _changed_row(row: Compared) -> Markup:
    return tag(
        "tr",
        tag("th", words.label(row), scope="row", role="rowheader"),
        _number(words.figure(row.before) if row.before else "–"),
        _number(words.figure(row.now)),
        _number(words.percent(row.gain) if row.gain else ""),
        _number(f"±{row.threshold * 100:.0f} %"),
        tag("td", CHANGE_WORDS[row.change], class_=f"change {row.change}", role="cell"),
        role="row",
    )


def _stacks(name: str, head: Markup, bodies: Sequence[Markup]) -> Markup:
    """A table whose cells the style sheet takes out of it on a phone; their roles stay."""
    made = tag("table", tag("thead", head, role="rowgroup"), *bodies, role="table", class_="stacks")
    return tag("div", made, class_="scrolls", tabindex="0", role="region", aria_label=name)


def _stacked_column(name: str) -> Markup:
    numbers = name in ("demand", "measured", "before", "now", "moved", "noise")
    return tag("th", name, scope="col", role="columnheader", class_="number" if numbers else None)


def other_ratios(judged: Sequence[Judged], comparison: Comparison) -> Markup:
    """The ratios that no target asks for."""
    asked = {(each.target.bench, each.target.path) for each in judged}
    rows = [
        row
        for row in comparison.rows
        if row.now.unit == "ratio" and (row.bench, row.path) not in asked
    ]
    columns = ("ratio", "measured", "spread", "before", "change")
    return table(
        "Ratios without a target", columns, [_figure_row(row, words.label(row)) for row in rows]
    )


def all_figures(document: Document, comparison: Comparison) -> list[Markup]:
    """A closed section a bench, with each figure that it has."""
    return [
        tag(
            "details",
            tag("summary", tag("b", bench), f" {result.get('question', '')}"),
            tag("p", _run_of(result["run"]), class_="note"),
            *_missing(result.get("missing")),
            table(
                f"All figures of {bench}",
                ("figure", "now", "spread", "before", "change"),
                [_figure_row(row, row.name) for row in comparison.rows if row.bench == bench],
            ),
        )
        for bench, result in document.results.items()
    ]


def _figure_row(row: Compared, name: str) -> Markup:
    return tag(
        "tr",
        tag("th", name, scope="row"),
        _number(words.figure(row.now)),
        _number(words.spread(row.now)),
        _number(words.figure(row.before) if row.before else "–"),
        _change(row),
    )


def _run_of(run: dict[str, object]) -> str:
    return (
        f"Measured {run['at']} UTC at commit {run['commit']}: {run['rounds']} rounds, "
        f"{run['seconds']} s, seed {run['seed']}, load average {run['load_average']} at its start."
    )


def _missing(missing: object) -> Iterable[Markup]:
    if isinstance(missing, dict) and missing:
        yield tag("ul", *(tag("li", f"Without {name}: {why}") for name, why in missing.items()))


def machine(document: Document) -> Markup:
    """What it ran on."""
    rows = []
    for name, value in document.machine.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        rows.append(_pair(name.replace("_", " "), text))
    return table("Machine", ("what", "value"), rows, numbers=False)


def versions(document: Document) -> Markup:
    """Of what it ran."""
    rows = [_pair(name, value) for name, value in document.versions.items()]
    return table("Versions", ("what", "version"), rows, numbers=False)


def paths(document: Document) -> Markup:
    """The code that verified each algorithm."""
    rows = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            tag("td", str(each["path"])),
            tag("td", str(each["reason"]) + (" (forced)" if each["forced"] else "")),
        )
        for name, each in document.paths.items()
    ]
    return table("Paths of the engine", ("algorithm", "path", "why"), rows, numbers=False)


def table(
    caption: str, columns: Sequence[str], rows: Sequence[Markup], *, numbers: bool = True
) -> Markup:
    """A real table, in a box that scrolls where a screen is narrow."""
    head = tag("tr", *(_column(name, numbers and at > 0) for at, name in enumerate(columns)))
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag("thead", head),
            tag("tbody", *rows),
        ),
        class_="scrolls",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _column(name: str, numbers: bool) -> Markup:
    if not name:
        return tag("td")
    return tag("th", name, scope="col", class_="number" if numbers else None)


def plain(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A table of texts, the first of each row its name."""
    return table(
        caption,
        columns,
        [tag("tr", tag("th", row[0], scope="row"), *map(_number, row[1:])) for row in rows],
    )


def _pair(name: str, value: str) -> Markup:
    return tag("tr", tag("th", name, scope="row"), tag("td", value))


def _number(text: str) -> Markup:
    return tag("td", text, class_="number", role="cell")


def _change(row: Compared | None) -> Markup:
    if row is None or row.change in (Change.NEW, Change.PEER):
        return tag("td", CHANGE_WORDS[row.change] if row else "", class_="quiet", role="cell")
    text = CHANGE_WORDS[row.change]
    if row.gain is not None and row.change is not Change.SAME:
        text += f" {words.percent(row.gain)}"
    return tag("td", text, class_=f"change {row.change}", role="cell")
