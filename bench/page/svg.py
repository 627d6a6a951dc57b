"""Plots as inline SVG: bars, bars that continue each other, and lines. Widths suit a phone.

Colours are classes of the page's style sheet; each plot has a title and a description in words, and
what it shows stands in a table beside it as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench import words
from bench.page.markup import Markup, join, tag

WIDTH = 420
_ROW = 26
_BAR = 16
_LABEL = 138
_VALUE = 108
# Of the widest font that a page may get, in bold.
_LABEL_CHARS = 16
_TEXT_DROP = 12.5  # from a bar's top to the base line of the text beside it

_LINE_HEIGHT = 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 28, 44
_TICKS = 4
_MARKS = ("circle", "square", "diamond", "triangle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar; ``kind`` is a class of the style sheet: ours, peer or floor."""

    label: str
    value: float
    text: str
    kind: str = "ours"
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line through points of (x, y)."""

    label: str
    points: Sequence[tuple[float, float]]


def bars(title: str, description: str, rows: Sequence[Bar], *, continued: bool = False) -> Markup:
    """Horizontal bars from zero; ``continued``: each begins where the last one ended."""
    room = WIDTH - _LABEL - _VALUE
    total = sum(row.value for row in rows)
    most = total if continued else max([row.high or row.value for row in rows], default=0)
    scale = room / most if most else 0
    drawn, start = [], 0.0
    for index, row in enumerate(rows):
        drawn.append(_bar(row, index * _ROW + 4, start * scale, scale))
        start += row.value if continued else 0
    return _plot(title, description, WIDTH, len(rows) * _ROW + 8, join(drawn))


def _bar(row: Bar, top: float, start: float, scale: float) -> Markup:
    left, width, base = _LABEL + start, max(row.value * scale, 1), top + _TEXT_DROP
    parts = [
        _label(row, base),
        tag("rect", x=left, y=top, width=width, height=_BAR, rx=2, class_=f"bar {row.kind}"),
    ]
    end = left + width
    if row.low is not None and row.high is not None:
        low, high = _LABEL + row.low * scale, _LABEL + row.high * scale
        middle = top + _BAR / 2
        parts.append(tag("line", x1=low, x2=high, y1=middle, y2=middle, class_="whisker"))
        end = max(end, high)
    parts.append(tag("text", row.text, x=end + 6, y=base, class_="value"))
    return tag("g", *parts)


def _label(row: Bar, base: float) -> Markup:
    """Beside its bar; a long one is pressed into the room that there is."""
    pressed = len(row.label) > _LABEL_CHARS
    return tag(
        "text",
        row.label,
        x=_LABEL - 8,
        y=base,
        text_anchor="end",
        class_=f"label {row.kind}",
        textLength=_LABEL - 10 if pressed else None,
        lengthAdjust="spacingAndGlyphs" if pressed else None,
    )


def lines(
    title: str, description: str, series: Sequence[Line], *, x_name: str, y_name: str
) -> Markup:
    """Lines over an x axis of powers of two, above a y axis that begins at zero."""
    xs = sorted({x for line in series for x, _ in line.points})
    top = _ceiling(max((y for line in series for _, y in line.points), default=1))
    frame = _Frame(xs=xs, top=top)
    drawn = [_grid(frame), _axis_names(x_name, y_name)]
    drawn += [_line(line, frame, index) for index, line in enumerate(series)]
    legend_top = _LINE_HEIGHT + 4
    drawn += [_legend(line, index, legend_top) for index, line in enumerate(series)]
    height = legend_top + 20 * len(series)
    return _plot(title, description, WIDTH, height, join(drawn))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    xs: Sequence[float]
    top: float

    def x(self, value: float) -> float:
        least, most = math.log2(self.xs[0]), math.log2(self.xs[-1])
        part = (math.log2(value) - least) / (most - least) if most > least else 0.5
        return _LEFT + part * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _LINE_HEIGHT - _BOTTOM - value / self.top * (_LINE_HEIGHT - _TOP - _BOTTOM)


def _grid(frame: _Frame) -> Markup:
    parts = []
    for tick in range(_TICKS + 1):
        value = frame.top * tick / _TICKS
        y = frame.y(value)
        parts += [
            tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="grid"),
            tag("text", f"{value:,.0f}", x=_LEFT - 8, y=y + 4, text_anchor="end", class_="tick"),
        ]
    for x in frame.xs:
        at, base = frame.x(x), _LINE_HEIGHT - _BOTTOM
        parts.append(
            tag("text", f"{x:,.0f}", x=at, y=base + 17, text_anchor="middle", class_="tick")
        )
    return join(parts)


def _axis_names(x_name: str, y_name: str) -> Markup:
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    return join(
        [
            tag("text", x_name, x=middle, y=_LINE_HEIGHT - 8, text_anchor="middle", class_="tick"),
            tag("text", y_name, x=0, y=12, class_="tick"),
        ]
    )


def _line(line: Line, frame: _Frame, index: int) -> Markup:
    places = [(frame.x(x), frame.y(y)) for x, y in line.points]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    drawn = [tag("polyline", points=points, class_=f"line series{index}")]
    for (x, y), (_, value) in zip(places, line.points, strict=True):
        drawn.append(_mark(x, y, index, f"{line.label}: {words.number(value)}"))
    return tag("g", *drawn)


def _legend(line: Line, index: int, top: float) -> Markup:
    y = top + 20 * index + 8
    return tag(
        "g",
        tag("line", x1=_LEFT, x2=_LEFT + 28, y1=y, y2=y, class_=f"line series{index}"),
        _mark(_LEFT + 14, y, index, line.label),
        tag("text", line.label, x=_LEFT + 38, y=y + 4, class_="label ours"),
    )


def _mark(x: float, y: float, index: int, title: str) -> Markup:
    """Shapes differ as well as colours."""
    shape, css = _MARKS[index % len(_MARKS)], f"mark series{index}"
    said = tag("title", title)
    if shape == "circle":
        return tag("circle", said, cx=x, cy=y, r=4, class_=css)
    turned = {
        "square": f"M{x - 4:.1f} {y - 4:.1f}h8v8h-8z",
        "diamond": f"M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
        "triangle": f"M{x:.1f} {y - 5:.1f}l5.5 9.5h-11z",
    }
    return tag("path", said, d=turned[shape], class_=css)


def _ceiling(value: float) -> float:
    """The next round number that four ticks divide well."""
    if value <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value))


def _plot(title: str, description: str, width: float, height: float, drawn: Markup) -> Markup:
    return tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        drawn,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=f"{title}. {description}",
    )
