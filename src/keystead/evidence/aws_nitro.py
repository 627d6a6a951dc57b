"""Evidence of kind ``aws-nitro``: one attestation document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keystead.codec import base64url, json
from keystead.codec.json import JSON
from keystead.codec.nitro import MAX_DOCUMENT_BYTES, AttestationDocument, parse_document
from keystead.evidence.envelope import Submission
from keystead.jose.jwk import PublicJwk

_MEMBERS: Final = frozenset({"document"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NitroEvidence:
    """What arrived; ``nonce`` and ``key`` are the envelope's."""

    nonce: bytes | None
    key: PublicJwk | None
    document: AttestationDocument


def parse(submission: Submission) -> NitroEvidence:
    """The document of ``submission``; ``Malformed``."""
    members = submission.evidence
    json.refuse_other_members(members, _MEMBERS)
    return NitroEvidence(
        nonce=submission.nonce,
        key=submission.key,
        document=parse_document(json.get_bytes(members, "document", max_bytes=MAX_DOCUMENT_BYTES)),
    )


def encode(*, document: bytes) -> dict[str, JSON]:
    """The ``evidence`` member of an envelope: ``document`` is what the NSM answered with."""
    return {"document": base64url.encode(document)}
