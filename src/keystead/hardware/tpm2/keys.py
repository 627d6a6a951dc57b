"""Making keys under the SRK, and signing and certifying with them."""

from __future__ import annotations

import os
from typing import Final

from keystead.codec.tpm2 import (
    EccKey,
    EcdsaSignature,
    PcrSelection,
    TpmSignature,
    policy_pcr_digest,
    signing_key_template,
)
from keystead.errors import Malformed, Reason, Refused
from keystead.hardware.tpm2 import key_commands, pcr_commands
from keystead.hardware.tpm2.connection import KEY_SLOTS, Connection, LoadedKey
from keystead.hardware.tpm2.frames import policy
from keystead.hardware.tpm2.pcrs import read_pcrs
from keystead.hardware.tpm2.response_codes import RC_PCR_CHANGED, TpmError
from keystead.model import WrappedKey
from keystead.ports import Attestation

DIGEST_BYTES: Final = 32
_NONCE_BYTES: Final = 32
# A PCR that changes between PolicyPCR and Sign is worth one more try; two in a row are not.
_POLICY_TRIES: Final = 2


def create_signing_key(
    connection: Connection, algorithm: str, *, pcr_policy: PcrSelection | None = None
) -> WrappedKey:
    """A new ES256 or RS256 key; with ``pcr_policy`` it signs only while those PCRs stay."""
    if pcr_policy is not None and not pcr_policy.banks:
        raise Malformed(Reason.MALFORMED, "a PCR policy over no PCR")
    auth_policy = b""
    if pcr_policy is not None:
        auth_policy = policy_pcr_digest(pcr_policy, read_pcrs(connection, pcr_policy))
    return _create(connection, algorithm, restricted=False, auth_policy=auth_policy)


def create_attestation_key(connection: Connection, algorithm: str = "ES256") -> WrappedKey:
    """A new AK: restricted, so it signs only what this TPM made."""
    return _create(connection, algorithm, restricted=True, auth_policy=b"")


def sign(
    connection: Connection,
    key: WrappedKey,
    digest: bytes,
    *,
    pcr_policy: PcrSelection | None = None,
) -> bytes:
    """A JOSE signature (RFC 7518 §3.3, §3.4) over a SHA-256 digest.

    ``pcr_policy`` is the selection that the key was made with.
    """
    if len(digest) != DIGEST_BYTES:
        raise Malformed(Reason.MALFORMED, f"a digest of {len(digest)} bytes")
    loaded = connection.loaded(key)
    if loaded.needs_policy:
        return _jose(loaded, _sign_under_policy(connection, loaded, digest, pcr_policy))
    request = loaded.before_digest + digest + loaded.after_digest
    return _jose(loaded, key_commands.send_sign(connection.channel, request))


def certify(
    connection: Connection,
    key: WrappedKey,
    *,
    attestation_key: WrappedKey,
    qualifying_data: bytes,
) -> Attestation:
    """The AK's statement that ``key`` is in this TPM."""
    signer = connection.loaded(attestation_key)
    subject = connection.loaded(key)
    attest, signature = key_commands.certify(
        connection.channel,
        subject.handle,
        signer=signer.handle,
        qualifying_data=qualifying_data,
    )
    return Attestation(attest=attest, signature=signature)


def _create(
    connection: Connection, algorithm: str, *, restricted: bool, auth_policy: bytes
) -> WrappedKey:
    template = signing_key_template(algorithm, restricted=restricted, auth_policy=auth_policy)
    parent = connection.storage_root()
    connection.keep_keys(KEY_SLOTS - 1)  # Create itself needs a slot
    public, private = key_commands.create(connection.channel, parent, template.encode())
    return WrappedKey(public=public, private=private)


def _sign_under_policy(
    connection: Connection, loaded: LoadedKey, digest: bytes, pcr_policy: PcrSelection | None
) -> TpmSignature:
    if pcr_policy is None:
        raise Refused(Reason.HARDWARE_REFUSED, "the key signs only under its PCR policy")
    for last in (False, True):
        try:
            return _sign_in_session(connection, loaded, digest, pcr_policy)
        except TpmError as error:
            if last or error.code != RC_PCR_CHANGED:
                raise
    raise AssertionError  # the second round returns or raises


def _sign_in_session(
    connection: Connection, loaded: LoadedKey, digest: bytes, pcr_policy: PcrSelection
) -> TpmSignature:
    with connection.policy_session(os.urandom(_NONCE_BYTES)) as session:
        pcr_commands.policy_pcr(connection.channel, session, pcr_policy)
        before, after = key_commands.sign_request_parts(loaded.handle, policy(session))
        return key_commands.send_sign(connection.channel, before + digest + after)


def _jose(loaded: LoadedKey, signature: TpmSignature) -> bytes:
    if not isinstance(signature, EcdsaSignature):
        return signature.value
    if not isinstance(loaded.area.key, EccKey):
        raise Malformed(Reason.MALFORMED, "an ECDSA signature by an RSA key")
    return signature.jose(coordinate_bytes=loaded.area.key.curve.coordinate_bytes)
