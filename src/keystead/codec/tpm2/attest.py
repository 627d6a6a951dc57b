"""TPMS_ATTEST: what a TPM signs in a quote or a certification (Part 2 §10.12)."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from keystead.codec.reader import Reader
from keystead.codec.tpm2.constants import MAX_ATTEST_BYTES, MAX_DIGEST_BYTES, MAX_NAME_BYTES
from keystead.codec.tpm2.pcrs import PcrSelection, read_pcr_selection
from keystead.errors import Malformed, Reason

TPM_GENERATED: Final = 0xFF544347
ST_ATTEST_CERTIFY: Final = 0x8017
ST_ATTEST_QUOTE: Final = 0x8018

# magic, type; and behind two sized buffers: TPMS_CLOCK_INFO, firmwareVersion.
_HEAD: Final = Struct(">IH")
_CLOCK_AND_FIRMWARE: Final = Struct(">QIIBQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteInfo:
    """TPMS_QUOTE_INFO."""

    selection: PcrSelection
    pcr_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifyInfo:
    """TPMS_CERTIFY_INFO: the Name and the qualified Name of the certified object."""

    name: bytes
    qualified_name: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Attest:
    """A parsed TPMS_ATTEST: exactly one of ``quote`` and ``certify`` is there, as ``type`` says.

    ``clock`` is in milliseconds; ``safe`` is false after a restart that was not orderly.
    ``raw`` is what the signature covers.
    """

    magic: int
    type: int
    qualified_signer: bytes
    extra_data: bytes
    clock: int
    reset_count: int
    restart_count: int
    safe: bool
    firmware_version: int
    quote: QuoteInfo | None
    certify: CertifyInfo | None
    raw: bytes


def parse_attest(data: bytes) -> Attest:
    """A TPMS_ATTEST of a quote or a certification, nothing after it.

    Raises:
        Malformed: wrong magic, another type, truncated, trailing bytes or an unknown algorithm.
    """
    if len(data) > MAX_ATTEST_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"an attestation of {len(data)} bytes")
    reader = Reader(data)
    magic, kind = reader.fields(_HEAD)
    if magic != TPM_GENERATED:
        raise Malformed(Reason.MALFORMED, f"magic {magic:#010x} was not made by a TPM")
    if kind not in (ST_ATTEST_QUOTE, ST_ATTEST_CERTIFY):
        raise Malformed(Reason.MALFORMED, f"attestation type {kind:#06x}")
    qualified_signer = reader.sized(max_bytes=MAX_NAME_BYTES)
    extra_data = reader.sized(max_bytes=MAX_NAME_BYTES)  # TPM2B_DATA: as large as a TPMT_HA
    clock, reset_count, restart_count, safe, firmware_version = reader.fields(_CLOCK_AND_FIRMWARE)
    attest = Attest(
        magic=magic,
        type=kind,
        qualified_signer=qualified_signer,
        extra_data=extra_data,
        clock=clock,
        reset_count=reset_count,
        restart_count=restart_count,
        safe=_yes_no(safe),
        firmware_version=firmware_version,
        quote=_read_quote(reader) if kind == ST_ATTEST_QUOTE else None,
        certify=_read_certify(reader) if kind == ST_ATTEST_CERTIFY else None,
        raw=data,
    )
    reader.end()
    return attest


def _yes_no(number: int) -> bool:
    if number not in (0, 1):
        raise Malformed(Reason.MALFORMED, f"TPMI_YES_NO is {number}")
    return number == 1


def _read_quote(reader: Reader) -> QuoteInfo:
    selection = read_pcr_selection(reader)
    return QuoteInfo(selection=selection, pcr_digest=reader.sized(max_bytes=MAX_DIGEST_BYTES))


def _read_certify(reader: Reader) -> CertifyInfo:
    name = reader.sized(max_bytes=MAX_NAME_BYTES)
    return CertifyInfo(name=name, qualified_name=reader.sized(max_bytes=MAX_NAME_BYTES))
