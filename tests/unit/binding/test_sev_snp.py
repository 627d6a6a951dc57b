import dataclasses
from typing import Any

import pytest

from keystead.appraisal import result as results
from keystead.appraisal import sev_snp
from keystead.appraisal.result import AttestationResult
from keystead.binding.certified_key import CertifiedKey
from keystead.binding.sev_snp import bind_key
from keystead.errors import BindingRejected, Reason
from keystead.evidence.sev_snp import SnpEvidence
from keystead.model import EvidenceKind, Protection
from tests.device_chains import NOW
from tests.evidence_builder import Host
from tests.snp_builder import ISSUER, MEASUREMENT, NONCE, Guest, named_key

KEY = Host.make().jwk
OTHER = Host.make(name="other").jwk
GUEST = Guest()
PINNED = {"measurements": frozenset({MEASUREMENT}), "whole_image": True}


def result_of(
    evidence: SnpEvidence, *, nonce: bytes | None = NONCE, **rules: Any
) -> AttestationResult:
    appraisal = sev_snp.appraise(evidence, policy=GUEST.policy(**rules), nonce=nonce, now=NOW)
    return sev_snp.conclude(appraisal)


def evidence_for(report_data: bytes | None = None) -> SnpEvidence:
    return GUEST.evidence(report_data=named_key(KEY) if report_data is None else report_data)


def bound(
    evidence: SnpEvidence, result: AttestationResult | None = None, **changes: Any
) -> CertifiedKey:
    arguments: dict[str, Any] = {"key": KEY, "issuer": ISSUER, "nonce": NONCE}
    return bind_key(evidence, result or result_of(evidence), **(arguments | changes))


def refusal(*given: Any, **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(BindingRejected) as refused:
        bound(*given, **changes)
    return refused.value.reason, refused.value.step


def test_binds_the_key_that_the_report_names() -> None:
    evidence = evidence_for()
    result = result_of(evidence)
    certified = bound(evidence, result)
    assert (certified.key, certified.kind) == (KEY, EvidenceKind.SEV_SNP)
    assert (certified.attester, certified.nonce) == (result.attester, NONCE)
    assert certified.protection is Protection.NONE


def test_measured_code_is_said_of_a_pinned_image_alone() -> None:
    evidence = evidence_for()
    assert bound(evidence, result_of(evidence, **PINNED)).protection is Protection.MEASURED_CODE


@pytest.mark.parametrize(
    "change",
    [{"key": OTHER}, {"issuer": "https://other.example"}, {"nonce": bytes(32)}],
    ids=["key", "issuer", "nonce"],
)
def test_refuses_another_key_issuer_or_challenge(change: dict[str, Any]) -> None:
    assert refusal(evidence_for(), **change) == (Reason.KEY_MISMATCH, 13)


@pytest.mark.parametrize(
    "report_data",
    [bytes(64), NONCE + bytes(32), named_key(KEY)[:63] + b"\x01", b"\x00" + named_key(KEY)[:63]],
)
def test_refuses_a_report_that_names_no_key(report_data: bytes) -> None:
    assert refusal(evidence_for(report_data)) == (Reason.KEY_MISMATCH, 13)


def test_refuses_the_result_of_another_report() -> None:
    other = result_of(evidence_for(bytes(64)))
    assert refusal(evidence_for(), other) == (Reason.EVIDENCE_MISMATCH, 12)


def test_refuses_the_result_of_another_kind() -> None:
    evidence = evidence_for()
    result = result_of(evidence)
    other = dataclasses.replace(result, kind=EvidenceKind.TDX, seal=results._SEAL)
    assert refusal(evidence, other) == (Reason.EVIDENCE_MISMATCH, 12)


def test_saved_evidence_binds_nothing() -> None:
    evidence = evidence_for()
    told = refusal(evidence, result_of(evidence, nonce=None))
    assert told == (Reason.NONCE_MISMATCH, 12)
