"""HTML and SVG that cannot be broken by what stands in it: all text is escaped, once, here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

VOID = frozenset({"meta", "br", "hr", "circle", "line", "path", "polyline", "rect"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """An element; children that are no Markup are escaped.

    ``class_`` is the attribute class, an underscore in a name is a hyphen, and None leaves it out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID and not children:
        return Markup(f"<{name}{written}/>" if name != "meta" else f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[str]) -> Markup:
    """One after the other."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children))


def style(text: str) -> Markup:
    """A style sheet of our own, in which nothing may be escaped."""
    if "</" in text:
        raise ValueError("a style sheet that ends early")
    return Markup(f"<style>{text}</style>")


def _attribute(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
