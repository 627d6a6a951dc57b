"""The hash algorithms of TPMs and event logs: TPM_ALG_ID, ``hashlib`` name and size together.

Source: TCG Algorithm Registry, table 3 (TPM_ALG_ID).
"""

from __future__ import annotations

from enum import IntEnum

from keystead.errors import Malformed, Reason


class HashAlgorithm(IntEnum):
    """A hash by its TPM_ALG_ID; ``digest_name`` is what ``hashlib.new`` takes."""

    SHA1 = 0x0004
    SHA256 = 0x000B
    SHA384 = 0x000C
    SHA512 = 0x000D

    @property
    def digest_name(self) -> str:
        """The name in ``hashlib``, policies and evidence: ``sha256``."""
        return self.name.lower()

    @property
    def digest_size(self) -> int:
        """The length of a digest, in bytes."""
        return _DIGEST_SIZES[self]

    @classmethod
    def from_name(cls, name: str) -> HashAlgorithm:
        """The algorithm called ``name``, spelled exactly as ``digest_name``, or ``Malformed``."""
        found = _BY_NAME.get(name)
        if found is None:
            raise Malformed(Reason.MALFORMED, f"unknown hash algorithm {name[:32]!r}")
        return found


_DIGEST_SIZES = {
    HashAlgorithm.SHA1: 20,
    HashAlgorithm.SHA256: 32,
    HashAlgorithm.SHA384: 48,
    HashAlgorithm.SHA512: 64,
}
_BY_NAME = {algorithm.digest_name: algorithm for algorithm in HashAlgorithm}
