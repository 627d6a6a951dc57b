"""Platform configuration registers and policy sessions (TPM 2.0 Part 3 §11, §22, §23).

Each function sends one command over a :class:`~keystead.hardware.tpm2.frames.Channel` and returns
its parsed answer; TpmError and ConnectionLost are raised as
:func:`~keystead.hardware.tpm2.frames.execute` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.reader import Reader
from keystead.codec.tpm2 import PcrSelection, encode_tpm2b
from keystead.codec.tpm2.constants import (
    ALG_NULL,
    MAX_DIGEST_BYTES,
)
from keystead.codec.tpm2.pcrs import read_pcr_selection
from keystead.codec.tpm2.primitives import u8, u16, u32
from keystead.errors import Malformed, Reason
from keystead.hardware.tpm2.frames import Channel, Command, frame, no_parameters, password

_SE_POLICY: Final = 0x01
_RH_NULL: Final = 0x40000007
_MAX_PCR_DIGESTS: Final = 8
_MAX_TICKET_BYTES: Final = 64


def pcr_read(
    channel: Channel, selection: PcrSelection
) -> tuple[int, PcrSelection, tuple[bytes, ...]]:
    """pcrUpdateCounter, which PCRs these are, and at most eight values."""
    request = frame(Command.PCR_READ, parameters=selection.encode())
    return channel.send(request, parse=_read_pcrs)


def pcr_extend(
    channel: Channel, index: int, digests: Sequence[tuple[HashAlgorithm, bytes]]
) -> None:
    values = b"".join(u16(bank) + digest for bank, digest in digests)
    request = frame(
        Command.PCR_EXTEND,
        handles=[index],
        auths=[password()],
        parameters=u32(len(digests)) + values,
    )
    channel.send(request, parse=no_parameters)


def pcr_reset(channel: Channel, index: int) -> None:
    request = frame(Command.PCR_RESET, handles=[index], auths=[password()])
    channel.send(request, parse=no_parameters)


def start_policy_session(channel: Channel, *, nonce: bytes) -> int:
    """An unsalted, unbound SHA-256 policy session; ``nonce`` is of 16 to 32 bytes."""
    request = frame(
        Command.START_AUTH_SESSION,
        handles=[_RH_NULL, _RH_NULL],
        parameters=encode_tpm2b(nonce)
        + u16(0)
        + u8(_SE_POLICY)
        + u16(ALG_NULL)
        + u16(HashAlgorithm.SHA256),
    )
    return channel.send(request, parse=_read_session, returns_handle=True)


def policy_secret(channel: Channel, session: int, *, entity: int, auth: bytes) -> None:
    """Prove knowledge of the authValue of ``entity`` to a policy session."""
    request = frame(
        Command.POLICY_SECRET,
        handles=[entity, session],
        auths=[password(auth)],
        parameters=u16(0) + u16(0) + u16(0) + u32(0),
    )
    channel.send(request, parse=_read_policy_ticket)


def policy_pcr(channel: Channel, session: int, selection: PcrSelection) -> None:
    """Bind a policy session to the PCRs' present values."""
    request = frame(Command.POLICY_PCR, handles=[session], parameters=u16(0) + selection.encode())
    channel.send(request, parse=no_parameters)


def _read_pcrs(reader: Reader) -> tuple[int, PcrSelection, tuple[bytes, ...]]:
    counter = reader.u32()
    selection = read_pcr_selection(reader)
    count = reader.u32()
    if count > _MAX_PCR_DIGESTS or count != sum(1 for _ in selection.pairs()):
        raise Malformed(Reason.MALFORMED, f"{count} values of other PCRs")
    return counter, selection, tuple(_read_pcr(reader, bank) for bank, _ in selection.pairs())


def _read_pcr(reader: Reader, bank: HashAlgorithm) -> bytes:
    value = reader.sized(max_bytes=MAX_DIGEST_BYTES)
    if len(value) != bank.digest_size:
        raise Malformed(Reason.MALFORMED, f"a {bank.digest_name} PCR of {len(value)} bytes")
    return value


def _read_session(reader: Reader) -> int:
    session = reader.u32()
    reader.sized(max_bytes=MAX_DIGEST_BYTES)
    return session


def _read_policy_ticket(reader: Reader) -> None:
    reader.sized(max_bytes=8)
    reader.u16()
    reader.u32()
    reader.sized(max_bytes=_MAX_TICKET_BYTES)
