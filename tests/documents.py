"""The documentation as tests read it: its tables and its code."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

_CELLS = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"[\s|:-]+")

Row = dict[str, str]


def read(name: str) -> str:
    return (DOCS / name).read_text()


def rows(name: str, *columns: str) -> list[Row]:
    """The rows of every table of a document whose header starts with ``columns``."""
    found: list[Row] = []
    header: list[str] | None = None
    for line in read(name).splitlines():
        if not line.startswith("|"):
            header = None
        elif header is None:
            header = _cells(line)
        elif not _RULE.fullmatch(line) and header[: len(columns)] == list(columns):
            cells = _cells(line)
            assert len(cells) == len(header), f"docs/{name}: {line}"
            found.append(dict(zip(header, cells, strict=True)))
    return found


def code(cell: str) -> str:
    """The inside of a cell that is one piece of code."""
    assert cell.count("`") == 2 and cell[0] == cell[-1] == "`", f"not one piece of code: {cell}"
    return cell[1:-1]


def codes(cell: str) -> list[str]:
    """Every piece of code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", read(name), re.MULTILINE | re.DOTALL)


def _cells(line: str) -> list[str]:
    cells = _CELLS.split(line.strip())[1:-1]
    return [cell.strip().replace(r"\|", "|") for cell in cells]
