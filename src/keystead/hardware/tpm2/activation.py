"""The endorsement key in use: its certificate, its chain, and credential activation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from keystead.codec.tpm2 import (
    ObjectAttributes,
    PublicTemplate,
    parse_template,
    parse_tpm2b,
    parse_tpm2b_public,
)
from keystead.errors import Malformed, Reason, Refused
from keystead.hardware.tpm2 import key_commands, nv, pcr_commands, system_commands
from keystead.hardware.tpm2.connection import KEY_SLOTS, Connection
from keystead.hardware.tpm2.endorsement import (
    CHAIN_FIRST,
    CHAIN_LAST,
    EK_SLOTS,
    EkSlot,
    EndorsementKey,
    first_certificate,
    split_certificates,
)
from keystead.hardware.tpm2.frames import password, policy
from keystead.hardware.tpm2.key_commands import RH_ENDORSEMENT
from keystead.hardware.tpm2.response_codes import TpmError
from keystead.model import WrappedKey
from keystead.ports import Endorsement

_NV_FIRST: Final = 0x01C00000
_PERSISTENT_FIRST: Final = 0x81010000
_NONCE_BYTES: Final = 32
# TPM2B_ID_OBJECT: two SHA-512 digests and their sizes; TPM2B_ENCRYPTED_SECRET: RSA-4096.
_MAX_CREDENTIAL_BYTES: Final = 256
_MAX_SECRET_BYTES: Final = 512


def endorsement(connection: Connection, order: Sequence[str]) -> Endorsement:
    """The first EK of ``order`` that has a certificate, else the first of ``order`` without."""
    key = _endorsement_key(connection, order)
    return Endorsement(public=key.public, certificate=key.certificate, chain=key.chain)


def activate_credential(
    connection: Connection,
    attestation_key: WrappedKey,
    order: Sequence[str],
    *,
    credential_blob: bytes,
    encrypted_secret: bytes,
) -> bytes:
    """The secret of a credential that was made for this EK and this AK's Name.

    Raises:
        Malformed: the blobs are not one TPM2B each.
        Refused: activation_failed, the credential is for another EK or AK.
    """
    parse_tpm2b(credential_blob, max_bytes=_MAX_CREDENTIAL_BYTES)
    parse_tpm2b(encrypted_secret, max_bytes=_MAX_SECRET_BYTES)
    key = _endorsement_key(connection, order)
    signer = connection.loaded(attestation_key)
    with _handle(connection, key) as handle, _authorization(connection, key) as auth:
        try:
            return key_commands.activate_credential(
                connection.channel,
                attestation_key=signer.handle,
                endorsement_key=handle,
                endorsement_auth=auth,
                credential_blob=credential_blob,
                encrypted_secret=encrypted_secret,
            )
        except TpmError as error:
            if not error.blames_parameter:
                raise
            failed = Refused(Reason.ACTIVATION_FAILED, str(error))
            raise failed from error


def _endorsement_key(connection: Connection, order: Sequence[str]) -> EndorsementKey:
    found = connection.endorsement_keys.get(tuple(order))
    if found is None:
        found = connection.endorsement_keys[tuple(order)] = _find(connection, order)
    return found


def _find(connection: Connection, order: Sequence[str]) -> EndorsementKey:
    present = frozenset(system_commands.get_handles(connection.channel, _NV_FIRST))
    for name in order:
        slot = EK_SLOTS[name]
        if slot.certificate_index not in present:
            continue
        certificate = first_certificate(nv.read_index(connection, slot.certificate_index))
        if certificate is not None:
            return _make(connection, slot, present, certificate)
    return _make(connection, EK_SLOTS[order[0]], present, None)


def _make(
    connection: Connection, slot: EkSlot, present: frozenset[int], certificate: bytes | None
) -> EndorsementKey:
    connection.keep_keys(KEY_SLOTS - 1)  # a persistent key needs a slot too while it is read
    template = _template(connection, slot, present)
    persistent = _persistent(connection, slot, template)
    if persistent is not None:
        public = key_commands.read_public(connection.channel, persistent)
    else:
        with connection.primary(RH_ENDORSEMENT, template.encode()) as made:
            public = made[1]
    return EndorsementKey(
        public=public,
        certificate=certificate,
        chain=_chain(connection, present) if certificate is not None else (),
        template=template.encode(),
        persistent_handle=persistent,
        needs_policy=not parse_tpm2b_public(public).has(ObjectAttributes.USER_WITH_AUTH),
    )


def _template(connection: Connection, slot: EkSlot, present: frozenset[int]) -> PublicTemplate:
    if slot.template_index not in present:
        return slot.template
    template = parse_template(nv.read_index(connection, slot.template_index))
    if slot.nonce_index is None or slot.nonce_index not in present:
        return template
    return template.with_nonce(nv.read_index(connection, slot.nonce_index))


def _persistent(connection: Connection, slot: EkSlot, template: PublicTemplate) -> int | None:
    """The persistent handle, where it holds a key with this template's parameters."""
    if slot.persistent_handle is None:
        return None
    handles = system_commands.get_handles(connection.channel, _PERSISTENT_FIRST)
    if slot.persistent_handle not in handles:
        return None
    try:
        area = parse_tpm2b_public(
            key_commands.read_public(connection.channel, slot.persistent_handle)
        )
    except Malformed:
        return None
    return slot.persistent_handle if template.head.describes(area) else None


def _chain(connection: Connection, present: frozenset[int]) -> tuple[bytes, ...]:
    """CA certificates from the indices of the profile §2.2.1.2, joined in rising order."""
    indices = sorted(index for index in present if CHAIN_FIRST <= index <= CHAIN_LAST)
    return split_certificates(b"".join(nv.read_index(connection, index) for index in indices))


@contextmanager
def _handle(connection: Connection, key: EndorsementKey) -> Iterator[int]:
    # The AK was used last and stays; a persistent key needs a slot too while it is in use.
    connection.keep_keys(KEY_SLOTS - 1)
    if key.persistent_handle is not None:
        yield key.persistent_handle
        return
    with connection.primary(RH_ENDORSEMENT, key.template) as made:
        yield made[0]


@contextmanager
def _authorization(connection: Connection, key: EndorsementKey) -> Iterator[bytes]:
    """PolicyA of the low range (PolicySecret of the hierarchy), a password for the high range."""
    if not key.needs_policy:
        yield password()
        return
    with connection.policy_session(os.urandom(_NONCE_BYTES)) as session:
        auth = connection.authorizations.endorsement
        pcr_commands.policy_secret(connection.channel, session, entity=RH_ENDORSEMENT, auth=auth)
        yield policy(session)
