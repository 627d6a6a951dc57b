"""TPM structures written by hand, so that the codec is not its own judge.

Every field can be replaced, which is how the tests make the one-field-wrong case.
"""

import hashlib
from collections.abc import Sequence

RSA, ECC, SHA1, SHA256, SHA384, NULL = 0x1, 0x23, 0x4, 0xB, 0xC, 0x10
RSASSA, RSAPSS, ECDSA, AES, CFB = 0x14, 0x16, 0x18, 0x6, 0x43
P256, P384 = 0x3, 0x4
ST_CERTIFY, ST_QUOTE, GENERATED = 0x8017, 0x8018, 0xFF544347
# fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign
AK_ATTRIBUTES = 0x00050072


def number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def sized(content: bytes) -> bytes:
    return number(len(content), 2) + content


def ecc_public(
    *,
    kind: int = ECC,
    name_algorithm: int = SHA256,
    attributes: int = AK_ATTRIBUTES,
    policy: bytes = b"",
    symmetric: bytes = number(NULL, 2),
    scheme: bytes = number(ECDSA, 2) + number(SHA256, 2),
    curve: int = P256,
    kdf: int = NULL,
    x: bytes = bytes([1] * 32),
    y: bytes = bytes([2] * 32),
) -> bytes:
    head = number(kind, 2) + number(name_algorithm, 2) + number(attributes, 4) + sized(policy)
    tail = number(curve, 2) + number(kdf, 2) + sized(x) + sized(y)
    return head + symmetric + scheme + tail


def rsa_public(
    *,
    attributes: int = AK_ATTRIBUTES,
    policy: bytes = b"",
    symmetric: bytes = number(NULL, 2),
    scheme: bytes = number(RSASSA, 2) + number(SHA256, 2),
    bits: int = 2048,
    exponent: int = 0,
    modulus: bytes = b"\xc5" + bytes([3] * 255),
) -> bytes:
    head = number(RSA, 2) + number(SHA256, 2) + number(attributes, 4) + sized(policy)
    return head + symmetric + scheme + number(bits, 2) + number(exponent, 4) + sized(modulus)


def pcr_selection(banks: Sequence[tuple[int, bytes]] = ((SHA256, b"\xff\x00\x00"),)) -> bytes:
    entries = (number(bank, 2) + number(len(mask), 1) + mask for bank, mask in banks)
    return number(len(banks), 4) + b"".join(entries)


def attest(
    *,
    magic: int = GENERATED,
    kind: int = ST_QUOTE,
    signer: bytes = number(SHA256, 2) + bytes(32),
    extra_data: bytes = bytes([7] * 32),
    clock: int = 123456,
    resets: int = 5,
    restarts: int = 6,
    safe: int = 1,
    firmware: int = 0x2019102300163636,
    body: bytes | None = None,
) -> bytes:
    head = number(magic, 4) + number(kind, 2) + sized(signer) + sized(extra_data)
    clock_info = number(clock, 8) + number(resets, 4) + number(restarts, 4) + number(safe, 1)
    if body is None:
        digest = hashlib.sha256(b"pcrs").digest()
        body = pcr_selection() + sized(digest)
    return head + clock_info + number(firmware, 8) + body


def ecdsa_signature(
    *, scheme: int = ECDSA, hash: int = SHA256, r: bytes = b"\x11" * 32, s: bytes = b"\x22" * 32
) -> bytes:
    return number(scheme, 2) + number(hash, 2) + sized(r) + sized(s)


def rsa_signature(
    *, scheme: int = RSASSA, hash: int = SHA256, value: bytes = b"\x33" * 256
) -> bytes:
    return number(scheme, 2) + number(hash, 2) + sized(value)
