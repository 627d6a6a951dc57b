import pytest

from keystead.errors import KeysteadError, Reason, Refused, TokenRejected
from keystead.identity.actor_tokens import verify_actor_token
from keystead.identity.subject_claims import TokenType
from keystead.jose.jwk import JwkSet
from tests.exchange_parts import AGENT, AGENT_B, ISSUER, NOW, merged
from tests.jose_keys import compact, private_key, public_jwk

KEYS = JwkSet([public_jwk(name="svid", kid="svid-1", use="jwt-svid")])
HEADER: dict[str, object] = {"typ": "JOSE", "alg": "ES256", "kid": "svid-1"}
CLAIMS: dict[str, object] = {"sub": AGENT, "aud": [ISSUER], "exp": NOW + 90}


def svid(claims: dict[str, object] | None = None, key: str = "svid", **header: object) -> str:
    return compact(merged(HEADER, header), merged(CLAIMS, claims or {}), key=private_key(name=key))


def verify(token: str, **changes: object) -> int:
    arguments: dict[str, object] = {
        "token_type": TokenType.JWT,
        "keys": KEYS,
        "audience": ISSUER,
        "agent": AGENT,
        "now": NOW,
        **changes,
    }
    return verify_actor_token(token, **arguments)


def refusal(token: str, **changes: object) -> tuple[Reason, int | None]:
    with pytest.raises(KeysteadError) as caught:
        verify(token, **changes)
    assert isinstance(caught.value, Refused | TokenRejected)
    return caught.value.reason, caught.value.step


@pytest.mark.parametrize("typ", ["JOSE", "JWT", ...])
def test_accepts_the_agents_own_svid(typ: object) -> None:
    assert verify(svid(typ=typ)) == NOW + 90


@pytest.mark.parametrize("token_type", [None, TokenType.ACCESS_TOKEN, TokenType.ID_TOKEN])
def test_step_1_rejects_another_declared_type(token_type: TokenType | None) -> None:
    found = refusal(svid(), token_type=token_type)
    assert found == (Reason.TOKEN_TYPE_UNSUPPORTED, 1)


@pytest.mark.parametrize(
    "token",
    [
        "",
        svid()[:-1],
        svid(key="stranger"),
        svid(kid="svid-2"),
        svid(typ="at+jwt"),
        svid(typ="ear+jwt"),
        svid(alg="none"),
        svid({"aud": "https://elsewhere.example"}),
        svid({"aud": ...}),
        svid({"exp": ...}),
        svid({"exp": NOW - 5}),
        svid({"exp": None}),
        svid({"sub": ...}),
    ],
)
def test_step_2_rejects_what_is_no_svid_for_us(token: str) -> None:
    assert refusal(token) == (Reason.ACTOR_TOKEN_INVALID, 2)


@pytest.mark.parametrize("sub", ["alice", "spiffe://example.org", "spiffe://example.org/../a", 7])
def test_step_3_rejects_what_is_no_workload(sub: object) -> None:
    assert refusal(svid({"sub": sub})) == (Reason.ACTOR_TOKEN_INVALID, 3)


@pytest.mark.parametrize("sub", [AGENT_B, AGENT + "/x", "spiffe://other.org/agent/a"])
def test_step_3_rejects_another_agents_svid(sub: str) -> None:
    assert refusal(svid({"sub": sub})) == (Reason.CLIENT_MISMATCH, 3)
