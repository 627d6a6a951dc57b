"""Evidence of kind ``sev-snp``: a report, and the certificates of the key that signed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keystead.codec import base64url, json
from keystead.codec.certificate import MAX_CERTIFICATE_BYTES
from keystead.codec.json import JSON
from keystead.codec.snp import REPORT_BYTES, SnpReport, parse_report
from keystead.errors import Malformed, Reason
from keystead.evidence.envelope import Submission
from keystead.jose.jwk import PublicJwk

MAX_CERTIFICATES: Final = 3
"""VCEK or VLEK, ASK or ASVK, ARK."""

_MEMBERS: Final = frozenset({"report", "certificates"})
_MAX_CERTIFICATE_CHARS: Final = 2 * MAX_CERTIFICATE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpEvidence:
    """What arrived; ``nonce`` and ``key`` are the envelope's.

    ``certificates`` are DER, the VCEK's or VLEK's first, for a path builder to read.
    """

    nonce: bytes | None
    key: PublicJwk | None
    report: SnpReport
    certificates: tuple[bytes, ...]


def parse(submission: Submission) -> SnpEvidence:
    """The report and certificates of ``submission``; ``Malformed``."""
    members = submission.evidence
    json.refuse_other_members(members, _MEMBERS)
    return SnpEvidence(
        nonce=submission.nonce,
        key=submission.key,
        report=parse_report(json.get_bytes(members, "report", max_bytes=REPORT_BYTES)),
        certificates=read_certificates(members),
    )


def encode(*, report: bytes, certificates: Sequence[bytes]) -> dict[str, JSON]:
    """The ``evidence`` member of an envelope; ``certificates`` are DER, the signing key's first."""
    return {
        "report": base64url.encode(report),
        "certificates": [base64url.encode(each) for each in certificates],
    }


def read_certificates(members: Mapping[str, JSON]) -> tuple[bytes, ...]:
    """The array ``certificates``, with at least the first; ``Malformed``."""
    texts = json.get_str_list(
        members,
        "certificates",
        max_items=MAX_CERTIFICATES,
        max_chars=_MAX_CERTIFICATE_CHARS,
    )
    if not texts:
        raise Malformed(Reason.MALFORMED, "no certificate")
    return tuple(base64url.decode(text, max_bytes=MAX_CERTIFICATE_BYTES) for text in texts)
