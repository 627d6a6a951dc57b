"""Evidence of kind ``app-attest``: the attestation of one key of an app on one device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keystead.codec import base64url, json
from keystead.codec.app_attest import (
    MAX_ATTESTATION_BYTES,
    AttestationObject,
    parse_attestation,
)
from keystead.codec.json import JSON
from keystead.errors import Malformed, Reason
from keystead.evidence.envelope import Submission
from keystead.jose.jwk import PublicJwk

KEY_ID_BYTES: Final = 32
MAX_CLIENT_DATA_BYTES: Final = 4_096
"""Ours has 64; saved attestations of other services have what those chose."""

_MEMBERS: Final = frozenset({"attestation_object", "key_id", "client_data"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAttestEvidence:
    """What arrived; ``nonce`` and ``key`` are the envelope's, ``key_id`` is App Attest's."""

    nonce: bytes | None
    key: PublicJwk | None
    attestation: AttestationObject
    key_id: bytes
    client_data: bytes


def parse(submission: Submission) -> AppAttestEvidence:
    """The attestation of ``submission``; ``Malformed``."""
    members = submission.evidence
    json.refuse_other_members(members, _MEMBERS)
    key_id = json.get_bytes(members, "key_id", max_bytes=KEY_ID_BYTES)
    if len(key_id) != KEY_ID_BYTES:
        raise Malformed(Reason.MALFORMED, f"a key_id of {len(key_id)} bytes")
    return AppAttestEvidence(
        nonce=submission.nonce,
        key=submission.key,
        attestation=parse_attestation(
            json.get_bytes(members, "attestation_object", max_bytes=MAX_ATTESTATION_BYTES)
        ),
        key_id=key_id,
        client_data=json.get_bytes(members, "client_data", max_bytes=MAX_CLIENT_DATA_BYTES),
    )


def encode(*, attestation_object: bytes, key_id: bytes, client_data: bytes) -> dict[str, JSON]:
    """The ``evidence`` member of an envelope, from what ``attestKey`` gave and was given."""
    return {
        "attestation_object": base64url.encode(attestation_object),
        "key_id": base64url.encode(key_id),
        "client_data": base64url.encode(client_data),
    }
