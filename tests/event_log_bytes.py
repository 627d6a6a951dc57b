"""Event logs as firmware writes them, byte by byte."""

import hashlib
import struct

from keystead.codec.hashes import HashAlgorithm

SHA1, SHA256 = HashAlgorithm.SHA1, HashAlgorithm.SHA256
EV_SEPARATOR = 4


def sha1_event(pcr: int, kind: int, data: bytes, digest: bytes | None = None) -> bytes:
    shown = hashlib.sha1(data).digest() if digest is None else digest
    return struct.pack("<II", pcr, kind) + shown + struct.pack("<I", len(data)) + data


def spec_id(sizes: dict[int, int], vendor: bytes = b"") -> bytes:
    data = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(sizes))
    data += b"".join(struct.pack("<HH", *pair) for pair in sizes.items())
    return sha1_event(0, 3, data + bytes([len(vendor)]) + vendor, bytes(20))


def agile_event(pcr: int, kind: int, data: bytes, digests: dict[int, bytes] | None = None) -> bytes:
    if digests is None:
        digests = {a: hashlib.new(a.digest_name, data).digest() for a in (SHA1, SHA256)}
    shown = b"".join(struct.pack("<H", a) + digest for a, digest in digests.items())
    head = struct.pack("<III", pcr, kind, len(digests))
    return head + shown + struct.pack("<I", len(data)) + data


def locality(number: int) -> bytes:
    data = b"StartupLocality\0" + bytes([number])
    return agile_event(0, 3, data, {SHA1: bytes(20), SHA256: bytes(32)})


HEAD = spec_id({SHA1: 20, SHA256: 32})
GOOD = HEAD + agile_event(0, 8, b"firmware") + agile_event(7, EV_SEPARATOR, bytes(4))
