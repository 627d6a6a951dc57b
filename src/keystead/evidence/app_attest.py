"""Evidence of kind ``app-attest``: the attestation of one key of an app on one device, or later an
assertion by that key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from keystead.codec import base64url, json
from keystead.codec.app_attest import (
    MAX_ASSERTION_BYTES,
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
_ASSERTION_MEMBERS: Final = frozenset({"assertion", "key_id", "client_data"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAttestEvidence:
    """What arrived; ``nonce`` and ``key`` are the envelope's, ``key_id`` is App Attest's."""

    nonce: bytes | None
    key: PublicJwk | None
    attestation: AttestationObject
    key_id: bytes
    client_data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAssertionEvidence:
    """An assertion by the key called ``key_id``, which was attested before; CBOR, as it came."""

    nonce: bytes | None
    key: PublicJwk | None
    assertion: bytes
    key_id: bytes
    client_data: bytes


def is_assertion(submission: Submission) -> bool:
    """Whether ``parse_assertion_evidence`` is meant to read it."""
    return "assertion" in submission.evidence


def parse(submission: Submission) -> AppAttestEvidence:
    """The attestation of ``submission``; ``Malformed``."""
    members = submission.evidence
    json.refuse_other_members(members, _MEMBERS)
    return AppAttestEvidence(
        nonce=submission.nonce,
        key=submission.key,
        attestation=parse_attestation(
            json.get_bytes(members, "attestation_object", max_bytes=MAX_ATTESTATION_BYTES)
        ),
        key_id=_key_id(members),
        client_data=json.get_bytes(members, "client_data", max_bytes=MAX_CLIENT_DATA_BYTES),
    )


def parse_assertion_evidence(submission: Submission) -> AppAssertionEvidence:
    """The assertion of ``submission``; ``Malformed``."""
    members = submission.evidence
    json.refuse_other_members(members, _ASSERTION_MEMBERS)
    return AppAssertionEvidence(
        nonce=submission.nonce,
        key=submission.key,
        assertion=json.get_bytes(members, "assertion", max_bytes=MAX_ASSERTION_BYTES),
        key_id=_key_id(members),
        client_data=json.get_bytes(members, "client_data", max_bytes=MAX_CLIENT_DATA_BYTES),
    )


def _key_id(members: Mapping[str, JSON]) -> bytes:
    key_id = json.get_bytes(members, "key_id", max_bytes=KEY_ID_BYTES)
    if len(key_id) != KEY_ID_BYTES:
        raise Malformed(Reason.MALFORMED, f"a key_id of {len(key_id)} bytes")
    return key_id


def encode(*, attestation_object: bytes, key_id: bytes, client_data: bytes) -> dict[str, JSON]:
    """The ``evidence`` member of an envelope, from what ``attestKey`` gave and was given."""
    return {
        "attestation_object": base64url.encode(attestation_object),
        "key_id": base64url.encode(key_id),
        "client_data": base64url.encode(client_data),
    }


def encode_assertion(*, assertion: bytes, key_id: bytes, client_data: bytes) -> dict[str, JSON]:
    """The same from what ``generateAssertion`` gave."""
    return {
        "assertion": base64url.encode(assertion),
        "key_id": base64url.encode(key_id),
        "client_data": base64url.encode(client_data),
    }
