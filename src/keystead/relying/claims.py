"""The claims of a delegated access token, one check a function.

Source: RFC 9068 §2.2 and §4 (access tokens), RFC 8693 §4.1 (``act``), RFC 7800 and RFC 9449 §6
(``cnf``). What a claim must be for one API (its scopes, its AAL) is in
:mod:`keystead.relying.requirements`; here is what every token must be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import Reason, TokenRejected
from keystead.jose.jwt import find_date
from keystead.model import EvidenceKind, Freshness, Protection, VerifiedToken
from keystead.relying.claim_reader import find_claim, get_claim
from keystead.relying.steps import Step
from keystead.relying.verified import verified_token

# Longer chains are nobody's delegation; RFC 8693 sets no bound.
MAX_ACT_DEPTH = 8
# RFC 7519 leaves ``jti`` and ``txn`` open; ours are 22 characters.
MAX_JTI_CHARS = 256
MAX_SCOPE_CHARS = 4_096
MAX_AUDIENCES = 20
MAX_AMR_VALUES = 16
# NIST SP 800-63B knows three authenticator assurance levels.
MAX_AAL = 3

# RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), one space between two.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]++(?: [\x21\x23-\x5b\x5d-\x7e]++)*+")
# Base64url of a SHA-256: the last of 43 characters has two bits that must be zero.
_SHA256 = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
# Other confirmation methods would go unchecked here, so a token that has one is refused.
_CONFIRMATIONS = frozenset({"jkt", "residency"})

# What each kind of evidence can prove: only a TPM itself says that a key cannot leave it.
_MEASURED = frozenset({Protection.MEASURED_CODE, Protection.NONE})
_NOTHING = frozenset({Protection.NONE})
PROVABLE: Mapping[EvidenceKind, frozenset[Protection]] = {
    EvidenceKind.TPM2: frozenset({Protection.NON_EXPORTABLE, Protection.NONE}),
    EvidenceKind.AWS_NITRO: _MEASURED,
    EvidenceKind.SEV_SNP: _MEASURED,
    EvidenceKind.TDX: _MEASURED,
    EvidenceKind.AZURE_CVM: _MEASURED,
    EvidenceKind.MAA: _MEASURED,
    EvidenceKind.APP_ATTEST: _NOTHING,
    EvidenceKind.OIDC: _NOTHING,
}

# Kinds whose hardware may be genuine and say nothing of the key: a guest whose image nobody pins,
# an app. A TPM certifies the key or nothing is bound; a workload's token shows no hardware at all.
HARDWARE_ALONE = frozenset(PROVABLE) - {EvidenceKind.TPM2, EvidenceKind.OIDC}

_E = TypeVar("_E", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What every token must satisfy at one relying party; times in seconds."""

    issuer: str
    audience: str
    leeway_s: int
    max_lifetime_s: int
    dpop_required: bool


def check_claims(claims: Mapping[str, JSON], *, rules: TokenRules, now: int) -> VerifiedToken:
    """Steps 6 to 15. Raises ``TokenRejected`` with its reason and step."""
    latest = now + rules.leeway_s
    check_issuer(claims, rules.issuer)
    check_audience(claims, rules.audience)
    issued_at, expires_at = check_times(claims, now=now, leeway_s=rules.leeway_s)
    check_lifetime(issued_at, expires_at, rules.max_lifetime_s)
    check_identities(claims)
    check_actor(claims)
    check_scope(claims)
    check_authentication(claims, latest=latest)
    confirmation = check_confirmation(claims, dpop_required=rules.dpop_required)
    check_residency(confirmation, latest=latest)
    return verified_token(claims)


def check_issuer(claims: Mapping[str, JSON], issuer: str) -> None:
    """``iss`` is exactly ours, character by character (RFC 9068 §4)."""
    if get_claim(json.get_str, claims, "iss", step=Step.ISSUER) != issuer:
        raise TokenRejected(Reason.ISSUER_MISMATCH, "iss is another issuer's", step=Step.ISSUER)


