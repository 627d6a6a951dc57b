"""Each step of the appraisal of a workload's token: kept, broken in one place, at its edges."""

from pathlib import Path
from typing import Any

import pytest

from keystead.appraisal import oidc
from keystead.appraisal.oidc import OidcAppraisal
from keystead.appraisal.oidc_policy import MAX_TOKEN_AGE_S
from keystead.appraisal.result import Tier, ear_claims, status, trustworthiness
from keystead.appraisal.token_steps import LEEWAY_S
from keystead.appraisal.verifier import appraise_saved
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.evidence import oidc as evidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.jose.jwk import JwkSet
from keystead.model import AnchorClass, EvidenceKind, Freshness
from tests.jose_keys import public_jwk
from tests.workload_tokens import (
    ANSWER,
    GITHUB,
    ISSUERS,
    NONCE,
    NOW,
    issuer_keys,
    oidc_evidence,
    oidc_policy,
    platform_claims,
    sign,
    write_keys,
)

BEARER = 'freshness = "bearer"\naudiences = ["keystead", "keystead-2"]'


def appraise(token: str, **changes: Any) -> OidcAppraisal:
    arguments: dict[str, Any] = {
        "policy": oidc_policy(),
        "nonce": NONCE,
        "now": NOW,
        "keys": dict.fromkeys(ISSUERS.values(), issuer_keys()),
    } | changes
    sent = arguments.pop("sent", None)
    return oidc.appraise(oidc_evidence(token, nonce=sent), **arguments)


def refusal(token: str, **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        appraise(token, **changes)
    return refused.value.reason, refused.value.step


def github(**changes: Any) -> str:
    return sign(platform_claims(**changes))


def bearer(**changes: Any) -> str:
    return github(**{"aud": "keystead"} | changes)


def test_good_token_is_affirmed_with_what_it_proves_and_no_more() -> None:
    result = oidc.conclude(appraise(github()))
    assert result.kind is EvidenceKind.OIDC and result.policy == "test@3"
    assert (result.anchor, result.anchor_class) == (GITHUB, AnchorClass.IDENTITY_PROVIDER)
    assert (result.hardware, result.boot_pinned, result.debug) == (False, False, False)
    assert (result.freshness, result.verified_at) == (Freshness.CHALLENGED, NOW)
    assert status(trustworthiness(result)) is Tier.WARNING
    ear: Any = ear_claims(
        result, issuer="https://a.example", key=None, nonce=None, now=NOW, expires_at=NOW + 1
    )
    told = ear["submods"]["oidc"]["keystead.evidence"]
    assert told["profile"] == "github-actions" and told["claims"]["repository_id"] == "74"
    assert "actor" not in told["claims"]


@pytest.mark.parametrize("profile", ISSUERS)
def test_every_platform_has_tokens_that_are_affirmed(profile: str) -> None:
    found = appraise(sign(platform_claims(profile)), policy=oidc_policy(profile))
    assert found.profile == profile and found.token.issuer == ISSUERS[profile]
    expected = Freshness.BEARER if profile == "azure" else Freshness.CHALLENGED
    assert found.freshness is expected


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "PS256"])
def test_the_allowed_algorithms_verify(algorithm: str) -> None:
    token = sign(platform_claims(), algorithm=algorithm)
    assert appraise(token, keys={GITHUB: issuer_keys(algorithm)}).profile == "github-actions"


def test_kind_without_a_policy_is_refused() -> None:
    with pytest.raises(EvidenceRejected) as refused:
        oidc.appraise(
            oidc_evidence(github()), policy=_without_oidc(), nonce=NONCE, now=NOW, keys={}
        )
    assert refused.value.reason is Reason.KIND_UNSUPPORTED


def _without_oidc() -> Any:
    from dataclasses import replace

    return replace(oidc_policy(), oidc=None)


