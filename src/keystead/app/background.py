"""What the service does by itself: key rotation, checkpoints, the counts of refusals."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine

import structlog

from keystead.config import AuditConfig
from keystead.errors import KeysteadError, Reason
from keystead.service.keyring import Keyring
from keystead.service.trail import Trail

KEY_ROTATION_LOOK_S = 10
"""How often pending keys are looked at; they wait for hours."""

NOT_OUR_TRAIL = frozenset(
    {Reason.AUDIT_ROLLED_BACK, Reason.AUDIT_CHAIN_BROKEN, Reason.CHECKPOINT_INVALID}
)

Stop = Callable[[KeysteadError], None]
Task = Callable[[], Coroutine[None, None, None]]

log = structlog.get_logger("keystead")


@contextlib.asynccontextmanager
async def background(
    keyring: Keyring, trail: Trail, audit: AuditConfig, *, stop: Stop
) -> AsyncIterator[None]:
    """Key rotation, checkpoints and the counts of refusals, until the service stops.

    ``stop`` is called when the trail turns out to be an older copy, or another one: going on would
    issue tokens that no later checkpoint could vouch for.
    """
    tasks = [
        asyncio.create_task(_every(KEY_ROTATION_LOOK_S, keyring.advance, stop)),
        asyncio.create_task(_every(audit.checkpoint_every_s, trail.seal_if_grown, stop)),
        asyncio.create_task(_every(audit.aggregate_refusals_s, trail.flush_refusals, stop)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for last in (trail.flush_refusals, trail.seal_if_grown):
            await _try(last, stop)


async def _every(seconds: int, action: Task, stop: Stop) -> None:
    while True:
        await asyncio.sleep(seconds)
        await _try(action, stop)


async def _try(action: Task, stop: Stop) -> None:
    """A part that is away now is asked again the next time; so is one with a bug in it, because a
    task that ended silently would seal and rotate nothing more."""
    try:
        await action()
    except KeysteadError as error:
        if error.reason in NOT_OUR_TRAIL:
            stop(error)
        log.warning(
            "background task failed",
            task=getattr(action, "__qualname__", ""),
            reason=error.reason.value,
            detail=error.detail,
        )
    except Exception as error:
        log.error(
            "background task failed unexpectedly",
            task=getattr(action, "__qualname__", ""),
            error=repr(error),
        )
