import dataclasses
import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from keystead.appraisal import azure_cvm
from keystead.appraisal.anchors import AnchorSet
from keystead.appraisal.dcap_memory import DcapMemory
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.azure_cvm import AzureCvmEvidence
from keystead.model import AnchorClass, EvidenceKind, Freshness
from tests.azure_builder import (
    PCRS,
    REQUIRED,
    SHA256,
    Machine,
    hcl_report,
    other_key,
    runtime_data,
)
from tests.device_chains import NOW, curve_key
from tests.intel_builder import OTHER_FMSPC, collateral, tcb_info
from tests.snp_builder import NONCE, Guest, ca, rsa_key
from tests.tdx_builder import MRTD, Td

MACHINE = Machine()
NAMED = {SHA256: {index: frozenset({value}) for index, value in PCRS[SHA256].items()}}


def appraised(
    evidence: AzureCvmEvidence | None = None,
    policy: AppraisalPolicy | None = None,
    **changes: Any,
) -> AttestationResult:
    arguments: dict[str, Any] = {
        "policy": policy or MACHINE.policy(),
        "nonce": NONCE,
        "now": NOW,
    }
    found = evidence or MACHINE.evidence()
    return azure_cvm.conclude(azure_cvm.appraise(found, **(arguments | changes)))


def refusal(*given: Any, **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        appraised(*given, **changes)
    return refused.value.reason, refused.value.step


def test_affirms_a_machine_whose_links_hold() -> None:
    result = appraised()
    assert (result.kind, result.policy) == (EvidenceKind.AZURE_CVM, "test@3")
    assert (result.anchor_class, result.hardware) == (AnchorClass.TEE, True)
    assert (result.freshness, result.verified_at) == (Freshness.CHALLENGED, NOW)
    assert result.pcrs["sha256"][7] == PCRS[SHA256][7].hex()
    assert result.claims["vm_configuration"] == {"secure-boot": True, "vmUniqueId": "X"}
    assert result.claims["paravisor_pinned"] is True
    assert result.clock is not None and result.clock.reset_count == 3
    assert not result.boot_pinned


@pytest.mark.parametrize("guest", [Guest(vlek=True), Guest(product="Genoa", version=5)])
def test_affirms_machines_on_other_hardware(guest: Guest) -> None:
    machine = Machine(guest=guest)
    result = appraised(machine.evidence(), machine.policy())
    assert result.claims["product"] == guest.product


def test_saved_evidence_is_a_bearers() -> None:
    assert appraised(nonce=None).freshness is Freshness.BEARER


def test_the_boot_is_pinned_where_paravisor_and_boot_code_are() -> None:
    assert appraised(policy=MACHINE.policy(pcr_values=NAMED)).boot_pinned
    loose = MACHINE.policy(pcr_values=NAMED, snp={"measurements": None})
    assert not appraised(policy=loose).boot_pinned
    assert appraised(policy=loose).claims["paravisor_pinned"] is False
    by_key = {"measurements": None, "id_key_digests": frozenset({b"\x49" * 48})}
    assert appraised(policy=MACHINE.policy(pcr_values=NAMED, snp=by_key)).boot_pinned


def test_a_debug_machine_pins_nothing() -> None:
    evidence = MACHINE.evidence(hcl_report=MACHINE.hcl(policy=(0xB0000).to_bytes(8, "little")))
    assert refusal(evidence) == (Reason.DEBUG_MODE, 8)
    result = appraised(evidence, MACHINE.policy(pcr_values=NAMED, snp={"allow_debug": True}))
    assert (result.debug, result.boot_pinned) == (True, False)
    assert result.claims["paravisor_pinned"] is False


def test_a_policy_without_the_kind_refuses_it() -> None:
    assert refusal(policy=AppraisalPolicy(id="x", version=1)) == (Reason.KIND_UNSUPPORTED, None)


@pytest.mark.parametrize("member", ["quote", "pcrs"])
def test_refuses_evidence_without_a_quote(member: str) -> None:

    without: Any = {member: None}
    evidence = dataclasses.replace(MACHINE.evidence(), **without)
    assert refusal(evidence) == (Reason.EVIDENCE_MEMBER_MISSING, 1)


def test_refuses_hardware_without_rules() -> None:
    assert refusal(MACHINE.td_evidence()) == (Reason.KIND_UNSUPPORTED, 1)
    assert refusal(policy=MACHINE.td_policy()) == (Reason.KIND_UNSUPPORTED, 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"vmpl": b"\xff\xff\xff\xff"}, (Reason.EVIDENCE_TYPE, 2)),
        ({"key": curve_key("another chip")}, (Reason.EVIDENCE_SIGNATURE, 4)),
        ({"chip_id": bytes(64)}, (Reason.ENDORSEMENT_MISMATCH, 5)),
        ({"reported_tcb": bytes(8)}, (Reason.ENDORSEMENT_MISMATCH, 6)),
        ({"vmpl": b"\x01\0\0\0"}, (Reason.VMPL_REFUSED, 9)),
        ({"measurement": bytes(48)}, (Reason.MEASUREMENT_MISMATCH, 10)),
    ],
    ids=lambda each: str(each)[:30],
)
def test_the_hardwares_steps_are_one_number_higher(
    change: dict[str, Any], told: tuple[Reason, int]
) -> None:
    assert refusal(MACHINE.evidence(hcl_report=MACHINE.hcl(**change))) == told


