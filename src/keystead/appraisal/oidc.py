"""The appraisal of ``oidc`` evidence, in numbered steps.

    appraised = appraise(evidence, policy=policy, nonce=challenge.nonce, now=now, keys=keys)
    result = conclude(appraised)         # and what may be used once: appraised.single_use

``docs/evidence/oidc.md`` explains each step under the same number, and errors carry it:

 1. Its ``iss`` is an identity provider that the policy names.
 2. It is a plain JWT, signed with an algorithm that the policy allows for that provider.
 3. Its ``kid`` names one of that provider's keys.
 4. That key signed it.
 5. It says when it was issued and when it ends, and ``now`` is between.
 6. Its audience is the answer to this challenge; or, where workloads do not choose it, one that
    the policy names, and no other.
 7. Where it answers no challenge, it is not older than the policy allows.
 8. It has the claims of its platform, and they do not contradict each other.
 9. One of the policy's rules for that provider names its claims.

Steps 10 and 11 are ``keystead.binding.oidc``. These tokens say who a workload is. They say nothing
about any hardware, so the class of their anchor is ``identity-provider`` and ``hardware`` is false.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keystead.appraisal import token_steps
from keystead.appraisal.issuer_keys import NO_KEYS, IssuerKeys
from keystead.appraisal.oidc_policy import (
    MAX_DATED_BACK_S,
    MAX_TOKEN_AGE_S,
    OidcIssuer,
    OidcPolicy,
    Rule,
)
from keystead.appraisal.oidc_profiles import read_claims
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult, affirmed
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.challenge import NONCE_BYTES
from keystead.evidence.oidc import OidcEvidence, answer_of
from keystead.evidence.signed_token import SignedToken
from keystead.jose.jwk import PublicJwk
from keystead.model import (
    AnchorClass,
    EvidenceKind,
    Freshness,
    OidcProfile,
)
from keystead.operations import (
    UseOnce,
)

SPACE: Final = "oidc"
_TIME_BYTES: Final = 4
_LONGEST_USE_S: Final = MAX_TOKEN_AGE_S + MAX_DATED_BACK_S + 2 * token_steps.LEEWAY_S
"""Of a token that answers no challenge, under any policy: one row of one token has one time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcAppraisal:
    """A token that passed every step.

    ``claims`` are those of its platform, in the names of its profile. ``single_use`` is what the
    store has to take before anything is bound by a token that answers no challenge: it refuses
    one that was used before (evidence_replayed).
    """

    policy: str
    max_age_s: int
    token: SignedToken = field(repr=False)
    profile: OidcProfile
    freshness: Freshness
    verified_at: int
    claims: Mapping[str, str] = field(repr=False)
    single_use: tuple[UseOnce, ...]


def appraise(
    evidence: OidcEvidence,
    *,
    policy: AppraisalPolicy,
    nonce: bytes | None,
    now: int,
    keys: IssuerKeys = NO_KEYS,
) -> OidcAppraisal:
    """Steps 1 to 9 of the list above, at ``now`` (Unix seconds).

    ``keys`` has those of issuers whose keys stand at an URL. ``nonce`` is the challenge that the
    token has to answer. None is for saved evidence: only the envelope's own nonce is then compared,
    where it has one, and the freshness is ``bearer``.
    Raises EvidenceRejected with the reason and the number of the step.
    """
    rules = _policy(policy)
    token = evidence.token
    issuer = check_issuer(token, rules)
    token_steps.check_header(token, algorithms=issuer.algorithms, step=2)
    key = check_key(token, issuer, keys)
    token_steps.check_signature(token, key, step=4)
    issued_at = token_steps.check_times(token, now=now, step=5)
    check_audience(token, issuer, nonce, evidence.nonce)
    check_age(issued_at, issuer, now)
    claims = read_claims(issuer.profile, token.claims, step=8)
    rule = check_rules(claims, issuer)
    answers = issuer.freshness is Freshness.CHALLENGED
    return OidcAppraisal(
        policy=policy.name,
        max_age_s=rules.max_age_s,
        token=token,
        profile=issuer.profile,
        freshness=Freshness.CHALLENGED if answers and nonce is not None else Freshness.BEARER,
        verified_at=now,
        claims=_told(claims, issuer, rule),
        single_use=() if answers else _single_use(token, issued_at),
    )


