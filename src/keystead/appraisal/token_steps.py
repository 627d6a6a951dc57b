"""The steps that evidence made of one signed token has in common, whatever the token says.

Keys come from the policy, or from where the policy says that they are; nothing in a token leads to
one (``jku``, ``jwk``, ``x5u`` and ``x5c`` are never followed). The caller gives each step its
number.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from keystead.errors import EvidenceRejected, Reason, TokenRejected
from keystead.evidence.signed_token import SignedToken
from keystead.jose.jwk import JwkSet, PublicJwk
from keystead.jose.jws import check_algorithm, verify_compact
from keystead.jose.jwt import NO_TYPE, normalise_type

LEEWAY_S: Final = 30
"""How far the issuer's clock, or ours, may be off: both are kept by NTP."""

TYPES: Final = frozenset({NO_TYPE, "jwt"})
"""What identity providers write; any other type is some other kind of token (RFC 8725 §3.11)."""


def check_header(token: SignedToken, *, algorithms: Set[str], step: int) -> None:
    """A plain JWT, signed with an algorithm that is allowed."""
    if normalise_type(token.jws.typ) not in TYPES:
        raise EvidenceRejected(Reason.TYPE_MISMATCH, f"typ {token.jws.typ!r}", step=step)
    try:
        check_algorithm(token.jws, algorithms)
    except TokenRejected as error:
        raise EvidenceRejected(error.reason, error.detail, step=step) from error


def find_key(token: SignedToken, keys: JwkSet | None, *, step: int) -> PublicJwk:
    """The key that ``kid`` names; a set of exactly one key needs no ``kid``."""
    if keys is not None:
        named = keys.get(token.kid) if token.kid is not None else None
        if named is not None:
            return named
        if token.kid is None and len(keys) == 1:
            return next(iter(keys))
    raise EvidenceRejected(
        Reason.KEY_UNKNOWN, f"kid {token.kid!r} of issuer {token.issuer!r}", step=step
    )


def check_signature(token: SignedToken, key: PublicJwk, *, step: int) -> None:
    """``key`` signed the token."""
    try:
        verify_compact(token.jws, key=key)
    except TokenRejected as error:
        raise EvidenceRejected(error.reason, error.detail, step=step) from error


def check_times(token: SignedToken, *, now: int, step: int) -> int:
    """When it was issued, once ``now`` is known to be between ``nbf`` or ``iat`` and ``exp``."""
    if token.expires_at is None or token.issued_at is None:
        raise EvidenceRejected(Reason.CLAIM_MISSING, "exp and iat", step=step)
    if now >= token.expires_at + LEEWAY_S:
        raise EvidenceRejected(Reason.EXPIRED, f"exp {token.expires_at}, now {now}", step=step)
    starts_at = max(token.issued_at, token.not_before or 0)
    if now < starts_at - LEEWAY_S:
        raise EvidenceRejected(Reason.NOT_YET_VALID, f"from {starts_at}, now {now}", step=step)
    return token.issued_at


def check_age(issued_at: int, *, now: int, max_age_s: int, step: int) -> None:
    """Not issued longer ago than ``max_age_s``."""
    if now - issued_at > max_age_s + LEEWAY_S:
        raise EvidenceRejected(
            Reason.EVIDENCE_TOO_OLD, f"issued {now - issued_at} seconds ago", step=step
        )
