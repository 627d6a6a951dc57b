from dataclasses import replace
from typing import Any

import pytest

from keystead.appraisal import sev_snp
from keystead.appraisal import tpm2 as appraisal
from keystead.appraisal.result import AttestationResult
from keystead.binding import sev_snp as snp_binding
from keystead.binding.binder import bind, binding_expiry
from keystead.binding.certified_key import CertifiedKey
from keystead.binding.tpm2 import certify_key
from keystead.errors import BindingRejected, Reason
from keystead.model import (
    AnchorClass,
    BoundKey,
    EkId,
    EvidenceKind,
    Freshness,
    Protection,
    RegistrationEntry,
    ResultId,
    SpiffeId,
)
from tests import device_chains
from tests.evidence_builder import (
    NONCE,
    NOW,
    Dice,
    Host,
    anchor_set,
    appraisal_policy,
    certificate,
    private_key,
    usage,
)
from tests.snp_builder import ISSUER, MEASUREMENT, Guest, named_key
from tests.snp_builder import NONCE as SNP_NONCE

HOST = Host.make()
OTHER = Host.make(name="other")


def attested(
    host: Host = HOST, anchor_class: AnchorClass = AnchorClass.TPM
) -> tuple[AttestationResult, CertifiedKey]:
    policy = appraisal_policy(anchors=anchor_set(anchor_class), max_age_s=1_000)
    found = appraisal.appraise(host.evidence(), policy=policy, nonce=NONCE, now=NOW)
    key = certify_key(host.evidence(), found, key=host.jwk, policy=policy, nonce=NONCE)
    activation = appraisal.begin_activation(found, entropy=Dice())
    secret = host.activate(activation.credential_blob, activation.encrypted_secret)
    result = appraisal.conclude(found, activation=activation, returned_secret=secret)
    return result, key


RESULT, KEY = attested()
assert RESULT.ek is not None
ENTRY = RegistrationEntry(
    id="entry-1",
    spiffe_id=SpiffeId("spiffe://example/workload"),
    parent=SpiffeId("spiffe://example/host"),
    kind=EvidenceKind.TPM2,
    ek=RESULT.ek,
    binding_ttl_s=600,
    created_at=NOW,
    created_by="operator",
)


def bound(
    result: AttestationResult = RESULT,
    key: CertifiedKey = KEY,
    *,
    entry: RegistrationEntry = ENTRY,
    now: int = NOW,
) -> BoundKey:
    return bind(
        result,
        key,
        entry=entry,
        spiffe_id=entry.spiffe_id,
        result_id=ResultId("hash"),
        now=now,
    )


def refusal(*arguments: Any, **named: Any) -> tuple[Reason, int | None]:
    with pytest.raises(BindingRejected) as refused:
        bound(*arguments, **named)
    return refused.value.reason, refused.value.step


def test_binds_the_key_to_the_entrys_id() -> None:
    found = bound(now=NOW + 5)
    assert (found.jkt, found.spiffe_id) == (HOST.jwk.thumbprint, ENTRY.spiffe_id)
    assert found.jwk == HOST.jwk.members and found.entry == "entry-1"
    assert (found.ek, found.bound_at, found.expires_at) == (ENTRY.ek, NOW + 5, NOW + 605)
    residency = found.residency
    assert residency.kind is EvidenceKind.TPM2 and residency.hardware
    assert residency.protection is Protection.NON_EXPORTABLE
    assert residency.freshness is Freshness.CHALLENGED
    assert (residency.verified_at, residency.policy, residency.result) == (NOW, "test@3", "hash")


@pytest.mark.parametrize(
    ("anchor_class", "hardware"),
    [(AnchorClass.TPM, True), (AnchorClass.VIRTUAL_TPM, False), (AnchorClass.EMULATED, False)],
)
def test_hardware_is_what_the_anchor_vouches_for(anchor_class: AnchorClass, hardware: bool) -> None:
    assert bound(*attested(anchor_class=anchor_class)).residency.hardware is hardware


@pytest.mark.parametrize(
    ("ttl_s", "now", "expires_at"),
    [(600, NOW, NOW + 600), (5_000, NOW, NOW + 1_000), (600, NOW + 900, NOW + 1_000)],
)
def test_ends_with_the_entrys_time_or_the_results_age(
    ttl_s: int, now: int, expires_at: int
) -> None:
    entry = replace(ENTRY, binding_ttl_s=ttl_s)
    assert binding_expiry(RESULT, entry=entry, now=now) == expires_at
    assert bound(entry=entry, now=now).expires_at == expires_at