# --- 1 to 5: whose it is --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "iss", ["https://evil.example", GITHUB + "/", GITHUB.upper(), GITHUB + ".evil.example"]
)
def test_rejects_a_token_of_an_issuer_that_the_policy_does_not_name(iss: str) -> None:
    keys = {iss: issuer_keys(), GITHUB: issuer_keys()}
    assert refusal(github(iss=iss), keys=keys) == (Reason.ISSUER_MISMATCH, 1)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"typ": "at+jwt"}, Reason.TYPE_MISMATCH),
        ({"typ": "keystead-key-proof+jwt"}, Reason.TYPE_MISMATCH),
        ({"alg": "none"}, Reason.ALGORITHM_NOT_ALLOWED),
        ({"alg": "HS256"}, Reason.ALGORITHM_NOT_ALLOWED),
        ({"alg": "ES384"}, Reason.ALGORITHM_NOT_ALLOWED),
        ({"alg": "EdDSA"}, Reason.ALGORITHM_NOT_ALLOWED),
    ],
)
def test_rejects_another_type_or_algorithm(header: dict[str, str], reason: Reason) -> None:
    assert refusal(sign(platform_claims(), **header)) == (reason, 2)


def test_rejects_an_algorithm_that_the_policy_does_not_allow_for_this_issuer() -> None:
    policy = oidc_policy(entries='algorithms = ["ES256"]')
    assert refusal(github(), policy=policy) == (Reason.ALGORITHM_NOT_ALLOWED, 2)


def test_header_without_type_is_a_jwt() -> None:
    assert appraise(sign(platform_claims(), typ=...)).profile == "github-actions"


@pytest.mark.parametrize(
    ("header", "keys"),
    [
        ({"kid": "k2"}, {GITHUB: issuer_keys()}),
        ({}, {}),
        ({}, {"https://another.example": issuer_keys()}),
        ({}, {GITHUB: JwkSet([])}),
        (
            {"kid": ...},
            {GITHUB: JwkSet([*issuer_keys(), *issuer_keys(kid="k2", algorithm="ES256")])},
        ),
    ],
    ids=["another kid", "no keys", "another issuer's keys", "empty set", "no kid, two keys"],
)
def test_rejects_a_key_that_the_issuer_does_not_have(header: Any, keys: Any) -> None:
    assert refusal(sign(platform_claims(), **header), keys=keys) == (Reason.KEY_UNKNOWN, 3)


def test_only_key_needs_no_kid() -> None:
    assert appraise(sign(platform_claims(), kid=...)).claims["repository_id"] == "74"


def test_keys_that_the_token_brings_or_names_are_never_used() -> None:
    jwk = public_jwk("RS256", "thief", kid="k1").to_dict()
    token = sign(platform_claims(), name="thief", jwk=jwk, jku="https://evil.example/jwks")
    assert refusal(token) == (Reason.SIGNATURE_INVALID, 4)


def test_rejects_a_signature_of_another_key() -> None:
    assert refusal(sign(platform_claims(), name="thief")) == (Reason.SIGNATURE_INVALID, 4)


def test_rejects_a_key_of_another_type() -> None:
    keys = {GITHUB: issuer_keys("ES256")}
    assert refusal(github(), keys=keys) == (Reason.KEY_UNSUITABLE, 4)


def test_rejects_a_key_that_is_for_another_algorithm() -> None:
    keys = {GITHUB: JwkSet([public_jwk("RS256", "platform", kid="k1", alg="PS256")])}
    assert refusal(github(), keys=keys) == (Reason.KEY_UNSUITABLE, 4)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOW + 300 + LEEWAY_S - 1, None),
        (NOW + 300 + LEEWAY_S, (Reason.EXPIRED, 5)),
        (NOW - LEEWAY_S, None),
        (NOW - LEEWAY_S - 1, (Reason.NOT_YET_VALID, 5)),
    ],
)
def test_holds_between_its_edges(now: int, expected: tuple[Reason, int] | None) -> None:
    if expected is None:
        assert appraise(github(), now=now).verified_at == now
    else:
        assert refusal(github(), now=now) == expected


def test_not_before_counts_by_itself() -> None:
    assert refusal(github(nbf=NOW + LEEWAY_S + 1)) == (Reason.NOT_YET_VALID, 5)


@pytest.mark.parametrize("name", ["exp", "iat"])
def test_rejects_a_token_without_its_times(name: str) -> None:
    assert refusal(github(**{name: ...})) == (Reason.CLAIM_MISSING, 5)


# --- 6 and 7: for whom, and when ------------------------------------------------------------------


def test_rejects_a_token_without_an_audience() -> None:
    assert refusal(github(aud=...)) == (Reason.CLAIM_MISSING, 6)


