"""Mistakes that mature token services made in token exchange; each is refused here by name.

The whole way is walked: form, subject token, decision, claims, and back as a subject token.
"""

import pytest

from keystead.delegation.grants import check_renewal
from keystead.errors import KeysteadError, Reason
from keystead.identity.subject_claims import SubjectClaims, TokenType
from keystead.issuance import introspection
from keystead.issuance.claims import unsigned_token
from keystead.issuance.exchange import ExchangeDecision, decide_exchange
from keystead.issuance.request import TOKEN_EXCHANGE_GRANT, ExchangeRequest, parse_form
from keystead.model import BoundKey, Grant, GrantId
from tests.exchange_parts import (
    AGENT,
    AGENT_B,
    API,
    AUDIENCES,
    ISSUER,
    NOW,
    OTHER_API,
    OWN_KEYS,
    bound_key,
    grant,
    idp_token,
    own_token,
    policy,
    subject,
    verified,
)

KEY_A = bound_key()
KEY_B = bound_key(AGENT_B, jkt="key-of-b")
POLICY = policy()


def form(token: str, **changes: str) -> list[tuple[str, str]]:
    members = {
        "grant_type": TOKEN_EXCHANGE_GRANT,
        "subject_token": token,
        "subject_token_type": TokenType.ACCESS_TOKEN.value,
        "audience": API,
        "scope": "read",
        **changes,
    }
    return list(members.items())


def exchange(
    token: str,
    bound: BoundKey,
    *,
    own: bool = False,
    parent: Grant | None = None,
    more: tuple[tuple[str, str], ...] = (),
    actor_expires_at: int | None = None,
    **changes: str,
) -> ExchangeDecision:
    request = parse_form([*form(token, **changes), *more])
    assert isinstance(request, ExchangeRequest)
    claims: SubjectClaims = verified(
        request.subject_token,
        request.subject_token_type,
        **({"keys": OWN_KEYS} if own else {}),
    )
    return decide_exchange(
        request,
        subject=claims,
        bound=bound,
        policy=POLICY,
        audiences=AUDIENCES,
        issuer=ISSUER,
        now=NOW,
        parent=parent,
        actor_expires_at=actor_expires_at,
    )


def signed(decision: ExchangeDecision, bound: BoundKey, **more: GrantId) -> str:
    unsigned = unsigned_token(decision, bound=bound, issuer=ISSUER, jti="jti-1", **more)
    return own_token(dict(unsigned.claims), typ=unsigned.typ)


def hand_over(bound: BoundKey = KEY_A, to: str = AGENT_B) -> str:
    more = (("audience", ISSUER),)
    return signed(exchange(idp_token(), bound, more=more, may_act=to), bound)


def reason_of(*args: object, **how: object) -> Reason:
    with pytest.raises(KeysteadError) as caught:
        exchange(*args, **how)
    return caught.value.reason


@pytest.mark.parametrize("actor_expires_at", [None, NOW + 100])
def test_may_act_counts_with_and_without_an_actor_token(actor_expires_at: int | None) -> None:
    token = idp_token({"may_act": {"sub": AGENT_B}})
    found = reason_of(token, KEY_A, actor_expires_at=actor_expires_at)
    assert found is Reason.ACTOR_NOT_ALLOWED
    assert exchange(token, KEY_B, actor_expires_at=actor_expires_at).agent == AGENT_B


def test_a_bound_token_is_never_exchanged_for_an_unbound_one() -> None:
    token = idp_token({"cnf": {"jkt": KEY_A.jkt}})
    decision = exchange(token, KEY_A)
    claims = unsigned_token(decision, bound=KEY_A, issuer=ISSUER, jti="j").claims
    assert isinstance(claims["cnf"], dict)
    assert claims["cnf"]["jkt"] == KEY_A.jkt


def test_a_bound_token_in_other_hands_is_refused_unless_may_act_names_them() -> None:
    bound_to_a = {"cnf": {"jkt": KEY_A.jkt}}
    found = reason_of(idp_token(bound_to_a), KEY_B)
    assert found is Reason.SUBJECT_TOKEN_BOUND_TO_ANOTHER_KEY
    named = idp_token({**bound_to_a, "may_act": {"sub": AGENT_B}})
    assert exchange(named, KEY_B).agent == AGENT_B


def test_a_stolen_delegated_token_is_useless_to_another_agent() -> None:
    token = signed(exchange(idp_token(), KEY_A), KEY_A)
    found = reason_of(token, KEY_B, own=True)
    assert found is Reason.SUBJECT_TOKEN_BOUND_TO_ANOTHER_KEY


def test_a_stolen_hand_over_is_useless_to_everybody_but_its_agent() -> None:
    token, jwt = hand_over(), TokenType.JWT.value
    for bound in (KEY_A, bound_key("spiffe://example.org/agent/c", jkt="key-of-c")):
        found = reason_of(token, bound, own=True, subject_token_type=jwt)
        assert found is Reason.ACTOR_NOT_ALLOWED
    assert exchange(token, KEY_B, own=True, subject_token_type=jwt).spent


def test_a_hand_over_reaches_no_other_audience() -> None:
    found = reason_of(
        hand_over(),
        KEY_B,
        own=True,
        subject_token_type=TokenType.JWT.value,
        audience=OTHER_API,
    )
    assert found is Reason.AUDIENCE_NOT_ALLOWED


