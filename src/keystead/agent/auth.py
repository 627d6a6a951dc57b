"""An ``httpx`` auth that calls an API for a user, with a token bound to a key in hardware.

    with httpx.Client(auth=workload.auth(subject_token, audience="https://api.example")) as http:
        http.get("https://api.example/calendar")

Every request carries ``Authorization: DPoP`` and a proof that the TPM signed for that one request
(RFC 9449 §7). The token goes wherever the client sends a request: give the auth to a client, or to
requests, of that one API.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator

import httpx

from keystead.agent.endpoint import KeyHolder, check_secure
from keystead.agent.nonces import NonceMemory, challenge_error
from keystead.agent.tokens import AccessToken, TokenSource


class KeysteadAuth(httpx.Auth):
    """For ``httpx.Client`` and ``httpx.AsyncClient``; clients and threads may share one.

    A request that an API refuses is sent again at most once for a nonce that the API asks for and
    once with a new token where it calls the old one invalid, as far as its body can be sent again:
    that of a generator or of an open file cannot.
    """

    def __init__(self, tokens: TokenSource, *, holder: KeyHolder, nonces: NonceMemory) -> None:
        self.tokens = tokens
        self._holder = holder
        self._nonces = nonces

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """One request, and what it takes to have it accepted."""
        check_secure(request.url)
        tries = _Tries(request)
        token = self.tokens.current()
        while True:
            proof = self._holder.proof(
                request.method,
                str(request.url),
                access_token=token.value,
                nonce=self._nonces.of(request.url),
            )
            response = yield _authorized(request, token, proof)
            learned = self._nonces.learn(response)
            if tries.wants_nonce(response, learned=learned):
                continue
            if not tries.wants_token(response):
                return
            fresh = self.tokens.replace(token)
            if fresh is None:
                return
            token = fresh

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The same; TPM and token endpoint are waited for off the event loop."""
        check_secure(request.url)
        tries = _Tries(request)
        ready = self.tokens.ready()
        token = ready if ready is not None else await asyncio.to_thread(self.tokens.current)
        while True:
            proof = await self._holder.proof_async(
                request.method,
                str(request.url),
                access_token=token.value,
                nonce=self._nonces.of(request.url),
            )
            response = yield _authorized(request, token, proof)
            learned = self._nonces.learn(response)
            if tries.wants_nonce(response, learned=learned):
                continue
            if not tries.wants_token(response):
                return
            fresh = await asyncio.to_thread(self.tokens.replace, token)
            if fresh is None:
                return
            token = fresh


class _Tries:
    """What may still be tried for one request."""

    def __init__(self, request: httpx.Request) -> None:
        # Other streams are read once; files would even be sent again from where they ended.
        repeatable = isinstance(request.stream, httpx.ByteStream)
        self._nonce = self._token = repeatable

    def wants_nonce(self, response: httpx.Response, *, learned: bool) -> bool:
        if not (self._nonce and learned and challenge_error(response) == "use_dpop_nonce"):
            return False
        self._nonce = False
        return True

    def wants_token(self, response: httpx.Response) -> bool:
        if not (self._token and challenge_error(response) == "invalid_token"):
            return False
        self._token = False
        return True


def _authorized(request: httpx.Request, token: AccessToken, proof: str) -> httpx.Request:
    request.headers["Authorization"] = f"DPoP {token.value}"
    request.headers["DPoP"] = proof
    return request