@pytest.mark.parametrize(
    "aud",
    [
        "keystead",
        "sts.amazonaws.com",
        ANSWER[:-1],
        ANSWER + "AA",
        ANSWER.replace("keystead:", "KEYSTEAD:"),
        [ANSWER, "https://another.example"],
        [ANSWER, ANSWER],
    ],
)
def test_rejects_an_audience_that_is_no_answer(aud: Any) -> None:
    assert refusal(github(aud=aud)) == (Reason.AUDIENCE_MISMATCH, 6)
    assert refusal(github(aud=aud), nonce=None) == (Reason.AUDIENCE_MISMATCH, 6)


def test_one_audience_may_stand_in_a_list() -> None:
    assert appraise(github(aud=[ANSWER])).freshness is Freshness.CHALLENGED


def test_rejects_an_answer_to_another_challenge() -> None:
    assert refusal(github(), nonce=b"\x4f" * 32) == (Reason.NONCE_MISMATCH, 6)
    assert refusal(github(), nonce=None, sent=b"\x4f" * 32) == (Reason.NONCE_MISMATCH, 6)


def test_saved_token_is_of_its_bearer() -> None:
    found = appraise(github(), nonce=None, sent=NONCE)
    assert found.freshness is Freshness.BEARER


def test_token_that_answers_no_challenge_is_of_its_bearer_and_used_once() -> None:
    policy = oidc_policy(entries=BEARER)
    found = appraise(bearer(jti="t-1"), policy=policy)
    assert found.freshness is Freshness.BEARER
    token, named = found.single_use
    assert {token.space, named.space} == {"oidc"} and token.key != named.key
    assert token.until == named.until > NOW + MAX_TOKEN_AGE_S + LEEWAY_S
    assert appraise(github()).single_use == ()


def test_used_token_is_known_by_what_was_signed_under_any_policy() -> None:
    first = appraise(bearer(), policy=oidc_policy(entries=BEARER)).single_use
    # PSS and ECDSA signatures differ each time, over one and the same token.
    again = appraise(
        bearer(), policy=oidc_policy(entries=f"{BEARER}\nmax_token_age_s = 60"), now=NOW + 9
    ).single_use
    resigned = [
        appraise(
            sign(platform_claims(aud="keystead"), algorithm="ES256"),
            policy=oidc_policy(entries=BEARER),
            keys={GITHUB: issuer_keys("ES256")},
        ).single_use
        for _ in range(2)
    ]
    assert first == again and resigned[0] == resigned[1]
    assert len(first) == 1 and first != resigned[0]


def test_second_token_with_one_jti_is_known_by_it() -> None:
    policy = oidc_policy(entries=BEARER)
    one = appraise(bearer(jti="t-1"), policy=policy).single_use
    two = appraise(bearer(jti="t-1", iat=NOW - 1), policy=policy).single_use
    other = appraise(bearer(jti="t-2"), policy=policy).single_use
    assert one[0].key != two[0].key and one[1].key == two[1].key != other[1].key


@pytest.mark.parametrize(
    "aud", ["another", ["keystead", "another"], "keystead ", "KEYSTEAD", ANSWER]
)
def test_rejects_an_audience_that_the_policy_does_not_name(aud: Any) -> None:
    policy = oidc_policy(entries=BEARER)
    assert refusal(bearer(aud=aud), policy=policy) == (Reason.AUDIENCE_MISMATCH, 6)


def test_all_audiences_may_be_ones_that_the_policy_names() -> None:
    token = bearer(aud=["keystead", "keystead-2"])
    assert appraise(token, policy=oidc_policy(entries=BEARER)).freshness is Freshness.BEARER


@pytest.mark.parametrize(
    ("entries", "age", "good"),
    [
        ("", 300 + LEEWAY_S, True),
        ("", 301 + LEEWAY_S, False),
        ("max_token_age_s = 60", 60 + LEEWAY_S, True),
        ("max_token_age_s = 60", 61 + LEEWAY_S, False),
        ("dated_back_s = 300", 600 + LEEWAY_S, True),
        ("dated_back_s = 300", 601 + LEEWAY_S, False),
    ],
)
def test_bearer_token_has_to_be_young(entries: str, age: int, good: bool) -> None:
    policy = oidc_policy(entries=f"{BEARER}\n{entries}")
    token = bearer(iat=NOW - age, nbf=NOW - age, exp=NOW + 3_600)
    if good:
        found = appraise(token, policy=policy)
        assert all(use.until > NOW for use in found.single_use)
    else:
        assert refusal(token, policy=policy) == (Reason.EVIDENCE_TOO_OLD, 7)


