from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keystead.appraisal import aws_nitro
from keystead.appraisal.chain_cache import ChainCache
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult, Tier, ear_claims, status, trustworthiness
from keystead.codec import cbor
from keystead.codec.nitro import DocumentType, parse_document
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.aws_nitro import NitroEvidence
from keystead.model import AnchorClass, EvidenceKind, Freshness
from tests.device_chains import DAY_S, LEAF, NOW, curve_key
from tests.nitro_builder import NONCE, PCRS, Enclave, sign1

ENCLAVE = Enclave()
OTHER_NONCE = b"\x4f" * 32
ZEROS = dict.fromkeys(range(16), bytes(48))


def result(
    evidence: NitroEvidence | None = None,
    *,
    policy: AppraisalPolicy | None = None,
    nonce: bytes | None = NONCE,
    now: int = NOW,
) -> AttestationResult:
    return aws_nitro.conclude(
        aws_nitro.appraise(
            evidence or ENCLAVE.evidence(),
            policy=policy or ENCLAVE.policy(),
            nonce=nonce,
            now=now,
        )
    )


def refusal(evidence: NitroEvidence | None = None, **named: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        result(evidence, **named)
    return refused.value.reason, refused.value.step


def test_affirms_what_the_document_shows() -> None:
    found = result(policy=ENCLAVE.policy(max_age_s=77))
    assert (found.kind, found.policy, found.max_age_s) == (EvidenceKind.AWS_NITRO, "test@3", 77)
    assert (found.anchor, found.anchor_class) == ("CN=maker", AnchorClass.TEE)
    assert (found.freshness, found.verified_at) == (Freshness.CHALLENGED, NOW)
    assert found.pcrs == {"sha384": {index: value.hex() for index, value in PCRS.items()}}
    assert found.claims["module_id"] == "i-0123456789abcdef0-enc0123456789abcdef"
    assert (found.claims["document"], found.claims["made_at"]) == ("enclave", NOW)
    assert (found.ek, found.clock, found.debug) == (None, None, False)


def test_says_so_in_an_ear() -> None:
    found = result(policy=ENCLAVE.policy(pcrs={0: frozenset({PCRS[0]})}))
    claims: Any = ear_claims(
        found, issuer="https://issuer.example", key=None, nonce=NONCE, now=NOW, expires_at=NOW + 9
    )
    submodule = claims["submods"]["aws-nitro"]
    assert submodule["ear.status"] == "affirming"
    assert submodule["ear.trustworthiness-vector"] == {"hardware": 2, "executables": 3}
    evidence = submodule["keystead.evidence"]
    assert evidence["pcrs"]["sha384"]["0"] == PCRS[0].hex()
    assert evidence["anchor_class"] == "tee" and "reset_count" not in evidence


def test_a_simulators_root_is_never_hardware() -> None:
    found = result(policy=ENCLAVE.policy(AnchorClass.EMULATED))
    assert not found.hardware
    assert status(trustworthiness(found)) is Tier.WARNING


def test_saved_evidence_is_a_bearers() -> None:
    assert result(nonce=None).freshness is Freshness.BEARER


def test_a_policy_without_the_kind_refuses_it() -> None:
    with pytest.raises(EvidenceRejected) as refused:
        result(policy=AppraisalPolicy(id="x", version=1))
    assert refused.value.reason is Reason.KIND_UNSUPPORTED


# --- step 1 -------------------------------------------------------------------------------------


def nitrotpm(**changes: Any) -> NitroEvidence:
    return ENCLAVE.evidence(pcrs=..., nitrotpm_pcrs={4: b"\x44" * 48, 7: b"\x77" * 48}, **changes)


NITROTPM: dict[str, Any] = {"document": DocumentType.NITROTPM, "pcrs": {4: None, 7: None}}


def test_step_1_an_instance_is_not_an_enclave_nor_the_reverse() -> None:
    assert refusal(nitrotpm()) == (Reason.EVIDENCE_TYPE, 1)
    rules = ENCLAVE.policy(**NITROTPM)
    assert refusal(policy=rules) == (Reason.EVIDENCE_TYPE, 1)
    found = result(nitrotpm(), policy=rules)
    assert (found.claims["document"], found.boot_pinned) == ("nitrotpm", False)


def test_step_1_an_instance_whose_pcr_0_is_zero_is_not_in_debug_mode() -> None:
    evidence = ENCLAVE.evidence(pcrs=..., nitrotpm_pcrs=ZEROS)
    assert not result(evidence, policy=ENCLAVE.policy(**NITROTPM)).debug


# --- step 2 -------------------------------------------------------------------------------------


def test_step_2_another_makers_document_is_refused() -> None:
    assert refusal(Enclave(maker="other").evidence()) == (Reason.CHAIN_UNTRUSTED, 2)


def test_step_2_the_bundle_starts_with_the_anchor() -> None:
    root, middle = ENCLAVE.chain.bundle
    for bundle in ([middle], [middle, root]):
        assert refusal(ENCLAVE.evidence(cabundle=bundle)) == (Reason.CHAIN_UNTRUSTED, 2)


def test_step_2_bytes_that_are_no_certificate_are_refused() -> None:
    for changes in ({"certificate": b"x"}, {"cabundle": [ENCLAVE.chain.root, b"x"]}):
        assert refusal(ENCLAVE.evidence(**changes)) == (Reason.CHAIN_UNTRUSTED, 2)


def test_step_2_the_leaf_is_valid_at_the_documents_time() -> None:
    for leaf in ({"not_before": NOW + 1}, {"not_after": NOW - 1}):
        told = refusal(Enclave(leaf=leaf).evidence())
        assert told == (Reason.CHAIN_UNTRUSTED, 2)
    for leaf in ({"not_before": NOW}, {"not_after": NOW}):
        assert result(Enclave(leaf=leaf).evidence()).verified_at == NOW


def test_step_2_and_has_not_ended_now() -> None:
    evidence = Enclave(leaf={"not_after": NOW + 10}).evidence()
    policy = ENCLAVE.policy()
    assert result(evidence, policy=policy, now=NOW + 10).verified_at == NOW + 10
    assert refusal(evidence, policy=policy, now=NOW + 11) == (Reason.CHAIN_UNTRUSTED, 2)


def test_step_2_a_leaf_that_is_not_for_signatures_is_refused() -> None:
    evidence = Enclave(leaf={"extensions": LEAF[:1]}).evidence()
    assert refusal(evidence) == (Reason.CHAIN_UNTRUSTED, 2)


# --- step 3 -------------------------------------------------------------------------------------


def signed(payload: bytes, **named: Any) -> NitroEvidence:
    document = parse_document(sign1(payload, **({"key": ENCLAVE.key} | named)))
    return NitroEvidence(nonce=None, key=None, document=document)


PAYLOAD = cbor.encode(ENCLAVE.members())


def test_step_3_another_key_or_algorithm_is_refused() -> None:
    assert result(signed(PAYLOAD)).verified_at == NOW
    assert refusal(signed(PAYLOAD, key=curve_key("other"))) == (Reason.EVIDENCE_SIGNATURE, 3)
    told = refusal(signed(PAYLOAD, protected=bytes.fromhex("a10126")))  # ES256
    assert told == (Reason.EVIDENCE_SIGNATURE, 3)


def test_step_3_the_key_is_on_p384() -> None:
    enclave = Enclave(key=curve_key("p256", ec.SECP256R1))
    assert refusal(enclave.evidence()) == (Reason.EVIDENCE_SIGNATURE, 3)


@pytest.mark.parametrize("signature", [bytes(96), b"\xff" * 96, b"\x00" * 95 + b"\x01"])
def test_step_3_numbers_that_are_no_signature_are_refused(signature: bytes) -> None:
    good = ENCLAVE.evidence()
    sign1_ = replace(good.document.sign1, signature=signature)
    evidence = replace(good, document=replace(good.document, sign1=sign1_))
    assert refusal(evidence) == (Reason.EVIDENCE_SIGNATURE, 3)


# --- steps 4 to 7 -------------------------------------------------------------------------------


def test_step_4_a_document_is_young_and_not_of_the_future() -> None:
    policy = ENCLAVE.policy(max_document_age_s=100)
    for now in (NOW - 60, NOW, NOW + 100):
        assert result(policy=policy, now=now).verified_at == now
    assert refusal(policy=policy, now=NOW - 61) == (Reason.EVIDENCE_IN_FUTURE, 4)
    assert refusal(policy=policy, now=NOW + 101) == (Reason.EVIDENCE_TOO_OLD, 4)
    assert refusal(policy=policy, now=NOW + DAY_S + 1) == (Reason.CHAIN_UNTRUSTED, 2)


def test_step_5_answers_this_challenge_and_the_envelopes() -> None:
    assert refusal(nonce=OTHER_NONCE) == (Reason.NONCE_MISMATCH, 5)
    for said in (None, b"", ..., NONCE + b"\x00", NONCE[:-1]):
        assert refusal(ENCLAVE.evidence(nonce=said)) == (Reason.NONCE_MISMATCH, 5)
    foreign = ENCLAVE.evidence(envelope_nonce=OTHER_NONCE)
    assert refusal(foreign, nonce=None) == (Reason.NONCE_MISMATCH, 5)
    assert refusal(foreign) == (Reason.NONCE_MISMATCH, 5)
    assert result(ENCLAVE.evidence(envelope_nonce=NONCE), nonce=None).pcrs


def test_step_6_debug_mode_is_refused_unless_allowed_by_name() -> None:
    evidence = ENCLAVE.evidence(pcrs=ZEROS)
    assert refusal(evidence) == (Reason.DEBUG_MODE, 6)
    pinned = {0: frozenset({bytes(48)})}
    found = result(evidence, policy=ENCLAVE.policy(allow_debug=True, pcrs=pinned))
    assert (found.debug, found.boot_pinned) == (True, False)
    assert trustworthiness(found) == {"hardware": 2, "configuration": 32}


def test_step_7_each_required_pcr_is_there_with_an_allowed_value() -> None:
    allowed = frozenset({PCRS[8], b"\x99" * 48})
    assert result(policy=ENCLAVE.policy(pcrs={0: None, 8: allowed})).verified_at == NOW
    wrong = ENCLAVE.policy(pcrs={0: None, 8: frozenset({PCRS[0]})})
    assert refusal(policy=wrong) == (Reason.PCR_VALUE_MISMATCH, 7)
    for absent in (None, frozenset({bytes(48)})):
        rules = ENCLAVE.policy(pcrs={0: None, 3: absent})
        assert refusal(policy=rules) == (Reason.PCR_SELECTION, 7)


def test_only_a_pinned_image_is_pinned() -> None:
    pinned = frozenset({PCRS[0]})
    assert result(policy=ENCLAVE.policy(pcrs={0: pinned})).boot_pinned
    assert not result(policy=ENCLAVE.policy(pcrs={0: None})).boot_pinned
    loose = ENCLAVE.policy(pcrs={0: None, 8: frozenset({PCRS[8]})})
    assert not result(policy=loose).boot_pinned


def test_a_remembered_chain_believes_no_other_signature() -> None:
    policy = ENCLAVE.policy()
    rules = policy.aws_nitro
    assert rules is not None and isinstance(rules.chains, ChainCache)
    assert result(policy=policy).verified_at == NOW
    told = refusal(signed(PAYLOAD, key=curve_key("other")), policy=policy)
    assert told == (Reason.EVIDENCE_SIGNATURE, 3)
    assert len(rules.chains) == 1
