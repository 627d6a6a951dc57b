"""A token endpoint as the holder of an attested key sees it: RFC 6749 §5, RFC 9449 §5, §8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import httpx

from keystead.agent.channel import MAX_RETRY_AFTER_S, is_loopback
from keystead.agent.nonces import NonceMemory
from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import (
    ConfigurationError,
    KeysteadError,
    Malformed,
    ProofRejected,
    Reason,
    Refused,
    TokenRejected,
    Unavailable,
)

MAX_ANSWER_BYTES: Final = 65_536
"""A token of 16 KiB and what stands around it, with room to spare."""
TIMEOUT_S: Final = 15.0
"""A server may wait 10 s for its own TPM."""

_MAX_TOKEN_CHARS: Final = 16_384
_MAX_LIFETIME_S: Final = 31_536_000
_BIND_AGAIN: Final = frozenset({Reason.KEY_NOT_BOUND, Reason.BINDING_EXPIRED})
_NONCE_WANTED: Final = "use_dpop_nonce"

# For servers that do not say a reason of ours in error_description.
_BY_CODE: Final[dict[str, Reason]] = {
    "invalid_client": Reason.CREDENTIAL_INVALID,
    "unauthorized_client": Reason.ACTOR_NOT_ALLOWED,
    "invalid_grant": Reason.GRANT_UNKNOWN,
    "unsupported_grant_type": Reason.GRANT_TYPE_UNSUPPORTED,
    "invalid_scope": Reason.SCOPE_NOT_ALLOWED,
    "invalid_target": Reason.AUDIENCE_NOT_ALLOWED,
    "access_denied": Reason.DELEGATION_DENIED,
    "use_dpop_nonce": Reason.NONCE_REQUIRED,
    "invalid_dpop_proof": Reason.SIGNATURE_INVALID,
}
_OUR_FAULT: Final = frozenset(
    {
        Reason.MALFORMED,
        Reason.TOO_LARGE,
        Reason.DUPLICATE_MEMBER,
        Reason.PARAMETER_MISSING,
        Reason.PARAMETER_REPEATED,
        Reason.PARAMETER_INVALID,
        Reason.CONTENT_TYPE_UNSUPPORTED,
    }
)
# They are about the body as it came, not as it was read.
_OF_THE_BODY: Final = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
_PROOF_CODES: Final = frozenset({"use_dpop_nonce", "invalid_dpop_proof"})


class KeyHolder(Protocol):
    """Who can sign proofs with an attested key, and have the key bound again."""

    @property
    def jkt(self) -> str:
        """Thumbprint of the key that signs now."""
        ...

    def proof(
        self, method: str, url: str, *, access_token: str | None = None, nonce: str | None = None
    ) -> str:
        """A DPoP proof for one request."""
        ...

    async def proof_async(
        self, method: str, url: str, *, access_token: str | None = None, nonce: str | None = None
    ) -> str:
        """The same for an event loop."""
        ...

    def attest(self) -> object:
        """Have the key bound, now; it may be another key afterwards."""
        ...

    def attest_if_due(self) -> object:
        """The same, if the last attestation is so old that the server wants another."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """What a token endpoint gave (RFC 8693 §2.2.1), bound to the key of ``jkt``."""

    access_token: str = field(repr=False)
    token_type: str
    expires_in_s: int
    scope: str | None
    refresh_token: str | None = field(default=None, repr=False)
    jkt: str


class TokenEndpoint:
    """Sends token requests with proofs; threads may share one."""

    def __init__(
        self, url: str, *, holder: KeyHolder, http: httpx.Client, nonces: NonceMemory
    ) -> None:
        """ConfigurationError unless ``url`` is https, or http on loopback."""
        self.url = check_secure(httpx.URL(url))
        self._holder = holder
        self._http = http
        self._nonces = nonces

    def ask(self, form: Mapping[str, str | Sequence[str]]) -> TokenAnswer:
        """The answer to one request; a parameter with several values is sent several times.

        A nonce that the server asks for is used at once; a key that is not bound any more is
        attested again, once.

        Raises:
            Refused, ProofRejected, Malformed: the server's no, with its reason.
            TokenRejected: type_mismatch, the token is not bound to the key.
            Unavailable: no server, or one that cannot answer now.
        """
        may_learn = may_attest = True
        while True:
            jkt = self._holder.jkt
            response = self._send(form)
            learned = self._nonces.learn(response)
            if response.is_success:
                return _answer(response, jkt=jkt)
            code, error = _refusal(response)
            if code == _NONCE_WANTED and learned and may_learn:
                may_learn = False
            elif error.reason in _BIND_AGAIN and may_attest:
                may_attest = False
                self._holder.attest()
            else:
                raise error

    def _send(self, form: Mapping[str, str | Sequence[str]]) -> httpx.Response:
        proof = self._holder.proof("POST", str(self.url), nonce=self._nonces.of(self.url))
        request = self._http.build_request(
            "POST",
            self.url,
            data=dict(form),
            headers={"DPoP": proof, "Accept": "application/json"},
            timeout=TIMEOUT_S,
        )
        try:
            response = self._http.send(request, stream=True, auth=None, follow_redirects=False)
            try:
                body = _read(response)
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise Unavailable(
                Reason.SERVER_UNAVAILABLE, f"{self.url}: {type(error).__name__}: {error}"
            ) from error
        headers = [entry for entry in response.headers.raw if entry[0].lower() not in _OF_THE_BODY]
        return httpx.Response(response.status_code, headers=headers, content=body, request=request)


def check_secure(url: httpx.URL) -> httpx.URL:
    """``url``, unless a token sent there could be read on the way (RFC 6749 §3.2)."""
    if url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host)):
        return url
    shown = f"{url.scheme}://{url.host}"
    raise ConfigurationError(Reason.TLS_REQUIRED, f"{shown}: expected https (http on loopback)")


def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise Malformed(Reason.TOO_LARGE, f"an answer of more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _answer(response: httpx.Response, *, jkt: str) -> TokenAnswer:
    document = json.parse_object(response.content, max_bytes=MAX_ANSWER_BYTES)
    return TokenAnswer(
        access_token=_token(document, "access_token"),
        token_type=json.get_str(document, "token_type", max_chars=32),
        expires_in_s=json.get_int(document, "expires_in", minimum=1, maximum=_MAX_LIFETIME_S),
        scope=json.find_str(document, "scope", allow_empty=True, max_chars=4_096),
        refresh_token=_token(document, "refresh_token") if "refresh_token" in document else None,
        jkt=jkt,
    )


def _token(document: Mapping[str, JSON], name: str) -> str:
    """A token that fits in a header, and cannot end it."""
    token = json.get_str(document, name, max_chars=_MAX_TOKEN_CHARS)
    if not token.isascii() or " " in token:
        raise Malformed(Reason.MALFORMED, f"{name} is no token")
    return token


def check_bound(answer: TokenAnswer) -> TokenAnswer:
    """``answer``, if its token is bound to a key: a bearer token here would be a downgrade."""
    if answer.token_type.lower() != "dpop":
        raise TokenRejected(Reason.TYPE_MISMATCH, f"token_type {answer.token_type[:32]!r}")
    return answer


def _refusal(response: httpx.Response) -> tuple[str, KeysteadError]:
    """The OAuth error code (RFC 6749 §5.2), and the error that it stands for.

    Without a code no token endpoint answered, but something that stands in its place.
    """
    code, reason = _code_and_reason(response.content)
    status = response.status_code
    what = f"{response.request.url}: HTTP {status} {code}"
    if not code or status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
        wait_s = _retry_after_s(response)
        return code, Unavailable(reason or Reason.SERVER_UNAVAILABLE, what, retry_after_s=wait_s)
    if code in _PROOF_CODES:
        return code, ProofRejected(reason or _BY_CODE[code], what)
    found = reason or _BY_CODE.get(code, Reason.PARAMETER_INVALID)
    return code, Malformed(found, what) if found in _OUR_FAULT else Refused(found, what)


def _code_and_reason(body: bytes) -> tuple[str, Reason | None]:
    try:
        document = json.parse_object(body, max_bytes=MAX_ANSWER_BYTES)
        code = json.find_str(document, "error", max_chars=64) or ""
        reason = json.find_str(document, "error_description") or ""
    except Malformed:
        return "", None
    try:
        return code, Reason(reason)
    except ValueError:
        return code, None


def _retry_after_s(response: httpx.Response) -> int:
    text = response.headers.get("Retry-After", "")
    if not (text.isdecimal() and text.isascii() and len(text) < 10):
        return 1
    return min(max(int(text), 1), MAX_RETRY_AFTER_S)
