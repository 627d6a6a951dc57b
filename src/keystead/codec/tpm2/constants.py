"""TPM 2.0 algorithm numbers, attributes and bounds (TCG TPM 2.0 Library, Part 2).

Only what Keystead accepts is listed: a number that is not here is Malformed, so no later stage
can meet an algorithm that nobody thought about.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

ALG_NULL: Final = 0x0010

# The largest TPM2B that a public area, attestation or signature holds: an RSA-4096 modulus.
MAX_BUFFER_BYTES: Final = 512
# TPM2B_DIGEST, TPM2B_NONCE, TPM2B_DATA and authPolicy: SHA-512, or a Name with its two bytes.
MAX_DIGEST_BYTES: Final = 64
MAX_NAME_BYTES: Final = 66
# TPM2B_PUBLIC with RSA-4096 and a SHA-512 policy is 614 bytes; vendors stay below 1 KiB.
MAX_PUBLIC_BYTES: Final = 1024
# A TPMS_ATTEST is below 300 bytes; TPM2B_ATTEST of the reference code ends at 1 KiB.
MAX_ATTEST_BYTES: Final = 1024
# TPMT_SIGNATURE by RSA-4096 is 518 bytes.
MAX_SIGNATURE_BYTES: Final = 1024
# TPML_PCR_SELECTION: one entry a hash algorithm; the reference code has 16 at most.
MAX_PCR_BANKS: Final = 16
# PC Client Platform TPM Profile §4.6: PCR 0 to 23, three octets of selection.
PCR_COUNT: Final = 24
PCR_SELECT_BYTES: Final = 3
MAX_PCR_SELECT_BYTES: Final = 4


class KeyType(IntEnum):
    """TPMI_ALG_PUBLIC: the asymmetric types."""

    RSA = 0x0001
    ECC = 0x0023


class Scheme(IntEnum):
    """Signing and encryption schemes of a public area or signature (TPM_ALG_ID)."""

    NULL = ALG_NULL
    RSASSA = 0x0014
    RSAES = 0x0015
    RSAPSS = 0x0016
    OAEP = 0x0017
    ECDSA = 0x0018
    ECDH = 0x0019


class Curve(IntEnum):
    """TPM_ECC_CURVE: the NIST curves."""

    P256 = 0x0003
    P384 = 0x0004
    P521 = 0x0005

    @property
    def coordinate_bytes(self) -> int:
        """The size of one coordinate, as JOSE and TPM write it."""
        return _COORDINATE_BYTES[self]

    @property
    def jose_name(self) -> str:
        """The ``crv`` of RFC 7518 §6.2.1.1."""
        return _JOSE_NAMES[self]


_COORDINATE_BYTES: Final = {Curve.P256: 32, Curve.P384: 48, Curve.P521: 66}
_JOSE_NAMES: Final = {Curve.P256: "P-256", Curve.P384: "P-384", Curve.P521: "P-521"}


class SymmetricAlgorithm(IntEnum):
    """Block ciphers of a storage key."""

    AES = 0x0006


class SymmetricMode(IntEnum):
    """Modes of a storage key's cipher; Part 2 §11.1.9 lets a restricted parent use CFB alone."""

    CFB = 0x0043


class ObjectAttributes(IntFlag):
    """TPMA_OBJECT (Part 2 §8.3), with the specification's names in upper case."""

    FIXED_TPM = 1 << 1
    ST_CLEAR = 1 << 2
    FIXED_PARENT = 1 << 4
    SENSITIVE_DATA_ORIGIN = 1 << 5
    USER_WITH_AUTH = 1 << 6
    ADMIN_WITH_POLICY = 1 << 7
    NO_DA = 1 << 10
    ENCRYPTED_DUPLICATION = 1 << 11
    RESTRICTED = 1 << 16
    DECRYPT = 1 << 17
    SIGN = 1 << 18
    X509_SIGN = 1 << 19


# A plain number: ~ of a flag keeps to the named bits and would find nothing reserved.
KNOWN_ATTRIBUTES: Final = 0x000F0CF6
