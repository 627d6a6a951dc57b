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
from functools import partial
from threading import Lock
from typing import Final, Generic, Protocol, TypeVar

from keystead.appraisal.anchors import AnchorSet
from keystead.appraisal.path import TrustedPath, build_path

DEFAULT_CAPACITY: Final = 4_096
"""Some kilobytes each; one host or enclave is one path, for hours."""


class DatedPath(Protocol):
    """What is remembered: it says itself when it holds, Unix seconds."""

    def holds_at(self, at: int) -> bool: ...


PathT = TypeVar("PathT", bound=DatedPath)
PathT_co = TypeVar("PathT_co", covariant=True)


class PathBuilder(Protocol[PathT_co]):
    """Builds a path to the anchors of one policy; ``Untrusted``."""

    def __call__(self, leaf: bytes, *, intermediates: Sequence[bytes], at: int) -> PathT_co: ...


class PathCache(Generic[PathT]):
    """A bounded memory of the paths that ``build`` made; the oldest used goes first.

    It belongs to the policy that has the anchors, so a new policy starts without a memory. Safe to
    use from several threads.
    """

    __slots__ = ("_build", "_capacity", "_lock", "_paths")

    def __init__(self, build: PathBuilder[PathT], *, capacity: int = DEFAULT_CAPACITY) -> None:
        self._build = build
        self._capacity = capacity
        self._paths: OrderedDict[bytes, PathT] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._paths)

    def path(self, leaf: bytes, *, intermediates: Sequence[bytes], at: int) -> PathT:
        """The path of ``leaf`` (DER) at ``at`` (Unix seconds), remembered or built; ``Untrusted``.

        A path that holds at one time is not promised for another: ask ``holds_at``.
        """
        key = _key(leaf, intermediates)
        found = self._look_up(key)
        if found is not None and found.holds_at(at):
            return found
        built = self._build(leaf, intermediates=intermediates, at=at)
        self._remember(key, built)
        return built

    def _look_up(self, key: bytes) -> PathT | None:
        with self._lock:
            found = self._paths.get(key)
            if found is not None:
                self._paths.move_to_end(key)
            return found

    def _remember(self, key: bytes, path: PathT) -> None:
        with self._lock:
            self._paths[key] = path
            self._paths.move_to_end(key)
            while len(self._paths) > self._capacity:
                self._paths.popitem(last=False)


class ChainCache(PathCache[TrustedPath]):
    """The paths to one set of anchors by ``appraisal.path``."""

    __slots__ = ()

    def __init__(self, anchors: AnchorSet, *, capacity: int = DEFAULT_CAPACITY) -> None:
        super().__init__(partial(build_path, anchors=anchors), capacity=capacity)


def _key(leaf: bytes, intermediates: Sequence[bytes]) -> bytes:
    """A hash of every certificate with its length, so that no two lists make one key."""
    digest = hashlib.sha256()
    for der in (leaf, *intermediates):
        digest.update(len(der).to_bytes(4, "big"))
        digest.update(der)
    return digest.digest()