def check_audience(claims: Mapping[str, JSON], audience: str) -> None:
    """``aud`` names us; it may name others too (RFC 9068 §4)."""
    found = get_claim(
        json.find_str_or_list, claims, "aud", step=Step.AUDIENCE, max_items=MAX_AUDIENCES
    )
    if found is None or audience not in found:
        raise TokenRejected(Reason.AUDIENCE_MISMATCH, f"aud {found!r}", step=Step.AUDIENCE)


def check_times(claims: Mapping[str, JSON], *, now: int, leeway_s: int) -> tuple[int, int]:
    """``now`` is before ``exp`` and not before ``iat`` and ``nbf``, with the leeway; (iat, exp)."""
    expires_at = _date(get_claim(find_date, claims, "exp", step=Step.TIMES))
    issued_at = _date(get_claim(find_date, claims, "iat", step=Step.TIMES))
    not_before = find_claim(find_date, claims, "nbf", step=Step.TIMES)
    if now >= expires_at + leeway_s:
        raise TokenRejected(Reason.EXPIRED, f"exp {expires_at}, now {now}", step=Step.TIMES)
    for name, date in (("iat", issued_at), ("nbf", not_before)):
        if date is not None and now < date - leeway_s:
            raise TokenRejected(Reason.NOT_YET_VALID, f"{name} {date}, now {now}", step=Step.TIMES)
    return issued_at, expires_at


def check_lifetime(issued_at: int, expires_at: int, max_lifetime_s: int) -> None:
    """It lives for at most ``max_lifetime_s``, and for some time at all."""
    if expires_at <= issued_at:
        raise TokenRejected(Reason.CLAIM_INVALID, "exp is not after iat", step=Step.LIFETIME)
    if expires_at - issued_at > max_lifetime_s:
        lifetime_s = expires_at - issued_at
        raise TokenRejected(
            Reason.LIFETIME_TOO_LONG, f"lives for {lifetime_s} s", step=Step.LIFETIME
        )


def check_identities(claims: Mapping[str, JSON]) -> None:
    """``sub``, ``client_id``, ``jti`` (RFC 9068 §2.2 requires them) and ``txn``, if any."""
    step = Step.IDENTITIES
    get_claim(json.get_str, claims, "sub", step=step)
    get_claim(json.get_str, claims, "client_id", step=step)
    get_claim(json.get_str, claims, "jti", step=step, max_chars=MAX_JTI_CHARS)
    find_claim(json.find_str, claims, "txn", step=step, max_chars=MAX_JTI_CHARS)


def check_actor(claims: Mapping[str, JSON]) -> None:
    """``act``: every actor in the chain has a ``sub``, and the chain ends (RFC 8693 §4.1)."""
    links: list[Mapping[str, JSON]] = []
    link = find_claim(json.find_object, claims, "act", step=Step.ACTOR)
    while link is not None:
        if len(links) == MAX_ACT_DEPTH:
            raise TokenRejected(
                Reason.CLAIM_INVALID, f"act is deeper than {MAX_ACT_DEPTH}", step=Step.ACTOR
            )
        links.append(link)
        link = find_claim(json.find_object, link, "act", step=Step.ACTOR)
    for members in reversed(links):
        get_claim(json.get_str, members, "sub", step=Step.ACTOR, within="act.")
        find_claim(json.find_str, members, "iss", step=Step.ACTOR)
        find_claim(json.find_str, members, "attestation", step=Step.ACTOR)


def check_scope(claims: Mapping[str, JSON]) -> None:
    """``scope``, where there is one, is one string as RFC 6749 §3.3 spells it."""
    scope = find_claim(json.find_str, claims, "scope", step=Step.SCOPE, max_chars=MAX_SCOPE_CHARS)
    if scope is not None and not _SCOPE.fullmatch(scope):
        raise TokenRejected(Reason.CLAIM_INVALID, "scope is not RFC 6749's", step=Step.SCOPE)