def test_the_chain_of_a_hand_over_tells_both_agents_the_user_stays() -> None:
    jwt = TokenType.JWT.value
    decision = exchange(hand_over(), KEY_B, own=True, subject_token_type=jwt)
    claims = unsigned_token(decision, bound=KEY_B, issuer=ISSUER, jti="j").claims
    assert (claims["sub"], claims["client_id"]) == ("alice", AGENT_B)
    assert claims["act"] == {
        "sub": AGENT_B,
        "iss": ISSUER,
        "attestation": "tpm2",
        "act": {"sub": AGENT, "iss": ISSUER, "attestation": "tpm2"},
    }
    assert "may_act" not in claims


def test_inner_actors_never_decide_access() -> None:
    # An agent that may do everything stands in the history; the current one may not.
    history = {"act": {"sub": AGENT}}
    decision = exchange(idp_token(history), KEY_B)
    assert decision.grant_ttl_s is None
    assert exchange(idp_token(), KEY_A).grant_ttl_s is not None


def test_revoking_the_parent_stops_exchanges_of_its_tokens() -> None:
    token = signed(exchange(idp_token(), KEY_A), KEY_A, grant=GrantId("grant-1"))
    assert exchange(token, KEY_A, own=True, parent=grant()).parent_grant == "grant-1"
    assert reason_of(token, KEY_A, own=True) is Reason.GRANT_UNKNOWN
    revoked = grant(revoked_at=NOW)
    assert reason_of(token, KEY_A, own=True, parent=revoked) is Reason.GRANT_REVOKED


def test_a_revoked_grants_hand_over_is_dead_too() -> None:
    token = signed(exchange(idp_token(), KEY_A), KEY_A, grant=GrantId("grant-1"))
    passed_on = signed(
        exchange(
            token, KEY_A, own=True, parent=grant(), more=(("audience", ISSUER),), may_act=AGENT_B
        ),
        KEY_A,
    )
    found = reason_of(
        passed_on,
        KEY_B,
        own=True,
        parent=grant(revoked_at=NOW),
        subject_token_type=TokenType.JWT.value,
    )
    assert found is Reason.GRANT_REVOKED


def test_a_token_that_was_narrowed_is_not_widened_again() -> None:
    token = signed(exchange(idp_token(), KEY_A), KEY_A)
    assert reason_of(token, KEY_A, own=True, scope="write") is Reason.SCOPE_NOT_ALLOWED
    assert reason_of(token, KEY_A, own=True, audience=OTHER_API) is Reason.AUDIENCE_NOT_ALLOWED
    assert exchange(token, KEY_A, own=True, scope="read write").scopes == ("read",)


def test_exchanging_again_and_again_never_lengthens_a_life() -> None:
    first = exchange(idp_token({"exp": NOW + 30}), KEY_A)
    second = exchange(signed(first, KEY_A), KEY_A, own=True)
    assert first.expires_at == second.expires_at == NOW + 30


def test_a_weak_sign_in_is_not_made_strong_by_an_exchange() -> None:
    token = signed(exchange(idp_token(), KEY_A), KEY_A)
    decision = exchange(token, KEY_A, own=True)
    assert (decision.subject.aal, decision.subject.acr) == (2, "phr")


def test_introspection_keeps_the_actors() -> None:
    jwt = TokenType.JWT.value
    token = signed(exchange(hand_over(), KEY_B, own=True, subject_token_type=jwt), KEY_B)
    claims = introspection.active_claims(token, keys=OWN_KEYS, issuer=ISSUER, now=NOW)
    assert claims is not None
    told = introspection.response(claims)
    assert (told["act"], told["cnf"]) == (claims["act"], claims["cnf"])


def test_two_issuers_may_call_two_people_by_one_name() -> None:
    other = subject(issuer="https://two.example")
    token = signed(exchange(idp_token(), KEY_A), KEY_A, grant=GrantId("grant-1"))
    found = reason_of(token, KEY_A, own=True, parent=grant(subject=other))
    assert found is Reason.GRANT_UNKNOWN


def test_a_refresh_token_in_other_hands_renews_nothing() -> None:
    with pytest.raises(KeysteadError) as caught:
        check_renewal(grant(), jkt=KEY_B.jkt, agent=AGENT, now=NOW)
    assert caught.value.reason is Reason.KEY_BINDING_MISMATCH


@pytest.mark.parametrize("declared", list(TokenType))
@pytest.mark.parametrize(
    "typ", ["ear+jwt", "JOSE", "statuslist+jwt", "dpop+jwt", "keystead-key-proof+jwt", "JWT"]
)
def test_nothing_else_that_we_sign_is_a_users_token(declared: TokenType, typ: str) -> None:
    claims = unsigned_token(exchange(idp_token(), KEY_A), bound=KEY_A, issuer=ISSUER, jti="j")
    token = own_token(dict(claims.claims), typ=typ)
    with pytest.raises(KeysteadError) as caught:
        verified(token, declared, keys=OWN_KEYS)
    assert caught.value.reason in (Reason.TYPE_MISMATCH, Reason.TOKEN_TYPE_UNSUPPORTED)
