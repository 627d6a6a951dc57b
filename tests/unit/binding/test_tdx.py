import dataclasses
from typing import Any

import pytest

from keystead.appraisal import result as results
from keystead.appraisal import tdx
from keystead.appraisal.result import AttestationResult
from keystead.binding.certified_key import CertifiedKey
from keystead.binding.tdx import bind_key
from keystead.errors import BindingRejected, Reason
from keystead.evidence.tdx import TdxEvidence
from keystead.model import EvidenceKind, Protection
from tests.device_chains import NOW
from tests.evidence_builder import Host
from tests.tdx_builder import ISSUER, MRTD, NONCE, Td, named_key, policy

KEY = Host.make().jwk
OTHER = Host.make(name="other").jwk
PINNED = {"values": {"mrtd": frozenset({MRTD})}, "whole_image": True}


def result_of(
    evidence: TdxEvidence, *, nonce: bytes | None = NONCE, **rules: Any
) -> AttestationResult:
    appraisal = tdx.appraise(evidence, policy=policy(**rules), nonce=nonce, now=NOW)
    return tdx.conclude(appraisal)


def evidence_for(report_data: bytes | None = None, td: Td | None = None) -> TdxEvidence:
    said = named_key(KEY) if report_data is None else report_data
    return (td or Td()).evidence(report_data=said)


def bound(
    evidence: TdxEvidence, result: AttestationResult | None = None, **changes: Any
) -> CertifiedKey:
    arguments: dict[str, Any] = {"key": KEY, "issuer": ISSUER, "nonce": NONCE}
    return bind_key(evidence, result or result_of(evidence), **(arguments | changes))


def refusal(*given: Any, **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(BindingRejected) as refused:
        bound(*given, **changes)
    return refused.value.reason, refused.value.step


def test_binds_the_key_that_the_quote_names() -> None:
    evidence = evidence_for()
    result = result_of(evidence)
    certified = bound(evidence, result)
    assert (certified.key, certified.kind) == (KEY, EvidenceKind.TDX)
    assert (certified.attester, certified.nonce) == (result.attester, NONCE)
    assert certified.protection is Protection.NONE


def test_measured_code_is_said_of_a_pinned_image_alone() -> None:
    evidence = evidence_for()
    assert bound(evidence, result_of(evidence, **PINNED)).protection is Protection.MEASURED_CODE


def test_measured_code_is_never_said_of_a_td_under_debug() -> None:
    evidence = evidence_for(td=Td(attributes=1))
    result = result_of(evidence, allow_debug=True, **PINNED)
    assert bound(evidence, result).protection is Protection.NONE


@pytest.mark.parametrize(
    "change",
    [{"key": OTHER}, {"issuer": "https://other.example"}, {"nonce": bytes(32)}],
    ids=["key", "issuer", "nonce"],
)
def test_refuses_another_key_issuer_or_challenge(change: dict[str, Any]) -> None:
    assert refusal(evidence_for(), **change) == (Reason.KEY_MISMATCH, 14)


@pytest.mark.parametrize("which", ["none", "nonce alone", "shifted", "padding", "another kind"])
def test_refuses_a_quote_that_names_no_key(which: str) -> None:
    named = named_key(KEY)
    said = {
        "none": bytes(64),
        "nonce alone": NONCE + bytes(32),
        "shifted": b"\x00" + named[:63],
        "padding": named[:63] + b"\x01",
        "another kind": named_key(KEY, kind="sev-snp"),
    }
    assert refusal(evidence_for(said[which])) == (Reason.KEY_MISMATCH, 14)


def test_refuses_the_result_of_another_quote() -> None:
    other = result_of(evidence_for(bytes(64)))
    assert refusal(evidence_for(), other) == (Reason.EVIDENCE_MISMATCH, 13)


def test_refuses_the_result_of_another_kind() -> None:
    evidence = evidence_for()
    other = dataclasses.replace(result_of(evidence), kind=EvidenceKind.SEV_SNP, seal=results._SEAL)
    assert refusal(evidence, other) == (Reason.EVIDENCE_MISMATCH, 13)


def test_refuses_a_result_without_a_challenge() -> None:
    evidence = evidence_for()
    assert refusal(evidence, result_of(evidence, nonce=None)) == (Reason.NONCE_MISMATCH, 13)