def conclude(appraisal: OidcAppraisal) -> AttestationResult:
    """The result: a token stands by itself, so no step is left."""
    return affirmed(
        kind=EvidenceKind.OIDC,
        policy=appraisal.policy,
        max_age_s=appraisal.max_age_s,
        anchor_class=AnchorClass.IDENTITY_PROVIDER,
        anchor=appraisal.token.issuer,
        freshness=appraisal.freshness,
        verified_at=appraisal.verified_at,
        attester=appraisal.token.id,
        claims={"profile": appraisal.profile.value, "claims": dict(appraisal.claims)},
    )


def check_issuer(token: SignedToken, rules: OidcPolicy) -> OidcIssuer:
    """Step 1: an exact comparison, which everything after it relies on."""
    issuer = rules.issuers.get(token.issuer)
    if issuer is None:
        raise EvidenceRejected(Reason.ISSUER_MISMATCH, f"iss {token.issuer!r}", step=1)
    return issuer


def check_key(token: SignedToken, issuer: OidcIssuer, keys: IssuerKeys) -> PublicJwk:
    """Step 3."""
    return token_steps.find_key(token, issuer.keys.of(issuer.issuer, keys), step=3)


def check_audience(token: SignedToken, issuer: OidcIssuer, *nonces: bytes | None) -> None:
    """Step 6: a token for us and for somebody else could be that somebody's to show."""
    if not token.audience:
        raise EvidenceRejected(Reason.CLAIM_MISSING, "aud", step=6)
    if issuer.freshness is Freshness.BEARER:
        if not issuer.audiences.issuperset(token.audience):
            raise _other_audience(token)
        return
    answer = answer_of(token.audience[0])
    if answer is None or len(token.audience) != 1:
        raise _other_audience(token)
    for nonce in nonces:
        if nonce is not None and not hmac.compare_digest(answer[:NONCE_BYTES], nonce):
            raise EvidenceRejected(Reason.NONCE_MISMATCH, "a token for another nonce", step=6)


def check_age(issued_at: int, issuer: OidcIssuer, now: int) -> None:
    """Step 7: an answer to a challenge is as young as the challenge."""
    if issuer.freshness is Freshness.BEARER:
        limit = issuer.max_token_age_s + issuer.dated_back_s
        token_steps.check_age(issued_at, now=now, max_age_s=limit, step=7)


def check_rules(claims: Mapping[str, str], issuer: OidcIssuer) -> Rule:
    """Step 9: the first rule that is kept."""
    for rule in issuer.rules:
        if all(_keeps(claims.get(name), allowed) for name, allowed in rule.items()):
            return rule
    raise EvidenceRejected(
        Reason.CLAIM_NOT_ALLOWED, f"no rule of {issuer.issuer} names these claims", step=9
    )


def _keeps(value: str | None, allowed: frozenset[str] | None) -> bool:
    return value is not None and (allowed is None or value in allowed)


def _told(claims: Mapping[str, str], issuer: OidcIssuer, rule: Rule) -> Mapping[str, str]:
    """What goes into the result: of an unknown platform only what the policy asked for."""
    if issuer.profile is not OidcProfile.OTHER:
        return claims
    return {name: value for name, value in claims.items() if name in rule}


def _single_use(token: SignedToken, issued_at: int) -> tuple[UseOnce, ...]:
    """The token, and its ``jti`` where it has one, whatever else a second token says."""
    until = issued_at + _LONGEST_USE_S
    at = until.to_bytes(_TIME_BYTES, "big")
    uses = [UseOnce(space=SPACE, key=at + token.id, until=until)]
    if token.jti is not None:
        named = hashlib.sha256(f"{token.issuer}\x00{token.jti}".encode()).digest()
        uses.append(UseOnce(space=SPACE, key=named, until=until))
    return tuple(uses)


def _policy(policy: AppraisalPolicy) -> OidcPolicy:
    if policy.oidc is None:
        raise EvidenceRejected(Reason.KIND_UNSUPPORTED, f"policy {policy.name} has no oidc")
    return policy.oidc


def _other_audience(token: SignedToken) -> EvidenceRejected:
    return EvidenceRejected(Reason.AUDIENCE_MISMATCH, f"aud {token.audience!r}", step=6)
