"""Our own tokens as subject tokens: hand-over tokens, and delegated access tokens for less.

A hand-over token (``keystead-handover+jwt``) is for one exchange by the agent that its ``may_act``
names. A delegated access token may be exchanged by its own agent, or as ``may_act`` says, for no
audience and no scope that it does not have. Nothing else of ours is a subject token: EARs, SVIDs,
status lists, checkpoints and key proofs differ in ``typ``, and keys of other purposes sign them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import Reason, Refused, TokenRejected
from keystead.identity.steps import at_step
from keystead.identity.subject_claims import (
    MAX_NAME_CHARS,
    SubjectClaims,
    TokenType,
    read_act,
    read_amr,
    read_jkt,
    read_may_act,
    read_scopes,
    read_sub,
)
from keystead.identity.token_kinds import ACCESS_TOKEN_TYP, HAND_OVER_TYP
from keystead.jose.jwk import JwkSet
from keystead.jose.jws import CompactJws
from keystead.jose.jwt import Jwt, find_date, verify_jwt
from keystead.model import GrantId, Subject

# One exchange, at once, by a program that is waiting for it.
HAND_OVER_LIFETIME_S = 60
_REQUIRED = frozenset(
    {"iss", "sub", "aud", "exp", "iat", "jti", "scope", "sub_id", "aal", "act", "cnf"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _HandOver:
    """The claim ``handover``: for which audience, and which client the user came by."""

    audience: str
    client: str | None


def verify_own_token(
    token: CompactJws, *, token_type: TokenType, keys: JwkSet, issuer: str, now: int, leeway_s: int
) -> SubjectClaims:
    """The user that a token of ours speaks of; steps as in ``federation.verify_subject_token``.

    2. It is declared as what it is: ``jwt`` for a hand-over token, ``access_token`` for another.
    3. It is of that ``typ``, by a token key, in time; a hand-over token is addressed to us.
    5. ``sub`` is a person, and ``sub_id`` says which issuer's.
    8. The rest reads completely: a hand-over token has ``may_act``, and both are bound.
    """
    with at_step(2):
        if token_type not in (TokenType.ACCESS_TOKEN, TokenType.JWT):
            raise Refused(Reason.TOKEN_TYPE_UNSUPPORTED, f"{token_type} is none of ours")
    hand_over = token_type is TokenType.JWT
    with at_step(3):
        jwt = verify_jwt(
            token,
            keys=keys,
            types={HAND_OVER_TYP if hand_over else ACCESS_TOKEN_TYP},
            issuer=issuer,
            audience=issuer if hand_over else None,
            now=now,
            required=_REQUIRED,
            leeway_s=leeway_s,
            max_lifetime_s=HAND_OVER_LIFETIME_S if hand_over else None,
        )
    with at_step(5):
        read_sub(jwt.claims)
    with at_step(8):
        return _read_hand_over(jwt) if hand_over else _read_access_token(jwt)


def _read_access_token(jwt: Jwt) -> SubjectClaims:
    return _read(jwt, token_type=TokenType.ACCESS_TOKEN, audiences=frozenset(jwt.audience))


def _read_hand_over(jwt: Jwt) -> SubjectClaims:
    member = json.get_object(jwt.claims, "handover")
    hand_over = _HandOver(
        audience=json.get_str(member, "audience"), client=json.find_str(member, "client")
    )
    if "may_act" not in jwt.claims:
        raise TokenRejected(Reason.CLAIM_MISSING, "may_act")
    return _read(
        jwt,
        token_type=TokenType.JWT,
        audiences=frozenset({hand_over.audience}),
        hand_over=hand_over,
    )


def _read(
    jwt: Jwt,
    *,
    token_type: TokenType,
    audiences: frozenset[str],
    hand_over: _HandOver | None = None,
) -> SubjectClaims:
    claims = jwt.claims
    jkt = read_jkt(claims)
    if jwt.expires_at is None or jwt.issued_at is None:
        raise TokenRejected(Reason.CLAIM_MISSING, "exp or iat")
    if jkt is None:
        raise TokenRejected(Reason.BINDING_MISSING, "no cnf.jkt")
    grant_id = json.find_str(claims, "grant_id", max_chars=MAX_NAME_CHARS)
    return SubjectClaims(
        subject=_subject(claims, hand_over.client if hand_over else None),
        token_type=token_type,
        issued_at=jwt.issued_at,
        expires_at=jwt.expires_at,
        jti=json.get_str(claims, "jti", max_chars=MAX_NAME_CHARS),
        scopes=read_scopes(claims) or frozenset(),
        audiences=audiences,
        may_act=read_may_act(claims),
        act=read_act(claims),
        jkt=jkt,
        own=True,
        hand_over=hand_over is not None,
        grant_id=GrantId(grant_id) if grant_id else None,
        txn=json.find_str(claims, "txn", max_chars=MAX_NAME_CHARS),
    )


def _subject(claims: Mapping[str, JSON], client: str | None) -> Subject:
    sub_id = json.get_object(claims, "sub_id")
    if sub_id.get("format") != "iss_sub" or sub_id.get("sub") != claims["sub"]:
        raise TokenRejected(Reason.CLAIM_INVALID, "sub_id")
    return Subject(
        sub=json.get_str(claims, "sub"),
        issuer=json.get_str(sub_id, "iss"),
        client=client,
        aal=json.get_int(claims, "aal", minimum=1, maximum=3),
        acr=json.find_str(claims, "acr", max_chars=MAX_NAME_CHARS),
        amr=read_amr(claims),
        auth_time=find_date(claims, "auth_time"),
    )
