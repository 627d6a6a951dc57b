"""Reading, extending and quoting platform configuration registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    PcrSelection,
    PcrValues,
    parse_attest,
    parse_signature,
    pcr_composite_digest,
)
from keystead.errors import Malformed, Reason, Refused, Unavailable
from keystead.hardware.tpm2 import key_commands, pcr_commands
from keystead.hardware.tpm2.connection import Connection
from keystead.model import WrappedKey
from keystead.ports import Attestation

# PCRs change while a machine boots and hardly ever after: a fourth change is a fault.
_TRIES: Final = 4


def read_pcrs(connection: Connection, selection: PcrSelection) -> PcrValues:
    """The values of all selected PCRs at one moment.

    Raises:
        Refused: the TPM has no such bank or PCR.
        Unavailable: the PCRs changed during every try.
    """
    for _ in range(_TRIES):
        values = _read_once(connection, selection)
        if values is not None:
            return values
    raise Unavailable(Reason.HARDWARE_UNAVAILABLE, "the PCRs keep changing")


def quote(
    connection: Connection,
    attestation_key: WrappedKey,
    selection: PcrSelection,
    *,
    qualifying_data: bytes,
) -> Attestation:
    """The AK's statement of the selected PCRs' digest."""
    signer = connection.loaded(attestation_key)
    attest, signature = key_commands.quote(
        connection.channel, signer.handle, selection, qualifying_data=qualifying_data
    )
    return Attestation(attest=attest, signature=signature)


def quote_with_values(
    connection: Connection,
    attestation_key: WrappedKey,
    selection: PcrSelection,
    *,
    qualifying_data: bytes,
) -> tuple[Attestation, PcrValues]:
    """A quote and the values that it is over, read again if they changed in between."""
    return quoted_with_values(
        connection,
        selection,
        lambda: quote(connection, attestation_key, selection, qualifying_data=qualifying_data),
    )


def quoted_with_values(
    connection: Connection, selection: PcrSelection, make_quote: Callable[[], Attestation]
) -> tuple[Attestation, PcrValues]:
    """What ``make_quote`` makes and the values that it is over."""
    for _ in range(_TRIES):
        values = read_pcrs(connection, selection)
        made = make_quote()
        if _agree(made, selection, values):
            return made, values
    raise Unavailable(Reason.HARDWARE_UNAVAILABLE, "the PCRs keep changing")


def extend_pcr(connection: Connection, index: int, digests: Mapping[HashAlgorithm, bytes]) -> None:
    """Extend one PCR in the given banks."""
    for bank, digest in digests.items():
        if len(digest) != bank.digest_size:
            raise Malformed(Reason.MALFORMED, f"a {bank.digest_name} of {len(digest)} bytes")
    pcr_commands.pcr_extend(connection.channel, index, tuple(digests.items()))


def reset_pcr(connection: Connection, index: int) -> None:
    """Set a resettable PCR (16 and 23 from locality 0) back to zero."""
    pcr_commands.pcr_reset(connection.channel, index)


def _read_once(connection: Connection, selection: PcrSelection) -> PcrValues | None:
    """The values, or None when a PCR changed between the first command and the last."""
    values: dict[HashAlgorithm, dict[int, bytes]] = {bank: {} for bank, _ in selection.banks}
    missing = list(selection.pairs())
    first_counter = None
    while missing:
        counter, found, digests = pcr_commands.pcr_read(connection.channel, _selection(missing))
        first_counter = counter if first_counter is None else first_counter
        if counter != first_counter:
            return None
        pairs = list(found.pairs())
        if not pairs or not set(pairs) <= set(missing):
            raise Refused(Reason.HARDWARE_REFUSED, f"the TPM has no PCR {_names(missing)}")
        for (bank, index), digest in zip(pairs, digests, strict=True):
            values[bank][index] = digest
        missing = [pair for pair in missing if pair not in pairs]
    return values


def _selection(pairs: list[tuple[HashAlgorithm, int]]) -> PcrSelection:
    banks: dict[HashAlgorithm, list[int]] = {}
    for bank, index in pairs:
        banks.setdefault(bank, []).append(index)
    return PcrSelection.of(banks)


def _names(pairs: list[tuple[HashAlgorithm, int]]) -> str:
    return ", ".join(f"{bank.digest_name}:{index}" for bank, index in pairs)


def _agree(made: Attestation, selection: PcrSelection, values: PcrValues) -> bool:
    quoted = parse_attest(made.attest).quote
    algorithm = parse_signature(made.signature).hash
    digest = pcr_composite_digest(selection, values, algorithm=algorithm)
    return quoted is not None and quoted.pcr_digest == digest
