"""The claims of what Keystead issues (design, section 5), and the answer that carries them.

``sub_id`` (RFC 9493 §3.2.4) names the user's own issuer, because two issuers may call two people
by one ``sub``. ``grant_id`` is the grant that the token hangs on: who has the token can have the
grant revoked, and a token made from this one falls with it.
"""

from __future__ import annotations

from keystead.codec.json import JSON
from keystead.identity.subject_claims import TokenType
from keystead.issuance.exchange import ExchangeDecision
from keystead.model import Actor, BoundKey, GrantId, IssuedToken, Residency, Subject

DPOP_TOKEN_TYPE = "DPoP"
# RFC 8693 §2.2.1: what a token is called that is no access token.
NOT_AN_ACCESS_TOKEN = "N_A"


def access_token_claims(
    decision: ExchangeDecision,
    *,
    bound: BoundKey,
    issuer: str,
    now: int,
    jti: str,
    txn: str,
    grant_id: GrantId | None = None,
) -> dict[str, JSON]:
    """The claims of a delegated access token (RFC 9068), ``typ: at+jwt``."""
    claims = _common(decision, audience=decision.audience, issuer=issuer, now=now, jti=jti, txn=txn)
    claims["act"] = act_claim(decision.actor)
    claims["cnf"] = {"jkt": bound.jkt, "residency": residency_claim(bound.residency)}
    if grant_id is not None:
        claims["grant_id"] = grant_id
    return claims


def hand_over_claims(
    decision: ExchangeDecision,
    *,
    bound: BoundKey,
    issuer: str,
    now: int,
    jti: str,
    txn: str,
) -> dict[str, JSON]:
    """The claims of a hand-over token, ``typ: keystead-handover+jwt``: addressed to the issuer,
    for one exchange by the agent in ``may_act``, and bound, so that nothing takes it for a bearer
    token."""
    claims = _common(decision, audience=issuer, issuer=issuer, now=now, jti=jti, txn=txn)
    claims["act"] = act_claim(decision.actor)
    claims["may_act"] = {"sub": decision.may_act, "iss": issuer}
    claims["cnf"] = {"jkt": bound.jkt, "residency": residency_claim(bound.residency)}
    hand_over: dict[str, JSON] = {"audience": decision.audience}
    if decision.subject.client is not None:
        hand_over["client"] = decision.subject.client
    claims["handover"] = hand_over
    if decision.require_grant is not None:
        claims["grant_id"] = decision.require_grant
    return claims


def issued_token(
    decision: ExchangeDecision, token: str, *, refresh_token: str | None = None
) -> IssuedToken:
    """The answer to the request (RFC 8693 §2.2.1)."""
    kind = TokenType.JWT if decision.hand_over else TokenType.ACCESS_TOKEN
    return IssuedToken(
        access_token=token,
        token_type=NOT_AN_ACCESS_TOKEN if decision.hand_over else DPOP_TOKEN_TYPE,
        issued_token_type=kind.value,
        expires_in=decision.lifetime_s,
        scope=" ".join(decision.scopes),
        refresh_token=refresh_token,
    )


def act_claim(actor: Actor) -> dict[str, JSON]:
    """``act`` (RFC 8693 §4.1), the current actor outermost."""
    claim: dict[str, JSON] = {"sub": actor.sub}
    if actor.iss is not None:
        claim["iss"] = actor.iss
    if actor.attestation is not None:
        claim["attestation"] = actor.attestation
    if actor.act is not None:
        claim["act"] = act_claim(actor.act)
    return claim


def residency_claim(residency: Residency) -> dict[str, JSON]:
    """``cnf.residency``: what was proved about where the key lives."""
    return {
        "kind": residency.kind.value,
        "protection": residency.protection.value,
        "hardware": residency.hardware,
        "verified_at": residency.verified_at,
        "freshness": residency.freshness.value,
        "policy": residency.policy,
        "result": residency.result,
    }


def _common(
    decision: ExchangeDecision, *, audience: str, issuer: str, now: int, jti: str, txn: str
) -> dict[str, JSON]:
    subject = decision.subject
    return {
        "iss": issuer,
        "sub": subject.sub,
        "aud": audience,
        "client_id": decision.agent,
        "scope": " ".join(decision.scopes),
        "iat": now,
        "exp": now + decision.lifetime_s,
        "jti": jti,
        "txn": decision.txn or txn,
        **_authentication(subject),
        "sub_id": {"format": "iss_sub", "iss": subject.issuer, "sub": subject.sub},
    }


def _authentication(subject: Subject) -> dict[str, JSON]:
    """How strongly, and when, the user signed in; what is not known is left out."""
    claims: dict[str, JSON] = {}
    if subject.auth_time is not None:
        claims["auth_time"] = subject.auth_time
    if subject.acr is not None:
        claims["acr"] = subject.acr
    if subject.amr:
        claims["amr"] = list(subject.amr)
    claims["aal"] = subject.aal
    return claims
