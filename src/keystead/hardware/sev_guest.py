"""An SEV-SNP guest's report by the older way, an ioctl of ``/dev/sev-guest``.

    report, table = SevGuest().extended_report(report_data)

Source: ``linux/sev-guest.h`` (SNP_GET_EXT_REPORT); MSG_REPORT_RSP is of AMD 56860, table
"MSG_REPORT_RSP Message Structure". The driver repeats what the host throttles, for a minute at
most.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from keystead.codec.reader import Reader
from keystead.codec.snp import REPORT_BYTES, REPORT_DATA_BYTES
from keystead.errors import Malformed, Reason, Refused
from keystead.hardware.ioctl import Ioctl, Memory, failure, opened, system_ioctl

SEV_GUEST: Final = Path("/dev/sev-guest")

GET_EXT_REPORT: Final = 0xC0205302
"""_IOWR('S', 2, struct snp_guest_request_ioctl)."""

TABLE_BYTES: Final = 0x4000
"""SEV_FW_BLOB_MAX_SIZE: all that the driver takes; it has to be whole pages."""

RESPONSE_BYTES: Final = 4_000

_MESSAGE_VERSION: Final = 1
# struct snp_guest_request_ioctl: message version; addresses of request and response; the firmware's
# error and the host's.
_REQUEST: Final = struct.Struct("<B7xQQII")
# struct snp_ext_report_req: data, VMPL, reserved; address and length for the certificates.
_EXT_REPORT: Final = struct.Struct("<64sI28xQI4x")
_RESERVED_BYTES: Final = 24


class SevGuest:
    """The device. It raises Unavailable where it does not answer, Refused where firmware or host
    say no, and Malformed where the answer is no report."""

    def __init__(self, path: Path = SEV_GUEST, *, ioctl: Ioctl = system_ioctl) -> None:
        """``path`` is opened for each report."""
        self._path = path
        self._ioctl = ioctl

    @property
    def there(self) -> bool:
        """Whether the kernel shows such a device at all."""
        return self._path.exists()

    def extended_report(self, report_data: bytes, *, vmpl: int = 0) -> tuple[bytes, bytes]:
        """A new report over ``report_data`` (64 bytes), and the host's table of certificates.

        The table is zeros where the host gives none.
        """
        if len(report_data) != REPORT_DATA_BYTES:
            raise Malformed(Reason.MALFORMED, f"report data of {len(report_data)} bytes")
        table = Memory(b"", size=TABLE_BYTES)
        answer = Memory(b"", size=RESPONSE_BYTES)
        asked = Memory(_EXT_REPORT.pack(report_data, vmpl, table.address, TABLE_BYTES))
        raw = bytearray(_REQUEST.pack(_MESSAGE_VERSION, asked.address, answer.address, 0, 0))
        with opened(self._path) as descriptor:
            try:
                self._ioctl(descriptor, GET_EXT_REPORT, raw)
            except OSError as error:
                raise failure(f"{self._path}, {_errors(raw)}", error) from error
        if any(_REQUEST.unpack(raw)[3:]):
            raise Refused(Reason.HARDWARE_REFUSED, f"{self._path}: {_errors(raw)}")
        return _report(answer.read(RESPONSE_BYTES)), table.read(TABLE_BYTES)


def _errors(raw: bytearray) -> str:
    """The two numbers tell more than the errno, which is EIO for most of them."""
    firmware, host = _REQUEST.unpack(raw)[3:]
    return f"firmware error {firmware:#x}, host error {host:#x}"


def _report(answer: bytes) -> bytes:
    """The report in a MSG_REPORT_RSP, which is followed by zeros."""
    reader = Reader(answer, "little")
    status, size = reader.u32(), reader.u32()
    if status:
        raise Refused(Reason.HARDWARE_REFUSED, f"MSG_REPORT_RSP with status {status:#x}")
    reader.take(_RESERVED_BYTES)
    if size != REPORT_BYTES:
        raise Malformed(Reason.MALFORMED, f"a report of {size} bytes")
    return reader.take(size)
