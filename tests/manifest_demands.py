"""How a row of the published vectors' table is judged, and what must come of it.

The table's last column is for people. Here it becomes something that can fail: what a file is
turned into, the verdict that its row asks for, and neighbours with one thing wrong that must be
refused, each by its step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from keystead.errors import EvidenceRejected, KeysteadError, Malformed, Reason
from tests.manifest import Row

Judge: TypeAlias = Callable[[Row], Any]
"""Makes evidence of the row's file and looks at it, at the row's time; raises what refuses it."""

Verdict: TypeAlias = tuple[type[Exception], Reason | None, int | None] | None
"""The error, its reason and step; None: affirmed, or parsed where nothing could affirm."""

Neighbours: TypeAlias = Mapping[str, tuple[Judge, Verdict]]
"""What is wrong in each, how it is judged, and what it must be refused for."""

MALFORMED: Verdict = (Malformed, Reason.MALFORMED, None)


def refused(reason: Reason, step: int) -> Verdict:
    """Refused by that step."""
    return EvidenceRejected, reason, step


def nothing_more(row: Row, result: Any) -> None:
    """The verdict says it all."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """``says``: what the row's text has to say for this demand still to be its own.

    ``facts`` are held against the text and the result, which is None where the row is refused.
    """

    says: tuple[str, ...]
    judge: Judge
    verdict: Verdict = None
    facts: Callable[[Row, Any], None] = nothing_more
    neighbours: Neighbours = field(default_factory=dict)


def verdict_on(judge: Judge, row: Row) -> tuple[Any, Verdict]:
    """What ``judge`` found, or why it refused."""
    try:
        return judge(row), None
    except KeysteadError as error:
        return None, (type(error), error.reason, error.step)
    except ValueError as error:  # Of readers that are not Keystead's.
        return None, (type(error), None, None)


def flipped(data: bytes, at: int) -> bytes:
    """One bit of one byte changed; negative places count from the end."""
    place = at % len(data)
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def told(row: Row, pattern: str) -> str:
    """The first group of ``pattern`` in the row's text, where it has to be."""
    found = re.search(pattern, row.expected)
    assert found is not None, (row, pattern)
    return found[1]


def last_flipped(data: bytes) -> bytes:
    """The last byte changed."""
    return flipped(data, -1)


def with_other_pcr(values: dict[int, bytes]) -> dict[int, bytes]:
    """PCR 4 with a value that nobody quoted."""
    return values | {4: b"\x01" * 32}