def check_authentication(claims: Mapping[str, JSON], *, latest: int) -> None:
    """``aal``, ``acr``, ``amr`` and ``auth_time``, as far as they are there."""
    step = Step.AUTHENTICATION
    find_claim(json.find_int, claims, "aal", step=step, minimum=1, maximum=MAX_AAL)
    find_claim(json.find_str, claims, "acr", step=step)
    find_claim(json.find_str_list, claims, "amr", step=step, max_items=MAX_AMR_VALUES)
    auth_time = find_claim(find_date, claims, "auth_time", step=step)
    if auth_time is not None and auth_time > latest:
        raise TokenRejected(Reason.CLAIM_INVALID, "auth_time is in the future", step=step)


def check_confirmation(
    claims: Mapping[str, JSON], *, dpop_required: bool
) -> Mapping[str, JSON] | None:
    """``cnf`` has a ``jkt`` and nothing that would go unchecked; None where there is no ``cnf``."""
    confirmation = find_claim(json.find_object, claims, "cnf", step=Step.CONFIRMATION)
    if confirmation is None and not dpop_required:
        return None
    if confirmation is None or "jkt" not in confirmation:
        raise TokenRejected(Reason.BINDING_MISSING, "no cnf.jkt", step=Step.CONFIRMATION)
    if not confirmation.keys() <= _CONFIRMATIONS:
        raise TokenRejected(
            Reason.CLAIM_INVALID, "cnf has another confirmation method", step=Step.CONFIRMATION
        )
    _thumbprint(confirmation, "jkt", step=Step.CONFIRMATION)
    return confirmation


def check_residency(confirmation: Mapping[str, JSON] | None, *, latest: int) -> None:
    """``cnf.residency`` is complete, and claims nothing that its kind cannot prove."""
    step = Step.RESIDENCY
    if confirmation is None:
        return
    members = find_claim(json.find_object, confirmation, "residency", step=step)
    if members is None:
        return
    kind = _choice(EvidenceKind, members, "kind")
    protection = _choice(Protection, members, "protection")
    hardware = get_claim(json.get_bool, members, "hardware", step=step, within="residency.")
    verified_at = get_claim(json.get_int, members, "verified_at", step=step, within="residency.")
    _choice(Freshness, members, "freshness")
    get_claim(json.get_str, members, "policy", step=step, within="residency.")
    _thumbprint(members, "result", step=step)
    if protection not in PROVABLE[kind]:
        raise TokenRejected(Reason.CLAIM_INVALID, "residency its kind cannot prove", step=step)
    if hardware and protection is Protection.NONE and kind not in HARDWARE_ALONE:
        raise TokenRejected(Reason.CLAIM_INVALID, "hardware its kind cannot show", step=step)
    if verified_at > latest:
        raise TokenRejected(Reason.CLAIM_INVALID, "verified_at is in the future", step=step)


def _date(found: int | None) -> int:
    if found is None:
        raise TokenRejected(Reason.CLAIM_MISSING, "exp or iat", step=Step.TIMES)
    return found


def _choice(choices: type[_E], members: Mapping[str, JSON], name: str) -> _E:
    text = get_claim(json.get_str, members, name, step=Step.RESIDENCY, within="residency.")
    try:
        return choices(text)
    except ValueError as error:
        raise TokenRejected(
            Reason.CLAIM_INVALID, f"residency.{name} is unknown", step=Step.RESIDENCY
        ) from error


def _thumbprint(members: Mapping[str, JSON], name: str, *, step: Step) -> None:
    text = get_claim(json.get_str, members, name, step=step)
    if not _SHA256.fullmatch(text):
        raise TokenRejected(Reason.CLAIM_INVALID, f"{name} is not a SHA-256", step=step)
