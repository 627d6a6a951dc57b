"""Every HTTP endpoint: from a request to the use case and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from keystead.codec import base64url
from keystead.codec.json import JSON, get_str
from keystead.errors import Malformed, NotFound, Reason, Refused
from keystead.model import IssuedToken
from keystead.server import metrics as metric_names
from keystead.server.callers import resolve_caller
from keystead.server.http.answer import NO_SNIFF, NO_STORE, Answer, Header, json_answer
from keystead.server.http.request import Request
from keystead.server.limits import Admission
from keystead.server.metrics import Metrics
from keystead.server.pulse import Pulse
from keystead.service import UseCases
from keystead.service.roles import Caller, Role, require

Endpoint = Callable[[Request], Awaitable[Answer]]

KEYS_CACHE: Header = (b"cache-control", b"public, max-age=60")
"""A successor stands in the JWKS an hour before it signs; a minute of cache cannot miss that."""
MAX_PROOF_MEMBER_BYTES = 1024
"""An RSA-2048 encrypted secret has 258 bytes, a nonce 64 at most."""
RESULT_ID_BYTES = 32


class Endpoints:
    """One coroutine method for each endpoint."""

    def __init__(
        self,
        use_cases: UseCases,
        *,
        admission: Admission,
        metrics: Metrics,
        pulse: Pulse,
        plaintext_credentials: bool,
    ) -> None:
        self._use_cases = use_cases
        self._admission = admission
        self._metrics = metrics
        self._pulse = pulse
        self._plaintext_credentials = plaintext_credentials

    async def token(self, request: Request) -> Answer:
        """RFC 8693 §2, RFC 6749 §6, RFC 9449 §5."""
        if request.header(b"authorization") is not None:
            # RFC 6749 §5.2: an authentication method that this server does not have.
            raise Refused(Reason.CREDENTIAL_INVALID)
        parameters = await request.form()
        issued = await self._use_cases.tokens.exchange(
            parameters, proofs=request.header_values(b"dpop")
        )
        return json_answer(_token_response(issued))

    async def introspect(self, request: Request) -> Answer:
        """RFC 7662 §2."""
        caller = await self._caller(request)
        require(caller, Role.RELYING_PARTY, Role.OPERATOR)
        token = _only(await request.form(), "token", beside=("token_type_hint",))
        return json_answer(await self._use_cases.grants.introspect(caller, token))

    async def revoke(self, request: Request) -> Answer:
        """RFC 7009 §2, for refresh tokens, with a proof by the key that they are bound to."""
        token = _only(await request.form(), "token", beside=("token_type_hint",))
        await self._use_cases.grants.revoke(token, proofs=request.header_values(b"dpop"))
        return Answer(200, b"", (NO_STORE,))

    async def jwks(self, request: Request) -> Answer:
        """RFC 7517 §5: the keys of access tokens, or of the purpose that the path names."""
        purpose = request.rest or "token"
        return json_answer(self._use_cases.tokens.jwks(purpose), cache=KEYS_CACHE)

    async def metadata(self, request: Request) -> Answer:
        """RFC 8414 §3."""
        return json_answer(self._use_cases.tokens.metadata(), cache=KEYS_CACHE)

    async def attestation_result(self, request: Request) -> Answer:
        """An EAR JWT by its hash (RFC 9782 media type)."""
        try:
            if len(base64url.decode(request.rest, max_bytes=RESULT_ID_BYTES)) != RESULT_ID_BYTES:
                raise NotFound()
        except Malformed:
            raise NotFound() from None
        ear = await self._use_cases.attestations.result(request.rest)
        headers = ((b"content-type", b"application/eat+jwt"), NO_STORE, NO_SNIFF)
        return Answer(200, ear.encode("ascii"), headers)

    async def keys(self, request: Request) -> Answer:
        """Every key of this issuer with its saved evidence."""
        return json_answer(self._use_cases.keys.published(), cache=KEYS_CACHE)

    async def prove(self, request: Request) -> Answer:
        """One interactive proof that a key is in the issuer's TPM (design, section 5)."""
        asked = await request.json()
        kid = get_str(asked, "kid")
        nonce, blob, secret = (
            base64url.decode(get_str(asked, name), max_bytes=MAX_PROOF_MEMBER_BYTES)
            for name in ("nonce", "credential_blob", "encrypted_secret")
        )
        async with self._admission.issuer_proof():
            proof = await self._use_cases.keys.prove(
                kid=kid, nonce=nonce, credential_blob=blob, encrypted_secret=secret
            )
        return json_answer(
            {
                "secret": base64url.encode(proof.secret),
                "certify": {
                    "attest": base64url.encode(proof.certified.attest),
                    "signature": base64url.encode(proof.certified.signature),
                },
            }
        )

    async def health(self, request: Request) -> Answer:
        """200 when store and TPM answer, else 503; says which one does not."""
        report = await self._pulse.report()
        parts = {"store": report.store or "ok", "hardware": report.hardware or "ok"}
        answer = json_answer({"status": "ok" if report.healthy else "unavailable", **parts})
        return answer if report.healthy else Answer(503, answer.body, answer.headers)

    async def metrics(self, request: Request) -> Answer:
        """Counters for Prometheus."""
        require(await self._caller(request), Role.RELYING_PARTY, Role.OPERATOR)
        headers = ((b"content-type", metric_names.CONTENT_TYPE.encode()), NO_STORE)
        return Answer(200, self._metrics.exposition(), headers)

    async def _caller(self, request: Request) -> Caller:
        request.caller = await resolve_caller(
            self._use_cases.callers,
            spiffe_id=request.peer_spiffe_id,
            authorization=request.header(b"authorization"),
            confidential=request.over_tls or self._plaintext_credentials,
        )
        return request.caller


def _token_response(issued: IssuedToken) -> dict[str, JSON]:
    response: dict[str, JSON] = {
        "access_token": issued.access_token,
        "issued_token_type": issued.issued_token_type,
        "token_type": issued.token_type,
        "expires_in": issued.expires_in,
        "scope": issued.scope,
    }
    if issued.refresh_token is not None:
        response["refresh_token"] = issued.refresh_token
    return response


def _only(parameters: Sequence[tuple[str, str]], name: str, *, beside: Sequence[str]) -> str:
    """The one value of ``name``; other known parameters are let pass, RFC 6749 §3.1 ignores the
    rest."""
    values = [value for key, value in parameters if key == name]
    for known in (name, *beside):
        if sum(key == known for key, _ in parameters) > 1:
            raise Malformed(Reason.PARAMETER_REPEATED, known)
    if not values or not values[0]:
        raise Malformed(Reason.PARAMETER_MISSING, name)
    return values[0]
