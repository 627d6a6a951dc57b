"""The hash that stands for a key where evidence carries bytes of its attester's choice."""

from __future__ import annotations

import hashlib
from typing import Final

from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind

_CONTEXT: Final = b"keystead key binding v1"
_SEPARATOR: Final = b"\x00"

HASH_BYTES: Final = 32
FIELD_BYTES: Final = 64
"""REPORTDATA of TDX and SEV-SNP."""


def binding_hash(kind: EvidenceKind, *, issuer: str, nonce: bytes, key: PublicJwk) -> bytes:
    """SHA-256("keystead key binding v1" ‖ 0 ‖ kind ‖ 0 ‖ issuer ‖ 0 ‖ nonce ‖ SPKI).

    ``nonce`` has the 32 bytes of every challenge, so no two inputs make one concatenation.
    """
    said = _SEPARATOR.join((_CONTEXT, kind.value.encode(), issuer.encode(), nonce + key.spki))
    return hashlib.sha256(said).digest()


def padded(digest: bytes) -> bytes:
    """The hash as it stands in a field of 64 bytes: at its left, zeros after it."""
    return digest.ljust(FIELD_BYTES, b"\x00")
