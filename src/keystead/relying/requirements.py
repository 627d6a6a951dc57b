"""What one API asks of a token beyond its being genuine: scopes, sign-in, residency of the key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from keystead.errors import ConfigurationError, Reason, TokenRejected
from keystead.model import Freshness, Protection, Residency, VerifiedToken
from keystead.relying.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidencyRequirement:
    """What must have been proved about where the agent's key lives.

    The default asks for what "the key cannot leave the hardware" means: a key that its own
    hardware says is non-exportable, in real hardware, answering a challenge.
    """

    protections: frozenset[Protection] = frozenset({Protection.NON_EXPORTABLE})
    hardware: bool = True
    """False also admits emulated hardware, which is for development."""
    freshness: frozenset[Freshness] = frozenset({Freshness.CHALLENGED})
    max_age_s: int | None = None
    """How old ``verified_at`` may be."""
    policies: frozenset[str] | None = None
    """The appraisal policies (``id@version``) that are good enough; None: any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Everything that one relying party asks for; an empty one asks for nothing."""

    scopes: frozenset[str] = frozenset()
    minimum_aal: int | None = None
    acr_values: frozenset[str] = frozenset()
    """Any one of them; empty: ``acr`` is not looked at."""
    max_authentication_age_s: int | None = None
    residency: ResidencyRequirement | None = None


def check_required(
    token: VerifiedToken,
    requirements: Requirements,
    *,
    scopes: Iterable[str] = (),
    now: int,
    leeway_s: int,
) -> None:
    """Steps 16 to 18. Raises ``TokenRejected``; ``scopes`` adds to the required ones."""
    check_scopes(token, requirements.scopes.union(scopes))
    check_sign_in(token, requirements, now=now, leeway_s=leeway_s)
    if requirements.residency is not None:
        check_resident(token.residency, requirements.residency, now=now, leeway_s=leeway_s)


def check_scopes(token: VerifiedToken, required: frozenset[str]) -> None:
    """The token has every required scope."""
    missing = required.difference(token.scopes)
    if missing:
        raise TokenRejected(
            Reason.SCOPE_INSUFFICIENT, " ".join(sorted(missing)), step=Step.SCOPES_REQUIRED
        )


def check_sign_in(
    token: VerifiedToken, requirements: Requirements, *, now: int, leeway_s: int
) -> None:
    """The user signed in strongly enough and recently enough (RFC 9470)."""
    if requirements.minimum_aal is not None and (token.aal or 0) < requirements.minimum_aal:
        raise _sign_in_refused(f"aal {token.aal}")
    if requirements.acr_values and token.acr not in requirements.acr_values:
        raise _sign_in_refused(f"acr {token.acr!r}")
    max_age_s = requirements.max_authentication_age_s
    if max_age_s is not None:
        if token.auth_time is None:
            raise _sign_in_refused("no auth_time")
        if now - token.auth_time > max_age_s + leeway_s:
            raise _sign_in_refused(f"signed in {now - token.auth_time} s ago")


def check_resident(
    residency: Residency | None, required: ResidencyRequirement, *, now: int, leeway_s: int
) -> None:
    """The key was proved to be where it has to be."""
    if residency is None:
        raise _residency_refused("no residency")
    if residency.protection not in required.protections:
        raise _residency_refused(f"protection {residency.protection}")
    if required.hardware and not residency.hardware:
        raise _residency_refused("not in hardware")
    if residency.freshness not in required.freshness:
        raise _residency_refused(f"freshness {residency.freshness}")
    if required.policies is not None and residency.policy not in required.policies:
        raise _residency_refused("another appraisal policy")
    age_s = now - residency.verified_at
    if required.max_age_s is not None and age_s > required.max_age_s + leeway_s:
        raise _residency_refused(f"verified {age_s} s ago")


def check_configured(requirements: Requirements) -> None:
    """Refuse, at start-up, requirements that no token could ever be held against."""
    aal = requirements.minimum_aal
    if aal is not None and (type(aal) is not int or not 1 <= aal <= 3):
        raise ConfigurationError(detail=f"minimum_aal is 1 to 3, not {aal!r}")
    _check_age("max_authentication_age_s", requirements.max_authentication_age_s)
    residency = requirements.residency
    if residency is None:
        return
    if not isinstance(residency, ResidencyRequirement):
        raise ConfigurationError(
            detail=f"require_residency is a ResidencyRequirement, not {residency!r}"
        )
    if not (residency.protections and residency.freshness):
        raise ConfigurationError(detail="require_residency allows nothing at all")
    _check_age("require_residency.max_age_s", residency.max_age_s)


def _check_age(name: str, age_s: int | None) -> None:
    if age_s is not None and (type(age_s) is not int or age_s < 0):
        raise ConfigurationError(detail=f"{name} is 0 or more seconds, not {age_s!r}")


def _sign_in_refused(detail: str) -> TokenRejected:
    return TokenRejected(
        Reason.AUTHENTICATION_INSUFFICIENT, detail, step=Step.AUTHENTICATION_REQUIRED
    )


def _residency_refused(detail: str) -> TokenRejected:
    return TokenRejected(Reason.RESIDENCY_INSUFFICIENT, detail, step=Step.RESIDENCY_REQUIRED)
