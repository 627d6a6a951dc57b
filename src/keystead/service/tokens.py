"""POST /token and TokenService.Exchange: a delegated token, or a renewal.

    verify the proof → who holds that key → what is asked → may it → sign → record → answer

Nothing leaves before its record is durable: the proof's use, the live binding and grant, the audit
event and the new grant are one transaction, and the signature made before it is thrown away if it
does not commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from keystead.codec import base64url
from keystead.codec.json import JSON
from keystead.delegation import grants as grant_rules
from keystead.delegation.audiences import Audiences
from keystead.delegation.policy import DelegationPolicy
from keystead.errors import KeysteadError, NotFound, Reason, Refused
from keystead.identity import federation
from keystead.identity.actor_tokens import verify_actor_token
from keystead.identity.federation import SubjectIssuer
from keystead.identity.subject_claims import SubjectClaims
from keystead.issuance import claims as token_claims
from keystead.issuance import exchange as rules
from keystead.issuance import request as forms
from keystead.issuance.exchange import ExchangeDecision
from keystead.issuance.request import ExchangeRequest, RefreshRequest
from keystead.jose.jwk import JwkSet
from keystead.model import (
    Actor,
    AuditAction,
    AuditEvent,
    BoundKey,
    Grant,
    IssuedToken,
    KeyPurpose,
    Kid,
)
from keystead.operations import (
    Delegation,
    Operation,
    PutGrant,
    RequireLaterSubject,
)
from keystead.ports import Clock, Entropy, Store
from keystead.service.keyring import Keyring, jwks_document
from keystead.service.metadata import server_metadata
from keystead.service.presenter import Presenter, Presenters
from keystead.service.subject_keys import SubjectKeys
from keystead.service.trail import Trail

JTI_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """Whose users are believed, where their keys are, and whose JWT-SVIDs confirm an agent."""

    issuers: Mapping[str, SubjectIssuer]
    keys: Mapping[str, SubjectKeys]
    actor_keys: SubjectKeys | None


@dataclass(slots=True)
class _Known:
    """Whose request it turned out to be, so far: the record of a refusal says it."""

    sub: str = ""
    actors: tuple[str, ...] = ()

    def learn(self, sub: str, presenter: Presenter, history: Actor | None) -> None:
        agent = presenter.bound.spiffe_id
        if history is not None and history.sub == agent:
            history = history.act  # as in the token: an agent's own earlier link is not repeated
        self.sub = sub
        self.actors = (agent, *_chain(history))


class Tokens:
    """The token use cases."""

    def __init__(
        self,
        *,
        issuer: str,
        policy: DelegationPolicy,
        audiences: Audiences,
        subjects: Subjects,
        store: Store,
        keyring: Keyring,
        presenters: Presenters,
        trail: Trail,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self.issuer = issuer
        self.token_endpoint = f"{issuer.rstrip('/')}/token"
        self._policy = policy
        self._audiences = audiences
        self._subjects = subjects
        self._store = store
        self._keyring = keyring
        self._presenters = presenters
        self._trail = trail
        self._clock = clock
        self._entropy = entropy

    def fresh_nonce(self) -> str:
        """A DPoP nonce for the next proof."""
        return self._presenters.nonces.fresh()

    def metadata(self) -> dict[str, JSON]:
        """RFC 8414 metadata of this server."""
        return server_metadata(self.issuer)

    def jwks(self, purpose: str = KeyPurpose.TOKEN) -> dict[str, JSON]:
        """The JWK Set of one purpose; relying parties of tokens need ``token`` alone."""
        if purpose not in set(KeyPurpose):
            raise NotFound()
        return jwks_document(self._keyring.verification_keys(KeyPurpose(purpose)))

    async def exchange(
        self, parameters: Sequence[tuple[str, str]], *, proofs: Sequence[str]
    ) -> IssuedToken:
        """Answer one token request: RFC 8693 §2.1, or RFC 6749 §6 for a renewal."""
        try:
            request = forms.parse_form(parameters)
            presenter = await self._presenters.present(proofs, url=self.token_endpoint)
        except KeysteadError as error:
            self._trail.note_refusal(error)
            raise
        known = _Known()
        try:
            if isinstance(request, ExchangeRequest):
                return await self._exchange(request, presenter, known)
            return await self._renew(request, presenter, known)
        except KeysteadError as error:
            await self._trail.record_refusal(presenter, error, sub=known.sub, actors=known.actors)
            raise

    async def _exchange(
        self, request: ExchangeRequest, presenter: Presenter, known: _Known
    ) -> IssuedToken:
        now = self._clock.now()
        subject = await self._subject(request, now=now)
        known.learn(subject.subject.sub, presenter, subject.act)
        parent = await self._store.grant(subject.grant_id) if subject.grant_id else None
        decision = rules.decide_exchange(
            request,
            subject=subject,
            bound=presenter.bound,
            policy=self._policy,
            audiences=self._audiences,
            issuer=self.issuer,
            now=now,
            actor_expires_at=await self._actor_expiry(request, presenter, now=now),
            parent=parent,
        )
        delegation = Delegation(
            subject_issuer=decision.subject.issuer,
            sub=decision.subject.sub,
            agent=decision.agent,
            audience=decision.audience,
        )
        operations = [
            *presenter.conditions(decision.parent_grant, now=now),
            RequireLaterSubject(delegation=delegation, issued_at=subject.issued_at),
            *decision.spent,
        ]
        if decision.grant_ttl_s is None:
            return await self._issue(decision, presenter, operations, AuditAction.TOKEN_ISSUED)
        grant, refresh_token = grant_rules.make_grant(
            subject=decision.subject,
            agent=decision.agent,
            jkt=presenter.bound.jkt,
            actor=decision.actor,
            audience=decision.audience,
            scopes=decision.scopes,
            ttl_s=decision.grant_ttl_s,
            now=now,
            entropy=self._entropy,
            parent=parent,
        )
        operations.append(PutGrant(grant=grant))
        return await self._issue(
            decision,
            presenter,
            operations,
            AuditAction.TOKEN_ISSUED,
            grant=grant,
            refresh_token=refresh_token,
            made=True,
        )

    async def _subject(self, request: ExchangeRequest, *, now: int) -> SubjectClaims:
        origin = federation.peek(request.subject_token)
        if origin.issuer == self.issuer:
            keys = self._keyring.key_set(KeyPurpose.TOKEN)
        else:
            source = self._subjects.keys.get(origin.issuer)
            keys = await source.key_set(kid=origin.kid) if source else JwkSet(())
        return federation.verify_subject_token(
            origin,
            token_type=request.subject_token_type,
            issuers=self._subjects.issuers,
            keys=keys,
            own_issuer=self.issuer,
            now=now,
        )

    async def _actor_expiry(
        self, request: ExchangeRequest, presenter: Presenter, *, now: int
    ) -> int | None:
        """When the actor token ends, where one was sent; it can only confirm the key's agent."""
        if request.actor_token is None:
            return None
        if self._subjects.actor_keys is None:
            raise Refused(Reason.ACTOR_TOKEN_INVALID, "no JWT-SVID keys are configured")
        return verify_actor_token(
            request.actor_token,
            token_type=request.actor_token_type,
            keys=await self._subjects.actor_keys.key_set(kid=None),
            audience=frozenset({self.issuer, self.token_endpoint}),
            agent=presenter.bound.spiffe_id,
            now=now,
        )

    async def _renew(
        self, request: RefreshRequest, presenter: Presenter, known: _Known
    ) -> IssuedToken:
        now = self._clock.now()
        handle = grant_rules.handle_hash(request.refresh_token)
        grant = await self._store.grant_by_handle(handle)
        if grant is None:
            raise Refused(Reason.GRANT_UNKNOWN)
        known.learn(grant.subject.sub, presenter, grant.actor.act)
        decision = rules.decide_renewal(
            grant,
            request,
            bound=presenter.bound,
            policy=self._policy,
            audiences=self._audiences,
            issuer=self.issuer,
            now=now,
        )
        return await self._issue(
            decision,
            presenter,
            presenter.conditions(grant.id, now=now),
            AuditAction.TOKEN_RENEWED,
            grant=grant,
            refresh_token=request.refresh_token,
        )

    async def _issue(
        self,
        decision: ExchangeDecision,
        presenter: Presenter,
        operations: Sequence[Operation],
        action: AuditAction,
        *,
        grant: Grant | None = None,
        refresh_token: str | None = None,
        made: bool = False,
    ) -> IssuedToken:
        jti = base64url.encode(self._entropy.token(JTI_BYTES))
        unsigned = token_claims.unsigned_token(
            decision,
            bound=presenter.bound,
            issuer=self.issuer,
            jti=jti,
            grant=grant.id if grant else None,
        )
        signed = await self._keyring.sign_own(
            KeyPurpose.TOKEN, typ=unsigned.typ, claims=unsigned.claims
        )
        issued = _issued_event(
            decision, presenter.bound, action, jti=jti, kid=signed.kid, grant=grant
        )
        events = [issued]
        if made and grant is not None:
            events.insert(0, _grant_event(grant, issued))
        await self._store.apply(operations, events=events)
        return token_claims.issued_token(decision, signed.jws, refresh_token=refresh_token)


