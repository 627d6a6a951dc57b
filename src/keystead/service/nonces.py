"""DPoP nonces (RFC 9449 §8) that need no storage.

A nonce is the time it was made and an HMAC over it by a secret of this process. It may be used
again inside its window, as the RFC allows; a proof's ``jti`` may not. The secret dies with the
process, so no nonce outlives a restart.
"""

from __future__ import annotations

import hmac
from functools import lru_cache, partial

from keystead.codec import base64url
from keystead.errors import Malformed, ProofRejected, Reason
from keystead.ports import Clock, Entropy

NONCE_WINDOW_S = 120
"""How long a nonce is taken. Longer than a slow TPM needs for one signature, and short enough that
a proof made in advance on a borrowed machine is soon worth nothing."""

NONCE_STEP = 10
"""Of RFC 9449 §4.3's list."""
SECRET_BYTES = 32
TAG_BYTES = 16
TIME_BYTES = 8
MAX_NONCE_CHARS = 64
MAX_KEPT_TAGS = 256
"""A tag for each second of the window, and as many that somebody made up."""


class DpopNonces:
    """Makes and checks nonces for one process."""

    def __init__(self, *, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._tag = lru_cache(MAX_KEPT_TAGS)(partial(_tag, entropy.token(SECRET_BYTES)))

    def fresh(self) -> str:
        """A nonce for the next proof."""
        at = self._clock.now().to_bytes(TIME_BYTES, "big")
        return base64url.encode(at + self._tag(at))

    def check(self, nonce: str | None) -> None:
        """ProofRejected: nonce_required without one, nonce_invalid for another's or an old one."""
        if nonce is None:
            raise ProofRejected(Reason.NONCE_REQUIRED, step=NONCE_STEP)
        try:
            raw = base64url.decode(nonce[: MAX_NONCE_CHARS + 1], max_bytes=TIME_BYTES + TAG_BYTES)
        except Malformed:
            raise ProofRejected(Reason.NONCE_INVALID, step=NONCE_STEP) from None
        at, tag = raw[:TIME_BYTES], raw[TIME_BYTES:]
        if not hmac.compare_digest(tag, self._tag(at)):
            raise ProofRejected(Reason.NONCE_INVALID, step=NONCE_STEP)
        age = self._clock.now() - int.from_bytes(at, "big")
        if not 0 <= age <= NONCE_WINDOW_S:
            raise ProofRejected(Reason.NONCE_INVALID, "older than its window", step=NONCE_STEP)


def _tag(secret: bytes, at: bytes) -> bytes:
    return hmac.digest(secret, at, "sha256")[:TAG_BYTES]
