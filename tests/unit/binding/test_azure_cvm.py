import dataclasses
from typing import Any

import pytest

from keystead.appraisal import azure_cvm
from keystead.appraisal.result import AttestationResult
from keystead.binding.azure_cvm import bind_key
from keystead.binding.certified_key import CertifiedKey
from keystead.codec.tpm2 import ObjectAttributes
from keystead.errors import BindingRejected, Reason
from keystead.evidence.azure_cvm import AzureCvmEvidence
from keystead.model import EvidenceKind, Protection
from tests.azure_builder import Machine, other_key
from tests.device_chains import NOW
from tests.evidence_builder import Host, with_attributes
from tests.snp_builder import ISSUER, NONCE

MACHINE = Machine()
OTHER = Host.make(name="other")


def result_of(
    evidence: AzureCvmEvidence, *, nonce: bytes | None = NONCE, **rules: Any
) -> AttestationResult:
    policy = MACHINE.policy(**rules)
    return azure_cvm.conclude(azure_cvm.appraise(evidence, policy=policy, nonce=nonce, now=NOW))


def bound(
    evidence: AzureCvmEvidence, result: AttestationResult | None = None, **changes: Any
) -> CertifiedKey:
    arguments: dict[str, Any] = {"key": MACHINE.jwk, "issuer": ISSUER, "nonce": NONCE}
    return bind_key(evidence, result or result_of(evidence), **(arguments | changes))


def refusal(*given: Any, **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(BindingRejected) as refused:
        bound(*given, **changes)
    return refused.value.reason, refused.value.step


def test_binds_the_key_that_the_vtpm_certified() -> None:
    evidence = MACHINE.evidence()
    result = result_of(evidence)
    certified = bound(evidence, result)
    assert (certified.key, certified.kind) == (MACHINE.jwk, EvidenceKind.AZURE_CVM)
    assert (certified.attester, certified.nonce) == (result.attester, NONCE)
    assert certified.protection is Protection.MEASURED_CODE


def test_nothing_is_said_of_a_key_in_a_vtpm_that_nobody_knows() -> None:
    evidence = MACHINE.evidence()
    result = result_of(evidence, snp={"measurements": None})
    assert bound(evidence, result).protection is Protection.NONE


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_on_a_td_a_certified_key_is_its_paravisors(known: bool) -> None:
    evidence = MACHINE.td_evidence()
    policy = MACHINE.td_policy(tdx=None if known else {"values": {}})
    appraisal = azure_cvm.appraise(evidence, policy=policy, nonce=NONCE, now=NOW)
    certified = bound(evidence, azure_cvm.conclude(appraisal))
    assert certified.key == MACHINE.jwk
    assert certified.protection is (Protection.MEASURED_CODE if known else Protection.NONE)


def test_binds_the_key_that_the_quote_names() -> None:
    certified = bound(MACHINE.naming())
    assert certified.key == MACHINE.jwk
    assert certified.protection is Protection.NONE


def test_refuses_the_result_of_other_evidence() -> None:
    evidence = MACHINE.evidence()
    other = result_of(MACHINE.naming())
    assert refusal(evidence, other) == (Reason.EVIDENCE_MISMATCH, 21)
    without = dataclasses.replace(evidence, quote=None)
    assert refusal(without, result_of(evidence)) == (Reason.EVIDENCE_MISMATCH, 21)


def test_saved_evidence_binds_nothing() -> None:
    evidence = MACHINE.evidence()
    assert refusal(evidence, result_of(evidence, nonce=None)) == (Reason.NONCE_MISMATCH, 21)


@pytest.mark.parametrize("member", ["certify", "key_public"])
def test_a_certification_comes_with_its_key(member: str) -> None:
    evidence = MACHINE.evidence()
    without: Any = {member: None}
    half = dataclasses.replace(evidence, **without)
    assert refusal(half, result_of(evidence)) == (Reason.EVIDENCE_MEMBER_MISSING, 22)


@pytest.mark.parametrize(
    "change",
    [{"key": OTHER.jwk}, {"issuer": "https://other.example"}, {"nonce": bytes(32)}],
    ids=lambda change: next(iter(change)),
)
def test_refuses_another_key_issuer_or_challenge_than_the_quotes(change: dict[str, Any]) -> None:
    assert refusal(MACHINE.naming(), **change) == (Reason.KEY_MISMATCH, 23)


def test_a_bare_nonce_names_no_key() -> None:
    assert refusal(MACHINE.evidence(certified=False)) == (Reason.KEY_MISMATCH, 23)


def test_refuses_a_certification_by_another_key() -> None:
    evidence = MACHINE.evidence(certify=MACHINE.certify(key=other_key()))
    assert refusal(evidence) == (Reason.CERTIFY_SIGNATURE, 24)


def test_refuses_a_quote_in_the_certifications_place() -> None:
    assert refusal(MACHINE.evidence(certify=MACHINE.quote())) == (Reason.CERTIFY_TYPE, 25)


def test_refuses_a_stored_certification() -> None:
    stale = MACHINE.evidence(certify=MACHINE.certify(nonce=bytes(32)))
    assert refusal(stale) == (Reason.NONCE_MISMATCH, 26)


def test_a_certification_does_not_freshen_a_stored_quote() -> None:
    """Appraised without the certification, which would have had the quote's nonce compared."""
    evidence = MACHINE.evidence(quote=MACHINE.quote(nonce=bytes(32)))
    bare = dataclasses.replace(evidence, certify=None, key_public=None)
    assert refusal(evidence, result_of(bare)) == (Reason.NONCE_MISMATCH, 26)


def test_refuses_a_certification_of_another_object() -> None:
    other = MACHINE.evidence(certify=MACHINE.certify(name=OTHER.key_area.name))
    assert refusal(other) == (Reason.CERTIFY_NAME_MISMATCH, 27)


@pytest.mark.parametrize(
    "change",
    [
        {"drop": ObjectAttributes.FIXED_TPM},
        {"drop": ObjectAttributes.FIXED_PARENT},
        {"drop": ObjectAttributes.SENSITIVE_DATA_ORIGIN},
        {"drop": ObjectAttributes.SIGN},
        {"add": ObjectAttributes.DECRYPT},
        {"add": ObjectAttributes.RESTRICTED},
    ],
    ids=str,
)
def test_refuses_a_key_that_may_leave_the_vtpm(change: dict[str, ObjectAttributes]) -> None:
    area = with_attributes(MACHINE.host.key_area, **change)
    evidence = MACHINE.evidence(key_public=area.sized, certify=MACHINE.certify(name=area.name))
    assert refusal(evidence) == (Reason.KEY_ATTRIBUTES, 28)


def test_refuses_another_key_than_the_certified() -> None:
    assert refusal(MACHINE.evidence(), key=OTHER.jwk) == (Reason.KEY_MISMATCH, 29)