def test_refuses_a_chain_to_another_root() -> None:

    strange = (MACHINE.guest.leaf(), ca("SEV-Test", issuer="ARK-Other"))
    assert refusal(MACHINE.evidence(certificates=strange)) == (Reason.CHAIN_UNTRUSTED, 3)


def test_refuses_runtime_data_that_the_hardware_does_not_know() -> None:
    strange = runtime_data(other_key())
    report = MACHINE.guest.report(report_data=bytes(64))
    for hcl in (hcl_report(report, strange), MACHINE.hcl(report_data=bytes(64))):
        told = refusal(MACHINE.evidence(hcl_report=hcl))
        assert told == (Reason.RUNTIME_DATA_MISMATCH, 13)


def test_report_data_has_nothing_after_the_hash() -> None:

    said = hashlib.sha256(runtime_data(MACHINE.ak)).digest() + bytes(31) + b"\x01"
    evidence = MACHINE.evidence(hcl_report=MACHINE.hcl(report_data=said))
    assert refusal(evidence) == (Reason.RUNTIME_DATA_MISMATCH, 13)


def test_refuses_a_weak_ak() -> None:

    weak = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
    evidence = MACHINE.evidence(hcl_report=MACHINE.hcl(runtime=runtime_data(weak)))
    assert refusal(evidence) == (Reason.WEAK_KEY, 14)


def test_refuses_a_quote_by_another_key() -> None:
    evidence = MACHINE.evidence(quote=MACHINE.quote(key=other_key()))
    assert refusal(evidence) == (Reason.QUOTE_SIGNATURE, 15)
    curve = MACHINE.evidence(quote=MACHINE.quote(key=MACHINE.host.key))
    assert refusal(curve) == (Reason.QUOTE_SIGNATURE, 15)


def test_refuses_a_certification_in_the_quotes_place() -> None:
    assert refusal(MACHINE.evidence(quote=MACHINE.certify())) == (Reason.QUOTE_TYPE, 16)


def test_refuses_a_quote_over_another_nonce() -> None:
    stale = MACHINE.evidence(quote=MACHINE.quote(nonce=bytes(32)))
    assert refusal(stale) == (Reason.NONCE_MISMATCH, 17)
    assert refusal(nonce=bytes(32)) == (Reason.NONCE_MISMATCH, 17)
    envelope = MACHINE.evidence(envelope_nonce=bytes(32))
    assert refusal(envelope, nonce=None) == (Reason.NONCE_MISMATCH, 17)


def test_without_a_certification_the_nonce_is_in_the_keys_hash() -> None:
    assert appraised(MACHINE.naming()).freshness is Freshness.CHALLENGED


def test_refuses_another_selection() -> None:
    fewer = PcrSelection.of({SHA256: [0, 2, 4]})
    values = {SHA256: {index: PCRS[SHA256][index] for index in (0, 2, 4)}}
    quote = MACHINE.quote(selection=fewer, values=values)
    assert refusal(MACHINE.evidence(quote=quote)) == (Reason.PCR_SELECTION, 18)
    assert refusal(MACHINE.evidence(pcrs=values)) == (Reason.PCR_SELECTION, 18)


def test_refuses_a_weak_bank() -> None:
    sha1 = HashAlgorithm.SHA1
    weak = MACHINE.quote(selection=PcrSelection.of({sha1: [0]}), values={sha1: {0: bytes(20)}})
    evidence = MACHINE.evidence(quote=weak, pcrs={sha1: {0: bytes(20)}})
    assert refusal(evidence) == (Reason.PCR_BANK_WEAK, 18)


def test_refuses_values_that_were_not_quoted() -> None:
    values = {SHA256: {**PCRS[SHA256], 7: bytes(32)}}
    assert refusal(MACHINE.evidence(pcrs=values)) == (Reason.PCR_DIGEST_MISMATCH, 19)


