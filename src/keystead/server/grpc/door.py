"""One way in and out for every RPC: admission, caller, deadline, and how an error looks.

A refusal carries ``keystead-reason`` and, where a numbered check failed, ``keystead-step`` in its
trailing metadata; ``keystead-retry-after-s`` where asking again may help, ``dpop-nonce`` where a
proof needs one, ``keystead-correlation-id`` where the log has more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import Never, TypeVar

import structlog
from grpc import StatusCode
from grpc.aio import AbortError, ServicerContext

from keystead.errors import KeysteadError, Reason, Unavailable
from keystead.ports import Entropy
from keystead.server.callers import record_refused_caller, resolve_caller
from keystead.server.grpc import peers
from keystead.server.grpc.decoding import decoded
from keystead.server.limits import REQUEST_DEADLINE_S, Admission
from keystead.server.metrics import Metrics
from keystead.server.status import INTERNAL, INTERNAL_REASON, NONCE, retry_after_s, status_of
from keystead.service import UseCases
from keystead.service.roles import ANYONE, Caller

CORRELATION_BYTES = 8
LOCAL = "admin-socket"
_log = structlog.get_logger("keystead.server.grpc")

Req = TypeVar("Req")
Resp = TypeVar("Resp")
T = TypeVar("T")
S = TypeVar("S", bound="Servicer")


class Door:
    """What all servicers of one listener share.

    ``local`` is the administration socket; ``confidential`` says whether nobody could have
    listened on the way, so that an operator's credential may come this way.
    """

    def __init__(
        self,
        use_cases: UseCases,
        *,
        admission: Admission,
        metrics: Metrics,
        entropy: Entropy,
        monotonic: Callable[[], float],
        local: bool,
        confidential: bool,
    ) -> None:
        self.use_cases = use_cases
        self.admission = admission
        self._metrics = metrics
        self._entropy = entropy
        self._monotonic = monotonic
        self._local = local
        self._confidential = confidential
        self._streams: set[asyncio.Task[object]] = set()

    def admit(self, context: ServicerContext[Req, Resp]) -> str:
        """Count one request or stream message; what its sender is counted under."""
        if self._local:
            # Whoever administers the service gets in when strangers keep it busy.
            self.admission.admit_local()
            return LOCAL
        key = peers.spiffe_id(context) or peers.address_key(context)
        self.admission.admit(key)
        return key

    async def run(
        self,
        name: str,
        context: ServicerContext[Req, Resp],
        work: Callable[[Caller], Awaitable[T]],
        *,
        deadline_s: float | None,
        streaming: bool = False,
    ) -> T:
        """Do ``work`` for the caller, or end the call with the refusal's codes."""
        started, status = self._monotonic(), StatusCode.OK
        try:
            return await self._recorded(
                name, context, work, streaming=streaming, deadline_s=deadline_s
            )
        except KeysteadError as error:
            status = StatusCode[status_of(error).grpc]
            await self._refuse(context, error)
        except (AbortError, asyncio.CancelledError):
            status = StatusCode.CANCELLED
            raise
        except Exception:
            status = StatusCode.INTERNAL
            await self._fail(name, context)
        finally:
            seconds = self._monotonic() - started
            self._metrics.count("grpc", name, status.name, seconds=seconds)

    async def _recorded(
        self,
        name: str,
        context: ServicerContext[Req, Resp],
        work: Callable[[Caller], Awaitable[T]],
        *,
        streaming: bool,
        deadline_s: float | None,
    ) -> T:
        key = self.admit(context)
        caller = ANYONE
        try:
            caller = await self._caller(context)
            return await self._placed(
                key, lambda: work(caller), streaming=streaming, deadline_s=deadline_s
            )
        except KeysteadError as error:
            await record_refused_caller(self.use_cases.trail, caller, error, at=name)
            raise

    async def _placed(
        self,
        key: str,
        work: Callable[[], Awaitable[T]],
        *,
        streaming: bool,
        deadline_s: float | None,
    ) -> T:
        with self._place(key, streaming=streaming):
            deadline = asyncio.timeout(deadline_s)
            try:
                async with deadline:
                    return await work()
            except TimeoutError:
                if not deadline.expired():
                    raise
                raise Unavailable(Reason.DEADLINE_EXCEEDED, "no answer in time") from None
            except asyncio.CancelledError:
                if not (streaming and self.admission.closing):
                    raise
                raise Unavailable(Reason.SHUTTING_DOWN) from None

    @contextmanager
    def _place(self, key: str, *, streaming: bool) -> Iterator[None]:
        admission = self.admission
        if self._local:
            places = admission.local_streams if streaming else admission.local_requests
        else:
            places = admission.streams if streaming else admission.requests
        place: AbstractContextManager[None] = places.one(key)
        task = asyncio.current_task()
        with place:
            if streaming and task is not None:
                self._streams.add(task)
            try:
                yield
            finally:
                if task is not None:
                    self._streams.discard(task)

    async def _caller(self, context: ServicerContext[Req, Resp]) -> Caller:
        callers = self.use_cases.callers
        return await resolve_caller(
            callers,
            spiffe_id=peers.spiffe_id(context),
            authorization=peers.authorization(context),
            confidential=self._confidential,
            base=callers.admin_socket() if self._local else None,
        )

    def end_streams(self) -> None:
        """End every open stream with ``shutting_down``: some would never end by themselves."""
        for task in tuple(self._streams):
            task.cancel()

    async def _refuse(self, context: ServicerContext[Req, Resp], error: KeysteadError) -> Never:
        self._metrics.count_refusal(error.reason)
        status = status_of(error)
        metadata = [("keystead-reason", error.reason.value)]
        if error.step is not None:
            metadata.append(("keystead-step", str(error.step)))
        wait_s = retry_after_s(error)
        if wait_s is not None:
            metadata.append(("keystead-retry-after-s", str(wait_s)))
        if status == NONCE:
            metadata.append(("dpop-nonce", self.use_cases.tokens.fresh_nonce()))
        await context.abort(StatusCode[status.grpc], error.reason.value, tuple(metadata))

    async def _fail(self, name: str, context: ServicerContext[Req, Resp]) -> Never:
        correlation = self._entropy.token(CORRELATION_BYTES).hex()
        _log.exception("request failed by a bug", correlation=correlation, endpoint=name)
        self._metrics.count_refusal(INTERNAL_REASON)
        metadata = (
            ("keystead-reason", INTERNAL_REASON),
            ("keystead-correlation-id", correlation),
        )
        await context.abort(StatusCode[INTERNAL.grpc], INTERNAL_REASON, metadata)


