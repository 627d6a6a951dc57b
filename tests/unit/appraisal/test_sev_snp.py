from typing import Any

import pytest

from keystead.appraisal import sev_snp
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult, status, trustworthiness
from keystead.codec.snp import Product, TcbVersion
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.sev_snp import SnpEvidence
from keystead.model import AnchorClass, EvidenceKind, Freshness
from tests.device_chains import NOW, curve_key
from tests.snp_builder import (
    CHIP_ID,
    MEASUREMENT,
    NEWER,
    NONCE,
    OLDER,
    TCB,
    Guest,
    ca,
    raw_tcb,
    revocation_list,
)

GUEST = Guest()
MINIMUM = {Product.MILAN: TcbVersion(**TCB)}


def appraised(
    evidence: SnpEvidence | None = None, policy: AppraisalPolicy | None = None, **changes: Any
) -> AttestationResult:
    arguments: dict[str, Any] = {
        "policy": policy or GUEST.policy(),
        "nonce": NONCE,
        "now": NOW,
    }
    return sev_snp.conclude(sev_snp.appraise(evidence or GUEST.evidence(), **(arguments | changes)))


def refusal(*given: Any, **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        appraised(*given, **changes)
    return refused.value.reason, refused.value.step


@pytest.mark.parametrize("version", [2, 3, 5])
@pytest.mark.parametrize("vlek", [False, True])
@pytest.mark.parametrize("product", ["Milan", "Genoa", "Turin"])
def test_affirms_every_kind_of_report(product: str, vlek: bool, version: int) -> None:
    guest = Guest(product=product, vlek=vlek, version=version)
    if (product, version) == ("Turin", 2):
        assert refusal(guest.evidence()) == (Reason.ENDORSEMENT_MISMATCH, 4)
        return
    result = appraised(guest.evidence())
    assert (result.kind, result.policy) == (EvidenceKind.SEV_SNP, "test@3")
    assert (result.anchor, result.anchor_class) == ("CN=ARK-Test", AnchorClass.TEE)
    assert (result.freshness, result.verified_at) == (Freshness.CHALLENGED, NOW)
    assert result.measurements["measurement"] == MEASUREMENT.hex()
    assert result.claims["product"] == product
    assert result.claims["signing_key"] == ("vlek" if vlek else "vcek")
    assert result.claims["tcb"] == guest.tcb
    assert result.claims.get("csp_id") == ("CN=cloud.example" if vlek else None)
    assert (result.hardware, result.boot_pinned, result.debug) == (True, False, False)


def test_saved_evidence_is_a_bearers() -> None:
    assert appraised(nonce=None).freshness is Freshness.BEARER


def test_an_emulated_root_is_never_hardware() -> None:
    result = appraised(policy=GUEST.policy(anchor_class=AnchorClass.EMULATED))
    assert not result.hardware
    assert status(trustworthiness(result)).value == "warning"


def test_a_policy_without_the_kind_refuses_it() -> None:
    assert refusal(policy=AppraisalPolicy(id="x", version=1)) == (Reason.KIND_UNSUPPORTED, None)


@pytest.mark.parametrize(
    "change",
    [
        {"vmpl": b"\xff\xff\xff\xff"},
        {"vmpl": b"\x04\0\0\0"},
        {"flags": b"\x1c\0\0\0"},
        {"algorithm": b"\x02\0\0\0"},
        {"algorithm": bytes(4)},
    ],
    ids=str,
)
def test_refuses_a_report_that_no_guest_asked_for(change: dict[str, bytes]) -> None:
    assert refusal(GUEST.evidence(**change)) == (Reason.EVIDENCE_TYPE, 1)


def test_refuses_a_chain_to_another_root() -> None:
    strange = (GUEST.leaf(), ca("SEV-Test", issuer="ARK-Other"), ca("ARK-Other"))
    assert refusal(GUEST.evidence(certificates=strange)) == (Reason.CHAIN_UNTRUSTED, 2)
    assert refusal(GUEST.evidence(certificates=strange[:1])) == (Reason.CHAIN_UNTRUSTED, 2)


def test_the_chain_has_to_hold_now() -> None:
    evidence = GUEST.evidence(certificates=GUEST.certificates(not_after=NOW))
    policy = GUEST.policy()
    assert appraised(evidence, policy, now=NOW)
    assert refusal(evidence, policy, now=NOW + 1) == (Reason.CHAIN_UNTRUSTED, 2)
    assert appraised(evidence, policy, now=NOW)


def test_refuses_a_revoked_ca() -> None:
    policy = GUEST.policy(revocations=[revocation_list(serials=[65_537])])
    assert refusal(policy=policy) == (Reason.CERTIFICATE_REVOKED, 2)


def test_refuses_once_the_revocation_list_has_run_out() -> None:
    policy = GUEST.policy(revocations=[revocation_list(next_update=NOW + 10)])
    assert appraised(policy=policy, now=NOW + 10)
    assert refusal(policy=policy, now=NOW + 11) == (Reason.CHAIN_UNTRUSTED, 2)


def test_refuses_another_keys_signature() -> None:
    evidence = GUEST.evidence(key=curve_key("another chip"))
    assert refusal(evidence) == (Reason.EVIDENCE_SIGNATURE, 3)


def test_refuses_the_certificate_of_another_kind_of_key() -> None:
    vlek = Guest(vlek=True)
    told = (Reason.ENDORSEMENT_MISMATCH, 4)
    assert refusal(GUEST.evidence(certificates=vlek.certificates(), chip_id=bytes(64))) == told
    assert refusal(vlek.evidence(certificates=GUEST.certificates(), chip_id=CHIP_ID)) == told


@pytest.mark.parametrize("chip_id", [bytes(64), CHIP_ID[:63] + b"\x00", CHIP_ID[::-1]])
def test_refuses_another_chips_certificate(chip_id: bytes) -> None:
    assert refusal(GUEST.evidence(chip_id=chip_id)) == (Reason.ENDORSEMENT_MISMATCH, 4)


def test_a_cloud_keys_report_names_no_chip() -> None:
    evidence = Guest(vlek=True).evidence(chip_id=CHIP_ID)
    assert refusal(evidence) == (Reason.ENDORSEMENT_MISMATCH, 4)


def test_refuses_another_products_certificate() -> None:
    others = GUEST.certificates(extensions=GUEST.extensions(product="Genoa-B1"))
    assert refusal(GUEST.evidence(certificates=others)) == (Reason.ENDORSEMENT_MISMATCH, 4)


@pytest.mark.parametrize("part", ["boot_loader", "tee", "snp", "microcode"])
def test_the_certificate_is_for_exactly_this_firmware(part: str) -> None:
    for difference in (-1, 1):
        other = GUEST.tcb | {part: max(0, GUEST.tcb[part] + difference)}
        if other == GUEST.tcb:
            continue
        evidence = GUEST.evidence(reported_tcb=raw_tcb("Milan", other))
        assert refusal(evidence) == (Reason.ENDORSEMENT_MISMATCH, 5)


def test_a_tcb_with_reserved_parts_is_refused() -> None:
    evidence = GUEST.evidence(reported_tcb=bytes([4, 0, 1, 0, 0, 0, 24, 219]))
    assert refusal(evidence) == (Reason.ENDORSEMENT_MISMATCH, 5)


def test_refuses_older_firmware() -> None:
    policy = GUEST.policy(minimum_tcb=MINIMUM)
    assert appraised(policy=policy)
    older = GUEST.certificates(extensions=GUEST.extensions(tcb=OLDER))
    evidence = GUEST.evidence(certificates=older, reported_tcb=raw_tcb("Milan", OLDER))
    assert refusal(evidence, policy) == (Reason.TCB_REFUSED, 6)
    assert appraised(evidence)


def test_refuses_a_guest_that_was_started_on_older_firmware() -> None:
    policy = GUEST.policy(minimum_tcb=MINIMUM)
    older = GUEST.evidence(launch_tcb=raw_tcb("Milan", OLDER))
    assert refusal(older, policy) == (Reason.TCB_REFUSED, 6)
    assert appraised(GUEST.evidence(launch_tcb=raw_tcb("Milan", NEWER)), policy)


def test_refuses_a_product_without_a_minimum() -> None:
    policy = GUEST.policy(minimum_tcb={Product.GENOA: TcbVersion(**TCB)})
    assert refusal(policy=policy) == (Reason.TCB_REFUSED, 6)


def test_turins_tcb_is_compared_in_its_own_layout() -> None:
    guest = Guest(product="Turin")
    policy = guest.policy(minimum_tcb={Product.TURIN: TcbVersion(**guest.tcb)})
    assert appraised(guest.evidence(), policy)
    older = raw_tcb("Turin", guest.tcb | {"fmc": 0})
    assert refusal(guest.evidence(launch_tcb=older), policy) == (Reason.TCB_REFUSED, 6)


@pytest.mark.parametrize(
    ("bit", "reason", "entry"),
    [
        (19, Reason.DEBUG_MODE, "allow_debug"),
        (18, Reason.MIGRATION_ALLOWED, "allow_migration_agent"),
    ],
)
def test_a_guest_that_others_may_enter_is_allowed_by_name_alone(
    bit: int, reason: Reason, entry: str
) -> None:
    evidence = GUEST.evidence(policy=(0x30000 | 1 << bit).to_bytes(8, "little"))
    assert refusal(evidence) == (reason, 7)
    rules: dict[str, Any] = {"measurements": frozenset({MEASUREMENT}), "whole_image": True}
    result = appraised(evidence, GUEST.policy(**rules, **{entry: True}))
    assert result.debug is (bit == 19)
    assert not result.boot_pinned


def test_refuses_a_less_privileged_level() -> None:
    evidence = GUEST.evidence(vmpl=b"\x01\0\0\0")
    assert refusal(evidence) == (Reason.VMPL_REFUSED, 8)
    assert appraised(evidence, GUEST.policy(max_vmpl=1)).claims["vmpl"] == 1


@pytest.mark.parametrize(
    ("entry", "name", "step"),
    [
        ("measurements", "measurement", 9),
        ("host_data", "host_data", 10),
        ("id_key_digests", "id_key_digest", 11),
        ("author_key_digests", "author_key_digest", 11),
    ],
)
def test_refuses_another_value(entry: str, name: str, step: int) -> None:
    value = GUEST.fields()[name]
    policy = GUEST.policy(**{entry: frozenset({value, bytes(len(value))})})
    assert appraised(policy=policy).measurements[name] == value.hex()
    other = GUEST.evidence(**{name: value[:-1] + b"\x00"})
    assert refusal(other, policy) == (Reason.MEASUREMENT_MISMATCH, step)


def test_the_whole_image_is_the_operators_word() -> None:
    pinned = frozenset({MEASUREMENT})
    assert not appraised(policy=GUEST.policy(measurements=pinned)).boot_pinned
    assert appraised(policy=GUEST.policy(measurements=pinned, whole_image=True)).boot_pinned


def test_the_paths_of_a_chip_are_built_once() -> None:
    policy, evidence = GUEST.policy(), GUEST.evidence()
    assert policy.sev_snp is not None
    for _ in range(3):
        appraised(evidence, policy)
    assert len(policy.sev_snp.chains) == 1


def test_results_are_tied_to_what_was_signed() -> None:
    one, other = GUEST.evidence(), GUEST.evidence(report_data=b"\x01" * 64)
    assert appraised(one).attester == sev_snp.report_id(one.report)
    assert appraised(one).attester != appraised(other).attester
