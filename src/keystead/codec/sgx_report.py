"""The report body of an SGX enclave, 384 bytes: here always of Intel's quoting enclave.

Source: Intel "SGX ECDSA Quote Library Reference", appendix A.4, "Enclave Report Body". Numbers are
little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from keystead.codec.reader import Reader

SGX_REPORT_BYTES: Final = 384
ATTRIBUTES_BYTES: Final = 16
SGX_ATTRIBUTE_DEBUG: Final = 2
"""In the first byte of the attributes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxReport:
    """A report, not verified; ``misc_select`` and ``attributes`` as they stand, to be masked."""

    misc_select: bytes
    attributes: bytes
    mrsigner: bytes
    isv_prod_id: int
    isv_svn: int
    report_data: bytes
    raw: bytes = field(repr=False)


def parse_sgx_report(data: bytes) -> SgxReport:
    """The report in ``data``, which is exactly that; ``Malformed``."""
    reader = Reader(data, "little")
    reader.take(16)  # CPUSVN: the platform's certificate says the one that counts.
    misc_select = reader.take(4)
    reader.take(28)
    attributes = reader.take(ATTRIBUTES_BYTES)
    reader.take(32 + 32)  # MRENCLAVE changes with every release; what is reserved.
    mrsigner = reader.take(32)
    reader.take(96)
    isv_prod_id, isv_svn = reader.u16(), reader.u16()
    reader.take(60)
    report_data = reader.take(64)
    reader.end()
    return SgxReport(
        misc_select=misc_select,
        attributes=attributes,
        mrsigner=mrsigner,
        isv_prod_id=isv_prod_id,
        isv_svn=isv_svn,
        report_data=report_data,
        raw=data,
    )
