"""Quoting and certifying with an attestation key that somebody else made persistent in the TPM.

The key's authValue is empty, as it is where a platform leaves its AK for all programs of a machine.
"""

from __future__ import annotations

from keystead.codec.tpm2 import PcrSelection, PcrValues
from keystead.hardware.tpm2 import key_commands, system_commands
from keystead.hardware.tpm2.connection import KEY_SLOTS, Connection
from keystead.hardware.tpm2.pcrs import quoted_with_values
from keystead.model import WrappedKey
from keystead.ports import Attestation


def find_public(connection: Connection, handle: int) -> bytes | None:
    """The TPM2B_PUBLIC of a persistent key; None where there is no such handle."""
    if handle not in system_commands.get_handles(connection.channel, handle, count=1):
        return None
    connection.keep_keys(KEY_SLOTS - 1)  # a persistent key needs a slot too while it is in use
    return key_commands.read_public(connection.channel, handle)


def quote_with_values(
    connection: Connection, handle: int, selection: PcrSelection, *, qualifying_data: bytes
) -> tuple[Attestation, PcrValues]:
    """A quote by the key at ``handle``, and exactly the values that it is over."""

    def make_quote() -> Attestation:
        attest, signature = key_commands.quote(
            connection.channel, handle, selection, qualifying_data=qualifying_data
        )
        return Attestation(attest=attest, signature=signature)

    connection.keep_keys(KEY_SLOTS - 1)
    return quoted_with_values(connection, selection, make_quote)


def certify(
    connection: Connection, key: WrappedKey, *, handle: int, qualifying_data: bytes
) -> Attestation:
    """The statement of the key at ``handle`` that ``key`` is in this TPM."""
    subject = connection.loaded(key)
    connection.keep_keys(KEY_SLOTS - 1)
    attest, signature = key_commands.certify(
        connection.channel, subject.handle, signer=handle, qualifying_data=qualifying_data
    )
    return Attestation(attest=attest, signature=signature)