class Servicer:
    """Base of the six servicers."""

    def __init__(self, door: Door) -> None:
        self.door = door


def unary(
    method: Callable[[S, Req, Caller], Awaitable[Resp]],
) -> Callable[[S, Req, ServicerContext[Req, Resp]], Awaitable[Resp]]:
    """An RPC with one request and one answer: ``method`` gets the request and its caller."""
    name = rpc_name(method)

    @wraps(method)
    async def rpc(self: S, request: Req, context: ServicerContext[Req, Resp]) -> Resp:
        async def work(caller: Caller) -> Resp:
            return await method(self, decoded(request), caller)

        return await self.door.run(name, context, work, deadline_s=REQUEST_DEADLINE_S)

    return rpc


def server_stream(
    method: Callable[[S, Req, Caller], AsyncIterator[Resp]],
) -> Callable[[S, Req, ServicerContext[Req, Resp]], Awaitable[None]]:
    """An RPC with one request and many answers, for as long as the caller likes."""
    name = rpc_name(method)

    @wraps(method)
    async def rpc(self: S, request: Req, context: ServicerContext[Req, Resp]) -> None:
        async def work(caller: Caller) -> None:
            async for answer in method(self, decoded(request), caller):
                await context.write(answer)

        await self.door.run(name, context, work, streaming=True, deadline_s=None)

    return rpc


def bidi_stream(
    *, deadline_s: float | None, idle_s: float
) -> Callable[
    [Callable[[S, AsyncIterator[Req], Caller], AsyncIterator[Resp]]],
    Callable[[S, AsyncIterator[Req], ServicerContext[Req, Resp]], Awaitable[None]],
]:
    """An RPC with many of both. Every message counts as a request of its sender; one that lets us
    wait for ``idle_s``, or takes ``deadline_s`` over all, is ended."""

    def decorate(
        method: Callable[[S, AsyncIterator[Req], Caller], AsyncIterator[Resp]],
    ) -> Callable[[S, AsyncIterator[Req], ServicerContext[Req, Resp]], Awaitable[None]]:
        name = rpc_name(method)

        @wraps(method)
        async def rpc(
            self: S, requests: AsyncIterator[Req], context: ServicerContext[Req, Resp]
        ) -> None:
            async def work(caller: Caller) -> None:
                counted = _counted(self.door, requests, context, idle_s=idle_s)
                async for answer in method(self, counted, caller):
                    await context.write(answer)

            await self.door.run(name, context, work, streaming=True, deadline_s=deadline_s)

        return rpc

    return decorate


async def _counted(
    door: Door,
    requests: AsyncIterator[Req],
    context: ServicerContext[Req, Resp],
    *,
    idle_s: float,
) -> AsyncIterator[Req]:
    first = True
    while True:
        try:
            message = await asyncio.wait_for(anext(requests), idle_s)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Unavailable(Reason.DEADLINE_EXCEEDED, "an idle stream") from None
        if not first:
            door.admit(context)
        first = False
        yield decoded(message)


def rpc_name(method: Callable[..., object]) -> str:
    """``KeyServicer.Sign`` → ``KeyService/Sign``: the RPC's label in metrics and logs."""
    return method.__qualname__.replace("Servicer.", "Service/")
