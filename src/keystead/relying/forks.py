"""What a child of a fork must not inherit: locks that threads of its parent hold, and their work.

A server that forks its workers after it made a verifier, or while that fetched, has children in
which nobody would ever release the lock or end the fetch.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """An object with locks or threads."""

    def start_anew(self) -> None:
        """Replace its locks and forget its threads; nobody else runs yet."""
        ...


_alive: WeakSet[Forked] = WeakSet()


def start_anew_in_children(of: Forked) -> None:
    """Have ``of.start_anew`` called in every child that is forked from now on."""
    _alive.add(of)


def _start_anew() -> None:
    for each in list(_alive):
        each.start_anew()


os.register_at_fork(after_in_child=_start_anew)
