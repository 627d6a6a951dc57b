"""JSON Web Tokens (RFC 7519), verified as RFC 8725 advises.

jwt = verify_jwt(token, keys=jwks, types=frozenset({"at+jwt"}),
                 issuer="https://issuer.example", audience="https://api.example", now=now)
jwt.claims["sub"]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from math import floor
from typing import TypeAlias

from keystead.codec.json import (
    JSON,
    MAX_OBJECT_BYTES,
    find_number,
    find_str,
    find_str_or_list,
    parse_object,
)
from keystead.errors import Malformed, Reason, TokenRejected
from keystead.jose.algorithms import DEFAULT_ALGORITHMS
from keystead.jose.jwk import JwkSet, PublicJwk
from keystead.jose.jws import (
    MAX_TOKEN_BYTES,
    CompactJws,
    check_algorithm,
    parse_compact,
    verify_compact,
)

# Clocks kept by NTP differ by far less; more would stretch five-minute tokens noticeably.
DEFAULT_LEEWAY_S = 5
# What every token of ours and of an OIDC issuer has.
DEFAULT_REQUIRED_CLAIMS = frozenset({"iss", "exp", "iat"})
# The member of ``types`` that stands for a header without ``typ``.
NO_TYPE = ""
# Year 9999; a date past it is an error in the token, not a long life.
MAX_NUMERIC_DATE = 253_402_300_799

KeyLookup: TypeAlias = Callable[[str | None], PublicJwk]


@dataclass(frozen=True, slots=True, kw_only=True)
class Jwt:
    """A JWT that passed ``verify_jwt``; times are Unix seconds, rounded down."""

    header: Mapping[str, JSON]
    claims: Mapping[str, JSON] = field(repr=False)
    key: PublicJwk
    issuer: str | None
    audience: tuple[str, ...]
    expires_at: int | None
    issued_at: int | None
    not_before: int | None


def verify_jwt(
    token: str | bytes | CompactJws,
    *,
    keys: JwkSet | KeyLookup,
    types: Set[str],
    issuer: str | None,
    audience: str | Set[str] | None,
    now: int,
    algorithms: Set[str] = DEFAULT_ALGORITHMS,
    required: Set[str] = DEFAULT_REQUIRED_CLAIMS,
    leeway_s: int = DEFAULT_LEEWAY_S,
    max_lifetime_s: int | None = None,
    max_bytes: int = MAX_TOKEN_BYTES,
) -> Jwt:
    """The token's claims, believed after these checks in this order; an error carries the number.

    1. It is a compact JWS of at most ``max_bytes``, without critical headers; one that
       ``parse_compact`` made is taken as it is.
    2. Its ``typ`` is one of ``types`` (lower case, without ``application/``; ``NO_TYPE`` admits
       a header without one): RFC 8725 §3.11.
    3. Its ``alg`` is one of ``algorithms``.
    4. Its ``kid`` is that of a key in ``keys``; a set of exactly one key needs no ``kid``. A
       function is asked for any ``kid``, None included, and raises by itself.
    5. That key signed it.
    6. Its payload is one strict JSON object that has the ``required`` claims.
    7. ``iss`` is exactly ``issuer`` (None: not compared).
    8. ``aud`` names ``audience``, or one of them (None: not compared).
    9. ``now`` is before ``exp`` and not before ``nbf`` or ``iat``, with ``leeway_s`` seconds.
    10. ``exp`` is at most ``max_lifetime_s`` after ``iat`` (None: not compared).

    Raises ``Malformed`` or ``TokenRejected``.
    """
    jws = _check_compact(token, max_bytes)
    _check_type(jws, types)
    _check_algorithm(jws, algorithms)
    key = _check_key(jws, keys)
    payload = _check_signature(jws, key)
    claims = _check_claims(payload, required, max(max_bytes, MAX_OBJECT_BYTES))
    token_issuer = _check_issuer(claims, issuer)
    token_audience = _check_audience(claims, audience)
    expires_at, issued_at, not_before = _check_times(claims, now, leeway_s)
    _check_lifetime(expires_at, issued_at, max_lifetime_s)
    return Jwt(
        header=jws.header,
        claims=claims,
        key=key,
        issuer=token_issuer,
        audience=token_audience,
        expires_at=expires_at,
        issued_at=issued_at,
        not_before=not_before,
    )


def parse_claims(payload: bytes, *, max_bytes: int = MAX_OBJECT_BYTES) -> dict[str, JSON]:
    """The claims set in ``payload``, which the caller has verified; ``Malformed`` if it is none."""
    return parse_object(payload, max_bytes=max_bytes)


def find_date(claims: Mapping[str, JSON], name: str) -> int | None:
    """A NumericDate (RFC 7519 §2) as Unix seconds, rounded down; None where it is absent."""
    value = find_number(claims, name)
    if value is None:
        return None
    if not 0 <= value <= MAX_NUMERIC_DATE:
        raise Malformed(Reason.MALFORMED, f"{name} is not a date")
    return floor(value)


def normalise_type(typ: str | None) -> str:
    """A ``typ`` as ``types`` spells it: lower case, without ``application/`` (RFC 7515 §4.1.9)."""
    if typ is None:
        return NO_TYPE
    return typ.lower().removeprefix("application/")


def _check_compact(token: str | bytes | CompactJws, max_bytes: int) -> CompactJws:
    if isinstance(token, CompactJws):
        return token
    try:
        return parse_compact(token, max_bytes=max_bytes)
    except TokenRejected as error:
        raise TokenRejected(error.reason, error.detail, step=1) from error


def _check_type(jws: CompactJws, types: Set[str]) -> None:
    if normalise_type(jws.typ) not in types:
        raise TokenRejected(Reason.TYPE_MISMATCH, f"typ {jws.typ!r}", step=2)


def _check_algorithm(jws: CompactJws, algorithms: Set[str]) -> None:
    try:
        check_algorithm(jws, algorithms)
    except TokenRejected as error:
        raise TokenRejected(error.reason, error.detail, step=3) from error


def _check_key(jws: CompactJws, keys: JwkSet | KeyLookup) -> PublicJwk:
    if not isinstance(keys, JwkSet):
        return keys(jws.kid)
    if jws.kid is None and len(keys) == 1:
        return next(iter(keys))
    key = keys.get(jws.kid) if jws.kid is not None else None
    if key is None:
        raise TokenRejected(Reason.KEY_UNKNOWN, f"kid {jws.kid!r}", step=4)
    return key


def _check_signature(jws: CompactJws, key: PublicJwk) -> bytes:
    try:
        return verify_compact(jws, key=key)
    except TokenRejected as error:
        raise TokenRejected(error.reason, error.detail, step=5) from error


def _check_claims(payload: bytes, required: Set[str], max_bytes: int) -> dict[str, JSON]:
    claims = parse_claims(payload, max_bytes=max_bytes)
    missing = sorted(required - claims.keys())
    if missing:
        raise TokenRejected(Reason.CLAIM_MISSING, ", ".join(missing), step=6)
    return claims


def _check_issuer(claims: Mapping[str, JSON], issuer: str | None) -> str | None:
    found = find_str(claims, "iss")
    if issuer is not None and found != issuer:
        raise TokenRejected(Reason.ISSUER_MISMATCH, f"iss {found!r}", step=7)
    return found


def _check_audience(claims: Mapping[str, JSON], audience: str | Set[str] | None) -> tuple[str, ...]:
    found = find_str_or_list(claims, "aud") or ()
    accepted = {audience} if isinstance(audience, str) else audience
    if accepted is not None and accepted.isdisjoint(found):
        raise TokenRejected(Reason.AUDIENCE_MISMATCH, f"aud {found!r}", step=8)
    return found


def _check_times(
    claims: Mapping[str, JSON], now: int, leeway_s: int
) -> tuple[int | None, int | None, int | None]:
    expires_at, issued_at = find_date(claims, "exp"), find_date(claims, "iat")
    not_before = find_date(claims, "nbf")
    if expires_at is not None and now >= expires_at + leeway_s:
        raise TokenRejected(Reason.EXPIRED, f"exp {expires_at}, now {now}", step=9)
    for name, date in (("nbf", not_before), ("iat", issued_at)):
        if date is not None and now < date - leeway_s:
            raise TokenRejected(Reason.NOT_YET_VALID, f"{name} {date}, now {now}", step=9)
    return expires_at, issued_at, not_before


def _check_lifetime(
    expires_at: int | None, issued_at: int | None, max_lifetime_s: int | None
) -> None:
    if max_lifetime_s is None:
        return
    if expires_at is None or issued_at is None:
        raise TokenRejected(Reason.CLAIM_MISSING, "exp and iat bound the lifetime", step=10)
    if expires_at - issued_at > max_lifetime_s:
        lifetime_s = expires_at - issued_at
        raise TokenRejected(Reason.LIFETIME_TOO_LONG, f"lives for {lifetime_s} s", step=10)
