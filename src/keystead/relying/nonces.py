"""Nonces that a relying party may demand in proofs (RFC 9449 §8, §9): no proof made ahead of time.

A nonce is a period's number and its MAC, so nothing is stored, and every worker that has the
secret knows every nonce.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Protocol

from keystead.codec import base64url
from keystead.errors import ConfigurationError, Malformed, ProofRejected, Reason
from keystead.relying.steps import Step

# A nonce is good for its own period and the one after it.
DEFAULT_PERIOD_S = 60
MIN_SECRET_BYTES = 32
_NUMBER_BYTES = 8
_MAC_BYTES = 16
_CONTEXT = b"keystead proof nonce v1\0"


class NonceSource(Protocol):
    """Which nonces proofs must carry."""

    def current(self, *, now: int) -> str:
        """The nonce to send in ``DPoP-Nonce``."""
        ...

    def check(self, nonce: str | None, *, now: int) -> None:
        """Raise ``ProofRejected``, ``nonce_required`` or ``nonce_invalid``, unless it is good."""
        ...


class RollingNonces:
    """A ``NonceSource`` from a secret of at least 32 random bytes, the same in all workers."""

    def __init__(self, secret: bytes, *, period_s: int = DEFAULT_PERIOD_S) -> None:
        if len(secret) < MIN_SECRET_BYTES or period_s < 1:
            raise ConfigurationError(detail=f"nonces need a secret of {MIN_SECRET_BYTES} bytes")
        self._secret = secret
        self._period_s = period_s

    def current(self, *, now: int) -> str:
        """See :meth:`NonceSource.current`."""
        return self._nonce(now // self._period_s)

    def check(self, nonce: str | None, *, now: int) -> None:
        """See :meth:`NonceSource.check`."""
        if nonce is None:
            raise ProofRejected(Reason.NONCE_REQUIRED, step=Step.PROOF)
        try:
            number = int.from_bytes(base64url.decode(nonce)[:_NUMBER_BYTES], "big")
        except Malformed as error:
            raise ProofRejected(Reason.NONCE_INVALID, "not ours", step=Step.PROOF) from error
        period = now // self._period_s
        # The number is the sender's until the MAC says otherwise: compute for two periods only.
        if number not in (period, period - 1):
            raise ProofRejected(Reason.NONCE_INVALID, "of another period", step=Step.PROOF)
        if not hmac.compare_digest(self._nonce(number).encode(), nonce.encode()):
            raise ProofRejected(Reason.NONCE_INVALID, "not ours", step=Step.PROOF)

    def _nonce(self, period: int) -> str:
        number = period.to_bytes(_NUMBER_BYTES, "big")
        mac = hmac.digest(self._secret, _CONTEXT + number, hashlib.sha256)
        return base64url.encode(number + mac[:_MAC_BYTES])
