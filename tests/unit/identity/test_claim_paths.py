"""Paths made of claims: what the parsers find, and what no claim can make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.appraisal.oidc_profiles import read_claims
from keystead.errors import BindingRejected, Malformed, Reason
from keystead.identity.claim_paths import PARSERS, check_template, spiffe_path
from keystead.identity.spiffe import parse_workload_id, path_of
from keystead.model import OidcProfile
from tests.workload_tokens import platform_claims

GITHUB = OidcProfile.GITHUB_ACTIONS
REPOSITORY = "/ci/{repository.owner}/{repository.name}"


def claims_of(profile: str) -> dict[str, str]:
    return read_claims(OidcProfile(profile), platform_claims(profile), step=8)


@pytest.mark.parametrize(
    ("profile", "template", "path"),
    [
        ("github-actions", REPOSITORY, "/ci/acme/rocket"),
        ("github-actions", "/ci/{repository_id}", "/ci/74"),
        ("github-actions", "/ci/repo-{repository_id}.v1/x", "/ci/repo-74.v1/x"),
        ("github-actions", "/{ref.type}/{ref.name}", "/heads/main"),
        ("github-actions", "/{workflow_ref.name}/{workflow_ref.file}", "/rocket/release.yml"),
        ("github-actions", "/{job_workflow_ref.owner}/{environment}", "/acme/production"),
        ("kubernetes", "/ns/{namespace}/sa/{serviceaccount}", "/ns/shop/sa/orders"),
        ("kubernetes", "/{sub.namespace}/{sub.serviceaccount}", "/shop/orders"),
        ("aws-eks", "/{namespace}/{pod}", "/shop/orders-6d5f"),
        ("aws-sts", "/{sub.account}/{sub.role}", "/123456789012/DataRole"),
        ("aws-sts", "/{lambda_source_function_arn.function}", "/ingest"),
        (
            "azure",
            "/{xms_mirid.resource_group}/{xms_mirid.type}/{xms_mirid.name}",
            "/shop/virtualmachines/orders-1",
        ),
        ("gcp", "/{email.project}/{email.name}", "/shop-1/orders"),
        ("gcp", "/{project_id}/{instance_id}", "/shop-1/7000000000000000001"),
        ("other", "/{project}/{protected}", "/rocket/true"),
        ("other", "/constant", "/constant"),
    ],
)
def test_makes_a_path_of_what_a_platform_says(profile: str, template: str, path: str) -> None:
    assert spiffe_path(template, claims_of(profile), OidcProfile(profile)) == path
    assert parse_workload_id(f"spiffe://example.org{path}")


@pytest.mark.parametrize(
    "value",
    ["acme", "acme/", "/rocket", "acme/a/b", "acme/a b", "acme/a%2fb", "acme/\u0430", "a/b\n", ""],
)
def test_rejects_a_claim_that_its_parser_does_not_split(value: str) -> None:
    with pytest.raises(BindingRejected) as refused:
        spiffe_path(REPOSITORY, {"repository": value}, GITHUB)
    assert refused.value.reason is Reason.CLAIM_INVALID


@pytest.mark.parametrize("value", ["acme/..", "acme/.", "../rocket", "./rocket"])
def test_rejects_dot_segments(value: str) -> None:
    with pytest.raises(BindingRejected) as refused:
        spiffe_path(REPOSITORY, {"repository": value}, GITHUB)
    assert refused.value.reason is Reason.SPIFFE_ID_INVALID


@pytest.mark.parametrize("value", ["a/b", "..", ".", "", "a b", "a\x00", "a\n", "ä", "{x}", "a@b"])
def test_rejects_a_value_that_is_no_segment(value: str) -> None:
    with pytest.raises(BindingRejected) as refused:
        spiffe_path("/ci/x-{environment}", {"environment": value}, GITHUB)
    assert refused.value.reason is Reason.SPIFFE_ID_INVALID


def test_rejects_a_claim_that_is_not_there() -> None:
    with pytest.raises(BindingRejected) as refused:
        spiffe_path("/{environment}", {}, GITHUB)
    assert refused.value.reason is Reason.CLAIM_MISSING


def test_rejects_a_path_that_is_too_long() -> None:
    with pytest.raises(BindingRejected) as refused:
        spiffe_path("/{sha}/{sha}/{sha}", {"sha": "a" * 1_000}, GITHUB)
    assert refused.value.reason is Reason.SPIFFE_ID_INVALID


@pytest.mark.parametrize(
    "template",
    [
        "",
        "ci/{ref}",
        "/",
        "//a",
        "/a/",
        "/..",
        "/a/./b",
        "/{ref",
        "/ref}",
        "/{}",
        "/{ref.}",
        "/{ref.type.name}",
        "/{repository.owner}{repository.name}",
        "/{repository.owner}-{repository.name}",
        "/{repository.colour}",
        "/{environment.name}",
        "/{ref }",
        "/a b",
        "/a?b",
        "/" + "a/" * 20 + "b",
        "/" + "a" * 3_000,
    ],
)
def test_refuses_a_template_that_is_none(template: str) -> None:
    with pytest.raises(Malformed) as refused:
        check_template(template, GITHUB)
    assert refused.value.reason is Reason.SPIFFE_ID_INVALID
    with pytest.raises(Malformed):
        spiffe_path(template, claims_of("github-actions"), GITHUB)


def test_parsers_are_those_of_the_profile() -> None:
    check_template("/{sub.namespace}", OidcProfile.KUBERNETES)
    with pytest.raises(Malformed):
        check_template("/{sub.namespace}", OidcProfile.OTHER)
    assert PARSERS.keys() == set(OidcProfile)


@given(owner=st.text(max_size=20), name=st.text(max_size=20), id=st.text(max_size=20))
def test_no_claim_makes_another_path(owner: str, name: str, id: str) -> None:
    claims = {"repository": f"{owner}/{name}", "repository_id": id}
    try:
        path = spiffe_path(REPOSITORY + "/{repository_id}", claims, GITHUB)
    except BindingRejected:
        return
    assert path == f"/ci/{owner}/{name}/{id}"
    assert path_of(parse_workload_id(f"spiffe://example.org{path}")) == path
    assert path.count("/") == 4
