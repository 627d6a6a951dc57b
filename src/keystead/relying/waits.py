"""Checks that may have to wait for a document, in a thread or on an event loop.

Such a check is a generator: it yields what it waits for, and returns its answer. Whoever finishes
it decides how to wait; when the time is over it goes on with what there is.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Fetches that are under way, and for how long they are worth waiting for."""

    pending: frozenset[Future[None]]
    timeout_s: float


Waiting: TypeAlias = Generator[Wait, None, _T]


def wait_for(pending: Iterable[Future[None] | None], *, timeout_s: float) -> Waiting[None]:
    """Wait for those that there are."""
    futures = frozenset(future for future in pending if future is not None)
    if futures:
        yield Wait(pending=futures, timeout_s=timeout_s)


def finish(steps: Waiting[_T]) -> _T:
    """The answer; this thread waits."""
    while True:
        try:
            found = next(steps)
        except StopIteration as end:
            answer: _T = end.value
            return answer
        wait(found.pending, timeout=found.timeout_s)


async def finish_async(steps: Waiting[_T]) -> _T:
    """The answer; while it waits, the event loop runs on."""
    while True:
        try:
            found = next(steps)
        except StopIteration as end:
            answer: _T = end.value
            return answer
        from asyncio import wait as wait_async
        from asyncio import wrap_future

        pending = [wrap_future(future) for future in found.pending]
        await wait_async(pending, timeout=found.timeout_s)
