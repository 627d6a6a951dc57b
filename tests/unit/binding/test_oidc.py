"""The key that a workload's token is for."""

from typing import Any

import pytest

from keystead.appraisal import oidc
from keystead.appraisal.result import AttestationResult
from keystead.binding.binding_hash import binding_hash
from keystead.binding.oidc import audience_for, bind_key
from keystead.codec import base64url
from keystead.errors import BindingRejected, Reason
from keystead.evidence.oidc import OidcEvidence
from keystead.model import EvidenceKind, Freshness, Protection
from tests.workload_tokens import (
    ENTRA,
    GITHUB,
    KEY,
    NONCE,
    NOW,
    OTHER_KEY,
    SERVICE,
    issuer_keys,
    oidc_evidence,
    oidc_policy,
    platform_claims,
    sign,
)


def appraised(
    profile: str = "github-actions", *, nonce: bytes | None = NONCE, **claims: Any
) -> tuple[OidcEvidence, AttestationResult]:
    evidence = oidc_evidence(sign(platform_claims(profile, **claims)))
    found = oidc.appraise(
        evidence,
        policy=oidc_policy(profile),
        nonce=nonce,
        now=NOW,
        keys={GITHUB: issuer_keys(), ENTRA: issuer_keys()},
    )
    return evidence, oidc.conclude(found)


def refusal(
    evidence: OidcEvidence, result: AttestationResult, **changes: Any
) -> tuple[Reason, int | None]:
    arguments: dict[str, Any] = {"key": KEY, "issuer": SERVICE, "nonce": NONCE} | changes
    with pytest.raises(BindingRejected) as refused:
        bind_key(evidence, result, **arguments)
    return refused.value.reason, refused.value.step


def test_audience_is_the_nonce_and_the_binding_hash() -> None:
    hashed = binding_hash(EvidenceKind.OIDC, issuer=SERVICE, nonce=NONCE, key=KEY)
    assert audience_for(KEY, issuer=SERVICE, nonce=NONCE) == (
        "keystead:" + base64url.encode(NONCE + hashed)
    )


def test_binds_the_key_that_the_audience_names_and_claims_nothing_of_it() -> None:
    evidence, result = appraised()
    certified = bind_key(evidence, result, key=KEY, issuer=SERVICE, nonce=NONCE)
    assert certified.jkt == KEY.thumbprint and certified.nonce == NONCE
    assert (certified.kind, certified.attester) == (EvidenceKind.OIDC, result.attester)
    assert certified.protection is Protection.NONE


def test_rejects_another_key_service_or_challenge() -> None:
    evidence, result = appraised()
    assert refusal(evidence, result, key=OTHER_KEY) == (Reason.KEY_MISMATCH, 11)
    assert refusal(evidence, result, issuer="https://b.example") == (Reason.KEY_MISMATCH, 11)
    assert refusal(evidence, result, nonce=b"\x4f" * 32) == (Reason.KEY_MISMATCH, 11)


def test_rejects_the_result_of_another_token() -> None:
    evidence, _ = appraised()
    _, result = appraised(run_id="99")
    assert refusal(evidence, result) == (Reason.EVIDENCE_MISMATCH, 10)


def test_saved_answer_binds_nothing() -> None:
    evidence, result = appraised(nonce=None)
    assert result.freshness is Freshness.BEARER
    assert refusal(evidence, result) == (Reason.NONCE_MISMATCH, 10)


def test_bearer_of_a_token_that_names_no_key_binds_their_own() -> None:
    evidence, result = appraised("azure")
    assert result.freshness is Freshness.BEARER
    certified = bind_key(evidence, result, key=OTHER_KEY, issuer=SERVICE, nonce=NONCE)
    assert certified.jkt == OTHER_KEY.thumbprint
    assert certified.protection is Protection.NONE