def test_refuses_values_that_the_policy_does_not_name() -> None:
    assert appraised(policy=MACHINE.policy(pcr_values=NAMED)).pcrs
    other = {SHA256: {**NAMED[SHA256], 7: frozenset({bytes(32)})}}
    assert refusal(policy=MACHINE.policy(pcr_values=other)) == (Reason.PCR_VALUE_MISMATCH, 20)


def test_results_are_tied_to_machine_and_quote() -> None:
    one, other = appraised(), appraised(MACHINE.naming())
    assert one.attester == appraised().attester != other.attester
    assert REQUIRED.as_mapping() == {SHA256: (0, 2, 4, 7)}
    assert rsa_key("vTPM AK") is MACHINE.ak


# --- on Intel's hardware -------------------------------------------------------------------------


def td_refusal(policy: AppraisalPolicy | None = None, **changes: Any) -> tuple[Reason, int | None]:
    return refusal(MACHINE.td_evidence(**changes), policy or MACHINE.td_policy())


@pytest.mark.parametrize("td", [Td(), Td(version=5, extended=True)])
def test_affirms_a_td_whose_links_hold(td: Td) -> None:
    result = appraised(MACHINE.td_evidence(td=td), MACHINE.td_policy(pcr_values=NAMED))
    assert (result.kind, result.hardware) == (EvidenceKind.AZURE_CVM, True)
    assert result.measurements["mrtd"] == MRTD.hex()
    assert result.claims["tcb_status"] == "UpToDate"
    assert result.claims["paravisor_pinned"] is True and result.boot_pinned
    assert result.pcrs["sha256"][7] == PCRS[SHA256][7].hex()


def test_a_td_without_sept_ve_disable_is_affirmed_and_said_to_be_one() -> None:
    evidence = MACHINE.td_evidence(td=Td(attributes=0))
    assert appraised(evidence, MACHINE.td_policy()).claims["sept_ve_disable"] is False


def test_a_td_that_the_policy_does_not_know_pins_nothing() -> None:
    loose = MACHINE.td_policy(tdx={"values": {}}, pcr_values=NAMED)
    result = appraised(MACHINE.td_evidence(), loose)
    assert result.claims["paravisor_pinned"] is False and not result.boot_pinned


def test_a_debug_td_pins_nothing() -> None:
    evidence = MACHINE.td_evidence(td=Td(attributes=1))
    assert refusal(evidence, MACHINE.td_policy()) == (Reason.DEBUG_MODE, 10)
    known = {"values": {"mrtd": frozenset({MRTD})}, "allow_debug": True}
    result = appraised(evidence, MACHINE.td_policy(tdx=known, pcr_values=NAMED))
    assert (result.debug, result.boot_pinned) == (True, False)
    assert result.claims["paravisor_pinned"] is False


def test_the_tds_steps_are_one_number_higher() -> None:
    stranger = collateral(identity_signer="stranger")
    assert td_refusal(collateral=stranger) == (Reason.COLLATERAL_UNTRUSTED, 3)
    other = collateral(info=tcb_info(fmspc=OTHER_FMSPC))
    assert td_refusal(collateral=other) == (Reason.ENDORSEMENT_MISMATCH, 4)
    late = MACHINE.td_policy(tdx={"minimum_tcb_evaluation": 18})
    assert td_refusal(late) == (Reason.TCB_REFUSED, 9)
    unknown = MACHINE.td_policy(tdx={"values": {"mrtd": frozenset({bytes(48)})}})
    assert td_refusal(unknown) == (Reason.MEASUREMENT_MISMATCH, 11)
    owned = MACHINE.td_policy(tdx={"values": {"mrowner": frozenset({bytes(48)})}})
    assert td_refusal(owned) == (Reason.MEASUREMENT_MISMATCH, 12)
    no_root = DcapMemory(AnchorSet(anchors=()))
    assert td_refusal(MACHINE.td_policy(tdx={"memory": no_root})) == (Reason.CHAIN_UNTRUSTED, 2)


def test_quote_report_and_runtime_data_are_about_one_thing() -> None:
    other = hashlib.sha256(b"other").digest() + bytes(32)
    for changes in ({"said": other}, {"reported": other}, {"said": other, "reported": other}):
        assert td_refusal(**changes) == (Reason.RUNTIME_DATA_MISMATCH, 13)


def test_a_vtpms_quote_by_another_key_is_refused_on_a_td_too() -> None:
    strange = MACHINE.quote(key=other_key())
    assert td_refusal(quote=strange) == (Reason.QUOTE_SIGNATURE, 15)
