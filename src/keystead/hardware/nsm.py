"""The Nitro Secure Module of an enclave: CBOR in, CBOR out, by one ioctl of ``/dev/nsm``.

    document = NsmDevice().attestation(nonce=nonce, public_key=spki)

Source: the AWS Nitro Secure Module API and its Linux driver (``struct nsm_raw``). The driver gives
up on a module that does not answer, so no call hangs.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from keystead.codec import cbor
from keystead.codec.cbor import CborMap
from keystead.errors import Malformed, Reason, Refused
from keystead.hardware.ioctl import Ioctl, Memory, failure, opened, system_ioctl

NSM: Final = Path("/dev/nsm")

RAW_REQUEST: Final = 0xC0200A00
"""_IOWR(0x0A, 0, struct nsm_raw)."""

MAX_REQUEST_BYTES: Final = 0x1000
MAX_RESPONSE_BYTES: Final = 0x3000

# struct nsm_raw: address and length of the request, then of the response.
_RAW: Final = struct.Struct("<QQQQ")
_MAX_ERROR_CHARS: Final = 64


class NsmDevice:
    """One module. Every call raises Unavailable where it does not answer, Refused where it says no,
    and Malformed where it answers with something else."""

    def __init__(self, path: Path = NSM, *, ioctl: Ioctl = system_ioctl) -> None:
        """``path`` is opened for each call."""
        self._path = path
        self._ioctl = ioctl

    def attestation(
        self,
        *,
        nonce: bytes | None = None,
        public_key: bytes | None = None,
        user_data: bytes | None = None,
    ) -> bytes:
        """A new attestation document with these fields, each of at most 1024 bytes."""
        fields = {"user_data": user_data, "nonce": nonce, "public_key": public_key}
        answer = self._ask({"Attestation": fields}, "Attestation")
        return cbor.get_bytes(answer, "document", max_bytes=MAX_RESPONSE_BYTES, min_bytes=1)

    def _ask(self, request: object, name: str) -> CborMap:
        answer = cbor.parse_map(
            self._exchange(cbor.encode(request)),
            max_bytes=MAX_RESPONSE_BYTES,
            allow_indefinite=True,
        )
        if len(answer) != 1:
            raise Malformed(Reason.MALFORMED, f"an NSM answer with {len(answer)} members")
        if "Error" in answer:
            what = cbor.get_text(answer, "Error", max_chars=_MAX_ERROR_CHARS)
            raise Refused(Reason.HARDWARE_REFUSED, f"{self._path}: {name}: {what}")
        return cbor.get_map(answer, name, max_items=1)

    def _exchange(self, request: bytes) -> bytes:
        if len(request) > MAX_REQUEST_BYTES:
            raise Malformed(Reason.TOO_LARGE, f"an NSM request of {len(request)} bytes")
        asked, answered = Memory(request), Memory(b"", size=MAX_RESPONSE_BYTES)
        raw = bytearray(
            _RAW.pack(asked.address, len(request), answered.address, MAX_RESPONSE_BYTES)
        )
        with opened(self._path) as descriptor:
            try:
                self._ioctl(descriptor, RAW_REQUEST, raw)
            except OSError as error:
                raise failure(self._path, error) from error
        size = _RAW.unpack(raw)[3]
        if size > MAX_RESPONSE_BYTES:
            raise Malformed(Reason.TOO_LARGE, f"an NSM answer of {size} bytes")
        return answered.read(size)
