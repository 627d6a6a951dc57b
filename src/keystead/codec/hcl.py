"""The HCL report: what Azure's paravisor (host compatibility layer) keeps in a vTPM's NV index.

    0x000   header: "HCLA", version, size of all that follows it and of itself, request type, status
    0x020   the hardware's report: an SEV-SNP report, or a TDREPORT
    0x4A0   runtime data: sizes, type of report, hash type, then JSON with the vTPM's keys

Numbers are little-endian; the NV index is longer than the report, with zeros after it. Source:
Microsoft, "What is guest attestation for confidential VMs", and its open attestation client.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.codec.reader import Reader
from keystead.codec.snp import REPORT_BYTES, REPORT_DATA_BYTES, SnpReport, parse_report
from keystead.codec.tpm2 import RsaKey
from keystead.errors import Malformed, Reason

MAX_HCL_BYTES: Final = 8_192
"""The NV index has 2600 bytes; user data of later versions may lengthen the JSON."""

TD_REPORT_BYTES: Final = 1_024

_MAGIC: Final = b"HCLA"
_VERSIONS: Final = frozenset({1, 2})
_CVM_REQUEST: Final = 2
_SHA256: Final = 1
_RUNTIME_VERSION: Final = 1
_RUNTIME_HEAD_BYTES: Final = 20
_HEAD_BYTES: Final = 0x20
# REPORTMACSTRUCT: a TD's, and where its REPORTDATA stands (Intel 344426, §3.5).
_TD_REPORT_TYPE: Final = 0x81
_TD_REPORT_DATA: Final = 0x80

_MAX_DEPTH: Final = 6
_MAX_KEYS: Final = 8
_AK_NAME: Final = "HCLAkPub"
_MAX_MODULUS_BYTES: Final = 512
_MAX_EXPONENT_BYTES: Final = 4
_MAX_NAME_CHARS: Final = 64


class HardwareReport(IntEnum):
    """Which hardware's report stands in an HCL report."""

    SEV_SNP = 2
    TDX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class HclReport:
    """A report, not verified.

    ``snp`` is the SEV-SNP report, None of a TD; ``report_data`` is the hardware report's, and
    ``runtime_data`` what it has to be the hash of. ``ak`` is the vTPM's attestation key as the
    runtime data name it. ``configuration`` is the virtual machine's, as far as it is simple.
    """

    hardware: HardwareReport
    snp: SnpReport | None
    report_data: bytes
    runtime_data: bytes
    ak: RsaKey
    configuration: Mapping[str, str | bool]
    raw: bytes

    @property
    def runtime_digest(self) -> bytes:
        """REPORT_DATA as it must be: SHA-256 of the runtime data, then zeros."""
        return hashlib.sha256(self.runtime_data).digest().ljust(REPORT_DATA_BYTES, b"\x00")

    @property
    def td_report(self) -> bytes:
        """The TDREPORT of a TD, for its host's quoting service."""
        return self.raw[_HEAD_BYTES : _HEAD_BYTES + TD_REPORT_BYTES]


def parse_hcl_report(data: bytes) -> HclReport:
    """The HCL report in ``data``, with zeros or nothing after it; ``Malformed``."""
    if len(data) > MAX_HCL_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"an HCL report of {len(data)} bytes")
    reader = Reader(data, "little")
    size = _read_head(reader)
    hardware_report = reader.take(REPORT_BYTES)
    hardware, runtime_data = _read_runtime_data(reader)
    if reader.offset != size or any(reader.rest()):
        raise Malformed(Reason.MALFORMED, f"an HCL report that is not of {size} bytes")
    snp = parse_report(hardware_report) if hardware is HardwareReport.SEV_SNP else None
    members = json.parse_object(runtime_data, max_bytes=MAX_HCL_BYTES, max_depth=_MAX_DEPTH)
    return HclReport(
        hardware=hardware,
        snp=snp,
        report_data=_td_report_data(hardware_report) if snp is None else snp.report_data,
        runtime_data=runtime_data,
        ak=_ak(members),
        configuration=_configuration(members),
        raw=data,
    )


def _read_head(reader: Reader) -> int:
    magic, version, size = reader.take(4), reader.u32(), reader.u32()
    request_type, status = reader.u32(), reader.u32()
    if any(reader.take(_HEAD_BYTES - reader.offset)):
        raise Malformed(Reason.MALFORMED, "reserved bytes that are not zero")
    if magic != _MAGIC or version not in _VERSIONS:
        raise Malformed(Reason.MALFORMED, f"no HCL report, or of version {version}")
    if request_type != _CVM_REQUEST or status != 0:
        raise Malformed(Reason.MALFORMED, f"request type {request_type}, status {status}")
    return size


def _read_runtime_data(reader: Reader) -> tuple[HardwareReport, bytes]:
    """The hash type is for the whole report: only SHA-256 is accepted."""
    size, version, kind = reader.u32(), reader.u32(), reader.u32()
    hash_type, length = reader.u32(), reader.u32()
    if version != _RUNTIME_VERSION or size != length + _RUNTIME_HEAD_BYTES:
        raise Malformed(Reason.MALFORMED, f"runtime data of version {version}, size {size}")
    if hash_type != _SHA256:
        raise Malformed(Reason.MALFORMED, f"hash type {hash_type}")
    try:
        return HardwareReport(kind), reader.take(length)
    except ValueError:
        raise Malformed(Reason.MALFORMED, f"a hardware report of type {kind}") from None


def _td_report_data(data: bytes) -> bytes:
    """REPORTDATA of a TDREPORT, which is shorter than the place for it."""
    if data[0] != _TD_REPORT_TYPE or any(data[TD_REPORT_BYTES:]):
        raise Malformed(Reason.MALFORMED, f"a TDREPORT of type {data[0]:#x}")
    return data[_TD_REPORT_DATA : _TD_REPORT_DATA + REPORT_DATA_BYTES]


def _ak(members: Mapping[str, JSON]) -> RsaKey:
    """The one key with the AK's name. Its key_ops are not read: early ones say "encrypt"."""
    keys = json.get_object_list(members, "keys", max_items=_MAX_KEYS)
    found = [each for each in keys if json.find_str(each, "kid") == _AK_NAME]
    if len(found) != 1 or json.get_str(found[0], "kty") != "RSA":
        raise Malformed(Reason.MALFORMED, f"not one RSA key is named {_AK_NAME}")
    modulus = int.from_bytes(json.get_bytes(found[0], "n", max_bytes=_MAX_MODULUS_BYTES), "big")
    exponent = int.from_bytes(json.get_bytes(found[0], "e", max_bytes=_MAX_EXPONENT_BYTES), "big")
    return RsaKey(bits=modulus.bit_length(), exponent=exponent, modulus=modulus)


def _configuration(members: Mapping[str, JSON]) -> dict[str, str | bool]:
    """What is true or false, or a short text: other members are for other readers."""
    found = json.find_object(members, "vm-configuration") or {}
    return {
        name: value
        for name, value in found.items()
        if len(name) <= _MAX_NAME_CHARS
        and (isinstance(value, bool) or (isinstance(value, str) and len(value) <= _MAX_NAME_CHARS))
    }
