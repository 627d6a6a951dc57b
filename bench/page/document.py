"""The whole page, from two documents of results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench import words
from bench.compare import Change, Comparison, compare
from bench.page import plots, tables
from bench.page.markup import Markup, join, style, tag
from bench.results import Document
from bench.targets import Judged, Outcome, judge

_STYLE = Path(__file__).parent / "page.css"
_MARKS = {Change.FASTER: "▲", Change.SAME: "=", Change.SLOWER: "▼", Change.NEW: "·"}
# Changed figures that stand open; the most changed come first.
_SHOWN = 12
SECTIONS = (
    ("Throughput, by algorithm and path", plots.throughput),
    (
        "Batch size and threads",
        lambda document: (*plots.batches(document), *plots.threads(document)),
    ),
    ("Where a token's time goes", plots.stages),
    ("Signing, beside swtpm", plots.signing),
    ("The token endpoint, beside oidc-provider", plots.endpoint),
    ("Appraisals", plots.appraisals),
)


def page(document: Document, before: Document | None) -> str:
    """One HTML file that refers to nothing outside of it."""
    comparison, judged = compare(document, before), judge(document)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", "Keystead benchmarks"),
        style(_STYLE.read_text()),
    )
    body = tag(
        "body",
        _header(document, before, comparison, judged),
        tag(
            "main",
            _changed(comparison, before),
            _section("Targets", _targets(judged, comparison)),
            *(_plots(title, make(document)) for title, make in SECTIONS),
            _section("All figures", tables.all_figures(document, comparison)),
            _section(
                "Machine, paths, versions",
                [tables.paths(document), tables.machine(document), tables.versions(document)],
            ),
            _how_to_read(),
        ),
    )
    # A page without a favicon of its own would be asked for one.
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _header(
    document: Document, before: Document | None, comparison: Comparison, judged: list[Judged]
) -> Markup:
    change, text = words.headline(comparison, before)
    runs = [result["run"] for result in document.results.values()]
    loads = [run["load_average"] for run in runs] or [0]
    facts = [
        _fact("targets met", f"{_count(judged, Outcome.MET)} of {len(judged)}"),
        _fact("missed", str(_count(judged, Outcome.MISSED))),
        _fact("not measured", str(_count(judged, Outcome.NOT_MEASURED))),
        _fact("faster", str(len(comparison.of(Change.FASTER)))),
        _fact("slower", str(len(comparison.of(Change.SLOWER)))),
    ]
    machine = document.machine
    return tag(
        "header",
        tag("h1", "Keystead benchmarks"),
        tag(
            "p",
            tag("span", _MARKS[change], aria_hidden="true", class_="sign"),
            tag("span", text),
            class_=f"verdict {change}",
            role="status",
        ),
        *([tag("p", words.beside(comparison, before), class_="note")] if before else []),
        tag("dl", *facts, class_="facts"),
        tag(
            "p",
            f"{machine.get('cpu')}, {machine.get('cores')} cores; ES256 by the path "
            f"“{document.paths.get('ES256', {}).get('path', 'unknown')}”; measured "
            f"{words.span([run['at'] for run in runs])} UTC, load average {min(loads):g} to "
            f"{max(loads):g}; commit {document.versions.get('commit', 'unknown')}.",
            class_="note",
        ),
    )


def _fact(name: str, value: str) -> Markup:
    return tag("div", tag("dt", name), tag("dd", value))


def _count(judged: list[Judged], outcome: Outcome) -> int:
    return sum(each.outcome is outcome for each in judged)


def _changed(comparison: Comparison, before: Document | None) -> Markup:
    if before is None or not comparison.judged:
        return Markup("")
    changed = [*comparison.of(Change.SLOWER), *comparison.of(Change.FASTER)]
    parts = []
    if changed:
        parts.append(tables.changes(changed[:_SHOWN], caption="Beyond the noise"))
    if len(changed) > _SHOWN:
        rest = tables.changes(changed[_SHOWN:], caption="And beyond the noise, too")
        parts.append(tag("details", tag("summary", f"{len(changed) - _SHOWN} more"), rest))
    paces = ", ".join(
        f"{bench} {words.percent(pace.gain)} (±{pace.apart * 100:.0f} %)"
        for bench, pace in comparison.paces.items()
    )
    if paces:
        parts.append(
            tag(
                "p",
                "The machine's own pace, seen on the peers of each bench, and taken out above; in "
                "brackets, how far a peer strayed from that: "
                f"{paces}.",
                class_="note",
            )
        )
    return _section("What changed", parts or [tag("p", "Nothing beyond the noise.")])


def _targets(judged: list[Judged], comparison: Comparison) -> list[Markup]:
    note = (
        "Ratios (×) are of one run on one core. A miss stands here whatever its reason; the reason "
        "is what the data say."
    )
    others = tables.other_ratios(judged, comparison)
    return [
        tables.targets(judged, comparison),
        tag("p", note, class_="note"),
        tag("details", tag("summary", "All other ratios, which no target asks for"), others),
    ]


def _plots(title: str, drawn: Iterable[plots.Plot]) -> Markup:
    made = [
        tag(
            "figure",
            tag("h3", plot.title),
            plot.drawing,
            tag("figcaption", plot.caption),
            tag(
                "details",
                tag("summary", "The same as a table"),
                tables.plain(plot.title, plot.columns, plot.rows),
            ),
        )
        for plot in drawn
    ]
    if not made:
        made = [tag("p", "Not measured in this run.", class_="note")]
    return _section(title, [tag("div", *made, class_="plots")])


def _section(title: str, parts: Iterable[Markup]) -> Markup:
    return tag("section", tag("h2", title), join(parts))


def _how_to_read() -> Markup:
    items = (
        "A figure is the median of its rounds. The spread is half of what the middle half of the "
        "rounds covers, as a part of the median; plots show that middle half as a thin line.",
        "Everything that is compared runs in turns in one run. CPU time is the measuring thread's "
        "(for Node.js its process's), and the clock's where more than one thread works.",
        "Faster and slower mean: by more than seven parts in a hundred, by more than the rounds of "
        "both runs lay apart, and by more than any peer of that bench moved, once the pace of the "
        "machine was taken out. Peers run the same code each time: what they did the machine did.",
        "docs/benchmarks.md explains each bench, and the misses.",
    )
    return _section("How to read this", [tag("ul", *(tag("li", item) for item in items))])
