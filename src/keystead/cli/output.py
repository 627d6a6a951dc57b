"""How commands answer: one JSON document, or lines for a person; errors on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from keystead.errors import ConfigurationError, KeysteadError, Malformed

EXIT_NO = 1
EXIT_WRONG_USE = 2
# Not every answer was given: the output could not be written, or nobody reads on.
EXIT_UNFINISHED = 3
# As shells name an end by SIGINT.
EXIT_INTERRUPTED = 130


def print_json(document: object) -> None:
    """One line of JSON."""
    print(json.dumps(document, ensure_ascii=False), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns, wide enough for what is in them."""
    shown = [tuple(printable(str(cell)) for cell in row) for row in rows]
    widths = [max(len(row[i]) for row in (columns, *shown)) for i in range(len(columns))]
    for row in (tuple(columns), *shown):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def print_fields(fields: Mapping[str, object]) -> None:
    """One ``name  value`` line each."""
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        print(f"{name.ljust(width)}  {printable(str(value))}")


def printable(text: str) -> str:
    """The text with control characters shown, so that no stored value can steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def time_text(seconds: int) -> str:
    """RFC 3339, UTC; empty for 0."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""


def report_error(error: KeysteadError, *, as_json: bool) -> int:
    """Say what went wrong, and the exit status for it."""
    wrong_use = isinstance(error, Malformed | ConfigurationError)
    if as_json:
        print_json(
            {"error": error.reason.value, "step": error.step, "detail": printable(error.detail)}
        )
    else:
        print(f"keystead: {printable(str(error))}", file=sys.stderr)
    return EXIT_WRONG_USE if wrong_use else EXIT_NO
