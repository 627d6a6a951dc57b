"""Proofs of possession, DPoP (RFC 9449): who sends this request holds that key.

Replay is the caller's: a proof that ``verify_proof`` accepts must have its (``jkt``, ``jti``)
remembered for ``replay_window_s`` seconds, and be refused when it comes again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeAlias

from keystead.codec import base64url
from keystead.codec.json import JSON, find_object, find_str, get_str
from keystead.errors import Malformed, ProofRejected, Reason, TokenRejected
from keystead.jose.algorithms import DEFAULT_ALGORITHMS, algorithm_for
from keystead.jose.htu import MAX_URL_CHARS, normalise_htu
from keystead.jose.jwk import PublicJwk, parse_public
from keystead.jose.jws import (
    CompactJws,
    check_algorithm,
    parse_compact,
    signing_input,
    verify_compact,
)
from keystead.jose.jwt import find_date, normalise_type, parse_claims

PROOF_TYPE = "dpop+jwt"
# A proof with an RSA-8192 key and a long URL takes less than 7 KiB.
MAX_PROOF_BYTES = 8_192
# The replay memory keeps it, or its digest, for every proof.
MAX_JTI_CHARS = 256
MAX_NONCE_CHARS = 256
# The longest registered HTTP method has 17 letters.
MAX_METHOD_CHARS = 32
# base64url of a SHA-256, which is what a well-formed `ath` is.
_ATH_CHARS = 43
DEFAULT_MAX_AGE_S = 60
DEFAULT_LEEWAY_S = 5

# Called with the proof's nonce, or None; raises where it is missing or stale
# (``nonce_required``, ``nonce_invalid``).
NonceCheck: TypeAlias = Callable[[str | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof that passed ``verify_proof``; ``issued_at`` is Unix seconds."""

    jkt: str
    jti: str
    issued_at: int
    nonce: str | None
    key: PublicJwk


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claims:
    jti: str
    method: str
    url: str
    issued_at: int
    nonce: str | None
    token_hash: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedProof:
    """A well-formed proof and the key in it; nobody has checked that the key signed it."""

    jws: CompactJws
    claims: _Claims
    key: PublicJwk


def verify_proof(
    proofs: Sequence[str] | str,
    *,
    method: str,
    url: str,
    now: int,
    access_token: str | None,
    expected_jkt: str | None,
    nonce: NonceCheck | None,
    max_age_s: int = DEFAULT_MAX_AGE_S,
    leeway_s: int = DEFAULT_LEEWAY_S,
    algorithms: Set[str] = DEFAULT_ALGORITHMS,
) -> Proof:
    """The proof in the values of a request's ``DPoP`` headers, after the checks of RFC 9449 §4.3.

    The numbers are the RFC's; errors carry them. Step 7 runs before step 6, because a private key
    is refused and not used.

    1. There is exactly one header, with one value.
    2. It is a well-formed JWT.
    3. It has ``jti``, ``htm``, ``htu``, ``iat`` and, in its header, ``typ`` and ``jwk``.
    4. ``typ`` is ``dpop+jwt``.
    5. ``alg`` is one of ``algorithms``, all of them asymmetric.
    6. The key in ``jwk`` signed it, with an ``alg`` that fits that key.
    7. ``jwk`` holds no private member.
    8. ``htm`` is ``method``, case included.
    9. ``htu`` is ``url``, both normalised, without query and fragment.
    10. ``nonce`` accepts the proof's nonce (None: no nonce is demanded).
    11. ``iat`` is from ``max_age_s + leeway_s`` ago to ``leeway_s`` ahead, both included.
    12. With an ``access_token``: ``ath`` is its hash. With ``expected_jkt``: it is the
        thumbprint of ``jwk``.

    Raises ``ProofRejected`` for a failed check, ``Malformed`` for what does not decode.
    """
    opened = open_proof(proofs, algorithms=algorithms)
    check_proof_signature(opened)
    return check_signed_proof(
        opened,
        method=method,
        url=url,
        now=now,
        access_token=access_token,
        expected_jkt=expected_jkt,
        nonce=nonce,
        max_age_s=max_age_s,
        leeway_s=leeway_s,
    )


def open_proof(
    proofs: Sequence[str] | str, *, algorithms: Set[str] = DEFAULT_ALGORITHMS
) -> OpenedProof:
    """Steps 1 to 5 and 7 of ``verify_proof``, for callers that verify signatures in batches."""
    jws = _check_well_formed(_check_single(proofs))
    claims, jwk = _check_required(jws)
    _check_type(jws)
    _check_algorithm(jws, algorithms)
    return OpenedProof(jws=jws, claims=claims, key=_check_public(jwk))


def check_proof_signature(opened: OpenedProof) -> None:
    """Step 6 of ``verify_proof``."""
    _check_signature(opened.jws, opened.key)


def check_signed_proof(
    opened: OpenedProof,
    *,
    method: str,
    url: str,
    now: int,
    access_token: str | None,
    expected_jkt: str | None,
    nonce: NonceCheck | None,
    max_age_s: int = DEFAULT_MAX_AGE_S,
    leeway_s: int = DEFAULT_LEEWAY_S,
) -> Proof:
    """Steps 8 to 12 of ``verify_proof``, of a proof whose signature was checked."""
    claims, key = opened.claims, opened.key
    _check_method(claims, method)
    _check_url(claims, url)
    _check_nonce(claims, nonce)
    _check_age(claims, now, max_age_s, leeway_s)
    _check_token_hash(claims, access_token)
    _check_binding(key, expected_jkt)
    return Proof(
        jkt=key.thumbprint,
        jti=claims.jti,
        issued_at=claims.issued_at,
        nonce=claims.nonce,
        key=key,
    )


