"""Whose users are believed, and how: subject tokens of configured issuers and of our own.

    origin = peek(subject_token)           # unverified: only to fetch the right keys
    subject = verify_subject_token(origin, token_type=…, issuers=…, keys=…, …)

An issuer is believed about its own users only, for the clients and token types that configuration
names, and only where the token names Keystead as an audience.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import ConfigurationError, Reason, Refused, TokenRejected
from keystead.identity import token_kinds
from keystead.identity.own_tokens import verify_own_token
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
from keystead.jose.jwk import JwkSet
from keystead.jose.jws import MAX_TOKEN_BYTES, CompactJws, parse_compact
from keystead.jose.jwt import DEFAULT_LEEWAY_S, Jwt, find_date, verify_jwt
from keystead.model import Actor, Subject

# What identity providers sign with; each issuer's list may be shorter, never symmetric.
DEFAULT_SUBJECT_ALGORITHMS = frozenset({"ES256", "RS256", "PS256", "EdDSA"})
_SUBJECT_TYPES = frozenset({TokenType.ACCESS_TOKEN, TokenType.ID_TOKEN, TokenType.JWT})
_REQUIRED = frozenset({"iss", "sub", "aud", "exp", "iat"})
MIN_AAL, MAX_AAL = 1, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectIssuer:
    """One identity provider, as the configuration describes it.

    ``audiences`` are Keystead's names there, one of which must be in ``aud``; ``clients`` those
    whose tokens are accepted. ``aal_by_acr`` maps ``acr`` values to 1..3; others are
    ``default_aal``. With ``scopes_limit`` a ``scope`` claim bounds what agents get.
    """

    issuer: str
    audiences: frozenset[str]
    clients: frozenset[str]
    algorithms: frozenset[str] = DEFAULT_SUBJECT_ALGORITHMS
    token_types: frozenset[TokenType] = frozenset({TokenType.ACCESS_TOKEN})
    max_age_s: int | None = None
    aal_by_acr: Mapping[str, int] = field(default_factory=dict)
    default_aal: int = 1
    scopes_limit: bool = True
    plain_access_token_typ: bool = False

    def __post_init__(self) -> None:
        """Refuse what would accept everybody: ``ConfigurationError``."""
        for name in ("audiences", "clients", "algorithms", "token_types"):
            if not getattr(self, name):
                raise ConfigurationError(None, f"subject issuer {self.issuer}: {name} is empty")
        if not self.token_types <= _SUBJECT_TYPES:
            raise ConfigurationError(None, f"subject issuer {self.issuer}: token_types")
        if not all(
            MIN_AAL <= aal <= MAX_AAL for aal in (self.default_aal, *self.aal_by_acr.values())
        ):
            raise ConfigurationError(None, f"subject issuer {self.issuer}: an AAL is 1 to 3")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOrigin:
    """A token and what it claims about its issuer. Nothing has been verified."""

    issuer: str
    jws: CompactJws

    @property
    def kid(self) -> str | None:
        """Which key it says it is signed with."""
        return self.jws.kid


def peek(token: str, *, max_bytes: int = MAX_TOKEN_BYTES) -> TokenOrigin:
    """The unverified ``iss`` and ``kid``, good for choosing keys and for nothing else.

    Raises ``Malformed`` where the token does not decode.
    """
    jws = parse_compact(token, max_bytes=max_bytes)
    claims = json.parse_object(jws.payload)
    return TokenOrigin(issuer=json.get_str(claims, "iss"), jws=jws)


def verify_subject_token(
    token: str | TokenOrigin,
    *,
    token_type: TokenType,
    issuers: Mapping[str, SubjectIssuer],
    keys: JwkSet,
    own_issuer: str,
    now: int,
    leeway_s: int = DEFAULT_LEEWAY_S,
) -> SubjectClaims:
    """The user that ``token`` speaks of, after these checks; an error carries the number.

    ``token`` may be what ``peek`` made of it. ``keys`` are those of the issuer that it names; for
    ``own_issuer``, the keys of purpose ``token`` and no others.

    1. Its unverified ``iss`` selects a configured issuer, or this one (subject_issuer_unknown).
    2. The declared type is a subject token's and accepted from it (token_type_unsupported).
    3. Type, algorithm, key, signature, ``iss``, ``aud`` naming Keystead, times: as ``jose.jwt``.
    4. No claim or header shows another kind of token (type_mismatch).
    5. ``sub`` is a person (subject_token_invalid).
    6. The client it was issued to is an accepted one (subject_client_refused).
    7. The user signed in before now (claim_invalid), at most ``max_age_s`` ago
       (authentication_insufficient).
    8. ``scope``, ``act``, ``may_act`` and ``cnf`` can be read completely, and ``act`` names no
       actor of this issuer (claim_invalid).

    Raises ``Malformed``, ``TokenRejected`` or ``Refused``. Tokens of our own: ``own_tokens``.
    """
    with at_step(1):
        origin = token if isinstance(token, TokenOrigin) else peek(token)
    if origin.issuer == own_issuer:
        return verify_own_token(
            origin.jws,
            token_type=token_type,
            keys=keys,
            issuer=own_issuer,
            now=now,
            leeway_s=leeway_s,
        )
    issuer = issuers.get(origin.issuer)
    if issuer is None:
        raise Refused(Reason.SUBJECT_ISSUER_UNKNOWN, f"iss {origin.issuer!r}", step=1)
    with at_step(2):
        _check_declared(token_type, issuer)
    with at_step(3):
        jwt = _verify(origin.jws, token_type, issuer, keys, now, leeway_s)
    with at_step(4):
        token_kinds.check_kind(token_type, header=jwt.header, claims=jwt.claims)
    with at_step(5):
        sub = read_sub(jwt.claims)
    with at_step(6):
        client = _check_client(jwt, token_type, issuer)
    with at_step(7):
        auth_time = _check_age(jwt.claims, issuer, now, leeway_s)
    with at_step(8):
        subject = _subject(jwt.claims, issuer, sub=sub, client=client, auth_time=auth_time)
        return _read(jwt, token_type, issuer, subject, own_issuer)


def _check_declared(token_type: TokenType, issuer: SubjectIssuer) -> None:
    if token_type not in _SUBJECT_TYPES or token_type not in issuer.token_types:
        raise Refused(Reason.TOKEN_TYPE_UNSUPPORTED, f"{issuer.issuer}: {token_type}")


def _verify(
    token: CompactJws,
    token_type: TokenType,
    issuer: SubjectIssuer,
    keys: JwkSet,
    now: int,
    leeway_s: int,
) -> Jwt:
    types = token_kinds.accepted_header_types(
        token_type, plain_access_token=issuer.plain_access_token_typ
    )
    return verify_jwt(
        token,
        keys=keys,
        types=types,
        issuer=issuer.issuer,
        audience=issuer.audiences,
        now=now,
        algorithms=issuer.algorithms,
        required=_REQUIRED,
        leeway_s=leeway_s,
    )


def _check_client(jwt: Jwt, token_type: TokenType, issuer: SubjectIssuer) -> str:
    client = _client(jwt, token_type)
    if client is None or client not in issuer.clients:
        raise Refused(Reason.SUBJECT_CLIENT_REFUSED, f"client {client!r}")
    return client


def _client(jwt: Jwt, token_type: TokenType) -> str | None:
    """``client_id`` (RFC 9068 §2.2) or ``azp`` (OpenID Connect Core §2), which must not differ.

    An ID token without ``azp`` was issued to its only audience.
    """
    named = {
        name
        for claim in ("client_id", "azp")
        if (name := json.find_str(jwt.claims, claim, max_chars=MAX_NAME_CHARS)) is not None
    }
    if not named and token_type is TokenType.ID_TOKEN:
        named = set(jwt.audience)
    return named.pop() if len(named) == 1 else None


def _check_age(
    claims: Mapping[str, JSON], issuer: SubjectIssuer, now: int, leeway_s: int
) -> int | None:
    auth_time = find_date(claims, "auth_time")
    if auth_time is not None and auth_time > now + leeway_s:
        raise TokenRejected(Reason.CLAIM_INVALID, f"auth_time {auth_time}, now {now}")
    if issuer.max_age_s is None:
        return auth_time
    if auth_time is None or now - auth_time > issuer.max_age_s:
        raise Refused(Reason.AUTHENTICATION_INSUFFICIENT, f"auth_time {auth_time}, now {now}")
    return auth_time


def _subject(
    claims: Mapping[str, JSON],
    issuer: SubjectIssuer,
    *,
    sub: str,
    client: str,
    auth_time: int | None,
) -> Subject:
    acr = json.find_str(claims, "acr", max_chars=MAX_NAME_CHARS)
    return Subject(
        sub=sub,
        issuer=issuer.issuer,
        client=client,
        aal=issuer.aal_by_acr.get(acr or "", issuer.default_aal),
        acr=acr,
        amr=read_amr(claims),
        auth_time=auth_time,
    )


def _read(
    jwt: Jwt, token_type: TokenType, issuer: SubjectIssuer, subject: Subject, own_issuer: str
) -> SubjectClaims:
    if jwt.expires_at is None or jwt.issued_at is None:
        raise TokenRejected(Reason.CLAIM_MISSING, "exp or iat")
    return SubjectClaims(
        subject=subject,
        token_type=token_type,
        issued_at=jwt.issued_at,
        expires_at=jwt.expires_at,
        jti=json.find_str(jwt.claims, "jti", max_chars=MAX_NAME_CHARS),
        scopes=read_scopes(jwt.claims) if issuer.scopes_limit else None,
        may_act=read_may_act(jwt.claims),
        act=_foreign_act(read_act(jwt.claims), issuer.issuer, own_issuer),
        jkt=read_jkt(jwt.claims),
    )


def _foreign_act(actor: Actor | None, issuer: str, own_issuer: str) -> Actor | None:
    """The chain as ``issuer`` tells it, fit to stand in a token of ours: names without ``iss`` are
    that issuer's, nothing of it was attested here, and no actor of ours is taken from hearsay."""
    if actor is None:
        return None
    if actor.iss == own_issuer:
        raise TokenRejected(Reason.CLAIM_INVALID, "act names an actor of this issuer")
    return Actor(
        sub=actor.sub,
        iss=actor.iss or issuer,
        act=_foreign_act(actor.act, issuer, own_issuer),
    )