def _issued_event(
    decision: ExchangeDecision,
    bound: BoundKey,
    action: AuditAction,
    *,
    jti: str,
    kid: Kid,
    grant: Grant | None,
) -> AuditEvent:
    detail: dict[str, str | int] = {
        "subject_issuer": decision.subject.issuer,
        "audience": decision.audience,
        "scope": " ".join(decision.scopes),
        "expires_at": decision.expires_at,
        "policy": " ".join(decision.policies),
    }
    if grant is not None:
        detail["grant"] = grant.id
    detail["kid"] = kid
    return AuditEvent(
        action=action,
        at=decision.issued_at,
        caller=bound.spiffe_id,
        sub=decision.subject.sub,
        actors=_chain(decision.actor),
        jkt=bound.jkt,
        kind=bound.residency.kind.value,
        object=jti,
        detail=detail,
    )


def _grant_event(grant: Grant, issued: AuditEvent) -> AuditEvent:
    return replace(
        issued,
        action=AuditAction.GRANT_CREATED,
        object=grant.id,
        detail={
            "subject_issuer": grant.subject.issuer,
            "audience": grant.audience,
            "scope": " ".join(grant.scopes),
            "expires_at": grant.expires_at,
        },
    )


def _chain(link: Actor | None) -> tuple[str, ...]:
    """Every actor's name, the current one first."""
    chain: list[str] = []
    while link is not None:
        chain.append(link.sub)
        link = link.act
    return tuple(chain)
