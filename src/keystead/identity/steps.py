"""Numbers for the checks whose readers do not know which step of which list they serve."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from keystead.errors import KeysteadError


@contextmanager
def at_step(number: int) -> Iterator[None]:
    """Give whatever is refused inside the step's number; an inner list's number gives way."""
    try:
        yield
    except KeysteadError as error:
        error.step = number
        raise