def replay_window_s(max_age_s: int = DEFAULT_MAX_AGE_S, leeway_s: int = DEFAULT_LEEWAY_S) -> int:
    """For how many seconds after its first use an accepted proof must be remembered.

    It may come ``leeway_s`` before its ``iat`` and again ``max_age_s + leeway_s`` after it, that
    second included.
    """
    return max_age_s + 2 * leeway_s + 1


def access_token_hash(token: str) -> str:
    """The ``ath`` of ``token`` (RFC 9449 §4.2); ``Malformed`` where the token is not ASCII."""
    try:
        raw = token.encode("ascii")
    except UnicodeEncodeError as error:
        raise Malformed(Reason.MALFORMED, "an access token outside ASCII") from error
    return base64url.encode(hashlib.sha256(raw).digest())


def proof_signing_input(
    jwk: PublicJwk,
    *,
    method: str,
    url: str,
    jti: str,
    issued_at: int,
    access_token: str | None = None,
    nonce: str | None = None,
) -> bytes:
    """What the holder of ``jwk`` signs to prove it for one request; ``jws.assemble`` ends it."""
    header = {"typ": PROOF_TYPE, "alg": algorithm_for(jwk), "jwk": jwk.members}
    claims: dict[str, JSON] = {
        "jti": jti,
        "htm": method,
        "htu": normalise_htu(url),
        "iat": issued_at,
    }
    if access_token is not None:
        claims["ath"] = access_token_hash(access_token)
    if nonce is not None:
        claims["nonce"] = nonce
    return signing_input(header, claims)


def _check_single(proofs: Sequence[str] | str) -> str:
    values = [proofs] if isinstance(proofs, str) else proofs
    if not values:
        raise ProofRejected(Reason.PROOF_MISSING, step=1)
    # HTTP libraries may fold repeated headers into one value, joined with commas.
    if len(values) != 1 or "," in values[0]:
        raise ProofRejected(Reason.PROOF_NOT_SINGLE, step=1)
    return values[0]


def _check_well_formed(proof: str) -> CompactJws:
    try:
        return parse_compact(proof, max_bytes=MAX_PROOF_BYTES)
    except TokenRejected as error:
        raise ProofRejected(error.reason, error.detail, step=2) from error


def _check_required(jws: CompactJws) -> tuple[_Claims, Mapping[str, JSON]]:
    claims = parse_claims(jws.payload)
    issued_at = find_date(claims, "iat")
    jwk = find_object(jws.header, "jwk")
    for name in ("jti", "htm", "htu"):
        if name not in claims:
            raise ProofRejected(Reason.CLAIM_MISSING, name, step=3)
    if issued_at is None or jwk is None or jws.typ is None:
        raise ProofRejected(Reason.CLAIM_MISSING, "iat, jwk or typ", step=3)
    parsed = _Claims(
        jti=get_str(claims, "jti", max_chars=MAX_JTI_CHARS),
        method=get_str(claims, "htm", max_chars=MAX_METHOD_CHARS),
        url=get_str(claims, "htu", max_chars=MAX_URL_CHARS),
        issued_at=issued_at,
        nonce=find_str(claims, "nonce", max_chars=MAX_NONCE_CHARS),
        token_hash=find_str(claims, "ath", max_chars=_ATH_CHARS),
    )
    return parsed, jwk


def _check_type(jws: CompactJws) -> None:
    if normalise_type(jws.typ) != PROOF_TYPE:
        raise ProofRejected(Reason.TYPE_MISMATCH, f"typ {jws.typ!r}", step=4)


def _check_algorithm(jws: CompactJws, algorithms: Set[str]) -> None:
    try:
        check_algorithm(jws, algorithms)
    except TokenRejected as error:
        raise ProofRejected(error.reason, error.detail, step=5) from error


def _check_public(jwk: Mapping[str, JSON]) -> PublicJwk:
    try:
        return parse_public(jwk)
    except TokenRejected as error:
        step = 7 if error.reason is Reason.PRIVATE_KEY_MEMBER else 6
        raise ProofRejected(error.reason, error.detail, step=step) from error


def _check_signature(jws: CompactJws, key: PublicJwk) -> None:
    try:
        verify_compact(jws, key=key)
    except TokenRejected as error:
        raise ProofRejected(error.reason, error.detail, step=6) from error


def _check_method(claims: _Claims, method: str) -> None:
    if claims.method != method:
        raise ProofRejected(Reason.METHOD_MISMATCH, f"htm {claims.method!r}", step=8)


def _check_url(claims: _Claims, url: str) -> None:
    if normalise_htu(claims.url) != normalise_htu(url):
        raise ProofRejected(Reason.URL_MISMATCH, f"htu {claims.url!r}", step=9)


def _check_nonce(claims: _Claims, nonce: NonceCheck | None) -> None:
    if nonce is not None:
        nonce(claims.nonce)


def _check_age(claims: _Claims, now: int, max_age_s: int, leeway_s: int) -> None:
    age_s = now - claims.issued_at
    if age_s > max_age_s + leeway_s:
        raise ProofRejected(Reason.PROOF_TOO_OLD, f"{age_s} s old", step=11)
    if age_s < -leeway_s:
        raise ProofRejected(Reason.PROOF_IN_FUTURE, f"{-age_s} s ahead", step=11)


def _check_token_hash(claims: _Claims, access_token: str | None) -> None:
    if access_token is not None and claims.token_hash != access_token_hash(access_token):
        raise ProofRejected(Reason.TOKEN_HASH_MISMATCH, "ath is missing or another's", step=12)


def _check_binding(key: PublicJwk, expected_jkt: str | None) -> None:
    if expected_jkt is not None and key.thumbprint != expected_jkt:
        raise ProofRejected(Reason.KEY_BINDING_MISMATCH, f"jkt {key.thumbprint}", step=12)
