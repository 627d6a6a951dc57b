"""A ``VerifiedToken`` of claims that passed every check of :mod:`keystead.relying.claims`.

Nothing is checked here: whoever calls it has, or has the native engine's word. So it may be made
when somebody reads it, and for nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import NotRequired, TypedDict, cast

from keystead.codec.json import JSON
from keystead.model import (
    Actor,
    EvidenceKind,
    Freshness,
    Jkt,
    Protection,
    Residency,
    ResultId,
    VerifiedToken,
)


class _Act(TypedDict):
    sub: str
    iss: NotRequired[str]
    attestation: NotRequired[str]
    act: NotRequired[_Act]


class _Residency(TypedDict):
    kind: str
    protection: str
    hardware: bool
    verified_at: int
    freshness: str
    policy: str
    result: str


class _Confirmation(TypedDict):
    jkt: str
    residency: NotRequired[_Residency]


class _Claims(TypedDict):
    iss: str
    sub: str
    aud: str | list[str]
    client_id: str
    iat: float
    exp: float
    jti: str
    txn: NotRequired[str]
    scope: NotRequired[str]
    auth_time: NotRequired[float]
    acr: NotRequired[str]
    amr: NotRequired[list[str]]
    aal: NotRequired[int]
    act: NotRequired[_Act]
    cnf: NotRequired[_Confirmation]


def verified_token(checked: Mapping[str, JSON]) -> VerifiedToken:
    """What claims say that passed steps 6 to 15; of any others it may say anything, or raise."""
    claims = cast(_Claims, checked)
    audience = claims["aud"]
    actor = _actor(claims["act"]) if "act" in claims else None
    confirmation = claims.get("cnf")
    scope = claims.get("scope")
    auth_time = claims.get("auth_time")
    return VerifiedToken(
        user=claims["sub"],
        issuer=claims["iss"],
        client_id=claims["client_id"],
        agent=actor.sub if actor is not None else claims["client_id"],
        actor=actor,
        scopes=tuple(scope.split(" ")) if scope is not None else (),
        audience=(audience,) if isinstance(audience, str) else tuple(audience),
        aal=claims.get("aal"),
        acr=claims.get("acr"),
        amr=tuple(claims.get("amr", ())),
        auth_time=floor(auth_time) if auth_time is not None else None,
        residency=_residency(confirmation["residency"])
        if confirmation is not None and "residency" in confirmation
        else None,
        jkt=Jkt(confirmation["jkt"]) if confirmation is not None else None,
        jti=claims["jti"],
        txn=claims.get("txn"),
        issued_at=floor(claims["iat"]),
        expires_at=floor(claims["exp"]),
    )


def _actor(members: _Act) -> Actor:
    return Actor(
        sub=members["sub"],
        iss=members.get("iss"),
        attestation=members.get("attestation"),
        act=_actor(members["act"]) if "act" in members else None,
    )


def _residency(members: _Residency) -> Residency:
    return Residency(
        kind=EvidenceKind(members["kind"]),
        protection=Protection(members["protection"]),
        hardware=members["hardware"],
        verified_at=members["verified_at"],
        freshness=Freshness(members["freshness"]),
        policy=members["policy"],
        result=ResultId(members["result"]),
    )
