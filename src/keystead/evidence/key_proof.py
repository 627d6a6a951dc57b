"""The signature over the challenge by the key that shall be bound.

A compact JWS: header ``{typ: keystead-key-proof+jwt, alg, jwk}``, claims ``{aud, nonce}``: the
issuer, and the challenge's nonce as base64url. It proves that whoever sends the evidence also
controls the key; where the key lives is for the evidence to prove.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

from keystead.codec import base64url
from keystead.codec.json import (
    JSON,
    get_bytes,
    get_object,
    get_str,
    parse_object,
    refuse_other_members,
)
from keystead.errors import KeysteadError, Reason, Rejected
from keystead.evidence.challenge import NONCE_BYTES
from keystead.jose.algorithms import DEFAULT_ALGORITHMS, algorithm_for
from keystead.jose.jwk import PublicJwk, parse_public
from keystead.jose.jws import CompactJws, parse_compact, signing_input, verify_compact

KEY_PROOF_TYP: Final = "keystead-key-proof+jwt"

# A header with an RSA-8192 jwk and its signature, in base64url.
MAX_PROOF_BYTES: Final = 8_192
_HEADER_MEMBERS: Final = frozenset({"typ", "alg", "jwk"})
_CLAIMS: Final = frozenset({"aud", "nonce"})


class KeyProofRejected(Rejected):
    """The key to be bound did not sign this challenge."""

    default_reason = Reason.KEY_PROOF_INVALID


def key_proof_signing_input(jwk: PublicJwk, *, issuer: str, nonce: bytes) -> bytes:
    """What the holder of ``jwk`` signs; ``jws.assemble`` ends it."""
    header = {"typ": KEY_PROOF_TYP, "alg": algorithm_for(jwk), "jwk": dict(jwk.members)}
    return signing_input(header, {"aud": issuer, "nonce": base64url.encode(nonce)})


def verify_key_proof(proof: str, *, key: PublicJwk, issuer: str, nonce: bytes) -> None:
    """Return only if ``key`` signed ``nonce`` for ``issuer``.

    1. ``proof`` is a compact JWS with exactly the header members and claims above.
    2. Its ``typ`` is a key proof's.
    3. Its ``jwk`` is ``key``.
    4. ``key`` signed it, with an algorithm that fits the key.
    5. ``aud`` is ``issuer``.
    6. ``nonce`` is the challenge's.

    Raises Malformed, or Rejected (key_proof_invalid) with the number of the check.
    """
    jws = _check_form(proof)
    _check_type(jws)
    _check_same_key(jws, key)
    claims = _check_signature(jws, key)
    _check_audience(claims, issuer)
    _check_nonce(claims, nonce)


def _check_form(proof: str) -> CompactJws:
    try:
        jws = parse_compact(proof, max_bytes=MAX_PROOF_BYTES)
    except Rejected as error:
        raise _rejected(1, error) from error
    refuse_other_members(jws.header, _HEADER_MEMBERS)
    return jws


def _check_type(jws: CompactJws) -> None:
    if jws.typ != KEY_PROOF_TYP:
        raise KeyProofRejected(Reason.KEY_PROOF_INVALID, f"typ {jws.typ!r}", step=2)


def _check_same_key(jws: CompactJws, key: PublicJwk) -> None:
    try:
        named = parse_public(get_object(jws.header, "jwk"))
    except Rejected as error:
        raise _rejected(3, error) from error
    if named.thumbprint != key.thumbprint:
        raise KeyProofRejected(Reason.KEY_PROOF_INVALID, "the proof names another key", step=3)


def _check_signature(jws: CompactJws, key: PublicJwk) -> Mapping[str, JSON]:
    try:
        payload = verify_compact(jws, key=key, algorithms=DEFAULT_ALGORITHMS)
    except Rejected as error:
        raise _rejected(4, error) from error
    claims = parse_object(payload)
    refuse_other_members(claims, _CLAIMS)
    return claims


def _check_audience(claims: Mapping[str, JSON], issuer: str) -> None:
    audience = get_str(claims, "aud")
    if audience != issuer:
        raise KeyProofRejected(Reason.KEY_PROOF_INVALID, f"aud {audience!r}", step=5)


def _check_nonce(claims: Mapping[str, JSON], nonce: bytes) -> None:
    if not hmac.compare_digest(get_bytes(claims, "nonce", max_bytes=NONCE_BYTES), nonce):
        raise KeyProofRejected(Reason.KEY_PROOF_INVALID, "a proof for another nonce", step=6)


def _rejected(step: int, error: KeysteadError) -> KeyProofRejected:
    return KeyProofRejected(Reason.KEY_PROOF_INVALID, str(error), step=step)
