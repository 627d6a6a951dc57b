"""The quote of an Intel TDX guest (a trust domain, TD), versions 4 and 5. Nothing here verifies it.

    header          48 bytes: version, kind of attestation key, TEE, maker of the quoting enclave
    report body     of the TD: at once in version 4; after its type and size in version 5
    signature       its size, then the attestation key's, and what vouches for that key: the quoting
                    enclave's report with the platform's signature, and the platform's certificates

Source: Intel "TDX DCAP Quoting Library API", appendix A.3 and A.4; the body's fields are those of
the TDX module's TDREPORT. Numbers are little-endian.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keystead.codec.reader import Reader
from keystead.codec.sgx_report import SGX_REPORT_BYTES, SgxReport, parse_sgx_report
from keystead.errors import Malformed, Reason

MAX_QUOTE_BYTES: Final = 16_384
"""Quotes with their PCK chain have some 5 KiB."""

REGISTER_BYTES: Final = 48
"""Of MRTD, RTMRs and all others: SHA-384."""
RTMRS: Final = 4
SVN_BYTES: Final = 16

# TD_ATTRIBUTES (TDX module 1.5 ABI, §"TD Attributes"): each of the first eight puts a TD under
# debug or profiling, which is to say into its host's hands.
ATTRIBUTES_UNDER_DEBUG: Final = 0xFF
ATTRIBUTE_SEPT_VE_DISABLE: Final = 1 << 28
ATTRIBUTE_MIGRATABLE: Final = 1 << 29

_HEAD_BYTES: Final = 48
_ECDSA_P256: Final = 2
_SGX: Final = 0
_TDX: Final = 0x81
# The one maker of quoting enclaves that there is.
_INTEL: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
# The type of a version 5 body, and its size: TDX 1.0, and 1.5 with two more fields at its end.
_TDX_1_5: Final = 3
_BODIES: Final[Mapping[int, int]] = {2: 584, _TDX_1_5: 648}
_BODY_BYTES: Final = 584
_SIGNATURE_BYTES: Final = 64
_KEY_BYTES: Final = 64
# Certification data: a report of the quoting enclave, and in it a chain of certificates as PEM.
_QE_REPORT: Final = 6
_PCK_CHAIN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class TdReport:
    """A TD's report body. ``tee_tcb_svn_2`` and ``mrservicetd`` are None in TDX 1.0.

    ``tee_tcb_svn`` is of the TDX module that the TD was started on, ``tee_tcb_svn_2`` of the one
    that reported. ``rtmrs`` are RTMR0 to RTMR3.
    """

    tee_tcb_svn: bytes
    mrseam: bytes
    mrsignerseam: bytes
    seam_attributes: bytes
    attributes: int
    xfam: int
    mrtd: bytes
    mrconfigid: bytes
    mrowner: bytes
    mrownerconfig: bytes
    rtmrs: tuple[bytes, ...]
    report_data: bytes
    tee_tcb_svn_2: bytes | None
    mrservicetd: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TdQuote:
    """A quote, not verified.

    ``signature`` is r and s over ``signed``, by ``attestation_key`` (x and y on P-256, 32 bytes
    each). ``qe_report_signature`` is over ``qe_report.raw``; ``qe_auth_data`` is what the enclave
    hashed with that key; ``pck_chain`` is PEM, the platform's certificate first.
    """

    version: int
    report: TdReport
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    attestation_key: bytes = field(repr=False)
    qe_report: SgxReport = field(repr=False)
    qe_report_signature: bytes = field(repr=False)
    qe_auth_data: bytes = field(repr=False)
    pck_chain: bytes = field(repr=False)


def parse_td_quote(data: bytes) -> TdQuote:
    """The quote in ``data``, with zeros or nothing after it.

    Zeros follow where it came in a field of a fixed size. ``Malformed``: ``evidence_type`` for an
    SGX enclave's quote.
    """
    if len(data) > MAX_QUOTE_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"a quote of {len(data)} bytes")
    reader = Reader(data, "little")
    version = _read_head(reader)
    kind, size = (reader.u16(), reader.u32()) if version == 5 else (2, _BODY_BYTES)
    if _BODIES.get(kind) != size:
        raise Malformed(Reason.MALFORMED, f"a quote body of type {kind}, {size} bytes")
    report = _parse_report(reader.take(size), extended=kind == _TDX_1_5)
    signed = data[: reader.offset]
    signature = Reader(reader.take(reader.u32()), "little")
    if any(reader.rest()):
        raise Malformed(Reason.MALFORMED, "bytes after the quote")
    return _read_signature(signature, version=version, report=report, signed=signed)


def _read_head(reader: Reader) -> int:
    version, key_type, tee = reader.u16(), reader.u16(), reader.u32()
    if tee == _SGX and version in (3, 4, 5):
        raise Malformed(Reason.EVIDENCE_TYPE, "a quote of an SGX enclave, not of a TD")
    if version not in (4, 5) or (key_type, tee) != (_ECDSA_P256, _TDX):
        raise Malformed(Reason.MALFORMED, f"a quote of version {version}, TEE {tee:#x}")
    reader.u32()
    if reader.take(len(_INTEL)) != _INTEL:
        raise Malformed(Reason.MALFORMED, "a quoting enclave of another maker")
    reader.take(_HEAD_BYTES - reader.offset)
    return version


def _parse_report(data: bytes, *, extended: bool) -> TdReport:
    reader = Reader(data, "little")
    report = TdReport(
        tee_tcb_svn=reader.take(SVN_BYTES),
        mrseam=reader.take(REGISTER_BYTES),
        mrsignerseam=reader.take(REGISTER_BYTES),
        seam_attributes=reader.take(8),
        attributes=reader.u64(),
        xfam=reader.u64(),
        mrtd=reader.take(REGISTER_BYTES),
        mrconfigid=reader.take(REGISTER_BYTES),
        mrowner=reader.take(REGISTER_BYTES),
        mrownerconfig=reader.take(REGISTER_BYTES),
        rtmrs=tuple(reader.take(REGISTER_BYTES) for _ in range(RTMRS)),
        report_data=reader.take(64),
        tee_tcb_svn_2=reader.take(SVN_BYTES) if extended else None,
        mrservicetd=reader.take(REGISTER_BYTES) if extended else None,
    )
    reader.end()
    return report


def _read_signature(reader: Reader, *, version: int, report: TdReport, signed: bytes) -> TdQuote:
    signature, key = reader.take(_SIGNATURE_BYTES), reader.take(_KEY_BYTES)
    certification = Reader(_read_certification(reader, _QE_REPORT), "little")
    reader.end()
    qe_report = parse_sgx_report(certification.take(SGX_REPORT_BYTES))
    qe_report_signature = certification.take(_SIGNATURE_BYTES)
    qe_auth_data = certification.take(certification.u16())
    pck_chain = _read_certification(certification, _PCK_CHAIN)
    certification.end()
    return TdQuote(
        version=version,
        report=report,
        signed=signed,
        signature=signature,
        attestation_key=key,
        qe_report=qe_report,
        qe_report_signature=qe_report_signature,
        qe_auth_data=qe_auth_data,
        pck_chain=pck_chain,
    )


def _read_certification(reader: Reader, wanted: int) -> bytes:
    kind, size = reader.u16(), reader.u32()
    if kind != wanted:
        raise Malformed(Reason.MALFORMED, f"certification data of type {kind}, not {wanted}")
    return reader.take(size)
