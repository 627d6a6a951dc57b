"""Evidence of kind ``tpm2`` in answer to a server's challenge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keystead.agent.keys import AttestedKeys
from keystead.codec import eventlog
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.evidence import tpm2
from keystead.evidence.challenge import NONCE_BYTES
from keystead.evidence.envelope import encode_envelope
from keystead.hardware.tpm2 import Tpm2Device, activation, keys, pcrs
from keystead.model import EvidenceKind
from keystead.ports import Endorsement

EVENT_LOG: Final = Path("/sys/kernel/security/tpm0/binary_bios_measurements")
"""Where Linux shows the firmware's log, to root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerChallenge:
    """What a server asks for: ``required_pcrs`` of a TPM; ``pcr_policy`` is None where any key will
    do."""

    nonce: bytes
    issuer: str
    required_pcrs: PcrSelection
    pcr_policy: PcrSelection | None = None
    event_log_required: bool = False

    def __post_init__(self) -> None:
        if len(self.nonce) != NONCE_BYTES:
            raise Malformed(Reason.MALFORMED, f"a challenge of {len(self.nonce)} bytes")


def selection_of(banks: Sequence[tuple[str, Sequence[int]]]) -> PcrSelection:
    """The selection that named banks make; Malformed for an unknown or repeated one."""
    chosen: Mapping[HashAlgorithm, Sequence[int]] = {
        HashAlgorithm.from_name(name): indexes for name, indexes in banks
    }
    if len(chosen) != len(banks):
        raise Malformed(Reason.MALFORMED, "a PCR bank twice")
    return PcrSelection.of(chosen)


def endorsement(device: Tpm2Device) -> Endorsement:
    """The EK that an administrator enrols, and its certificates."""
    return device.call(activation.endorsement, device.ek_order)


def collect(
    device: Tpm2Device,
    *,
    keys_of_host: AttestedKeys,
    challenge: ServerChallenge,
    event_log: Path = EVENT_LOG,
) -> bytes:
    """The evidence envelope: EK, AK, a quote over exactly the required PCRs, and the AK's
    certification of the workload key, both over the challenge's nonce.

    The firmware's log goes along only where it is asked for.

    Raises:
        EvidenceRejected: event_log_missing, a log is required and cannot be read here.
        Unavailable: the TPM is away.
    """
    ak, key = keys_of_host.attestation_key, keys_of_host.workload_key
    quote, values = device.call(
        pcrs.quote_with_values, ak, challenge.required_pcrs, qualifying_data=challenge.nonce
    )
    certification = device.call(
        keys.certify, key.wrapped, attestation_key=ak, qualifying_data=challenge.nonce
    )
    evidence = tpm2.encode(
        endorsement=endorsement(device),
        ak_public=ak.public,
        quote=quote,
        pcrs=values,
        event_log=_event_log(event_log) if challenge.event_log_required else None,
        certify=certification,
        key_public=key.wrapped.public,
    )
    return encode_envelope(
        kind=EvidenceKind.TPM2, evidence=evidence, nonce=challenge.nonce, key=key.jwk
    )


def _event_log(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(eventlog.MAX_LOG_BYTES + 1)
    except OSError as error:
        raise EvidenceRejected(
            Reason.EVENT_LOG_MISSING, f"the server asks for it, but {path}: {error.strerror}"
        ) from error
    if len(data) > eventlog.MAX_LOG_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"{path}: over {eventlog.MAX_LOG_BYTES} bytes")
    return data
