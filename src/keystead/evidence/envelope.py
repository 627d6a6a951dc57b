"""The envelope: one JSON object that carries any evidence, online and offline alike.

    {"keystead_evidence": 1, "kind": "tpm2", "nonce": "…", "key": {JWK}, "evidence": {…}}

Binary is unpadded base64url. ``nonce`` and ``key`` may be absent in saved evidence, which then
binds nothing. Unknown members are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keystead.codec import base64url, json
from keystead.codec.json import JSON
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.evidence.challenge import NONCE_BYTES
from keystead.jose.jwk import PublicJwk, parse_public
from keystead.model import EvidenceKind

MAX_ENVELOPE_BYTES: Final = 2 * 1024 * 1024
"""An event log of 1 MiB is 1.4 MB as base64url; all the rest is some tens of kilobytes."""

VERSION: Final = 1
# Envelope, evidence, an array of objects, and some to spare for kinds with nested collateral.
MAX_DEPTH: Final = 8
_MAX_KIND_CHARS: Final = 32
_MEMBERS: Final = frozenset({"keystead_evidence", "kind", "nonce", "key", "evidence"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A parsed envelope; ``evidence`` is for the parser of ``kind``: a bearer's token, maybe."""

    kind: EvidenceKind
    nonce: bytes | None
    key: PublicJwk | None
    evidence: Mapping[str, JSON] = field(repr=False)


def parse_envelope(data: bytes) -> Submission:
    """The envelope in ``data``, at most ``MAX_ENVELOPE_BYTES`` long.

    Raises Malformed; EvidenceRejected (kind_unsupported); Rejected for a key that is private or
    of no use.
    """
    outer = json.parse_object(data, max_bytes=MAX_ENVELOPE_BYTES, max_depth=MAX_DEPTH)
    json.get_int(outer, "keystead_evidence", minimum=VERSION, maximum=VERSION)
    json.refuse_other_members(outer, _MEMBERS)
    key = json.find_object(outer, "key")
    return Submission(
        kind=_kind(json.get_str(outer, "kind", max_chars=_MAX_KIND_CHARS)),
        nonce=_nonce(outer),
        key=None if key is None else parse_public(key),
        evidence=json.get_object(outer, "evidence"),
    )


def encode_envelope(
    *,
    kind: EvidenceKind,
    evidence: Mapping[str, JSON],
    nonce: bytes | None = None,
    key: PublicJwk | None = None,
) -> bytes:
    """The envelope that :func:`parse_envelope` reads."""
    outer: dict[str, object] = {"keystead_evidence": VERSION, "kind": kind.value}
    if nonce is not None:
        outer["nonce"] = base64url.encode(nonce)
    if key is not None:
        outer["key"] = dict(key.members)
    outer["evidence"] = evidence
    return json.encode(outer)


def _kind(text: str) -> EvidenceKind:
    try:
        return EvidenceKind(text)
    except ValueError:
        raise EvidenceRejected(Reason.KIND_UNSUPPORTED, f"kind {text!r}") from None


def _nonce(outer: Mapping[str, JSON]) -> bytes | None:
    nonce = json.find_bytes(outer, "nonce", max_bytes=NONCE_BYTES)
    if nonce is not None and len(nonce) != NONCE_BYTES:
        raise Malformed(Reason.MALFORMED, f"a nonce of {len(nonce)} bytes")
    return nonce
