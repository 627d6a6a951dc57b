"""What each platform's tokens say, and which of them contradict themselves."""

from typing import Any

import pytest

from keystead.appraisal.oidc_profiles import MAX_CLAIM_CHARS, PROFILES, read_claims
from keystead.errors import EvidenceRejected, Reason
from keystead.model import OidcProfile
from tests.workload_tokens import PLATFORM_CLAIMS, TENANT, platform_claims


def read(profile: str, **changes: Any) -> dict[str, str]:
    return read_claims(OidcProfile(profile), platform_claims(profile, **changes), step=8)


def refusal(profile: str, **changes: Any) -> Reason:
    with pytest.raises(EvidenceRejected) as refused:
        read(profile, **changes)
    assert refused.value.step == 8
    return refused.value.reason


def inside(profile: str, name: str, **changes: Any) -> dict[str, Any]:
    members = {**PLATFORM_CLAIMS[profile][name], **changes}
    return {name: {key: value for key, value in members.items() if value is not ...}}


def test_every_profile_has_rules_of_its_own() -> None:
    assert PROFILES.keys() == set(OidcProfile) and PLATFORM_CLAIMS.keys() == set(OidcProfile)
    for profile, rules in PROFILES.items():
        if profile is not OidcProfile.OTHER:
            assert rules.written <= read(profile).keys()
        assert rules.caller_chooses_audience is (profile is not OidcProfile.AZURE)


def test_github() -> None:
    claims = read("github-actions")
    assert (claims["repository"], claims["repository_id"]) == ("acme/rocket", "74")
    assert "base_ref" not in claims and "actor" not in claims
    assert refusal("github-actions", repository="other/rocket") is Reason.CLAIM_INVALID
    assert refusal("github-actions", repository_owner="Acme") is Reason.CLAIM_INVALID
    for name in ("repository", "repository_id", "repository_owner", "repository_owner_id", "sub"):
        assert refusal("github-actions", **{name: ...}) is Reason.CLAIM_MISSING
        assert refusal("github-actions", **{name: ""}) is Reason.CLAIM_MISSING
        assert refusal("github-actions", **{name: ["74"]}) is Reason.CLAIM_INVALID


@pytest.mark.parametrize("profile", ["kubernetes", "aws-eks"])
def test_kubernetes(profile: str) -> None:
    claims = read(profile)
    assert (claims["namespace"], claims["serviceaccount"]) == ("shop", "orders")
    assert (claims["pod"], claims["node"]) == ("orders-6d5f", "node-1")
    assert claims["serviceaccount_uid"].endswith("01") and claims["pod_uid"].endswith("02")
    other = "system:serviceaccount:shop:admin"
    assert refusal(profile, sub=other) is Reason.CLAIM_INVALID
    assert refusal(profile, sub="system:node:node-1") is Reason.CLAIM_INVALID
    assert refusal(profile, **{"kubernetes.io": ...}) is Reason.CLAIM_MISSING
    assert refusal(profile, **{"kubernetes.io": "shop"}) is Reason.CLAIM_INVALID
    for name in ("namespace", "serviceaccount"):
        found = refusal(profile, **inside(profile, "kubernetes.io", **{name: ...}))
        assert found is Reason.CLAIM_MISSING
    assert "pod" not in read(profile, **inside(profile, "kubernetes.io", pod=...))


def test_aws_sts() -> None:
    name = "https://sts.amazonaws.com/"
    claims = read("aws-sts")
    assert (claims["aws_account"], claims["source_region"]) == ("123456789012", "eu-west-1")
    assert "principal_tags" not in claims
    found = refusal("aws-sts", **inside("aws-sts", name, aws_account="210987654321"))
    assert found is Reason.CLAIM_INVALID
    assert refusal("aws-sts", sub="123456789012") is Reason.CLAIM_INVALID
    assert refusal("aws-sts", **{name: ...}) is Reason.CLAIM_MISSING


def test_azure() -> None:
    claims = read("azure")
    assert claims["tid"] == TENANT and claims["idtyp"] == "app"
    assert refusal("azure", tid="11111111-0000-4000-8000-00000000abcd") is Reason.CLAIM_INVALID
    assert refusal("azure", tid=TENANT[:8]) is Reason.CLAIM_INVALID
    assert refusal("azure", scp="user_impersonation") is Reason.CLAIM_INVALID
    assert refusal("azure", idtyp="user") is Reason.CLAIM_INVALID
    assert refusal("azure", oid=...) is Reason.CLAIM_MISSING
    v1 = read("azure", iss=f"https://sts.windows.net/{TENANT}/", idtyp=...)
    assert v1["oid"] == claims["oid"]


def test_gcp() -> None:
    claims = read("gcp")
    assert (claims["project_number"], claims["zone"]) == ("424242", "europe-west1-b")
    for verified in (False, ..., "true"):
        assert refusal("gcp", email_verified=verified) is Reason.CLAIM_INVALID
    plain = read("gcp", email=..., email_verified=..., google=...)
    assert plain.keys() == {"sub", "azp"}
    assert refusal("gcp", google={"compute_engine": []}) is Reason.CLAIM_INVALID
    assert refusal("gcp", sub=...) is Reason.CLAIM_MISSING


def test_other() -> None:
    claims = read("other", pi=3.5, empty="", long="a" * (MAX_CLAIM_CHARS + 1))
    assert (claims["project"], claims["protected"], claims["iat"]) == (
        "rocket",
        "true",
        "1800000000",
    )
    assert claims.keys().isdisjoint({"groups", "pi", "empty", "long"})
    assert refusal("other", sub=...) is Reason.CLAIM_MISSING
    assert refusal("other", project="a\x00b") is Reason.CLAIM_INVALID
