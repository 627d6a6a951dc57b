from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keystead.appraisal import app_attest
from keystead.appraisal.app_attest_policy import Environment
from keystead.appraisal.chain_cache import ChainCache
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import ear_claims
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.app_attest import AppAttestEvidence
from keystead.model import AnchorClass, EvidenceKind, Freshness
from tests.app_attest_builder import APP_ID, CLIENT_DATA, Device, nonce_extension
from tests.device_chains import DAY_S, LEAF, NOW, chain, curve_key

DEVICE = Device()
OTHER = Device(curve_key("other device", ec.SECP256R1))
NONCE = CLIENT_DATA[:32]


def appraised(
    evidence: AppAttestEvidence | None = None, **changes: Any
) -> app_attest.AppAttestAppraisal:
    arguments: dict[str, Any] = {"policy": DEVICE.policy(), "nonce": NONCE, "now": NOW} | changes
    return app_attest.appraise(evidence or DEVICE.evidence(), **arguments)


def refusal(evidence: AppAttestEvidence | None = None, **named: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        appraised(evidence, **named)
    return refused.value.reason, refused.value.step


def test_appraises_a_devices_key() -> None:
    found = appraised()
    assert (found.app_id, found.environment) == (APP_ID, Environment.PRODUCTION)
    assert (found.key, found.key_id) == (DEVICE.jwk, DEVICE.key_id)
    assert (found.receipt, found.freshness) == (b"receipt", Freshness.CHALLENGED)


def test_affirms_which_app_asked_and_that_it_was_a_device() -> None:
    result = app_attest.conclude(appraised())
    assert (result.kind, result.policy) == (EvidenceKind.APP_ATTEST, "test@3")
    assert (result.anchor_class, result.hardware) == (AnchorClass.TEE, True)
    assert result.claims == {
        "app_id": APP_ID,
        "environment": "production",
        "key_id": DEVICE.key_id.hex(),
    }
    claims: Any = ear_claims(
        result, issuer="https://issuer.example", key=None, nonce=NONCE, now=NOW, expires_at=NOW + 9
    )
    submodule = claims["submods"]["app-attest"]
    assert submodule["ear.trustworthiness-vector"] == {"hardware": 2}
    assert submodule["keystead.evidence"]["app_id"] == APP_ID


def test_a_development_key_is_a_warning_at_best() -> None:
    device = Device(environment=Environment.DEVELOPMENT)
    result = app_attest.conclude(appraised(device.evidence(), policy=device.policy()))
    assert (result.debug, result.claims["environment"]) == (True, "development")


def test_saved_evidence_is_a_bearers() -> None:
    assert appraised(nonce=None).freshness is Freshness.BEARER


def test_a_policy_without_the_kind_refuses_it() -> None:
    with pytest.raises(EvidenceRejected) as refused:
        appraised(policy=AppraisalPolicy(id="x", version=1))
    assert refused.value.reason is Reason.KIND_UNSUPPORTED


def attested(**changes: Any) -> AppAttestEvidence:
    good = DEVICE.evidence()
    return replace(good, attestation=replace(good.attestation, **changes))


def test_step_1_other_formats_have_the_same_shape() -> None:
    for name in ("packed", "apple", "none", "APPLE-APPATTEST"):
        assert refusal(attested(format=name)) == (Reason.EVIDENCE_TYPE, 1)


def test_step_2_another_makers_chain_is_refused() -> None:
    other = ChainCache(chain(DEVICE.key, maker="other").anchors())
    foreign = DEVICE.policy(chains=other)
    assert refusal(policy=foreign) == (Reason.CHAIN_UNTRUSTED, 2)
    x5c = DEVICE.evidence().attestation.x5c
    assert refusal(attested(x5c=x5c[:1])) == (Reason.CHAIN_UNTRUSTED, 2)
    assert refusal(attested(x5c=x5c[1:])) == (Reason.CHAIN_UNTRUSTED, 2)
    assert refusal(attested(x5c=(b"x",))) == (Reason.CHAIN_UNTRUSTED, 2)


def test_step_2_certificates_end() -> None:
    for now in (NOW - DAY_S, NOW + DAY_S):
        assert appraised(now=now).verified_at == now
    for now in (NOW - DAY_S - 1, NOW + DAY_S + 1):
        assert refusal(now=now) == (Reason.CHAIN_UNTRUSTED, 2)


def test_step_3_the_certificate_is_over_these_data() -> None:
    other = replace(DEVICE.evidence(), client_data=CLIENT_DATA + b"\x00")
    assert refusal(other) == (Reason.NONCE_MISMATCH, 3)
    for data in (b"", CLIENT_DATA[:-1], bytes(64)):
        told = refusal(replace(DEVICE.evidence(), client_data=data))
        assert told == (Reason.NONCE_MISMATCH, 3)


@pytest.mark.parametrize(
    "extensions",
    [LEAF, (*LEAF, nonce_extension(bytes(32))), (*LEAF, nonce_extension(bytes(31)))],
    ids=["none", "of other data", "of another shape"],
)
def test_step_3_a_certificate_without_the_nonce_is_refused(extensions: Any) -> None:
    evidence = DEVICE.evidence(leaf={"extensions": extensions})
    assert refusal(evidence) == (Reason.NONCE_MISMATCH, 3)


@pytest.mark.parametrize(
    "changes",
    [{"point": OTHER.point}, {"credential_id": OTHER.key_id}, {"credential_id": b""}],
    ids=["point", "id", "no id"],
)
def test_step_4_the_credential_is_the_certified_key(changes: dict[str, Any]) -> None:
    assert refusal(DEVICE.evidence(**changes)) == (Reason.KEY_MISMATCH, 4)


def test_step_4_key_id_is_the_certified_keys() -> None:
    evidence = replace(DEVICE.evidence(), key_id=OTHER.key_id)
    assert refusal(evidence) == (Reason.KEY_MISMATCH, 4)


def test_step_5_the_app_is_one_of_the_policys() -> None:
    evidence = DEVICE.evidence(app_id="TEAM123456.com.example.other")
    assert refusal(evidence) == (Reason.APP_MISMATCH, 5)


def test_step_6_no_assertion_came_before() -> None:
    assert refusal(DEVICE.evidence(counter=1)) == (Reason.COUNTER_NOT_RISING, 6)


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        (Environment.PRODUCTION, Environment.DEVELOPMENT),
        (Environment.DEVELOPMENT, Environment.PRODUCTION),
    ],
)
def test_step_7_production_and_development_are_told_apart(
    asked: Environment, made: Environment
) -> None:
    policy = DEVICE.policy(environment=asked)
    told = refusal(Device(environment=made).evidence(), policy=policy)
    assert told == (Reason.ENVIRONMENT_MISMATCH, 7)
    assert appraised(Device(environment=asked).evidence(), policy=policy).environment is asked


def test_step_7_no_other_authenticator_is_either() -> None:
    assert refusal(DEVICE.evidence(aaguid=bytes(16))) == (Reason.ENVIRONMENT_MISMATCH, 7)


def test_step_8_answers_this_challenge_and_the_envelopes() -> None:
    assert refusal(nonce=bytes(32)) == (Reason.NONCE_MISMATCH, 8)
    foreign = DEVICE.evidence(envelope_nonce=bytes(32))
    assert refusal(foreign, nonce=None) == (Reason.NONCE_MISMATCH, 8)
    assert refusal(DEVICE.evidence(client_data=b"short")) == (Reason.NONCE_MISMATCH, 8)
    assert appraised(DEVICE.evidence(envelope_nonce=NONCE), nonce=None).app_id == APP_ID
