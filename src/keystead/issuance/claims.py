"""The claims of what Keystead issues (design, section 5), and the answer that carries them.

``sub_id`` (RFC 9493 §3.2.4) names the user's own issuer, because two issuers may call two people
by one ``sub``. ``grant_id`` is the grant that the token hangs on: who has the token can have the
grant revoked, and a token made from this one falls with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from keystead.codec.json import JSON
from keystead.identity.subject_claims import TokenType
from keystead.identity.token_kinds import ACCESS_TOKEN_TYP as ACCESS_TOKEN_TYP
from keystead.identity.token_kinds import HAND_OVER_TYP as HAND_OVER_TYP
from keystead.issuance.exchange import ExchangeDecision
from keystead.model import Actor, BoundKey, GrantId, IssuedToken, Residency, Subject

DPOP_TOKEN_TYPE = "DPoP"
# RFC 8693 §2.2.1: what a token is called that is no access token.
NOT_AN_ACCESS_TOKEN = "N_A"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsignedToken:
    """What a token key signs: the header's ``typ`` and the claims."""

    typ: str
    claims: dict[str, JSON]


def unsigned_token(
    decision: ExchangeDecision,
    *,
    bound: BoundKey,
    issuer: str,
    jti: str,
    grant: GrantId | None = None,
) -> UnsignedToken:
    """The access token, or the hand-over token, that was decided.

    ``grant`` is the grant that was made or renewed; without one the token hangs on the grant
    behind its subject token, if there is one.
    """
    build = _hand_over_claims if decision.hand_over else access_token_claims
    typ = HAND_OVER_TYP if decision.hand_over else ACCESS_TOKEN_TYP
    return UnsignedToken(
        typ=typ, claims=build(decision, bound=bound, issuer=issuer, jti=jti, grant=grant)
    )


def access_token_claims(
    decision: ExchangeDecision,
    *,
    bound: BoundKey,
    issuer: str,
    jti: str,
    grant: GrantId | None = None,
) -> dict[str, JSON]:
    """The claims of a delegated access token (RFC 9068), ``typ: at+jwt``."""
    grant_id = grant or decision.parent_grant
    return {
        **_common(decision, audience=decision.audience, issuer=issuer, jti=jti),
        "act": act_claim(decision.actor),
        "cnf": {"jkt": bound.jkt, "residency": residency_claim(bound.residency)},
        **({"grant_id": grant_id} if grant_id is not None else {}),
    }


def _hand_over_claims(
    decision: ExchangeDecision,
    *,
    bound: BoundKey,
    issuer: str,
    jti: str,
    grant: GrantId | None = None,
) -> dict[str, JSON]:
    """As an access token, but addressed to the issuer, for one exchange by the agent in
    ``may_act``. It is bound all the same, so that nothing takes it for a bearer token."""
    hand_over: dict[str, JSON] = {"audience": decision.audience}
    if decision.subject.client is not None:
        hand_over["client"] = decision.subject.client
    return {
        **access_token_claims(decision, bound=bound, issuer=issuer, jti=jti, grant=grant),
        "aud": issuer,
        "may_act": {"sub": decision.may_act, "iss": issuer},
        "handover": hand_over,
    }


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


def _common(decision: ExchangeDecision, *, audience: str, issuer: str, jti: str) -> dict[str, JSON]:
    subject = decision.subject
    return {
        "iss": issuer,
        "sub": subject.sub,
        "aud": audience,
        "client_id": decision.agent,
        "scope": " ".join(decision.scopes),
        "iat": decision.issued_at,
        "exp": decision.expires_at,
        "jti": jti,
        # The first token of a chain gives its name to the whole chain.
        "txn": decision.txn or jti,
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
