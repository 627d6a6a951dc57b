"""COSE_Sign1 (RFC 9052 §4.2), read and not believed: what was signed, by which algorithm.

    Sign1 = [protected: bstr, unprotected: map, payload: bstr, signature: bstr]

Tagged (18) or untagged. The protected header has the algorithm and nothing else, the unprotected
one nothing at all: that is what attestation documents have, and more would be for somebody to act
upon who is not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keystead.codec import cbor
from keystead.errors import Malformed, Reason

ES384: Final = -35
"""RFC 9053 §2.1."""

_ALGORITHM_LABEL: Final = 1
_TAG_18: Final = b"\xd2"
_MAX_PROTECTED_BYTES: Final = 16
# Two P-521 coordinates.
_MAX_SIGNATURE_BYTES: Final = 132
# Registered and private algorithms alike.
_ALGORITHMS: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign1:
    """``signature`` is R ‖ S; ``signed`` are the bytes that it is over (the Sig_structure)."""

    algorithm: int
    payload: bytes
    signature: bytes
    signed: bytes


def parse_sign1(data: bytes, *, max_bytes: int) -> Sign1:
    """The COSE_Sign1 that ``data`` is, with an attached payload; ``Malformed``."""
    parts = cbor.as_list(
        cbor.parse(data.removeprefix(_TAG_18), max_bytes=max_bytes, max_depth=2), "COSE_Sign1"
    )
    if len(parts) != 4:
        raise Malformed(Reason.MALFORMED, f"COSE_Sign1 of {len(parts)} parts")
    protected = cbor.as_bytes(parts[0], "protected", max_bytes=_MAX_PROTECTED_BYTES)
    if cbor.as_map(parts[1], "unprotected"):
        raise Malformed(Reason.MALFORMED, "COSE_Sign1 with an unprotected header")
    payload = cbor.as_bytes(parts[2], "payload", max_bytes=max_bytes, min_bytes=1)
    return Sign1(
        algorithm=_algorithm(protected),
        payload=payload,
        signature=cbor.as_bytes(parts[3], "signature", max_bytes=_MAX_SIGNATURE_BYTES),
        signed=cbor.encode(["Signature1", protected, b"", payload]),
    )


def _algorithm(protected: bytes) -> int:
    header = cbor.parse_map(protected, max_bytes=_MAX_PROTECTED_BYTES, max_depth=1)
    cbor.refuse_other_members(header, frozenset({_ALGORITHM_LABEL}))
    return cbor.get_int(header, _ALGORITHM_LABEL, minimum=-_ALGORITHMS, maximum=_ALGORITHMS)