def test_answer_to_a_challenge_may_be_of_a_provider_that_dates_tokens_back() -> None:
    token = github(iat=NOW - 3_000, nbf=NOW - 3_000)
    assert appraise(token).freshness is Freshness.CHALLENGED


# --- 8 and 9: which workload ----------------------------------------------------------------------


def test_rejects_claims_that_are_missing_or_contradict_each_other() -> None:
    assert refusal(github(repository_id=...)) == (Reason.CLAIM_MISSING, 8)
    assert refusal(github(repository="evil/rocket")) == (Reason.CLAIM_INVALID, 8)
    assert refusal(github(repository_id={"id": 74})) == (Reason.CLAIM_INVALID, 8)


@pytest.mark.parametrize(
    "change",
    [{"repository_id": "75"}, {"ref": "refs/heads/main2"}, {"ref": ""}, {"ref": "REFS/HEADS/MAIN"}],
)
def test_rejects_claims_that_no_rule_names(change: dict[str, str]) -> None:
    assert refusal(github(**change)) == (Reason.CLAIM_NOT_ALLOWED, 9)


def test_one_rule_has_to_be_kept_as_a_whole() -> None:
    rules = (
        'repository_id = ["74"]\nref = ["refs/tags/v1"]\n'
        '[[oidc.issuers.rules]]\nrepository_id = ["99"]\nref = ["refs/heads/main"]'
    )
    assert refusal(github(), policy=oidc_policy(rules=rules)) == (Reason.CLAIM_NOT_ALLOWED, 9)
    assert appraise(github(ref="refs/tags/v1"), policy=oidc_policy(rules=rules)).claims


def test_any_value_is_still_a_value() -> None:
    policy = oidc_policy(rules='repository_id = ["74"]\nenvironment = "any"')
    assert appraise(github(), policy=policy).claims["environment"] == "production"
    assert refusal(github(environment=""), policy=policy) == (Reason.CLAIM_NOT_ALLOWED, 9)


def test_result_of_an_unknown_platform_has_only_the_claims_that_were_asked_for() -> None:
    found = appraise(sign(platform_claims("other")), policy=oidc_policy("other"))
    assert found.claims == {"sub": "build-7", "project": "rocket"}


# --- saved evidence -------------------------------------------------------------------------------


def test_saved_evidence_is_looked_at_with_the_keys_of_a_file(tmp_path: Path) -> None:
    write_keys(tmp_path)
    envelope = encode_envelope(kind=EvidenceKind.OIDC, evidence=evidence.encode(token=github()))
    policy = oidc_policy(keys='jwks_file = "jwks.json"', folder=tmp_path)
    result = appraise_saved(parse_envelope(envelope), policy=policy, now=NOW)
    assert result.freshness is Freshness.BEARER
    with pytest.raises(EvidenceRejected) as refused:
        appraise_saved(parse_envelope(envelope), policy=oidc_policy(), now=NOW)
    assert (refused.value.reason, refused.value.step) == (Reason.KEY_UNKNOWN, 3)
    keys = {GITHUB: issuer_keys()}
    assert appraise_saved(parse_envelope(envelope), policy=oidc_policy(), now=NOW, keys=keys)


def test_keys_of_a_file_are_the_only_ones(tmp_path: Path) -> None:
    write_keys(tmp_path)
    policy = oidc_policy(keys='jwks_file = "jwks.json"', folder=tmp_path)
    thief = {GITHUB: JwkSet([public_jwk("RS256", "thief", kid="k1")])}
    assert appraise(github(), policy=policy, keys=thief).claims
    stolen = sign(platform_claims(), name="thief")
    assert refusal(stolen, policy=policy, keys=thief) == (Reason.SIGNATURE_INVALID, 4)


def test_token_that_was_cut_off_is_malformed() -> None:
    token = github()
    for end in range(len(token)):
        with pytest.raises(Malformed):
            oidc_evidence(token[:end])
