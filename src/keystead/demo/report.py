"""``keystead demo --json``: what the demo got, for somebody else to verify."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from keystead.codec.json import JSON
from keystead.demo.delegation import Bound, Call, Delegated
from keystead.demo.trail import Audit
from keystead.demo.web import Refusal
from keystead.model import EvidenceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that the steps came to; ``eks`` are the ids of the TPMs' EKs."""

    evidence: EvidenceKind
    issuer: str
    jwks: Mapping[str, JSON]
    eks: Mapping[str, JSON]
    bound: Bound
    delegated: Delegated
    call: Call
    refusals: Sequence[Refusal]
    audit: Audit


def document(outcome: Outcome, *, timings_ms: Mapping[str, int]) -> dict[str, JSON]:
    """The one document. ``dpop_proof`` is the one that the API answered with 200.

    A refusal's ``status`` is HTTP's; where ``error`` is the name of a gRPC code, it is its number.
    """
    return {
        "evidence": outcome.evidence.value,
        "issuer": outcome.issuer,
        "jwks": dict(outcome.jwks),
        "access_token": outcome.call.access_token,
        "dpop_proof": outcome.call.dpop_proof,
        "method": outcome.call.method,
        "url": outcome.call.url,
        "subject_token": outcome.delegated.subject_token,
        "attestation_result": outcome.bound.ear,
        "eks": dict(outcome.eks),
        "refusals": [asdict(refusal) for refusal in outcome.refusals],
        "audit": asdict(outcome.audit),
        "timings_ms": dict(timings_ms),
    }
