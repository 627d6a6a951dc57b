"""Each step of the key's certification; what is truncated is Malformed while parsing."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from keystead.appraisal import tpm2 as appraisal
from keystead.binding.certified_key import CertifiedKey
from keystead.binding.tpm2 import certify_key
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    ObjectAttributes,
    PcrSelection,
    policy_pcr_digest,
    signing_key_template,
)
from keystead.errors import BindingRejected, Reason
from keystead.evidence.tpm2 import Tpm2Evidence
from keystead.model import Protection
from tests.evidence_builder import (
    NONCE,
    NOW,
    OTHER_NONCE,
    PCRS,
    SHA256,
    Host,
    appraisal_policy,
    area,
    private_key,
    with_attributes,
)

HOST = Host.make()
OTHER = Host.make(name="other")
KEY_POLICY = PcrSelection.of({SHA256: [7]})


def certified(
    evidence: Tpm2Evidence,
    *,
    host: Host = HOST,
    nonce: bytes = NONCE,
    key: Any = None,
    policy: Mapping[str, Any] | None = None,
) -> CertifiedKey:
    rules = appraisal_policy(**(policy or {}))
    found = appraisal.appraise(host.evidence(), policy=rules, nonce=NONCE, now=NOW)
    return certify_key(evidence, found, key=key or host.jwk, policy=rules, nonce=nonce)


def refusal(evidence: Tpm2Evidence, **arguments: Any) -> tuple[Reason, int | None]:
    with pytest.raises(BindingRejected) as refused:
        certified(evidence, **arguments)
    return refused.value.reason, refused.value.step


def test_certifies_a_key_of_the_appraised_tpm() -> None:
    found = certified(HOST.evidence())
    assert found.jkt == HOST.jwk.thumbprint
    assert found.protection is Protection.NON_EXPORTABLE
    assert (found.attester, found.nonce, found.policy_pcr) == (HOST.ak.name, NONCE, False)


@pytest.mark.parametrize("name", ["certify", "key_public"])
def test_step_16_rejects_a_missing_member(name: str) -> None:
    missing: dict[str, Any] = {name: None}
    evidence = replace(HOST.evidence(), **missing)
    assert refusal(evidence) == (Reason.EVIDENCE_MEMBER_MISSING, 16)


def test_step_17_rejects_a_certification_by_another_ak() -> None:
    evidence = HOST.evidence(certify=HOST.certify(by=OTHER.ak_key))
    assert refusal(evidence) == (Reason.CERTIFY_SIGNATURE, 17)


def test_step_17_rejects_a_foreign_certification_with_its_own_ak_in_the_evidence() -> None:
    """The appraised AK counts, whatever AK the evidence at hand names."""
    assert refusal(OTHER.evidence(), key=OTHER.jwk) == (Reason.CERTIFY_SIGNATURE, 17)


def test_step_18_rejects_a_quote_in_the_certifications_place() -> None:
    assert refusal(HOST.evidence(certify=HOST.quote())) == (Reason.CERTIFY_TYPE, 18)


@pytest.mark.parametrize("nonce", [OTHER_NONCE, b"", NONCE[:-1], NONCE + b"\0"])
def test_step_19_rejects_a_certification_made_for_another_nonce(nonce: bytes) -> None:
    evidence = HOST.evidence(certify=HOST.certify(nonce=nonce))
    assert refusal(evidence) == (Reason.NONCE_MISMATCH, 19)


def test_step_20_rejects_the_certification_of_another_object() -> None:
    evidence = HOST.evidence(certify=HOST.certify(of=OTHER.key_area))
    assert refusal(evidence) == (Reason.CERTIFY_NAME_MISMATCH, 20)


def test_step_20_rejects_attributes_that_were_not_certified() -> None:
    better = with_attributes(HOST.key_area, drop=ObjectAttributes.NO_DA)
    evidence = HOST.evidence(key_public=better.sized)
    assert refusal(evidence) == (Reason.CERTIFY_NAME_MISMATCH, 20)


def test_step_20_rejects_a_name_made_by_sha1() -> None:
    template = signing_key_template("ES256", restricted=False)
    weak = area(template, HOST.key, name_algorithm=HashAlgorithm.SHA1)
    evidence = HOST.evidence(key_public=weak.sized, certify=HOST.certify(of=weak))
    assert refusal(evidence) == (Reason.CERTIFY_NAME_MISMATCH, 20)


@pytest.mark.parametrize(
    ("add", "drop"),
    [
        (0, ObjectAttributes.FIXED_TPM),
        (0, ObjectAttributes.FIXED_PARENT),
        (0, ObjectAttributes.SENSITIVE_DATA_ORIGIN),
        (0, ObjectAttributes.SIGN),
        (ObjectAttributes.DECRYPT, 0),
        (ObjectAttributes.RESTRICTED, 0),
    ],
)
def test_step_21_rejects_a_key_that_can_leave_or_was_brought(add: int, drop: int) -> None:
    key = with_attributes(HOST.key_area, add=add, drop=drop)
    evidence = HOST.evidence(key_public=key.sized, certify=HOST.certify(of=key))
    assert refusal(evidence) == (Reason.KEY_ATTRIBUTES, 21)


def test_step_22_rejects_another_key_than_the_certified_one() -> None:
    assert refusal(HOST.evidence(), key=OTHER.jwk) == (Reason.KEY_MISMATCH, 22)


# --- step 23 --------------------------------------------------------------------------------------


def guarded(values: Any = PCRS, **changes: Any) -> Host:
    digest = policy_pcr_digest(KEY_POLICY, values, algorithm=SHA256)
    host = Host.make(policy=digest)
    key = with_attributes(host.key_area, **changes)
    return replace(host, key_area=key)


ASKED = {"require_key_policy": KEY_POLICY}


@pytest.mark.parametrize("add", [0, ObjectAttributes.ADMIN_WITH_POLICY])
def test_step_23_accepts_a_key_under_the_quoted_pcrs(add: int) -> None:
    host = guarded(add=add)
    assert certified(host.evidence(), host=host, policy=ASKED).policy_pcr


def test_step_23_rejects_a_key_without_a_policy() -> None:
    assert refusal(HOST.evidence(), policy=ASKED) == (Reason.KEY_POLICY_REQUIRED, 23)


def test_step_23_rejects_a_password_beside_the_policy() -> None:
    host = guarded(add=ObjectAttributes.USER_WITH_AUTH)
    assert refusal(host.evidence(), host=host, policy=ASKED) == (Reason.KEY_POLICY_REQUIRED, 23)


def test_step_23_rejects_a_policy_over_other_values_or_other_pcrs() -> None:
    host = guarded({SHA256: {7: bytes(32)}})
    assert refusal(host.evidence(), host=host, policy=ASKED) == (Reason.KEY_POLICY_REQUIRED, 23)
    host = guarded()
    asked = {"require_key_policy": PcrSelection.of({SHA256: [0]})}
    assert refusal(host.evidence(), host=host, policy=asked) == (Reason.KEY_POLICY_REQUIRED, 23)


def test_a_policy_that_nobody_asked_for_is_not_vouched_for() -> None:
    host = guarded()
    assert not certified(host.evidence(), host=host).policy_pcr


def test_nobody_makes_a_certified_key_without_the_steps() -> None:
    good = certified(HOST.evidence())
    with pytest.raises((TypeError, ValueError)):
        replace(good, nonce=OTHER_NONCE)
    with pytest.raises(TypeError):
        CertifiedKey(
            key=HOST.jwk,
            kind=good.kind,
            attester=b"",
            nonce=NONCE,
            protection=good.protection,
            seal=None,
        )


def test_a_certified_key_by_rsa_is_fine_too() -> None:
    host = Host.make("rsa2048", "rsa2048", name="rsa")
    key = private_key("rsa2048", "workload")
    made = area(signing_key_template("RS256", restricted=False), key)
    host = replace(host, key=key, key_area=made)
    assert certified(host.evidence(), host=host).key.kty == "RSA"
