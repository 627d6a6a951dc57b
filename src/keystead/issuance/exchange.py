"""Whether a token is issued, and what for: narrower than every input, or not at all.

    decision = decide_exchange(request, subject=…, bound=…, policy=…, audiences=…, …)

The subject token says who the user is, the bound key who the agent is. The shape of the request
decides nothing: ``may_act`` holds whether or not an actor token was sent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

from keystead.delegation.audiences import MAX_TOKEN_LIFETIME_S, Audience, Audiences
from keystead.delegation.grants import check_live, check_renewal
from keystead.delegation.policy import Decision, DelegationPolicy, DelegationRequest
from keystead.delegation.schema import PolicyAction
from keystead.errors import Reason, Refused
from keystead.identity.own_tokens import HAND_OVER_LIFETIME_S
from keystead.identity.spiffe import trust_domain
from keystead.identity.steps import at_step
from keystead.identity.subject_claims import MAX_ACT_DEPTH, SubjectClaims
from keystead.issuance.request import ExchangeRequest, RefreshRequest
from keystead.jose.jwt import DEFAULT_LEEWAY_S
from keystead.model import (
    Actor,
    BoundKey,
    Grant,
    GrantId,
    SpiffeId,
    Subject,
)
from keystead.operations import (
    UseOnce,
)

# Keys of `UseOnce` start with the time, so that rows of one minute lie together.
_TIME_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeDecision:
    """Yes: what to issue, and what must still hold when it is made durable.

    ``audience`` is the resource server, also of a hand-over, whose token is addressed to the
    issuer. ``spent`` is the hand-over token that this exchange uses up, and ``parent_grant`` the
    grant it hangs on: both belong into the unit of work that issues. ``grant_ttl_s`` is how long a
    new grant lasts; None: none is made.
    """

    subject: Subject
    agent: SpiffeId
    actor: Actor
    audience: str
    scopes: tuple[str, ...]
    issued_at: int
    expires_at: int
    policies: tuple[str, ...]
    may_act: SpiffeId | None = None
    grant_ttl_s: int | None = None
    parent_grant: GrantId | None = None
    spent: tuple[UseOnce, ...] = ()
    txn: str | None = None

    @property
    def lifetime_s(self) -> int:
        """``expires_in`` of the answer."""
        return self.expires_at - self.issued_at

    @property
    def hand_over(self) -> bool:
        """Whether a hand-over token is issued rather than an access token."""
        return self.may_act is not None


def decide_exchange(
    request: ExchangeRequest,
    *,
    subject: SubjectClaims,
    bound: BoundKey,
    policy: DelegationPolicy,
    audiences: Audiences,
    issuer: str,
    now: int,
    actor_expires_at: int | None = None,
    parent: Grant | None = None,
) -> ExchangeDecision:
    """What the agent of ``bound`` gets for ``subject``; ``Refused`` with the number of the check.

    ``parent`` is the grant that ``subject.grant_id`` names, if the store has it;
    ``actor_expires_at`` is the end of the actor token, if one was sent.

    1. ``client_id``, if sent, is the agent (client_mismatch).
    2. The key is still bound (binding_expired).
    3. ``may_act`` of the subject token names the agent (actor_not_allowed).
    4. A bound subject token is bound to this key, or ``may_act`` names the agent
       (subject_token_bound_to_another_key).
    5. The grant behind the subject token is live, and the user's (grant_unknown, grant_revoked,
       grant_expired).
    6. The target is configured and one that the subject token allows; a hand-over is also
       addressed to this issuer (audience_not_allowed).
    7. Scopes: each asked for is the audience's; what is left after the subject token's limit is
       not nothing (scope_not_allowed).
    8. Every input lives on (expired).
    9. Policy allows it (delegation_denied, scope_not_allowed, authentication_insufficient,
       residency_insufficient).
    10. The chain of actors is not too deep (limit_exceeded).
    11. Policy may also allow a standing grant, for all but hand-overs and renewed own tokens.
    """
    agent = bound.spiffe_id
    _check_client(request.client_id, agent)
    _check_binding(bound, now)
    _check_may_act(subject, agent, issuer)
    _check_subject_key(subject, bound)
    with at_step(5):
        user = _check_grant(subject, parent, now)
    with at_step(6):
        audience = _check_target(request, subject, audiences, issuer)
    with at_step(7):
        scopes = _check_scopes(request.scopes, subject.scopes, audience)
    lifetime_s = _check_lifetime(request, subject, bound, audience, actor_expires_at, parent, now)
    action = PolicyAction.HANDOVER if request.may_act else PolicyAction.EXCHANGE
    asked = DelegationRequest(
        action=action,
        agent=agent,
        audience=audience.uri,
        subject=user,
        scopes=scopes,
        residency=bound.residency,
        lifetime_s=lifetime_s,
        now=now,
    )
    with at_step(9):
        decision = policy.decide(asked)
    chain = _check_chain(subject.act, bound, issuer)
    grant = _ask_for_grant(policy, asked, subject)
    return ExchangeDecision(
        subject=user,
        agent=agent,
        actor=chain,
        audience=audience.uri,
        scopes=scopes,
        issued_at=now,
        expires_at=now + _shortened(lifetime_s, decision),
        policies=decision.policies + (grant.policies if grant else ()),
        may_act=request.may_act,
        grant_ttl_s=grant.grant_ttl_s if grant else None,
        parent_grant=subject.grant_id,
        spent=_spent(subject),
        txn=subject.txn,
    )


def decide_renewal(
    grant: Grant,
    request: RefreshRequest,
    *,
    bound: BoundKey,
    policy: DelegationPolicy,
    audiences: Audiences,
    issuer: str,
    now: int,
) -> ExchangeDecision:
    """What the agent of ``bound`` gets for its grant; ``Refused`` with the number of the check.

    1. ``client_id``, if sent, is the agent (client_mismatch).
    2. The key is still bound (binding_expired).
    3. The grant is live, this key's, for this audience and these scopes (as ``check_renewal``).
    4. The audience still exists and still has the scopes (audience_not_allowed,
       scope_not_allowed).
    5. Policy, which may have changed since, still allows it.
    """
    _check_client(request.client_id, bound.spiffe_id)
    _check_binding(bound, now)
    with at_step(3):
        wanted = check_renewal(
            grant,
            jkt=bound.jkt,
            agent=bound.spiffe_id,
            now=now,
            audience=request.audience,
            scopes=request.scopes,
        )
    with at_step(4):
        audience = audiences.lookup(grant.audience)
        scopes = _check_scopes(request.scopes, frozenset(wanted), audience)
    lifetime_s = min(
        MAX_TOKEN_LIFETIME_S,
        audience.max_lifetime_s,
        grant.expires_at - now,
        bound.expires_at - now,
    )
    with at_step(5):
        decision = policy.decide(
            DelegationRequest(
                action=PolicyAction.RENEW,
                agent=grant.agent,
                audience=audience.uri,
                subject=grant.subject,
                scopes=scopes,
                residency=bound.residency,
                lifetime_s=lifetime_s,
                now=now,
            )
        )
    return ExchangeDecision(
        subject=grant.subject,
        agent=grant.agent,
        actor=_check_chain(grant.actor, bound, issuer),
        audience=audience.uri,
        scopes=scopes,
        issued_at=now,
        expires_at=now + _shortened(lifetime_s, decision),
        policies=decision.policies,
        parent_grant=grant.parent,
    )


def own_names(issuer: str) -> frozenset[str]:
    """What a hand-over may be addressed to: the issuer, or its token endpoint."""
    return frozenset({issuer, issuer.rstrip("/") + "/token"})


def _check_client(client_id: str | None, agent: SpiffeId) -> None:
    if client_id is not None and client_id != agent:
        raise Refused(Reason.CLIENT_MISMATCH, "client_id is not the key's SPIFFE ID", step=1)


def _check_binding(bound: BoundKey, now: int) -> None:
    if now >= bound.expires_at:
        raise Refused(Reason.BINDING_EXPIRED, "attest again", step=2)


def _check_may_act(subject: SubjectClaims, agent: SpiffeId, issuer: str) -> None:
    may_act = subject.may_act
    if may_act is None:
        return
    vouchers = (None, issuer, f"spiffe://{trust_domain(agent)}")
    if may_act.sub != agent or may_act.iss not in vouchers:
        raise Refused(Reason.ACTOR_NOT_ALLOWED, "may_act names another actor", step=3)


def _check_subject_key(subject: SubjectClaims, bound: BoundKey) -> None:
    if subject.jkt in (None, bound.jkt) or subject.may_act is not None:
        return
    raise Refused(
        Reason.SUBJECT_TOKEN_BOUND_TO_ANOTHER_KEY, "cnf.jkt is not this key's, no may_act", step=4
    )


def _check_grant(subject: SubjectClaims, parent: Grant | None, now: int) -> Subject:
    """The user, as the grant knows them where there is one: the token lacks the client."""
    if subject.grant_id is None:
        return subject.subject
    if parent is None or parent.id != subject.grant_id:
        raise Refused(Reason.GRANT_UNKNOWN, "the subject token's grant is not known")
    user = parent.subject
    if (user.sub, user.issuer) != (subject.subject.sub, subject.subject.issuer):
        raise Refused(Reason.GRANT_UNKNOWN, "the grant is another user's")
    check_live(parent, now=now)
    return user


def _check_target(
    request: ExchangeRequest, subject: SubjectClaims, audiences: Audiences, issuer: str
) -> Audience:
    ours = own_names(issuer)
    if request.may_act is not None and ours.isdisjoint(request.targets):
        raise Refused(Reason.AUDIENCE_NOT_ALLOWED, "a hand-over is addressed to the issuer")
    targets = [target for target in request.targets if target not in ours]
    if not targets and request.may_act is not None and subject.audiences is not None:
        targets = list(subject.audiences)
    if len(targets) != 1:
        raise Refused(Reason.AUDIENCE_NOT_ALLOWED, "not exactly one resource server is named")
    if subject.audiences is not None and targets[0] not in subject.audiences:
        raise Refused(Reason.AUDIENCE_NOT_ALLOWED, "not an audience of the subject token")
    return audiences.lookup(targets[0])


def _check_scopes(
    requested: tuple[str, ...] | None, limit: frozenset[str] | None, audience: Audience
) -> tuple[str, ...]:
    """Asked for ∩ the limit ∩ the audience's, sorted. No limit and nothing asked is refused."""
    if requested is not None:
        unknown = set(requested) - audience.scopes
        if unknown:
            raise Refused(Reason.SCOPE_NOT_ALLOWED, f"{audience.uri} has no {min(unknown)}")
    wanted = limit if requested is None else frozenset(requested)
    granted = (wanted or frozenset()) & audience.scopes
    if limit is not None:
        granted &= limit
    if not granted:
        raise Refused(Reason.SCOPE_NOT_ALLOWED, "no scope is left")
    return tuple(sorted(granted))


