from collections.abc import Mapping

import pytest

from keystead.issuance import introspection
from tests.exchange_parts import API, ISSUER, NOW, OWN_KEYS, merged, own_token

CLAIMS: dict[str, object] = {
    "iss": ISSUER,
    "sub": "alice",
    "aud": API,
    "client_id": "spiffe://example.org/agent/a",
    "scope": "read",
    "iat": NOW,
    "exp": NOW + 300,
    "jti": "jti-1",
    "aal": 2,
    "act": {"sub": "spiffe://example.org/agent/a", "act": {"sub": "spiffe://example.org/b"}},
    "may_act": {"sub": "spiffe://example.org/agent/b"},
    "cnf": {"jkt": "j" * 43},
    "grant_id": "grant-1",
    "unheard_of": 1,
}


def active(token: str, now: int = NOW) -> Mapping[str, object] | None:
    return introspection.active_claims(token, keys=OWN_KEYS, issuer=ISSUER, now=now)


def test_an_active_token_tells_its_actors_and_its_binding() -> None:
    claims = active(own_token(CLAIMS))
    assert claims == CLAIMS
    told = introspection.response(claims)
    expected = merged(CLAIMS, {"grant_id": ..., "unheard_of": ...})
    assert told == {"active": True, "token_type": "DPoP", **expected}
    assert introspection.grant_of(claims) == "grant-1"


def test_a_token_without_grant_hangs_on_none() -> None:
    assert introspection.grant_of({"sub": "alice"}) is None


def test_another_servers_clock_may_be_a_little_ahead() -> None:
    assert active(own_token(CLAIMS), NOW - 5) == CLAIMS
    assert active(own_token(CLAIMS), NOW + 299) == CLAIMS


@pytest.mark.parametrize(
    ("token", "now"),
    [
        ("", NOW),
        (own_token(CLAIMS)[:-1], NOW),
        (own_token(CLAIMS), NOW + 300),
        (own_token(CLAIMS, key="ear"), NOW),
        (own_token(CLAIMS, typ="ear+jwt"), NOW),
        (own_token(CLAIMS, typ="keystead-handover+jwt"), NOW),
        (own_token(merged(CLAIMS, {"iss": "https://x.example"})), NOW),
        (own_token(merged(CLAIMS, {"exp": ...})), NOW),
    ],
)
def test_everything_else_is_just_inactive(token: str, now: int) -> None:
    assert active(token, now) is None
    assert introspection.INACTIVE == {"active": False}
