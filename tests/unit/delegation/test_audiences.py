import pytest

from keystead.delegation.audiences import MAX_TOKEN_LIFETIME_S, Audience, Audiences
from keystead.errors import ConfigurationError, Reason, Refused

API = Audience(uri="https://api.example/", scopes=frozenset({"read"}))


def test_finds_exactly_the_configured_name() -> None:
    audiences = Audiences.of([API])
    assert audiences.lookup(API.uri) is API
    assert audiences.require_scopes(API.uri, ["read"]) is API


@pytest.mark.parametrize(
    "uri", ["", "https://api.example", "https://API.example/", "https://api.example/x"]
)
def test_refuses_every_other_spelling(uri: str) -> None:
    with pytest.raises(Refused) as caught:
        Audiences.of([API]).lookup(uri)
    assert caught.value.reason is Reason.AUDIENCE_NOT_ALLOWED


def test_refuses_a_scope_that_the_audience_does_not_know() -> None:
    with pytest.raises(Refused) as caught:
        Audiences.of([API]).require_scopes(API.uri, ["read", "write"])
    assert caught.value.reason is Reason.SCOPE_NOT_ALLOWED


@pytest.mark.parametrize(
    "audience",
    [
        Audience(uri="", scopes=frozenset({"read"})),
        Audience(uri="u" * 513, scopes=frozenset({"read"})),
        Audience(uri="u", scopes=frozenset()),
        Audience(uri="u", scopes=frozenset({"two words"})),
        Audience(uri="u", scopes=frozenset({"x" * 129})),
        Audience(uri="u", scopes=frozenset({"read"}), max_lifetime_s=0),
        Audience(uri="u", scopes=frozenset({"read"}), max_lifetime_s=MAX_TOKEN_LIFETIME_S + 1),
    ],
)
def test_refuses_a_wrong_audience_at_start(audience: Audience) -> None:
    with pytest.raises(ConfigurationError):
        Audiences.of([audience])


def test_refuses_one_audience_twice() -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        Audiences.of([API, API])
