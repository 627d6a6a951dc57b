import pytest

from keystead.errors import KeysteadError, Reason
from keystead.identity.own_tokens import HAND_OVER_LIFETIME_S
from keystead.identity.subject_claims import MayAct, SubjectClaims, TokenType
from keystead.issuance.claims import unsigned_token
from keystead.issuance.exchange import decide_exchange
from keystead.model import Actor
from tests.exchange_parts import (
    AGENT,
    AGENT_B,
    API,
    AUDIENCES,
    IDP,
    ISSUER,
    NOW,
    OWN_KEYS,
    bound_key,
    merged,
    own_token,
    policy,
    request,
    subject_claims,
    verified,
)

HAND_OVER = "keystead-handover+jwt"


def issued(*, hand_over: bool = False) -> dict[str, object]:
    """The claims of a token that was really decided."""
    decision = decide_exchange(
        request(targets=(ISSUER, API), may_act=AGENT_B) if hand_over else request(),
        subject=subject_claims(),
        bound=bound_key(),
        policy=policy(),
        audiences=AUDIENCES,
        issuer=ISSUER,
        now=NOW,
    )
    return dict(unsigned_token(decision, bound=bound_key(), issuer=ISSUER, jti="jti-1").claims)


def read(
    changes: dict[str, object] | None = None, *, hand_over: bool = False, **how: object
) -> SubjectClaims:
    token = own_token(
        merged(issued(hand_over=hand_over), changes or {}),
        typ=str(how.pop("typ", HAND_OVER if hand_over else "at+jwt")),
        key=str(how.pop("key", "own")),
    )
    declared = how.pop("declared", TokenType.JWT if hand_over else TokenType.ACCESS_TOKEN)
    return verified(token, declared, **{"keys": OWN_KEYS, **how})


def refusal(changes: dict[str, object] | None = None, **how: object) -> tuple[Reason, int | None]:
    with pytest.raises(KeysteadError) as caught:
        read(changes, **how)
    return caught.value.reason, caught.value.step


def test_reads_a_delegated_token() -> None:
    claims = read()
    assert (claims.own, claims.hand_over) == (True, False)
    assert (claims.subject.sub, claims.subject.issuer, claims.subject.client) == (
        "alice",
        IDP,
        None,
    )
    assert (claims.subject.aal, claims.subject.acr) == (2, "phr")
    assert (claims.scopes, claims.audiences) == ({"read"}, {API})
    assert claims.act == Actor(sub=AGENT, iss=ISSUER, attestation="tpm2")
    assert (claims.jkt, claims.may_act, claims.txn) == (bound_key().jkt, None, "jti-1")


def test_reads_a_hand_over_token() -> None:
    claims = read(hand_over=True)
    assert (claims.own, claims.hand_over, claims.jti) == (True, True, "jti-1")
    assert (claims.audiences, claims.subject.client) == ({API}, "portal")
    assert claims.may_act == MayAct(sub=AGENT_B, iss=ISSUER)
    assert claims.expires_at == NOW + HAND_OVER_LIFETIME_S


@pytest.mark.parametrize(
    ("changes", "how", "expected"),
    [
        ({}, {"declared": TokenType.ID_TOKEN}, (Reason.TOKEN_TYPE_UNSUPPORTED, 2)),
        ({}, {"declared": TokenType.REFRESH_TOKEN}, (Reason.TOKEN_TYPE_UNSUPPORTED, 2)),
        ({}, {"declared": TokenType.JWT}, (Reason.TYPE_MISMATCH, 3)),
        ({}, {"typ": "JWT"}, (Reason.TYPE_MISMATCH, 3)),
        ({}, {"typ": "ear+jwt"}, (Reason.TYPE_MISMATCH, 3)),
        ({}, {"typ": "statuslist+jwt"}, (Reason.TYPE_MISMATCH, 3)),
        ({}, {"key": "ear"}, (Reason.SIGNATURE_INVALID, 3)),
        ({"exp": NOW - 5}, {}, (Reason.EXPIRED, 3)),
        ({"cnf": ...}, {}, (Reason.CLAIM_MISSING, 3)),
        ({"act": ...}, {}, (Reason.CLAIM_MISSING, 3)),
        ({"sub_id": ...}, {}, (Reason.CLAIM_MISSING, 3)),
        ({"sub": "spiffe://example.org/agent/a"}, {}, (Reason.SUBJECT_TOKEN_INVALID, 5)),
        ({"cnf": {"jwk": {}}}, {}, (Reason.SUBJECT_TOKEN_BOUND_TO_ANOTHER_KEY, 8)),
        (
            {"sub_id": {"format": "iss_sub", "iss": IDP, "sub": "bob"}},
            {},
            (Reason.CLAIM_INVALID, 8),
        ),
        ({"sub_id": {"format": "email"}}, {}, (Reason.CLAIM_INVALID, 8)),
        ({"aal": 4}, {}, (Reason.MALFORMED, 8)),
        ({"aal": "3"}, {}, (Reason.MALFORMED, 8)),
    ],
)
def test_rejects_a_delegated_token_wrong_in_one_thing(
    changes: dict[str, object], how: dict[str, object], expected: tuple[Reason, int]
) -> None:
    assert refusal(changes, **how) == expected


@pytest.mark.parametrize(
    ("changes", "how", "expected"),
    [
        ({}, {"declared": TokenType.ACCESS_TOKEN}, (Reason.TYPE_MISMATCH, 3)),
        ({}, {"typ": "at+jwt"}, (Reason.TYPE_MISMATCH, 3)),
        ({"aud": API}, {}, (Reason.AUDIENCE_MISMATCH, 3)),
        ({"exp": NOW + HAND_OVER_LIFETIME_S + 1}, {}, (Reason.LIFETIME_TOO_LONG, 3)),
        ({"jti": ...}, {}, (Reason.CLAIM_MISSING, 3)),
        ({"may_act": ...}, {}, (Reason.CLAIM_MISSING, 8)),
        ({"may_act": {"iss": ISSUER}}, {}, (Reason.MALFORMED, 8)),
        ({"handover": ...}, {}, (Reason.MALFORMED, 8)),
        ({"handover": {}}, {}, (Reason.MALFORMED, 8)),
    ],
)
def test_rejects_a_hand_over_token_wrong_in_one_thing(
    changes: dict[str, object], how: dict[str, object], expected: tuple[Reason, int]
) -> None:
    assert refusal(changes, hand_over=True, **how) == expected


def test_a_truncated_own_token_is_malformed() -> None:
    token = own_token(issued())
    with pytest.raises(KeysteadError) as caught:
        verified(token[:-1], keys=OWN_KEYS)
    assert caught.value.reason is Reason.MALFORMED