def _check_lifetime(
    request: ExchangeRequest,
    subject: SubjectClaims,
    bound: BoundKey,
    audience: Audience,
    actor_expires_at: int | None,
    parent: Grant | None,
    now: int,
) -> int:
    """Seconds until the first input ends. Leeway is for verifying, not for issuing."""
    ends = [subject.expires_at, bound.expires_at]
    if actor_expires_at is not None:
        ends.append(actor_expires_at)
    if parent is not None:
        ends.append(parent.expires_at)
    most_s = HAND_OVER_LIFETIME_S if request.may_act else MAX_TOKEN_LIFETIME_S
    lifetime_s = min(most_s, audience.max_lifetime_s, min(ends) - now)
    if lifetime_s <= 0:
        raise Refused(Reason.EXPIRED, "an input ends now", step=8)
    return lifetime_s


def _shortened(lifetime_s: int, decision: Decision) -> int:
    if decision.max_lifetime_s is None:
        return lifetime_s
    return min(lifetime_s, decision.max_lifetime_s)


def _check_chain(history: Actor | None, bound: BoundKey, issuer: str) -> Actor:
    """The agent, and before it the subject token's chain; its own earlier link is not repeated."""
    if history is not None and history.sub == bound.spiffe_id:
        history = history.act
    depth, link = 1, history
    while link is not None:
        depth, link = depth + 1, link.act
    if depth > MAX_ACT_DEPTH:
        raise Refused(Reason.LIMIT_EXCEEDED, f"more than {MAX_ACT_DEPTH} actors", step=10)
    kind = bound.residency.kind.value
    return Actor(sub=bound.spiffe_id, iss=issuer, attestation=kind, act=history)


def _spent(subject: SubjectClaims) -> tuple[UseOnce, ...]:
    """The one use of a hand-over token, remembered until nobody's clock could still accept it."""
    if not subject.hand_over or subject.jti is None:
        return ()
    until = subject.expires_at + DEFAULT_LEEWAY_S
    key = until.to_bytes(_TIME_BYTES, "big") + sha256(subject.jti.encode()).digest()
    return (UseOnce(space="handover", key=key, until=until),)


def _ask_for_grant(
    policy: DelegationPolicy, asked: DelegationRequest, subject: SubjectClaims
) -> Decision | None:
    """A user's token, or a hand-over by another agent, may start a grant of the agent's own."""
    if asked.action is not PolicyAction.EXCHANGE or (subject.own and not subject.hand_over):
        return None
    return policy.find_decision(replace(asked, action=PolicyAction.GRANT))
