"""Each step of the appraisal of an Azure Attestation token: kept, broken in one place, edges."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystead.appraisal import maa
from keystead.appraisal.maa import MaaAppraisal
from keystead.appraisal.result import Tier, status, trustworthiness
from keystead.appraisal.token_steps import LEEWAY_S
from keystead.appraisal.verifier import appraise_saved
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.evidence import maa as evidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.jose.jwk import JwkSet
from keystead.model import AnchorClass, EvidenceKind, Freshness
from tests.jose_keys import public_jwk
from tests.workload_tokens import (
    INSTANCE,
    MAA_RULES,
    NONCE,
    NOW,
    client_payload,
    issuer_keys,
    maa_claims,
    maa_evidence,
    maa_policy,
    maa_token,
    write_keys,
)

SAVED_KEY = public_jwk("RS256", "platform", kid="k1")
JWKS = issuer_keys().to_dict()


def appraise(token: str, **changes: Any) -> MaaAppraisal:
    arguments: dict[str, Any] = {
        "policy": maa_policy(),
        "nonce": NONCE,
        "now": NOW,
        "keys": {INSTANCE: issuer_keys()},
    } | changes
    sent, jwks = arguments.pop("sent", None), arguments.pop("jwks", None)
    return maa.appraise(maa_evidence(token, nonce=sent, jwks=jwks), **arguments)


def refusal(token: str, **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        appraise(token, **changes)
    return refused.value.reason, refused.value.step


def vm(**changes: Any) -> str:
    return maa_token(maa_claims(**changes))


def tee(**changes: Any) -> str:
    names = {f"x-ms-sevsnpvm-{name.replace('_', '-')}": value for name, value in changes.items()}
    return vm(tee=names)


def rules(*entries: str) -> Any:
    return maa_policy("\n".join((MAA_RULES, *entries)))


def test_good_token_is_affirmed_with_what_it_says() -> None:
    result = maa.conclude(appraise(vm()))
    assert (result.kind, result.policy) == (EvidenceKind.MAA, "test@3")
    assert (result.anchor, result.anchor_class, result.hardware) == (
        INSTANCE,
        AnchorClass.TEE,
        True,
    )
    assert result.freshness is Freshness.CHALLENGED and result.secure_boot is True
    assert (result.boot_pinned, result.debug) == (False, False)
    assert result.measurements["launch"] == "1a" * 48
    assert result.claims["versions"] == {"boot_loader": 4, "tee": 0, "snp": 24, "microcode": 219}
    assert status(trustworthiness(result)) is Tier.AFFIRMING


def test_instance_is_no_hardware_unless_it_is_declared() -> None:
    result = maa.conclude(appraise(vm(), policy=maa_policy(instance="")))
    assert (result.anchor_class, result.hardware) == (AnchorClass.EMULATED, False)


def test_bare_report_is_affirmed_where_the_policy_asks_for_one() -> None:
    policy = rules('attestation_type = "sevsnpvm"', "whole_image = true")
    result = maa.conclude(appraise(vm(vm=False), policy=policy))
    assert result.boot_pinned and result.secure_boot is None
    assert refusal(vm(), policy=policy) == (Reason.EVIDENCE_TYPE, 8)


def test_kind_without_a_policy_is_refused() -> None:
    with pytest.raises(EvidenceRejected) as refused:
        appraise(vm(), policy=replace(maa_policy(), maa=None))
    assert refused.value.reason is Reason.KIND_UNSUPPORTED


# --- 1 to 5: whose it is --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        vm(iss="https://evil.example"),
        vm(iss=INSTANCE + "/"),
        maa_token(jku="https://evil.example/certs"),
        maa_token(jku=f"{INSTANCE}/certs/"),
        maa_token(jku=...),
        maa_token(jku=["https://evil.example/certs"]),
    ],
)
def test_rejects_another_instance_or_another_place_of_keys(token: str) -> None:
    keys = {INSTANCE: issuer_keys(), "https://evil.example": issuer_keys()}
    assert refusal(token, keys=keys) == (Reason.ISSUER_MISMATCH, 1)


def test_the_policy_may_say_where_an_instance_has_its_keys() -> None:
    policy = maa_policy(instance='jku = "https://keys.example/certs"')
    assert refusal(vm(), policy=policy) == (Reason.ISSUER_MISMATCH, 1)
    assert appraise(maa_token(jku="https://keys.example/certs"), policy=policy).token.kid == "k1"


@pytest.mark.parametrize("algorithm", ["PS256", "ES256"])
def test_rejects_every_algorithm_but_one(algorithm: str) -> None:
    token = maa_token(algorithm=algorithm)
    found = refusal(token, keys={INSTANCE: issuer_keys(algorithm)})
    assert found == (Reason.ALGORITHM_NOT_ALLOWED, 2)


def test_rejects_another_type_of_token() -> None:
    assert refusal(maa_token(typ="at+jwt")) == (Reason.TYPE_MISMATCH, 2)


@pytest.mark.parametrize("keys", [{}, {"https://another.example": issuer_keys()}])
def test_rejects_a_key_that_the_instance_does_not_have(keys: Any) -> None:
    assert refusal(vm(), keys=keys) == (Reason.KEY_UNKNOWN, 3)
    assert refusal(maa_token(kid="k2")) == (Reason.KEY_UNKNOWN, 3)


def test_keys_in_the_envelope_count_where_the_policy_names_them() -> None:
    named = maa_policy(instance=f'saved_keys = ["{SAVED_KEY.thumbprint}"]')
    assert appraise(vm(), jwks=JWKS, policy=named, keys={}).token.kid == "k1"
    assert refusal(vm(), jwks=JWKS, keys={}) == (Reason.KEY_UNKNOWN, 3)
    # Not even where the key is a good one: the policy was not asked about saved keys.
    assert refusal(vm(), jwks=JWKS) == (Reason.KEY_UNKNOWN, 3)
    thief = JwkSet([public_jwk("RS256", "thief", kid="k1")]).to_dict()
    forged = maa_token(name="thief")
    assert refusal(forged, jwks=thief, policy=named) == (Reason.KEY_UNKNOWN, 3)


def test_rejects_keys_in_the_envelope_that_are_none() -> None:
    assert refusal(vm(), jwks={"keys": []}) == (Reason.KEY_UNKNOWN, 3)
    assert refusal(vm(), jwks={"keys": 1}) == (Reason.MALFORMED, 3)
    private = {"keys": [{**SAVED_KEY.to_dict(), "d": "AQ"}]}
    assert refusal(vm(), jwks=private) == (Reason.PRIVATE_KEY_MEMBER, 3)


def test_rejects_a_signature_of_another_key() -> None:
    assert refusal(maa_token(name="thief")) == (Reason.SIGNATURE_INVALID, 4)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOW + 28_800 + LEEWAY_S - 1, None),
        (NOW + 28_800 + LEEWAY_S, (Reason.EXPIRED, 5)),
        (NOW - LEEWAY_S, None),
        (NOW - LEEWAY_S - 1, (Reason.NOT_YET_VALID, 5)),
    ],
)
def test_holds_between_its_edges(now: int, expected: tuple[Reason, int] | None) -> None:
    policy = rules("max_token_age_s = 28800")
    if expected is None:
        assert appraise(vm(), now=now, policy=policy).verified_at == now
    else:
        assert refusal(vm(), now=now, policy=policy) == expected


@pytest.mark.parametrize("name", ["exp", "iat"])
def test_rejects_a_token_without_its_times(name: str) -> None:
    assert refusal(vm(**{name: ...})) == (Reason.CLAIM_MISSING, 5)


# --- 6 and 7: fresh -------------------------------------------------------------------------------


def test_rejects_a_token_that_is_older_than_the_policy_allows() -> None:
    assert appraise(vm(), now=NOW + 300 + LEEWAY_S).verified_at
    assert refusal(vm(), now=NOW + 301 + LEEWAY_S) == (Reason.EVIDENCE_TOO_OLD, 6)


@pytest.mark.parametrize("nonce", ["midnight", "", NONCE.hex(), "A" * 200])
def test_rejects_a_nonce_that_is_no_answer(nonce: str) -> None:
    runtime = client_payload(nonce) if nonce else {}
    token = vm(**{"x-ms-runtime": runtime})
    assert refusal(token) == (Reason.NONCE_MISMATCH, 7)
    assert appraise(token, nonce=None).freshness is Freshness.BEARER


def test_rejects_an_answer_to_another_challenge() -> None:
    assert refusal(vm(), nonce=b"\x4f" * 32) == (Reason.NONCE_MISMATCH, 7)
    assert refusal(vm(), nonce=None, sent=b"\x4f" * 32) == (Reason.NONCE_MISMATCH, 7)
    assert appraise(vm(), nonce=None, sent=NONCE).freshness is Freshness.BEARER


def test_rejects_a_token_without_a_runtime() -> None:
    assert refusal(vm(**{"x-ms-runtime": ...})) == (Reason.NONCE_MISMATCH, 7)


# --- 8 to 14: what it says ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token", [vm(vm=False), vm(tee={"x-ms-attestation-type": "tdxvm"})], ids=["bare", "tdx"]
)
def test_rejects_another_type(token: str) -> None:
    assert refusal(token) == (Reason.EVIDENCE_TYPE, 8)


@pytest.mark.parametrize(
    "token",
    [
        vm(**{"x-ms-policy-hash": "A" * 43}),
        vm(tee={"x-ms-compliance-status": "azure-compliant-uvm"}),
        vm(tee={"x-ms-compliance-status": ...}),
    ],
    ids=["policy", "compliance", "no compliance"],
)
def test_rejects_claims_that_the_policy_does_not_name(token: str) -> None:
    assert refusal(token) == (Reason.CLAIM_NOT_ALLOWED, 9)


def test_other_claims_are_compared_by_their_path() -> None:
    face = "00000000-0000-4000-8000-00000000FACE"
    good = (
        f'claims = {{ "x-ms-azurevm-vmid" = ["{face}"], secureboot = ["true"], '
        '"x-ms-isolation-tee/x-ms-sevsnpvm-vmpl" = ["0"], jti = "any" }'
    )
    assert appraise(vm(), policy=rules(good)).token.jti
    assert refusal(vm(jti=...), policy=rules(good)) == (Reason.CLAIM_NOT_ALLOWED, 9)
    for wrong in (
        '{ "x-ms-azurevm-vmid" = ["another"] }',
        '{ "x-ms-isolation-tee/absent" = "any" }',
        '{ "jti/deeper" = "any" }',
    ):
        found = refusal(vm(), policy=rules(f"claims = {wrong}"))
        assert found == (Reason.CLAIM_NOT_ALLOWED, 9)


@pytest.mark.parametrize(
    "token",
    [
        tee(is_debuggable=True),
        vm(**{"x-ms-azurevm-bootdebug-enabled": True}),
        vm(**{"x-ms-azurevm-kerneldebug-enabled": True}),
        vm(**{"x-ms-azurevm-hypervisordebug-enabled": True}),
        vm(**{"x-ms-azurevm-testsigning-enabled": True}),
    ],
    ids=["guest", "boot", "kernel", "hypervisor", "test signing"],
)
def test_debug_mode_is_refused_and_allowed_by_name_alone(token: str) -> None:
    assert refusal(token) == (Reason.DEBUG_MODE, 10)
    result = maa.conclude(appraise(token, policy=rules("allow_debug = true")))
    assert result.debug and status(trustworthiness(result)) is Tier.WARNING


def test_debug_mode_leaves_no_image_pinned() -> None:
    policy = rules('attestation_type = "sevsnpvm"', "whole_image = true", "allow_debug = true")
    token = vm(vm=False, tee={"x-ms-sevsnpvm-is-debuggable": True})
    assert not maa.conclude(appraise(token, policy=policy)).boot_pinned


def test_migration_is_refused_and_allowed_by_name_alone() -> None:
    token = tee(migration_allowed=True)
    assert refusal(token) == (Reason.MIGRATION_ALLOWED, 10)
    assert appraise(token, policy=rules("allow_migration_agent = true")).token


@pytest.mark.parametrize(("vmpl", "most", "good"), [(0, 0, True), (1, 0, False), (2, 2, True)])
def test_level_is_at_most_the_policys(vmpl: int, most: int, good: bool) -> None:
    policy = rules(f"max_vmpl = {most}")
    if good:
        assert appraise(tee(vmpl=vmpl), policy=policy).snp.vmpl == vmpl
    else:
        assert refusal(tee(vmpl=vmpl), policy=policy) == (Reason.VMPL_REFUSED, 11)


@pytest.mark.parametrize("part", [{"bootloader_svn": 3}, {"snpfw_svn": 23}, {"microcode_svn": 218}])
def test_rejects_firmware_that_is_too_old_in_one_part(part: dict[str, int]) -> None:
    assert refusal(tee(**part)) == (Reason.TCB_REFUSED, 12)
    newer = {name: value + 2 for name, value in part.items()}
    assert appraise(tee(**newer)).token


def test_tee_version_counts_too() -> None:
    policy = maa_policy(MAA_RULES.replace("tee = 0", "tee = 1"))
    assert refusal(vm(), policy=policy) == (Reason.TCB_REFUSED, 12)


@pytest.mark.parametrize("name", ["launchmeasurement", "hostdata", "idkeydigest"])
def test_rejects_a_measured_value_that_the_policy_does_not_name(name: str) -> None:
    policy = rules(f'host_data = ["{"1d" * 32}"]', f'id_key_digests = ["{"1c" * 48}"]')
    assert appraise(vm(), policy=policy).token
    size = 32 if name == "hostdata" else 48
    assert refusal(tee(**{name: "ee" * size}), policy=policy) == (Reason.MEASUREMENT_MISMATCH, 13)


@pytest.mark.parametrize("value", [False, ...])
def test_secure_boot_is_asked_for_unless_the_policy_does_without(value: Any) -> None:
    token = vm(secureboot=value)
    assert refusal(token) == (Reason.CLAIM_NOT_ALLOWED, 14)
    assert appraise(token, policy=rules("require_secure_boot = false")).token


# --- saved evidence -------------------------------------------------------------------------------


def test_saved_evidence_is_looked_at_with_the_keys_of_a_file(tmp_path: Path) -> None:
    write_keys(tmp_path)
    envelope = encode_envelope(kind=EvidenceKind.MAA, evidence=evidence.encode(token=vm()))
    policy = maa_policy(keys='jwks_file = "jwks.json"', folder=tmp_path)
    result = appraise_saved(parse_envelope(envelope), policy=policy, now=NOW)
    assert result.freshness is Freshness.BEARER
    with pytest.raises(EvidenceRejected):
        appraise_saved(parse_envelope(envelope), policy=maa_policy(), now=NOW)


def test_token_that_was_cut_off_is_malformed() -> None:
    token = vm()
    for end in range(len(token)):
        with pytest.raises(Malformed):
            maa_evidence(token[:end])
