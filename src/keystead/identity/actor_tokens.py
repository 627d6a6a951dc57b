"""Actor tokens: a JWT-SVID that says again who the agent is.

The bound key alone names the agent, so an actor token can only confirm it, and shorten the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keystead.codec import json
from keystead.errors import KeysteadError, Reason, Refused, TokenRejected
from keystead.identity.spiffe import parse_workload_id, trust_domain
from keystead.identity.subject_claims import TokenType
from keystead.jose.jwk import JwkSet
from keystead.jose.jws import parse_compact
from keystead.jose.jwt import DEFAULT_LEEWAY_S, NO_TYPE, verify_jwt
from keystead.model import SpiffeId

# JWT-SVID §2 (header), §3.1 to §3.3 (claims).
_SVID_TYPES = frozenset({NO_TYPE, "jwt", "jose"})
_SVID_CLAIMS = frozenset({"sub", "aud", "exp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorClaims:
    """A verified actor token."""

    spiffe_id: SpiffeId
    expires_at: int


def verify_actor_token(
    token: str,
    *,
    token_type: TokenType,
    bundles: Mapping[str, JwkSet],
    audiences: frozenset[str],
    agent: SpiffeId,
    now: int,
    leeway_s: int = DEFAULT_LEEWAY_S,
) -> ActorClaims:
    """The JWT-SVID of ``agent``, after these checks; an error carries the number.

    ``bundles`` holds the ``jwt-svid`` keys of each configured trust domain, by its name.

    1. It is declared as a ``jwt`` (token_type_unsupported).
    2. Its unverified ``sub`` is a SPIFFE ID of a configured trust domain, whose keys are used.
    3. Type, algorithm, signature, ``aud`` naming Keystead, ``exp``: as ``jose.jwt``.
    4. It names the bound key's own SPIFFE ID (client_mismatch).

    Raises ``Refused``, and ``TokenRejected`` (actor_token_invalid) for whatever is wrong in 2, 3.
    """
    if token_type is not TokenType.JWT:
        raise Refused(Reason.TOKEN_TYPE_UNSUPPORTED, f"actor token of {token_type}", step=1)
    spiffe_id, keys = _check_trust_domain(token, bundles)
    expires_at = _check_svid(token, keys, audiences, now, leeway_s)
    if spiffe_id != agent:
        raise Refused(Reason.CLIENT_MISMATCH, f"{spiffe_id} is not the key's {agent}", step=4)
    return ActorClaims(spiffe_id=spiffe_id, expires_at=expires_at)


def _check_trust_domain(token: str, bundles: Mapping[str, JwkSet]) -> tuple[SpiffeId, JwkSet]:
    try:
        claims = json.parse_object(parse_compact(token).payload)
        spiffe_id = parse_workload_id(json.get_str(claims, "sub"))
    except KeysteadError as error:
        raise TokenRejected(Reason.ACTOR_TOKEN_INVALID, str(error), step=2) from error
    keys = bundles.get(trust_domain(spiffe_id))
    if keys is None:
        raise TokenRejected(Reason.ACTOR_TOKEN_INVALID, "trust domain not configured", step=2)
    return spiffe_id, keys


def _check_svid(
    token: str, keys: JwkSet, audiences: frozenset[str], now: int, leeway_s: int
) -> int:
    try:
        jwt = verify_jwt(
            token,
            keys=keys,
            types=_SVID_TYPES,
            issuer=None,
            audience=audiences,
            now=now,
            required=_SVID_CLAIMS,
            leeway_s=leeway_s,
        )
    except KeysteadError as error:
        raise TokenRejected(Reason.ACTOR_TOKEN_INVALID, str(error), step=3) from error
    if jwt.expires_at is None:
        raise TokenRejected(Reason.ACTOR_TOKEN_INVALID, "no exp", step=3)
    return jwt.expires_at
