"""gRPC server interceptors: handlers run only for calls whose token and proof were verified.

    server = grpc.aio.server(interceptors=[
        AsyncKeysteadInterceptor(
            verifier=verifier, clock=clock, external_url="https://api.example:8443"),
    ])

    async def GetOrder(self, request, context):
        token = current_token()                      # a VerifiedToken

Clients send metadata ``authorization: DPoP <token>`` and ``dpop: <proof>``; the proof's ``htm`` is
``POST`` and its ``htu`` is ``external_url`` + ``/package.Service/Method``, which is what HTTP/2
carries. Refusals end in UNAUTHENTICATED, PERMISSION_DENIED or UNAVAILABLE, with the reason as the
details and the challenge in the trailing metadata ``www-authenticate``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from contextvars import ContextVar
from typing import Never, TypeAlias, TypeVar

import grpc
import grpc.aio

from keystead.errors import ConfigurationError, Malformed
from keystead.jose.htu import normalise_htu
from keystead.model import VerifiedToken
from keystead.ports import Clock
from keystead.relying.challenge import Challenge
from keystead.relying.door import Door, Presented
from keystead.relying.verifier import Verifier

_CODES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    503: grpc.StatusCode.UNAVAILABLE,
}
# (request streaming, response streaming): the handler's behaviour, and what makes such a handler.
_KINDS = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}
_token: ContextVar[VerifiedToken] = ContextVar("keystead_token")
_Q = TypeVar("_Q")
_S = TypeVar("_S")
Handler: TypeAlias = "grpc.RpcMethodHandler[_Q, _S]"
Behaviour: TypeAlias = Callable[..., object]


def current_token() -> VerifiedToken:
    """The token of the call that is being handled; LookupError outside of a verified call."""
    return _token.get()


class _Interceptor:
    """What both interceptors are configured with.

    ``external_url`` is where clients reach the server. ``scopes_for(method)`` names the scopes
    that a call of ``/package.Service/Method`` needs beyond the verifier's. ``public_methods``, such
    as ``/grpc.health.v1.Health/Check``, are let through without a token.
    """

    def __init__(
        self,
        *,
        verifier: Verifier,
        clock: Clock,
        external_url: str,
        scopes_for: Callable[[str], Iterable[str]] | None = None,
        public_methods: Collection[str] = (),
    ) -> None:
        self._door = Door(verifier, clock)
        self._scopes_for = scopes_for
        self._public_methods = frozenset(public_methods)
        try:
            self._external_url = normalise_htu(external_url).rstrip("/")
        except Malformed as error:
            raise ConfigurationError(detail=f"external_url: {error.detail}") from error

    def _presented(self, call: grpc.HandlerCallDetails) -> Presented:
        # A value that is not text is kept, bent: two headers are two, whatever they hold.
        pairs = [
            (name, value if isinstance(value, str) else value.decode("latin-1"))
            for name, value in call.invocation_metadata
        ]
        scopes = self._scopes_for(call.method) if self._scopes_for is not None else ()
        return Presented(
            authorization=[value for name, value in pairs if name == "authorization"],
            proofs=[value for name, value in pairs if name == "dpop"],
            method="POST",
            url=self._external_url + call.method,
            scopes=frozenset(scopes),
        )

    def _trailing(self, challenge: Challenge) -> tuple[tuple[str, str], ...]:
        trailing = []
        if challenge.www_authenticate is not None:
            trailing.append(("www-authenticate", challenge.www_authenticate))
        nonce = self._door.nonce()
        if nonce is not None:
            trailing.append(("dpop-nonce", nonce))
        return tuple(trailing)


class KeysteadInterceptor(_Interceptor, grpc.ServerInterceptor):
    """For ``grpc.server``. Verifies in the server's thread pool, never in its polling thread."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler[_Q, _S] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler[_Q, _S] | None:
        """The handler, behind a check of the call's metadata."""
        handler = continuation(handler_call_details)
        if handler is None or handler_call_details.method in self._public_methods:
            return handler
        presented = self._presented(handler_call_details)
        name, make = _KINDS[handler.request_streaming, handler.response_streaming]
        behaviour: Behaviour = getattr(handler, name)

        def guarded(request: object, context: grpc.ServicerContext) -> object:
            admitted = self._door.admit(presented)
            if isinstance(admitted, Challenge):
                context.set_trailing_metadata(self._trailing(admitted))
                context.abort(_CODES[admitted.status], _details(admitted))
            _token.set(admitted)  # every call has a context of its own
            return behaviour(request, context)

        return make(guarded, handler.request_deserializer, handler.response_serializer)


class AsyncKeysteadInterceptor(_Interceptor, grpc.aio.ServerInterceptor):
    """For ``grpc.aio.server``. Handlers have to be coroutines or asynchronous generators."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler[_Q, _S] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler[_Q, _S] | None:
        """The handler, or in its place one that refuses."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method in self._public_methods:
            return handler
        admitted = await self._door.admit_async(self._presented(handler_call_details))
        if isinstance(admitted, Challenge):
            return self._refusing(handler, admitted)
        _token.set(admitted)  # the interceptors and the handler of a call run in one task
        return handler

    def _refusing(self, handler: Handler[_Q, _S], challenge: Challenge) -> Handler[_Q, _S]:
        _, make = _KINDS[handler.request_streaming, handler.response_streaming]
        trailing = self._trailing(challenge)

        async def refuse(request: object, context: grpc.aio.ServicerContext[_Q, _S]) -> Never:
            await context.abort(_CODES[challenge.status], _details(challenge), trailing)

        return make(refuse, handler.request_deserializer, handler.response_serializer)


def _details(challenge: Challenge) -> str:
    return challenge.reason.value if challenge.reason is not None else "credentials_required"
