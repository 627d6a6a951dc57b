"""The frame around every TPM command and response (TPM 2.0 Part 1 §18, Part 3 §5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeVar

from keystead.codec.reader import Reader
from keystead.codec.tpm2.constants import MAX_DIGEST_BYTES
from keystead.codec.tpm2.primitives import encode_tpm2b, u8, u16, u32
from keystead.errors import Malformed, Reason
from keystead.hardware.tpm2.response_codes import TpmError
from keystead.hardware.tpm2.transport import HEADER_BYTES, ConnectionLost, Transport

ST_NO_SESSIONS: Final = 0x8001
ST_SESSIONS: Final = 0x8002
RS_PASSWORD: Final = 0x40000009
_CONTINUE_SESSION: Final = 0x01
# TPM_RC_RETRY and its like: the reference drivers wait as long between two tries.
_RETRY_PAUSE_S: Final = 0.02

_Answer = TypeVar("_Answer")


class Command(IntEnum):
    """TPM_CC (Part 2 §6.5.2)."""

    EVICT_CONTROL = 0x120
    NV_DEFINE_SPACE = 0x12A
    CREATE_PRIMARY = 0x131
    NV_INCREMENT = 0x134
    NV_WRITE = 0x137
    PCR_RESET = 0x13D
    STARTUP = 0x144
    SHUTDOWN = 0x145
    ACTIVATE_CREDENTIAL = 0x147
    CERTIFY = 0x148
    NV_READ = 0x14E
    POLICY_SECRET = 0x151
    CREATE = 0x153
    LOAD = 0x157
    QUOTE = 0x158
    SIGN = 0x15D
    FLUSH_CONTEXT = 0x165
    NV_READ_PUBLIC = 0x169
    READ_PUBLIC = 0x173
    START_AUTH_SESSION = 0x176
    GET_CAPABILITY = 0x17A
    GET_RANDOM = 0x17B
    PCR_READ = 0x17E
    POLICY_PCR = 0x17F
    PCR_EXTEND = 0x182


def password(auth: bytes = b"") -> bytes:
    """A TPMS_AUTH_COMMAND with a password."""
    return u32(RS_PASSWORD) + u16(0) + u8(_CONTINUE_SESSION) + encode_tpm2b(auth)


def policy(session: int) -> bytes:
    """A TPMS_AUTH_COMMAND of a policy session, which ends with a command that succeeds."""
    return u32(session) + u16(0) + u8(0) + u16(0)


def frame(
    command: Command,
    *,
    handles: Sequence[int] = (),
    auths: Sequence[bytes] = (),
    parameters: bytes = b"",
) -> bytes:
    """A whole command: header, handles, authorizations, parameters."""
    body = b"".join(map(u32, handles))
    if auths:
        area = b"".join(auths)
        body += u32(len(area)) + area
    body += parameters
    tag = ST_SESSIONS if auths else ST_NO_SESSIONS
    return u16(tag) + u32(HEADER_BYTES + len(body)) + u32(command) + body


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A transport, and how many seconds a command and the making of a key may take on it."""

    transport: Transport
    timeout_s: float
    create_timeout_s: float

    def send(
        self,
        request: bytes,
        *,
        parse: Callable[[Reader], _Answer],
        returns_handle: bool = False,
        creates: bool = False,
    ) -> _Answer:
        """:func:`execute` with the time that this kind of command may take."""
        return execute(
            self.transport,
            request,
            parse=parse,
            timeout_s=self.create_timeout_s if creates else self.timeout_s,
            returns_handle=returns_handle,
        )


def execute(
    transport: Transport,
    request: bytes,
    *,
    parse: Callable[[Reader], _Answer],
    timeout_s: float,
    returns_handle: bool = False,
) -> _Answer:
    """Send ``request`` and parse its answer's handle (if any) and parameters with ``parse``.

    Repeats a command that the TPM itself asks to repeat.

    Raises:
        TpmError: the TPM said no.
        ConnectionLost: no answer in time, or one that does not decode.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        response = transport.exchange(request, deadline=deadline)
        try:
            code = int.from_bytes(response[6:10], "big")
            if code == 0:
                return _parse_success(request, response, parse, returns_handle)
            _check_failure(response)
        except Malformed as error:
            transport.close()
            raise ConnectionLost(f"an answer that does not decode: {error}") from error
        failure = TpmError(code, _command_name(request))
        if not failure.asks_again or time.monotonic() + _RETRY_PAUSE_S >= deadline:
            raise failure
        time.sleep(_RETRY_PAUSE_S)


def no_parameters(reader: Reader) -> None:
    """The parser of an answer without handle and parameters."""


def _command_name(request: bytes) -> str:
    number = int.from_bytes(request[6:10], "big")
    return f"TPM2_{Command(number).name}"


def _parse_success(
    request: bytes,
    response: bytes,
    parse: Callable[[Reader], _Answer],
    returns_handle: bool,
) -> _Answer:
    if response[:2] != request[:2]:
        raise Malformed(Reason.MALFORMED, "an answer with another tag than its command")
    with_sessions = int.from_bytes(response[:2], "big") == ST_SESSIONS
    head = 4 if returns_handle else 0
    handle = response[HEADER_BYTES : HEADER_BYTES + head]
    body = response[HEADER_BYTES + head :]
    if with_sessions:
        body = _strip_sessions(body)
    reader = Reader(handle + body)
    answer = parse(reader)
    reader.end()
    return answer


def _strip_sessions(body: bytes) -> bytes:
    reader = Reader(body)
    parameters = reader.take(reader.u32())
    if not reader.remaining:
        raise Malformed(Reason.MALFORMED, "an answer without its session area")
    while reader.remaining:  # nonce, attributes and HMAC of each; passwords have neither
        reader.sized(max_bytes=MAX_DIGEST_BYTES)
        reader.u8()
        reader.sized(max_bytes=MAX_DIGEST_BYTES)
    return parameters


def _check_failure(response: bytes) -> None:
    if len(response) != HEADER_BYTES or int.from_bytes(response[:2], "big") != ST_NO_SESSIONS:
        raise Malformed(Reason.MALFORMED, "a failure that is longer than its header")
