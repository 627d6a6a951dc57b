"""Counters that only rise, one for each key of a device."""

from __future__ import annotations

import sqlite3

from keystead.errors import Reason, Replayed
from keystead.operations import (
    RaiseCounter,
)

_RAISE = """
INSERT INTO counters (key, value) VALUES (?1, ?2)
ON CONFLICT DO UPDATE SET value = excluded.value WHERE value < excluded.value
"""


def raise_counter(connection: sqlite3.Connection, operation: RaiseCounter) -> None:
    """Replayed where the counter is there already, or beyond."""
    if connection.execute(_RAISE, (operation.key, operation.value)).rowcount == 0:
        raise Replayed(Reason.COUNTER_NOT_RISING)
