"""A JWT that is evidence by itself, parsed whole before anything in it is believed.

token = parse_token(text, max_bytes=MAX_TOKEN_BYTES)
token.issuer, token.kid      # unverified: to choose a configured issuer and its key, no more
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import EvidenceRejected, Malformed, Reason, TokenRejected
from keystead.jose.jws import CompactJws, parse_compact
from keystead.jose.jwt import find_date

MAX_AUDIENCES: Final = 8
"""Kubernetes tokens for several services at once have a few."""
_MAX_ID_CHARS: Final = 512

_EC_BYTES: Final = {"ES256": 64}
# RSA of 2048 bits and more; the exact length is the key's, which is not known yet.
_MIN_RSA_BYTES: Final = 256
_RSA: Final = frozenset({"RS256", "PS256"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedToken:
    """What a token says; nothing of it has been verified. Times are Unix seconds."""

    jws: CompactJws
    claims: Mapping[str, JSON] = field(repr=False)
    issuer: str
    audience: tuple[str, ...]
    expires_at: int | None
    issued_at: int | None
    not_before: int | None
    jti: str | None

    @property
    def kid(self) -> str | None:
        """Which of its issuer's keys it names."""
        return self.jws.kid

    @property
    def id(self) -> bytes:
        """SHA-256 of what was signed.

        The signature is not part of it: whoever has an ECDSA signature can make another that
        verifies, and the token would seem to be a new one.
        """
        return hashlib.sha256(self.jws.signing_input).digest()


def parse_token(text: str, *, max_bytes: int) -> SignedToken:
    """The token that ``text`` is; ``Malformed``, or EvidenceRejected for a critical header."""
    try:
        jws = parse_compact(text, max_bytes=max_bytes)
    except TokenRejected as error:
        raise EvidenceRejected(error.reason, error.detail) from error
    _check_signature_length(jws)
    claims = json.parse_object(jws.payload, max_bytes=max_bytes)
    return SignedToken(
        jws=jws,
        claims=claims,
        issuer=json.get_str(claims, "iss"),
        audience=json.find_str_or_list(claims, "aud", max_items=MAX_AUDIENCES) or (),
        expires_at=find_date(claims, "exp"),
        issued_at=find_date(claims, "iat"),
        not_before=find_date(claims, "nbf"),
        jti=json.find_str(claims, "jti", max_chars=_MAX_ID_CHARS),
    )


def _check_signature_length(jws: CompactJws) -> None:
    """A signature that was cut off is no signature that failed."""
    size = len(jws.signature)
    exact = _EC_BYTES.get(jws.algorithm, size)
    if size != exact or (jws.algorithm in _RSA and size < _MIN_RSA_BYTES):
        raise Malformed(Reason.MALFORMED, f"a {jws.algorithm} signature of {size} bytes")
