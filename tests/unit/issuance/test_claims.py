from dataclasses import replace

from keystead.issuance.claims import issued_token, unsigned_token
from keystead.issuance.exchange import ExchangeDecision
from keystead.model import Actor, GrantId
from keystead.relying.claims import TokenRules, check_claims
from tests.exchange_parts import AGENT, AGENT_B, API, IDP, ISSUER, NOW, bound_key, subject

DECISION = ExchangeDecision(
    subject=subject(),
    agent=AGENT,
    actor=Actor(sub=AGENT, iss=ISSUER, attestation="tpm2", act=Actor(sub=AGENT_B)),
    audience=API,
    scopes=("read", "write"),
    issued_at=NOW,
    expires_at=NOW + 300,
    policies=("use",),
)


def claims_of(decision: ExchangeDecision, **more: GrantId) -> dict[str, object]:
    unsigned = unsigned_token(decision, bound=bound_key(), issuer=ISSUER, jti="jti-1", **more)
    return dict(unsigned.claims)


def test_an_access_token_says_all_three_identities() -> None:
    unsigned = unsigned_token(DECISION, bound=bound_key(), issuer=ISSUER, jti="jti-1")
    assert unsigned.typ == "at+jwt"
    assert unsigned.claims == {
        "iss": ISSUER,
        "sub": "alice",
        "aud": API,
        "client_id": AGENT,
        "scope": "read write",
        "iat": NOW,
        "exp": NOW + 300,
        "jti": "jti-1",
        "txn": "jti-1",
        "auth_time": NOW - 60,
        "acr": "phr",
        "amr": ["pop", "user"],
        "aal": 2,
        "sub_id": {"format": "iss_sub", "iss": IDP, "sub": "alice"},
        "act": {"sub": AGENT, "iss": ISSUER, "attestation": "tpm2", "act": {"sub": AGENT_B}},
        "cnf": {
            "jkt": bound_key().jkt,
            "residency": {
                "kind": "tpm2",
                "protection": "non-exportable",
                "hardware": False,
                "verified_at": NOW - 100,
                "freshness": "challenged",
                "policy": "default@1",
                "result": "w" * 43,
            },
        },
    }


def test_what_is_not_known_is_left_out() -> None:
    unknown = replace(DECISION, subject=subject(acr=None, amr=(), auth_time=None))
    claims = claims_of(unknown)
    assert claims.keys().isdisjoint({"acr", "amr", "auth_time", "grant_id", "may_act"})
    assert claims["aal"] == 2


def test_a_token_hangs_on_its_own_grant_or_on_the_one_before() -> None:
    below = replace(DECISION, parent_grant=GrantId("parent"), txn="first")
    assert claims_of(below)["grant_id"] == "parent"
    assert claims_of(below, grant=GrantId("own"))["grant_id"] == "own"
    assert claims_of(below)["txn"] == "first"


def test_relying_parties_accept_what_is_issued() -> None:
    rules = TokenRules(
        issuer=ISSUER, audience=API, leeway_s=5, max_lifetime_s=300, dpop_required=True
    )
    token = check_claims(claims_of(DECISION, grant=GrantId("g")), rules=rules, now=NOW)
    assert (token.user, token.agent, token.client_id) == ("alice", AGENT, AGENT)
    assert token.actors == (AGENT, AGENT_B)
    assert (token.scopes, token.audience, token.aal) == (("read", "write"), (API,), 2)
    assert token.residency == bound_key().residency
    assert token.jkt == bound_key().jkt


def test_a_hand_over_is_for_the_issuer_alone() -> None:
    decision = replace(DECISION, may_act=AGENT_B, parent_grant=GrantId("g"))
    unsigned = unsigned_token(decision, bound=bound_key(), issuer=ISSUER, jti="j")
    assert unsigned.typ == "keystead-handover+jwt"
    assert unsigned.claims["aud"] == ISSUER
    assert unsigned.claims["may_act"] == {"sub": AGENT_B, "iss": ISSUER}
    assert unsigned.claims["handover"] == {"audience": API, "client": "portal"}
    assert unsigned.claims["grant_id"] == "g"
    assert unsigned.claims["cnf"] == claims_of(DECISION)["cnf"]
    anonymous = replace(decision, subject=subject(client=None))
    assert claims_of(anonymous)["handover"] == {"audience": API}


def test_the_answer_names_what_was_issued() -> None:
    answer = issued_token(DECISION, "a.b.c", refresh_token="ksr_x")
    assert (answer.token_type, answer.expires_in, answer.scope) == ("DPoP", 300, "read write")
    assert answer.issued_token_type == "urn:ietf:params:oauth:token-type:access_token"
    assert answer.refresh_token == "ksr_x"
    hand_over = issued_token(replace(DECISION, may_act=AGENT_B), "a.b.c")
    assert (hand_over.token_type, hand_over.refresh_token) == ("N_A", None)
    assert hand_over.issued_token_type == "urn:ietf:params:oauth:token-type:jwt"
    assert "a.b.c" not in repr(answer)
