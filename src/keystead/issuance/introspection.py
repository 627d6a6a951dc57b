"""Token introspection (RFC 7662 §2.2): what a live token of ours says, ``act`` included.

A token that is not active says nothing else, not even why. Whether its grant still lives is the
store's to say: ``grant_of`` names it.
"""

from __future__ import annotations

from collections.abc import Mapping

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import Malformed, TokenRejected
from keystead.identity.subject_claims import MAX_NAME_CHARS
from keystead.identity.token_kinds import ACCESS_TOKEN_TYP
from keystead.issuance.claims import DPOP_TOKEN_TYPE
from keystead.jose.jwk import JwkSet
from keystead.jose.jwt import verify_jwt
from keystead.model import GrantId, Jkt

# RFC 7662 §2.2, RFC 8693 §4, RFC 9470 §6.2, RFC 7800, RFC 9493; the rest are ours.
_TOLD = (
    *("iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti", "txn"),
    *("auth_time", "acr", "amr", "aal", "sub_id", "act", "may_act", "cnf", "status"),
)


INACTIVE: dict[str, JSON] = {"active": False}
"""The answer for every token that is not a live one of ours; not to be changed."""


def active_claims(token: str, *, keys: JwkSet, issuer: str, now: int) -> Mapping[str, JSON] | None:
    """The verified claims of an access token of ours, or None. ``keys`` are the token keys.

    Leeway is for servers whose clocks differ a little; what has ended here has ended.
    """
    try:
        jwt = verify_jwt(
            token,
            keys=keys,
            types={ACCESS_TOKEN_TYP},
            issuer=issuer,
            audience=None,
            now=now,
        )
    except (Malformed, TokenRejected):
        return None
    if jwt.expires_at is None or now >= jwt.expires_at:
        return None
    return jwt.claims


def grant_of(claims: Mapping[str, JSON]) -> GrantId | None:
    """The grant that a verified token hangs on."""
    grant = json.find_str(claims, "grant_id", max_chars=MAX_NAME_CHARS)
    return None if grant is None else GrantId(grant)


def jkt_of(claims: Mapping[str, JSON]) -> Jkt:
    """The key that a verified token is bound to; no token of ours is without."""
    return Jkt(json.get_str(json.get_object(claims, "cnf"), "jkt"))


def response(claims: Mapping[str, JSON]) -> dict[str, JSON]:
    """The answer for a verified, live token with these claims."""
    told = {name: claims[name] for name in _TOLD if name in claims}
    return {"active": True, "token_type": DPOP_TOKEN_TYPE, **told}
