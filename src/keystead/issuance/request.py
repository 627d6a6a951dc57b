"""The body of ``POST /token``, read strictly (RFC 8693 §2.1, RFC 6749 §3.2, §6).

One target a token: an access token that several resource servers accept can be used by each of
them against the others. An empty value counts as absent and unknown parameters are ignored, as
RFC 6749 §3.1 and §3.2 say; everything known is bounded and may appear once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from keystead.delegation.audiences import MAX_SCOPE_CHARS, MAX_SCOPES, SCOPE_TOKEN
from keystead.errors import Malformed, Reason, Refused
from keystead.identity.spiffe import parse_workload_id
from keystead.identity.subject_claims import TokenType
from keystead.model import SpiffeId

TOKEN_EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
REFRESH_GRANT = "refresh_token"

# Everything known, a client assertion, and room for what others add.
MAX_PARAMETERS = 32
# As jose.jws: web servers cap headers, and tokens travel in headers.
MAX_TOKEN_CHARS = 16_384
MAX_VALUE_CHARS = 2_048
MAX_SCOPE_PARAMETER_CHARS = 4_096
# A hand-over names this issuer and the audience it is for; everything else names one.
MAX_TARGETS = 2

_TOKENS = frozenset({"subject_token", "actor_token", "refresh_token"})
_TARGETS = frozenset({"audience", "resource"})
_KNOWN = (
    _TOKENS
    | _TARGETS
    | {"grant_type", "subject_token_type", "actor_token_type", "requested_token_type"}
    | {"scope", "client_id", "may_act"}
)
# RFC 3986: no spaces, controls or non-ASCII in a URI.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRequest:
    """A token exchange. ``may_act``, our extension, asks for a hand-over token for that agent."""

    subject_token: str = field(repr=False)
    subject_token_type: TokenType
    actor_token: str | None = field(default=None, repr=False)
    actor_token_type: TokenType | None = None
    targets: tuple[str, ...]
    scopes: tuple[str, ...] | None = None
    client_id: str | None = None
    may_act: SpiffeId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRequest:
    """A renewal of a grant by its handle."""

    refresh_token: str = field(repr=False)
    audience: str | None = None
    scopes: tuple[str, ...] | None = None
    client_id: str | None = None


def parse_form(pairs: Sequence[tuple[str, str]]) -> ExchangeRequest | RefreshRequest:
    """The request that a decoded form body is, after these checks; an error carries the number.

    1. Few parameters, short values, known ones once (too_large, parameter_repeated).
    2. ``grant_type`` is one of ours (grant_type_unsupported).
    3. What the grant type needs is there (parameter_missing).
    4. Token types are known and fit (token_type_unsupported); ``actor_token_type`` is there if
       and only if ``actor_token`` is.
    5. Targets: ``audience`` and ``resource`` name one in all, two for a hand-over
       (audience_not_allowed); ``resource`` is an absolute URI without fragment.
    6. ``scope`` is RFC 6749 §3.3's (scope_not_allowed).
    7. ``may_act`` is a workload's SPIFFE ID (spiffe_id_invalid).
    """
    single, targets = _check_parameters(pairs)
    grant_type = _need(single, "grant_type", step=2)
    if grant_type == TOKEN_EXCHANGE_GRANT:
        return _exchange(single, targets)
    if grant_type == REFRESH_GRANT:
        return _refresh(single, targets)
    raise Refused(Reason.GRANT_TYPE_UNSUPPORTED, "another grant_type", step=2)


def _exchange(single: Mapping[str, str], targets: tuple[str, ...]) -> ExchangeRequest:
    subject_token = _need(single, "subject_token", step=3)
    subject_type = _token_type(_need(single, "subject_token_type", step=3))
    if not targets:
        raise Malformed(Reason.PARAMETER_MISSING, "audience or resource", step=3)
    actor_token, actor_type = _check_actor(single)
    hand_over = "may_act" in single
    _check_requested_type(single, hand_over)
    return ExchangeRequest(
        subject_token=subject_token,
        subject_token_type=subject_type,
        actor_token=actor_token,
        actor_token_type=actor_type,
        targets=_check_targets(targets, most=MAX_TARGETS if hand_over else 1),
        scopes=_check_scope(single),
        client_id=single.get("client_id"),
        may_act=_check_may_act(single["may_act"]) if hand_over else None,
    )


def _refresh(single: Mapping[str, str], targets: tuple[str, ...]) -> RefreshRequest:
    for name in ("subject_token", "actor_token", "may_act"):
        if name in single:
            raise Malformed(Reason.PARAMETER_INVALID, f"{name} in a renewal", step=3)
    chosen = _check_targets(targets, most=1)
    return RefreshRequest(
        refresh_token=_need(single, "refresh_token", step=3),
        audience=chosen[0] if chosen else None,
        scopes=_check_scope(single),
        client_id=single.get("client_id"),
    )


def _check_parameters(
    pairs: Sequence[tuple[str, str]],
) -> tuple[dict[str, str], tuple[str, ...]]:
    if len(pairs) > MAX_PARAMETERS:
        raise Malformed(Reason.TOO_LARGE, f"more than {MAX_PARAMETERS} parameters", step=1)
    single: dict[str, str] = {}
    targets: list[str] = []
    for name, value in pairs:
        if name not in _KNOWN or not value:
            continue
        if len(value) > _longest(name):
            raise Malformed(Reason.TOO_LARGE, f"{name} is too long", step=1)
        if name in _TARGETS:
            targets.append(_check_resource(value) if name == "resource" else value)
        elif name in single:
            raise Malformed(Reason.PARAMETER_REPEATED, name, step=1)
        else:
            single[name] = value
    return single, tuple(dict.fromkeys(targets))


def _longest(name: str) -> int:
    if name in _TOKENS:
        return MAX_TOKEN_CHARS
    return MAX_SCOPE_PARAMETER_CHARS if name == "scope" else MAX_VALUE_CHARS


def _need(single: Mapping[str, str], name: str, *, step: int) -> str:
    value = single.get(name)
    if value is None:
        raise Malformed(Reason.PARAMETER_MISSING, name, step=step)
    return value


def _token_type(value: str) -> TokenType:
    try:
        return TokenType(value)
    except ValueError:
        raise Refused(Reason.TOKEN_TYPE_UNSUPPORTED, "an unknown token type", step=4) from None


def _check_actor(single: Mapping[str, str]) -> tuple[str | None, TokenType | None]:
    """RFC 8693 §2.1: the type if and only if the token."""
    token, declared = single.get("actor_token"), single.get("actor_token_type")
    if token is None and declared is None:
        return None, None
    if declared is None:
        raise Malformed(Reason.PARAMETER_MISSING, "actor_token_type", step=4)
    if token is None:
        raise Malformed(Reason.PARAMETER_INVALID, "actor_token_type without a token", step=4)
    return token, _token_type(declared)


def _check_requested_type(single: Mapping[str, str], hand_over: bool) -> None:
    """An access token, or for a hand-over a JWT that no resource server accepts."""
    made = TokenType.JWT if hand_over else TokenType.ACCESS_TOKEN
    if single.get("requested_token_type", made) != made:
        raise Refused(Reason.TOKEN_TYPE_UNSUPPORTED, f"only {made} is issued", step=4)


def _check_resource(value: str) -> str:
    """RFC 8707 §2: an absolute URI without fragment."""
    if not _URI.fullmatch(value) or "#" in value:
        raise Refused(Reason.AUDIENCE_NOT_ALLOWED, "resource is no absolute URI", step=5)
    try:
        urlsplit(value)
    except ValueError:
        raise Refused(Reason.AUDIENCE_NOT_ALLOWED, "resource is no URI", step=5) from None
    return value


def _check_targets(targets: tuple[str, ...], *, most: int) -> tuple[str, ...]:
    if len(targets) > most:
        raise Refused(Reason.AUDIENCE_NOT_ALLOWED, f"more than {most} targets", step=5)
    return targets


def _check_scope(single: Mapping[str, str]) -> tuple[str, ...] | None:
    if "scope" not in single:
        return None
    scopes = single["scope"].split(" ")
    if len(scopes) > MAX_SCOPES or len(set(scopes)) != len(scopes):
        raise Refused(Reason.SCOPE_NOT_ALLOWED, f"doubled, or over {MAX_SCOPES} scopes", step=6)
    for scope in scopes:
        if len(scope) > MAX_SCOPE_CHARS or not SCOPE_TOKEN.fullmatch(scope):
            raise Refused(Reason.SCOPE_NOT_ALLOWED, "not a scope of RFC 6749 §3.3", step=6)
    return tuple(scopes)


def _check_may_act(value: str) -> SpiffeId:
    try:
        return parse_workload_id(value)
    except Malformed as error:
        raise Malformed(error.reason, f"may_act: {error.detail}", step=7) from error
