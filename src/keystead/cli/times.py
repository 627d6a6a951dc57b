"""Points in time as a person writes them on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from keystead.errors import Malformed, Reason

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def parse_time(text: str) -> int:
    """RFC 3339 with its offset, as Unix seconds rounded down."""
    try:
        if not _TIME.fullmatch(text.upper()):
            raise ValueError
        seconds = int((datetime.fromisoformat(text.upper()) - _EPOCH).total_seconds() // 1)
    except (ValueError, OverflowError):
        seconds = -1
    if seconds < 0:
        raise Malformed(Reason.PARAMETER_INVALID, f"--at {text!r}: not like 2026-07-01T00:00:00Z")
    return seconds
