"""The results on disk: ``latest.json``, and ``previous.json`` with what each bench said before.

A run of some benches leaves the others' results where they are, as long as the machine and the
paths of the engine are the same; every result has its own time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 2
FOLDER = Path(__file__).parent / "results"
LATEST = FOLDER / "latest.json"
PREVIOUS = FOLDER / "previous.json"
REPORT = Path(__file__).parent / "report" / "index.html"

Result = Mapping[str, Any]


class UnknownResults(Exception):
    """A file that is not there, or holds no results of this format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Results of benches on one machine."""

    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    paths: Mapping[str, Mapping[str, Any]]
    results: Mapping[str, Result] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[object, ...]:
        """What has to be the same for two runs to be compared in absolute figures."""
        path_of = sorted((name, each["path"]) for name, each in self.paths.items())
        return self.machine.get("cpu"), self.machine.get("cores"), path_of

    def to_dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "format": FORMAT,
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "paths": {name: dict(each) for name, each in self.paths.items()},
            "results": dict(self.results),
        }


def read(path: Path) -> Document:
    """The document in ``path``; UnknownResults where there is none."""
    try:
        members = json.loads(path.read_text())
        if members["format"] != FORMAT:
            raise UnknownResults(f"{path} has format {members['format']}, not {FORMAT}")
        return Document(
            machine=dict(members["machine"]),
            versions=dict(members["versions"]),
            paths=dict(members["paths"]),
            results=dict(members["results"]),
        )
    except FileNotFoundError:
        raise UnknownResults(f"{path} is not there") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UnknownResults(f"{path} holds no results: {error!r}") from None


def read_if_any(path: Path) -> Document | None:
    """The document in ``path``, or None where there is none that can be read."""
    try:
        return read(path)
    except UnknownResults:
        return None


def keep(new: Document) -> Document:
    """Write ``new`` over the latest results, and what it replaces to the previous ones; answer what
    the latest are now."""
    latest, previous = read_if_any(LATEST), read_if_any(PREVIOUS)
    if latest is not None:
        same = latest.identity == new.identity
        replaced = {
            name: result
            for name, result in latest.results.items()
            if name in new.results or not same
        }
        if replaced:
            write(PREVIOUS, _over(previous, latest, replaced))
    whole = _over(latest, new, new.results)
    write(LATEST, whole)
    return whole


def write(path: Path, document: Document) -> None:
    """At once or not at all: a run that is stopped leaves the file whole."""
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(document.to_dict(), indent=1) + "\n")
    unfinished.replace(path)


def _over(old: Document | None, new: Document, results: Mapping[str, Result]) -> Document:
    """``results`` of ``new``, over those of ``old`` where that is the same machine."""
    kept = old.results if old is not None and old.identity == new.identity else {}
    return Document(
        machine=new.machine,
        versions=new.versions,
        paths=new.paths,
        results={**kept, **results},
    )
