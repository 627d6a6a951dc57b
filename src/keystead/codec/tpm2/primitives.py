"""Numbers and sized buffers that every TPM structure is made of."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.reader import Reader
from keystead.errors import Malformed, Reason

_Number = TypeVar("_Number", bound=IntEnum)


def known(kind: type[_Number], number: int) -> _Number:
    """``number`` as a member of ``kind``, or Malformed."""
    try:
        return kind(number)
    except ValueError:
        raise Malformed(Reason.MALFORMED, f"unknown {kind.__name__} {number:#06x}") from None


def read_hash(reader: Reader) -> HashAlgorithm:
    """A TPMI_ALG_HASH that is not TPM_ALG_NULL."""
    return known(HashAlgorithm, reader.u16())


def u8(number: int) -> bytes:
    return number.to_bytes(1, "big")


def u16(number: int) -> bytes:
    return number.to_bytes(2, "big")


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


def encode_tpm2b(content: bytes) -> bytes:
    """A TPM2B: a 16-bit size and the content."""
    if len(content) > 0xFFFF:
        raise Malformed(Reason.TOO_LARGE, f"{len(content)} bytes do not fit a TPM2B")
    return u16(len(content)) + content


def parse_tpm2b(data: bytes, *, max_bytes: int) -> bytes:
    """The content of one whole TPM2B, at most ``max_bytes`` long."""
    reader = Reader(data)
    content = reader.sized(max_bytes=max_bytes)
    reader.end()
    return content
