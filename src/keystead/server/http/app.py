"""The ASGI application: one table of routes, and one way in and out for all of them.

Starlette's routing and middleware would cost more than the whole of ``/token`` does here; the
paths are fixed, so a dictionary finds them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from keystead.errors import KeysteadError, Malformed, NotFound, Reason, Unavailable
from keystead.ports import Entropy
from keystead.server.callers import record_refused_caller
from keystead.server.http import answer as answers
from keystead.server.http.answer import Answer
from keystead.server.http.endpoints import Endpoint, Endpoints
from keystead.server.http.request import Receive, Request, Scope, Send
from keystead.server.limits import REQUEST_DEADLINE_S, Admission, rate_key
from keystead.server.metrics import Metrics
from keystead.service import UseCases

CORRELATION_BYTES = 8
_log = structlog.get_logger("keystead.server.http")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One endpoint; ``name`` is its label in the metrics."""

    name: str
    method: str
    endpoint: Endpoint
    dpop: bool = False
    """Whether its answers carry a nonce for the next proof (RFC 9449 §8.2)."""


def routes(all: Endpoints) -> dict[str, Route]:
    """The table. A path that ends in ``/`` takes one more segment."""
    get, post = "GET", "POST"
    keys = "/.well-known/keystead/keys"
    metadata = Route(name="metadata", method=get, endpoint=all.metadata)
    return {
        "/token": Route(name="token", method=post, endpoint=all.token, dpop=True),
        "/introspect": Route(name="introspect", method=post, endpoint=all.introspect),
        "/revoke": Route(name="revoke", method=post, endpoint=all.revoke, dpop=True),
        "/jwks": Route(name="jwks", method=get, endpoint=all.jwks),
        "/jwks/": Route(name="jwks", method=get, endpoint=all.jwks),
        "/attestation-results/": Route(
            name="attestation_result", method=get, endpoint=all.attestation_result
        ),
        "/.well-known/oauth-authorization-server": metadata,
        keys: Route(name="keys", method=get, endpoint=all.keys),
        f"{keys}/prove": Route(name="prove", method=post, endpoint=all.prove),
        "/healthz": Route(name="healthz", method=get, endpoint=all.health),
        "/metrics": Route(name="metrics", method=get, endpoint=all.metrics),
    }


class HttpApp:
    """An ASGI application for HTTP; knows no lifespan and no WebSocket."""

    def __init__(
        self,
        table: Mapping[str, Route],
        use_cases: UseCases,
        *,
        admission: Admission,
        metrics: Metrics,
        entropy: Entropy,
        monotonic: Callable[[], float],
    ) -> None:
        self._routes = table
        self._use_cases = use_cases
        self._admission = admission
        self._metrics = metrics
        self._entropy = entropy
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = self._monotonic()
        request = Request(scope, receive, max_body_bytes=self._admission.limits.body_bytes)
        route = self._route(request)
        answer = await self._answer(request, route)
        if route is not None and route.dpop:
            nonce = self._use_cases.tokens.fresh_nonce()
            answer = answer.plus((b"dpop-nonce", nonce.encode("ascii")))
        name = route.name if route is not None else "unknown"
        self._metrics.count("http", name, str(answer.status), seconds=self._monotonic() - started)
        if answer.reason is not None:
            self._metrics.count_refusal(answer.reason)
        await _send(send, answer)

    def _route(self, request: Request) -> Route | None:
        path = request.path
        route = self._routes.get(path)
        if route is not None and not path.endswith("/"):
            return route
        head, slash, rest = path.rpartition("/")
        route = self._routes.get(head + slash)
        if route is None or not rest:
            return None
        request.rest = rest
        return route

    async def _answer(self, request: Request, route: Route | None) -> Answer:
        try:
            caller = request.peer_spiffe_id or rate_key(request.peer)
            self._admission.admit(caller)
            if route is None:
                raise NotFound()
            if request.method != route.method and (request.method, route.method) != ("HEAD", "GET"):
                raise Malformed(Reason.METHOD_NOT_ALLOWED, route.method)
            with self._admission.requests.one(caller):
                return await self._run(request, route)
        except KeysteadError as error:
            return await self._refusal(request, route, error)
        except Exception:
            correlation = self._entropy.token(CORRELATION_BYTES).hex()
            _log.exception(
                "request failed by a bug",
                correlation=correlation,
                endpoint=route.name if route else None,
            )
            return answers.internal(correlation)

    async def _run(self, request: Request, route: Route) -> Answer:
        deadline = asyncio.timeout(REQUEST_DEADLINE_S)
        try:
            async with deadline:
                return await route.endpoint(request)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise Unavailable(Reason.DEADLINE_EXCEEDED, "no answer in time") from None

    async def _refusal(self, request: Request, route: Route | None, error: KeysteadError) -> Answer:
        at = route.name if route is not None else "unknown"
        try:
            await record_refused_caller(self._use_cases.trail, request.caller, error, at=at)
        except KeysteadError as unrecorded:
            error = unrecorded
        if error.reason is Reason.ROLE_REQUIRED and _showed_nothing(request):
            return answers.unauthenticated(error)
        answer = answers.refusal(error)
        if error.reason is Reason.METHOD_NOT_ALLOWED and route is not None:
            answer = answer.plus((b"allow", route.method.encode("ascii")))
        return answer


def build_app(
    use_cases: UseCases,
    *,
    endpoints: Endpoints,
    admission: Admission,
    metrics: Metrics,
    entropy: Entropy,
    monotonic: Callable[[], float],
) -> HttpApp:
    """The application over these use cases."""
    return HttpApp(
        routes(endpoints),
        use_cases,
        admission=admission,
        metrics=metrics,
        entropy=entropy,
        monotonic=monotonic,
    )


def _showed_nothing(request: Request) -> bool:
    return request.peer_spiffe_id is None and not request.header_values(b"authorization")


async def _send(send: Send, answer: Answer) -> None:
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
