"""What an API asks beyond a genuine token: scopes, sign-in, residency."""

from typing import Any

import pytest

from keystead.errors import (
    Reason,
    TokenRejected,
)
from keystead.model import Freshness
from keystead.relying import ResidencyRequirement
from keystead.relying.steps import Step
from tests.jose_keys import public_jwk
from tests.relying_tokens import (
    LEAVE_OUT,
    NOW,
    URL,
    accept,
    refused,
    request,
    residency,
    token,
    verifier,
)


def test_requires_scopes() -> None:
    accept(verifier(scopes_required=["orders:list", "orders:read"]))
    found = refused(token(), scopes_required=["orders:read", "orders:write"])
    assert found == (Reason.SCOPE_INSUFFICIENT, Step.SCOPES_REQUIRED)
    assert refused(token(scope=LEAVE_OUT), scopes_required=["x"])[0] is Reason.SCOPE_INSUFFICIENT


def test_a_request_can_require_more_scopes() -> None:
    sent = request()
    check = verifier(scopes_required=["orders:read"])
    with pytest.raises(TokenRejected) as caught:
        check.verify_request(sent.token, sent.proof, "GET", URL, now=NOW, scopes=["orders:write"])
    assert (caught.value.reason, caught.value.detail) == (
        Reason.SCOPE_INSUFFICIENT,
        "orders:write",
    )


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"minimum_aal": 3}, {"aal": 2}),
        ({"minimum_aal": 1}, {"aal": LEAVE_OUT}),
        ({"acr_values": ["phrh"]}, {"acr": "phr"}),
        ({"acr_values": ["phr", "phrh"]}, {"acr": LEAVE_OUT}),
        ({"max_authentication_age_s": 600}, {"auth_time": NOW - 606}),
        ({"max_authentication_age_s": 600}, {"auth_time": LEAVE_OUT}),
    ],
)
def test_requires_a_sign_in(options: dict[str, Any], changes: dict[str, object]) -> None:
    accept(verifier(**options))
    expected = (Reason.AUTHENTICATION_INSUFFICIENT, Step.AUTHENTICATION_REQUIRED)
    assert refused(token(**changes), **options) == expected


SOFT = ResidencyRequirement(hardware=False)


@pytest.mark.parametrize(
    ("requirement", "changes"),
    [
        (ResidencyRequirement(), {"hardware": False}),
        (SOFT, {"protection": "none", "hardware": False}),
        (SOFT, {"freshness": "bearer"}),
        (ResidencyRequirement(hardware=False, max_age_s=60), {"verified_at": NOW - 66}),
        (ResidencyRequirement(hardware=False, policies=frozenset({"a/1"})), {"policy": "a/2"}),
    ],
)
def test_requires_a_residency(
    requirement: ResidencyRequirement, changes: dict[str, object]
) -> None:
    good = {"hardware": True, "policy": "a/1", "verified_at": NOW - 65}
    jkt = public_jwk(name="holder").thumbprint
    options = {"require_residency": requirement}
    accept(verifier(**options), token(cnf={"jkt": jkt, "residency": residency(**good)}))
    expected = (Reason.RESIDENCY_INSUFFICIENT, Step.RESIDENCY_REQUIRED)
    bad = residency(**{**good, **changes})
    assert refused(token(cnf={"jkt": jkt, "residency": bad}), **options) == expected
    assert refused(token(cnf={"jkt": jkt}), **options) == expected


def test_bearer_freshness_can_be_allowed() -> None:
    requirement = ResidencyRequirement(hardware=False, freshness=frozenset(Freshness))
    cnf = {
        "jkt": public_jwk(name="holder").thumbprint,
        "residency": residency(freshness="bearer"),
    }
    accept(verifier(require_residency=requirement), token(cnf=cnf))
