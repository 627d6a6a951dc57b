"""Reports of a confidential machine through Linux' configfs-tsm, the same files for SNP and TDX.

    made = TsmReports().report(report_data, provider="sev_guest")
    made.outblob, made.auxblob

Source: the kernel's ``Documentation/ABI/testing/configfs-tsm-report``. A report is a folder: bytes
written to ``inblob`` make the report that ``outblob`` holds. Every write raises ``generation`` by
one, so a number other than expected shows that somebody else wrote there too.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from keystead.errors import Malformed, Reason, Refused, Unavailable
from keystead.hardware.ioctl import failure

TSM: Final = Path("/sys/kernel/config/tsm/report")

INBLOB_BYTES: Final = 64
MAX_BLOB_BYTES: Final = 32_768
"""TSM_OUTBLOB_MAX of the first kernels with these files: quotes and tables take less."""

MAX_TEXT_BYTES: Final = 64
"""Of a provider's name or a number, with its end of line."""

# Nobody else knows the folder's name, so two disturbances in a row are a fault.
_TRIES: Final = 3
_NAME_BYTES: Final = 8
_BUSY: Final = frozenset({errno.EBUSY, errno.EAGAIN, errno.EINTR})


@dataclass(frozen=True, slots=True, kw_only=True)
class TsmReport:
    """``outblob`` is the report or quote; ``auxblob`` is the host's certificates, if any."""

    outblob: bytes = field(repr=False)
    auxblob: bytes = field(repr=False)


class TsmFiles(Protocol):
    """The files of one kernel. OSError passes through."""

    @property
    def there(self) -> bool:
        """Whether this kernel has them."""
        ...

    def make(self, name: str) -> None:
        """Make the folder of one report, which the kernel fills with files."""
        ...

    def write(self, name: str, attribute: str, data: bytes) -> None:
        """Write one file as a whole."""
        ...

    def read(self, name: str, attribute: str, *, max_bytes: int) -> bytes:
        """At most ``max_bytes`` of one file."""
        ...

    def remove(self, name: str) -> None:
        """Remove the folder."""
        ...


class Configfs:
    """The real files, below ``folder``."""

    def __init__(self, folder: Path = TSM) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    @property
    def there(self) -> bool:
        return self._folder.is_dir()

    def make(self, name: str) -> None:
        (self._folder / name).mkdir()

    def write(self, name: str, attribute: str, data: bytes) -> None:
        # For writing alone: configfs refuses root too what a file's mode does not allow. The kernel
        # takes the bytes when the file is closed.
        descriptor = os.open(self._folder / name / attribute, os.O_WRONLY | os.O_CLOEXEC)
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.EIO, "a short write")
        finally:
            os.close(descriptor)

    def read(self, name: str, attribute: str, *, max_bytes: int) -> bytes:
        with (self._folder / name / attribute).open("rb") as file:
            return file.read(max_bytes)

    def remove(self, name: str) -> None:
        (self._folder / name).rmdir()


class TsmReports:
    """Makes reports. Raises Unavailable where the kernel has no such files or others keep writing,
    Refused where it says no, and Malformed where a file is too long or no number."""

    def __init__(self, files: TsmFiles | None = None) -> None:
        self._files = Configfs() if files is None else files

    @property
    def there(self) -> bool:
        """Whether this kernel has the files at all."""
        return self._files.there

    def report(self, inblob: bytes, *, provider: str, privlevel: int | None = None) -> TsmReport:
        """A new report over ``inblob`` (64 bytes), by ``sev_guest`` or ``tdx_guest``.

        ``privlevel`` is the VMPL of an SNP report; the kernel's least without it.
        """
        if len(inblob) != INBLOB_BYTES:
            raise Malformed(Reason.MALFORMED, f"an inblob of {len(inblob)} bytes")
        name = f"keystead-{os.urandom(_NAME_BYTES).hex()}"
        self._make(name)
        try:
            return self._report(name, inblob, provider, privlevel)
        except OSError as error:
            raise failure(f"{self._files}", error) from error
        finally:
            with suppress(OSError):  # the report is made; an empty folder is left at worst
                self._files.remove(name)

    def _make(self, name: str) -> None:
        try:
            self._files.make(name)
        except OSError as error:
            raise Unavailable(
                Reason.HARDWARE_UNAVAILABLE,
                f"{self._files}: {os.strerror(error.errno or 0)}: is this such a machine, "
                "configfs mounted, and this user root?",
            ) from error

    def _report(self, name: str, inblob: bytes, provider: str, privlevel: int | None) -> TsmReport:
        found = self._text(name, "provider")
        if found != provider:
            raise Refused(Reason.HARDWARE_REFUSED, f"the provider is {found!r}, not {provider}")
        for _ in range(_TRIES):
            made = self._try(name, inblob, privlevel)
            if made is not None:
                return made
        raise Unavailable(Reason.HARDWARE_UNAVAILABLE, f"{self._files}: others keep writing")

    def _try(self, name: str, inblob: bytes, privlevel: int | None) -> TsmReport | None:
        """The report, or None where somebody else wrote in between."""
        try:
            expected = self._generation(name)
            if privlevel is not None:
                self._files.write(name, "privlevel", str(privlevel).encode())
                expected += 1
            self._files.write(name, "inblob", inblob)
            expected += 1
            outblob, auxblob = self._blob(name, "outblob"), self._auxblob(name)
            disturbed = self._generation(name) != expected
        except OSError as error:
            if error.errno in _BUSY:
                return None
            raise
        return None if disturbed else TsmReport(outblob=outblob, auxblob=auxblob)

    def _auxblob(self, name: str) -> bytes:
        try:
            return self._blob(name, "auxblob")
        except FileNotFoundError:
            return b""  # TDX has none

    def _blob(self, name: str, attribute: str) -> bytes:
        return self._read(name, attribute, MAX_BLOB_BYTES)

    def _generation(self, name: str) -> int:
        text = self._text(name, "generation")
        if not text.isdecimal():
            raise Malformed(Reason.MALFORMED, "a generation that is no number")
        return int(text)

    def _text(self, name: str, attribute: str) -> str:
        try:
            return self._read(name, attribute, MAX_TEXT_BYTES).decode("ascii").strip()
        except UnicodeDecodeError:
            raise Malformed(Reason.MALFORMED, f"{attribute} is not ASCII") from None

    def _read(self, name: str, attribute: str, max_bytes: int) -> bytes:
        data = self._files.read(name, attribute, max_bytes=max_bytes + 1)
        if len(data) > max_bytes:
            raise Malformed(Reason.TOO_LARGE, f"{attribute} has more than {max_bytes} bytes")
        return data
