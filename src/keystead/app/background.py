"""What the service does by itself: key rotation, checkpoints, the counts of refusals."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine

import structlog

from keystead.config import AuditConfig
from keystead.errors import KeysteadError
from keystead.service.keyring import Keyring
from keystead.service.trail import Trail

KEY_ROTATION_LOOK_S = 10
"""How often pending keys are looked at; they wait for hours."""

Task = Callable[[], Coroutine[None, None, None]]

log = structlog.get_logger("keystead")


@contextlib.asynccontextmanager
async def background(keyring: Keyring, trail: Trail, audit: AuditConfig) -> AsyncIterator[None]:
    """Key rotation, checkpoints and the counts of refusals, until the service stops."""
    tasks = [
        asyncio.create_task(_every(KEY_ROTATION_LOOK_S, keyring.advance)),
        asyncio.create_task(_every(audit.checkpoint_every_s, trail.seal_if_grown)),
        asyncio.create_task(_every(audit.aggregate_refusals_s, trail.flush_refusals)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for last in (trail.flush_refusals, trail.seal_if_grown):
            await _try(last)


async def _every(seconds: int, action: Task) -> None:
    while True:
        await asyncio.sleep(seconds)
        await _try(action)


async def _try(action: Task) -> None:
    """A part that is away now is asked again the next time."""
    try:
        await action()
    except KeysteadError as error:
        log.warning(
            "background task failed",
            task=getattr(action, "__qualname__", ""),
            reason=error.reason.value,
            detail=error.detail,
        )
