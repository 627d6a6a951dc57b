"""Paths that were built before: hosts send the same certificates with every document.

What is remembered is that these very certificates make a path to these anchors, and from when to
when it holds. The time of checking is no part of it: a remembered path is believed only at a time
at which all of it is valid, and is built anew at any other, which then says what is wrong. Refusals
are not remembered.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Final

from keystead.appraisal.anchors import AnchorSet
from keystead.appraisal.path import TrustedPath, build_path

DEFAULT_CAPACITY: Final = 4_096
"""Some kilobytes each; one host or enclave is one path, for hours."""


class ChainCache:
    """A bounded memory of paths to one set of anchors; the oldest used goes first.

    It belongs to the policy that has the anchors, so a new policy starts without a memory. Safe to
    use from several threads.
    """

    __slots__ = ("_anchors", "_capacity", "_lock", "_paths")

    def __init__(self, anchors: AnchorSet, *, capacity: int = DEFAULT_CAPACITY) -> None:
        self._anchors = anchors
        self._capacity = capacity
        self._paths: OrderedDict[bytes, TrustedPath] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._paths)

    def path(self, leaf: bytes, *, intermediates: Sequence[bytes], at: int) -> TrustedPath:
        """The path of ``leaf`` (DER) at ``at`` (Unix seconds), remembered or built; ``Untrusted``.

        A path that holds at one time is not promised for another: ask ``holds_at``.
        """
        key = _key(leaf, intermediates)
        found = self._look_up(key)
        if found is not None and found.holds_at(at):
            return found
        built = build_path(leaf, intermediates=intermediates, anchors=self._anchors, at=at)
        self._remember(key, built)
        return built

    def _look_up(self, key: bytes) -> TrustedPath | None:
        with self._lock:
            found = self._paths.get(key)
            if found is not None:
                self._paths.move_to_end(key)
            return found

    def _remember(self, key: bytes, path: TrustedPath) -> None:
        with self._lock:
            self._paths[key] = path
            self._paths.move_to_end(key)
            while len(self._paths) > self._capacity:
                self._paths.popitem(last=False)


def _key(leaf: bytes, intermediates: Sequence[bytes]) -> bytes:
    """A hash of every certificate with its length, so that no two lists make one key."""
    digest = hashlib.sha256()
    for der in (leaf, *intermediates):
        digest.update(len(der).to_bytes(4, "big"))
        digest.update(der)
    return digest.digest()
