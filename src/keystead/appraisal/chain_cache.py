"""What was verified before: hosts send the same certificates with every document.

What is remembered is that these very bytes passed, such as that certificates make a path to the
anchors of one policy, and from when to when that holds. The time of checking is no part of it: a
remembered path is believed only at a time at which all of it is valid, and is built anew at any
other, which then says what is wrong. Refusals are not remembered.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import Lock
from typing import Final, Generic, Protocol, TypeVar

from keystead.appraisal.anchors import AnchorSet
from keystead.appraisal.chain import AnchoredChain, build_chain
from keystead.appraisal.path import TrustedPath, build_path

DEFAULT_CAPACITY: Final = 4_096
"""Some kilobytes each; one host or enclave is one path, for hours."""


class Dated(Protocol):
    """What is remembered: it says itself when it holds, Unix seconds."""

    def holds_at(self, at: int) -> bool: ...


DatedT = TypeVar("DatedT", bound=Dated)
PathT = TypeVar("PathT", bound=Dated)
PathT_co = TypeVar("PathT_co", covariant=True)


class PathBuilder(Protocol[PathT_co]):
    """Builds a path to the anchors of one policy; ``Untrusted``."""

    def __call__(self, leaf: bytes, *, intermediates: Sequence[bytes], at: int) -> PathT_co: ...


class DatedCache(Generic[DatedT]):
    """A bounded memory; what was used longest ago goes first.

    It belongs to the policy that has the anchors, so a new policy starts without a memory. Safe to
    use from several threads.
    """

    __slots__ = ("_capacity", "_held", "_lock")

    def __init__(self, *, capacity: int = DEFAULT_CAPACITY) -> None:
        self._capacity = capacity
        self._held: OrderedDict[bytes, DatedT] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._held)

    def find(self, parts: Iterable[bytes], *, at: int, make: Callable[[], DatedT]) -> DatedT:
        """What ``make`` made of ``parts`` if that holds at ``at`` (Unix seconds), or makes now.

        ``parts`` are all the bytes that the outcome hangs on, apart from the time and what belongs
        to the policy. ``make`` raises what it likes, and that is not remembered.
        """
        key = _key(parts)
        found = self._look_up(key)
        if found is not None and found.holds_at(at):
            return found
        made = make()
        self._remember(key, made)
        return made

    def _look_up(self, key: bytes) -> DatedT | None:
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
            return found

    def _remember(self, key: bytes, made: DatedT) -> None:
        with self._lock:
            self._held[key] = made
            self._held.move_to_end(key)
            while len(self._held) > self._capacity:
                self._held.popitem(last=False)


class PathCache(DatedCache[PathT]):
    """The paths that ``build`` made."""

    __slots__ = ("_build",)

    def __init__(self, build: PathBuilder[PathT], *, capacity: int = DEFAULT_CAPACITY) -> None:
        super().__init__(capacity=capacity)
        self._build = build

    def path(self, leaf: bytes, *, intermediates: Sequence[bytes], at: int) -> PathT:
        """The path of ``leaf`` (DER) at ``at`` (Unix seconds), remembered or built; ``Untrusted``.

        A path that holds at one time is not promised for another: ask ``holds_at``.
        """
        return self.find(
            (leaf, *intermediates),
            at=at,
            make=lambda: self._build(leaf, intermediates=intermediates, at=at),
        )


class ChainCache(PathCache[TrustedPath]):
    """The paths to one set of anchors by ``appraisal.path``."""

    __slots__ = ()

    def __init__(self, anchors: AnchorSet, *, capacity: int = DEFAULT_CAPACITY) -> None:
        super().__init__(partial(build_path, anchors=anchors), capacity=capacity)


class TpmChainCache(PathCache[AnchoredChain]):
    """The same by ``appraisal.chain``, for TPM vendors' certificates."""

    __slots__ = ("anchors",)

    def __init__(self, anchors: AnchorSet, *, capacity: int = DEFAULT_CAPACITY) -> None:
        super().__init__(partial(build_chain, anchors=anchors), capacity=capacity)
        self.anchors = anchors


def _key(parts: Iterable[bytes]) -> bytes:
    """A hash of every part with its length, so that no two lists make one key."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()