def test_step_24_rejects_a_key_certified_by_another_ak() -> None:
    assert refusal(RESULT, attested(OTHER)[1]) == (Reason.AK_MISMATCH, 24)


def test_step_24_rejects_a_result_that_answered_no_challenge() -> None:
    made = certificate(
        "ak",
        HOST.ak_key,
        issuer="root",
        issuer_key=private_key("p256", "root"),
        extensions=[(usage(sign=True), True)],
    )
    saved = appraisal.appraise(
        HOST.evidence(ak_certificate=made),
        policy=appraisal_policy(accept_ak_certificate=True),
        nonce=None,
        now=NOW,
    )
    result = appraisal.conclude_by_ak_certificate(saved)
    assert refusal(result, KEY) == (Reason.NONCE_MISMATCH, 24)


def test_step_25_rejects_another_ek_than_the_pinned_one() -> None:
    assert refusal(entry=replace(ENTRY, ek=EkId("x" * 43))) == (Reason.EK_NOT_ENROLLED, 25)
    assert refusal(*attested(OTHER)) == (Reason.EK_NOT_ENROLLED, 25)


def test_step_26_accepts_one_of_the_entrys_values() -> None:
    pcrs = {"sha256": {7: ("00" * 32, "77" * 32)}}
    assert bound(entry=replace(ENTRY, pcrs=pcrs)).entry == "entry-1"


@pytest.mark.parametrize(
    "pcrs",
    [
        {"sha256": {7: ("00" * 32,)}},
        {"sha256": {7: ()}},
        {"sha256": {16: ("00" * 32,)}},
        {"sha384": {7: ("00" * 48,)}},
    ],
)
def test_step_26_rejects_pcrs_that_the_entry_does_not_name(pcrs: Any) -> None:
    assert refusal(entry=replace(ENTRY, pcrs=pcrs)) == (Reason.PCR_VALUE_MISMATCH, 26)


@pytest.mark.parametrize("now", [NOW - 1, NOW + 1_000])
def test_step_27_rejects_a_result_out_of_its_time(now: int) -> None:
    assert refusal(now=now) == (Reason.EVIDENCE_TOO_OLD, 27)


GUEST = Guest()


def reported(**rules: Any) -> tuple[AttestationResult, CertifiedKey]:
    evidence = GUEST.evidence(report_data=named_key(HOST.jwk))
    policy = GUEST.policy(**rules)
    found = sev_snp.conclude(
        sev_snp.appraise(evidence, policy=policy, nonce=SNP_NONCE, now=device_chains.NOW)
    )
    return found, snp_binding.bind_key(
        evidence, found, key=HOST.jwk, issuer=ISSUER, nonce=SNP_NONCE
    )


SNP_ENTRY = replace(
    ENTRY,
    kind=EvidenceKind.SEV_SNP,
    parent=None,
    ek=None,
    selectors={"measurements.measurement": (MEASUREMENT.hex(),)},
)


def test_binds_a_key_without_an_ek_by_what_its_entry_selects() -> None:
    found = bound(*reported(), entry=SNP_ENTRY, now=device_chains.NOW)
    assert (found.ek, found.spiffe_id) == (None, ENTRY.spiffe_id)
    assert found.residency.kind is EvidenceKind.SEV_SNP


def test_rejects_an_entry_of_another_kind_or_for_a_tpm() -> None:
    at = {"now": device_chains.NOW}
    assert refusal(*reported(), entry=ENTRY, **at) == (Reason.NO_REGISTRATION_ENTRY, 15)
    pinned = replace(SNP_ENTRY, ek=EkId("x" * 43))
    assert refusal(*reported(), entry=pinned, **at) == (Reason.EK_NOT_ENROLLED, 15)


@pytest.mark.parametrize(
    "selectors",
    [
        {"measurements.measurement": ("00" * 48,)},
        {"measurements.measurement": ()},
        {"measurements.nothing": ("",)},
        {"measurements.measurement": (MEASUREMENT.hex(),), "vmpl": ("3",)},
    ],
)
def test_rejects_facts_that_the_entry_does_not_allow(selectors: Any) -> None:
    entry = replace(SNP_ENTRY, selectors=selectors)
    refused = refusal(*reported(), entry=entry, now=device_chains.NOW)
    assert refused == (Reason.NO_REGISTRATION_ENTRY, 16)


def test_numbers_and_truth_values_are_facts_in_their_own_spelling() -> None:
    entry = replace(
        SNP_ENTRY, selectors={**SNP_ENTRY.selectors, "vmpl": ("0",), "migration_agent": ("false",)}
    )
    assert bound(*reported(), entry=entry, now=device_chains.NOW).entry == "entry-1"
