"""Bytes to a TPM and back, with a deadline on every exchange.

A TCTI string says where the TPM is, in the spelling of tpm2-tools:

    device:/dev/tpmrm0                     a character device of the kernel
    swtpm:path=/run/tpm.sock               swtpm's data channel, a Unix socket
    swtpm:host=127.0.0.1,port=2321         the same over TCP
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from keystead.errors import ConfigurationError, Reason

HEADER_BYTES: Final = 10
# TPM_PT_MAX_RESPONSE_SIZE of every chip that was looked at; the kernel's own buffer is this large.
MAX_RESPONSE_BYTES: Final = 4096
_UNDERSTOOD: Final = "device:/PATH, swtpm:path=/PATH or swtpm:host=HOST,port=PORT"


class ConnectionLost(Exception):
    """The TPM went away, hangs or answers nonsense: this connection is of no more use."""


class TpmHangs(ConnectionLost):
    """No answer before the deadline: asking the same TPM again would only take as long."""


class Transport(Protocol):
    """One connection to a TPM; used by one thread."""

    def exchange(self, command: bytes, *, deadline: float) -> bytes:
        """Send one command and return its whole response, header included.

        ``deadline`` is on the monotonic clock. After ConnectionLost the transport is closed:
        a late response would otherwise be taken for the next command's.
        """
        ...

    def meanwhile(self, work: Callable[[], None]) -> None:
        """Call ``work`` in every exchange from now on, while the TPM computes its response."""
        ...

    def close(self) -> None:
        """Let go of the TPM; may be called twice."""
        ...


def open_transport(tcti: str, *, timeout_s: float) -> Transport:
    """Connect to the TPM that ``tcti`` names.

    Raises:
        ConfigurationError: the string is not one of the three forms.
        ConnectionLost: nothing answers there.
    """
    kind, _, where = tcti.partition(":")
    if kind == "device" and where.startswith("/"):
        return _open_device(where)
    if kind == "swtpm":
        return _connect(_socket_address(where, tcti), timeout_s=timeout_s)
    raise _not_understood(tcti)


def check_tcti(tcti: str) -> None:
    """Raise ConfigurationError unless ``tcti`` is one of the three forms."""
    kind, _, where = tcti.partition(":")
    if kind == "swtpm":
        _socket_address(where, tcti)
    elif kind != "device" or not where.startswith("/"):
        raise _not_understood(tcti)


def _not_understood(tcti: str) -> ConfigurationError:
    return ConfigurationError(
        Reason.CONFIGURATION_INVALID, f"tcti {tcti[:200]!r}: expected {_UNDERSTOOD}"
    )


def _socket_address(where: str, tcti: str) -> str | tuple[str, int]:
    members = dict(part.partition("=")[::2] for part in where.split(","))
    if members.keys() == {"path"} and members["path"]:
        return members["path"]
    port = members.get("port", "")
    if members.keys() != {"host", "port"} or not members["host"] or not port.isdecimal():
        raise _not_understood(tcti)
    if not 0 < int(port) < 65536:
        raise _not_understood(tcti)
    return members["host"], int(port)


def _open_device(path: str) -> FileTransport:
    try:
        return FileTransport(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY))
    except OSError as error:
        raise ConnectionLost(f"{Path(path).name}: {error.strerror}") from error


def _connect(address: str | tuple[str, int], *, timeout_s: float) -> FileTransport:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    try:
        if isinstance(address, str):
            connection = socket.socket(family, socket.SOCK_STREAM)
            connection.settimeout(timeout_s)
            connection.connect(address)
        else:
            connection = socket.create_connection(address, timeout=timeout_s)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise ConnectionLost(f"no TPM at {address}: {error}") from error
    connection.setblocking(False)
    return FileTransport(connection.detach())


class FileTransport:
    """A device or a connected socket: both are file descriptors that are polled."""

    __slots__ = ("_file", "_poll", "_work")

    def __init__(self, file: int) -> None:
        """Take over ``file``, a non-blocking descriptor."""
        self._file: int | None = file
        self._poll = select.poll()
        self._poll.register(file, select.POLLIN)
        self._work: Callable[[], None] | None = None

    def meanwhile(self, work: Callable[[], None]) -> None:
        self._work = work

    def exchange(self, command: bytes, *, deadline: float) -> bytes:
        if self._file is None:
            raise ConnectionLost("closed")
        try:
            self._check_silent()
            self._write(self._file, command, deadline)
            if self._work is not None:
                self._work()
            return self._read(self._file, deadline)
        except OSError as error:
            self.close()
            raise ConnectionLost(str(error)) from error
        except BaseException:  # an answer may still come, and must not meet another question
            self.close()
            raise

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _check_silent(self) -> None:
        """What is there before a command was sent would be taken for the command's answer."""
        if self._poll.poll(0):
            raise ConnectionLost("the TPM spoke unasked, or is gone")

    def _write(self, file: int, command: bytes, deadline: float) -> None:
        view = memoryview(command)
        while view:
            try:
                view = view[os.write(file, view) :]
            except BlockingIOError:
                self._wait(file, select.POLLOUT, deadline)

    def _read(self, file: int, deadline: float) -> bytes:
        received = b""
        expected = HEADER_BYTES
        while len(received) < expected:
            self._wait(file, select.POLLIN, deadline)
            received += self._read_some(file)
            if len(received) >= HEADER_BYTES:
                expected = _response_size(received)
        if len(received) > expected:
            raise ConnectionLost("more bytes than the response says")
        return received

    def _read_some(self, file: int) -> bytes:
        try:
            some = os.read(file, MAX_RESPONSE_BYTES)
        except BlockingIOError:
            return b""
        if not some:
            raise ConnectionLost("the TPM closed the connection")
        return some

    def _wait(self, file: int, event: int, deadline: float) -> None:
        self._poll.modify(file, event)
        left_ms = int((deadline - time.monotonic()) * 1000)
        if left_ms <= 0 or not self._poll.poll(left_ms):
            raise TpmHangs("no answer before the deadline")


def _response_size(response: bytes) -> int:
    size = int.from_bytes(response[2:6], "big")
    if not HEADER_BYTES <= size <= MAX_RESPONSE_BYTES:
        raise ConnectionLost(f"a response of {size} bytes")
    return size
