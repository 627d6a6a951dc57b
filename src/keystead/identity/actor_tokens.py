"""Actor tokens: a JWT-SVID that says again who the agent is.

The bound key alone names the agent, so an actor token can only confirm it, and shorten the result.
"""

from __future__ import annotations

from collections.abc import Mapping

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import Malformed, Reason, Refused, TokenRejected
from keystead.identity.spiffe import parse_workload_id
from keystead.identity.subject_claims import TokenType
from keystead.jose.jwk import JwkSet
from keystead.jose.jwt import DEFAULT_LEEWAY_S, NO_TYPE, Jwt, verify_jwt
from keystead.model import SpiffeId

# JWT-SVID §2 (header), §3.1 to §3.3 (claims).
_SVID_TYPES = frozenset({NO_TYPE, "jwt", "jose"})
_SVID_CLAIMS = frozenset({"sub", "aud", "exp"})


def verify_actor_token(
    token: str,
    *,
    token_type: TokenType | None,
    keys: JwkSet,
    audience: str | frozenset[str],
    agent: SpiffeId,
    now: int,
    leeway_s: int = DEFAULT_LEEWAY_S,
) -> int:
    """When the JWT-SVID of ``agent`` expires, after these checks; an error carries the number.

    ``keys`` are the JWT-SVID keys of the trust domain of ``agent``: what any other trust domain
    signs does not verify. ``audience`` is Keystead's name, or names.

    1. It is declared as a ``jwt`` (token_type_unsupported).
    2. Type, algorithm, signature, ``aud`` naming Keystead, ``exp``: as ``jose.jwt``
       (actor_token_invalid).
    3. Its ``sub`` is the bound key's own SPIFFE ID (actor_token_invalid, client_mismatch).

    Raises ``Refused`` and ``TokenRejected``.
    """
    if token_type is not TokenType.JWT:
        raise Refused(Reason.TOKEN_TYPE_UNSUPPORTED, f"actor token of {token_type}", step=1)
    jwt = _check_svid(token, keys, audience, now, leeway_s)
    _check_agent(jwt.claims, agent)
    if jwt.expires_at is None:
        raise TokenRejected(Reason.ACTOR_TOKEN_INVALID, "no exp", step=2)
    return jwt.expires_at


def _check_svid(
    token: str, keys: JwkSet, audience: str | frozenset[str], now: int, leeway_s: int
) -> Jwt:
    try:
        return verify_jwt(
            token,
            keys=keys,
            types=_SVID_TYPES,
            issuer=None,
            audience=audience,
            now=now,
            required=_SVID_CLAIMS,
            leeway_s=leeway_s,
        )
    except (Malformed, TokenRejected) as error:
        raise TokenRejected(Reason.ACTOR_TOKEN_INVALID, str(error), step=2) from error


def _check_agent(claims: Mapping[str, JSON], agent: SpiffeId) -> None:
    try:
        sub = parse_workload_id(json.get_str(claims, "sub"))
    except Malformed as error:
        raise TokenRejected(Reason.ACTOR_TOKEN_INVALID, str(error), step=3) from error
    if sub != agent:
        raise Refused(Reason.CLIENT_MISMATCH, f"{sub} is not the key's {agent}", step=3)
