"""The challenge: a nonce of 32 bytes that evidence must answer once, and soon.

That it is answered only once is kept by the store (``UseOnce``, space ``challenge``).
"""

from __future__ import annotations

from typing import Final

from keystead.errors import EvidenceRejected, Reason
from keystead.model import Challenge
from keystead.ports import Entropy

NONCE_BYTES: Final = 32
"""Fits the qualifying data of every TPM (Part 2 §10.4.3: as large as its largest hash)."""

DEFAULT_TTL_S: Final = 60
"""A slow chip needs some seconds to quote and certify; nobody needs a minute."""


def issue_challenge(
    *, issuer: str, now: int, entropy: Entropy, ttl_s: int = DEFAULT_TTL_S
) -> Challenge:
    """A fresh challenge of ``issuer``, good from ``now`` for ``ttl_s`` seconds."""
    return Challenge(
        nonce=entropy.token(NONCE_BYTES), issuer=issuer, issued_at=now, expires_at=now + ttl_s
    )


def check_challenge(challenge: Challenge, *, now: int) -> None:
    """EvidenceRejected (challenge_expired) unless ``now`` is within the challenge's life."""
    if not challenge.issued_at <= now < challenge.expires_at:
        raise EvidenceRejected(Reason.CHALLENGE_EXPIRED, f"now {now}, until {challenge.expires_at}")
