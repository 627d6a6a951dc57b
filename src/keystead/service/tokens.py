"""TokenService and POST /token: exchange, renewal, introspection, revocation.

    verify the proof → who holds that key → what is asked → may it → sign → record → answer

Nothing leaves before its record is durable: the proof's use, the live binding and grant, the audit
event and the new grant are one transaction, and the signature made before it is thrown away if it
does not commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keystead.codec import base64url
from keystead.codec.json import JSON
from keystead.delegation import grants as grant_rules
from keystead.delegation.audiences import Audiences
from keystead.delegation.policy import DelegationPolicy
from keystead.errors import (
    KeysteadError,
    Malformed,
    NotFound,
    ProofRejected,
    Reason,
    Refused,
    Rejected,
    Replayed,
    TokenRejected,
)
from keystead.identity import federation
from keystead.identity.federation import SubjectClaims, SubjectIssuer
from keystead.issuance import claims as token_claims
from keystead.issuance import exchange as rules
from keystead.issuance import introspection
from keystead.issuance import request as forms
from keystead.issuance.exchange import ExchangeDecision
from keystead.issuance.request import ExchangeRequest, RefreshRequest
from keystead.jose.dpop import Proof, replay_window_s, verify_proof
from keystead.jose.jwk import JwkSet, parse_set
from keystead.model import (
    AuditAction,
    AuditEvent,
    BoundKey,
    Grant,
    GrantId,
    IssuedToken,
    Jkt,
    KeyPurpose,
    Operation,
    PutGrant,
    RequireLiveBinding,
    RequireLiveGrant,
    RevokeGrant,
    SpiffeId,
    UseOnce,
)
from keystead.ports import Clock, Entropy, Store
from keystead.service.keyring import Keyring, jwks_document
from keystead.service.metadata import server_metadata
from keystead.service.nonces import DpopNonces
from keystead.service.roles import Caller, Role, require
from keystead.service.subject_keys import SubjectKeys
from keystead.service.trail import Trail

JTI_BYTES = 16
TIME_BYTES = 4
REPLAY_KEY_BYTES = 16
MINUTE_S = 60
MAX_GRANTS_A_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Presenter:
    """A verified proof, the attested key behind it, and what records its one use."""

    proof: Proof
    bound: BoundKey
    used: UseOnce


class Tokens:
    """The token use cases."""

    def __init__(
        self,
        *,
        issuer: str,
        policy: DelegationPolicy,
        audiences: Audiences,
        subject_issuers: Mapping[str, SubjectIssuer],
        subject_keys: Mapping[str, SubjectKeys],
        store: Store,
        keyring: Keyring,
        trail: Trail,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self.issuer = issuer
        self.token_endpoint = f"{issuer.rstrip('/')}/token"
        self._policy = policy
        self._audiences = audiences
        self._issuers = subject_issuers
        self._subject_keys = subject_keys
        self._store = store
        self._keyring = keyring
        self._trail = trail
        self._clock = clock
        self._entropy = entropy
        self._nonces = DpopNonces(clock=clock, entropy=entropy)

    def fresh_nonce(self) -> str:
        """A DPoP nonce for the next proof."""
        return self._nonces.fresh()

    def jwks(self, purpose: str = KeyPurpose.TOKEN) -> dict[str, JSON]:
        """The JWK Set of one purpose; relying parties of tokens need ``token`` alone."""
        if purpose not in set(KeyPurpose):
            raise NotFound()
        return jwks_document(self._keyring.verification_keys(KeyPurpose(purpose)))

    def metadata(self) -> dict[str, JSON]:
        """RFC 8414 metadata of this server."""
        return server_metadata(self.issuer)

    async def exchange(
        self, parameters: Sequence[tuple[str, str]], *, proofs: Sequence[str]
    ) -> IssuedToken:
        """Answer one token request: RFC 8693 §2.1, or RFC 6749 §6 for a renewal."""
        try:
            request = forms.parse_form(parameters)
            presenter = await self._presenter(proofs, url=self.token_endpoint)
        except KeysteadError as error:
            self._trail.note_refusal(error)
            raise
        try:
            if isinstance(request, ExchangeRequest):
                return await self._exchange(request, presenter)
            return await self._renew(request, presenter)
        except (Malformed, Rejected, Refused) as error:
            await self._record_refusal(presenter, error)
            raise

    async def _presenter(self, proofs: Sequence[str], *, url: str) -> Presenter:
        now = self._clock.now()
        proof = verify_proof(
            proofs,
            method="POST",
            url=url,
            now=now,
            access_token=None,
            expected_jkt=None,
            nonce=self._nonces.check,
        )
        used = _use_of(proof)
        if await self._store.seen(used.space, used.key):
            raise Replayed(Reason.PROOF_REPLAYED)
        bound = await self._store.binding(Jkt(proof.jkt))
        if bound is None:
            raise Refused(Reason.KEY_NOT_BOUND)
        if now >= bound.expires_at:
            raise Refused(Reason.BINDING_EXPIRED)
        return Presenter(proof=proof, bound=bound, used=used)

    async def _exchange(self, request: ExchangeRequest, presenter: Presenter) -> IssuedToken:
        now = self._clock.now()
        subject = await self._subject(request, now=now)
        actor = await self._actor(request, presenter, now=now)
        decision = rules.decide_exchange(
            request,
            subject=subject,
            bound=presenter.bound,
            actor_expires_at=actor,
            policy=self._policy,
            audiences=self._audiences,
            issuer=self.issuer,
            now=now,
        )
        operations = [presenter.used, *_live(presenter, subject.grant_id, now), *decision.spent]
        grant: Grant | None = None
        refresh_token: str | None = None
        if decision.grant_ttl_s is not None:
            grant, refresh_token = await self._grant(decision, presenter, now=now)
            operations.append(PutGrant(grant=grant))
        return await self._issue(
            decision,
            presenter,
            operations,
            action=AuditAction.TOKEN_ISSUED,
            grant=grant,
            refresh_token=refresh_token,
        )

    async def _subject(self, request: ExchangeRequest, *, now: int) -> SubjectClaims:
        issuer, kid = federation.peek(request.subject_token)
        return federation.verify_subject_token(
            request.subject_token,
            token_type=request.subject_token_type,
            own_issuer=self.issuer,
            issuers=self._issuers,
            keys=await self._keys_of(issuer, kid),
            now=now,
        )

    async def _keys_of(self, issuer: str, kid: str | None) -> JwkSet:
        if issuer == self.issuer:
            keys = self._keyring.verification_keys(KeyPurpose.TOKEN)
            return parse_set(jwks_document(keys))
        source = self._subject_keys.get(issuer)
        if source is None:
            raise TokenRejected(Reason.SUBJECT_ISSUER_UNKNOWN)
        return await source.key_set(kid=kid)

    async def _actor(
        self, request: ExchangeRequest, presenter: Presenter, *, now: int
    ) -> int | None:
        """The actor token's expiry, where there is one: it must name the key's own agent."""
        if request.actor_token is None:
            return None
        issuer, kid = federation.peek(request.actor_token)
        return federation.verify_actor_token(
            request.actor_token,
            token_type=request.actor_token_type,
            keys=await self._keys_of(issuer, kid),
            audience=self.issuer,
            agent=presenter.bound.spiffe_id,
            now=now,
        )

    async def _grant(
        self, decision: ExchangeDecision, presenter: Presenter, *, now: int
    ) -> tuple[Grant, str]:
        parent = None
        if decision.parent_grant is not None:
            parent = await self._store.grant(decision.parent_grant)
            if parent is None:
                raise Refused(Reason.GRANT_UNKNOWN)
        return grant_rules.make_grant(
            subject=decision.subject,
            agent=presenter.bound.spiffe_id,
            jkt=presenter.bound.jkt,
            actor=decision.actor,
            audience=decision.audience,
            scopes=decision.scopes,
            ttl_s=decision.grant_ttl_s or 0,
            now=now,
            entropy=self._entropy,
            parent=parent,
        )

    async def _renew(self, request: RefreshRequest, presenter: Presenter) -> IssuedToken:
        now = self._clock.now()
        handle = grant_rules.handle_hash(request.refresh_token)
        grant = await self._store.grant_by_handle(handle)
        if grant is None:
            raise Refused(Reason.GRANT_UNKNOWN)
        decision = rules.decide_renewal(
            grant,
            request,
            bound=presenter.bound,
            policy=self._policy,
            audiences=self._audiences,
            issuer=self.issuer,
            now=now,
        )
        operations = [presenter.used, *_live(presenter, grant.id, now)]
        return await self._issue(
            decision,
            presenter,
            operations,
            action=AuditAction.TOKEN_RENEWED,
            grant=grant,
            refresh_token=request.refresh_token,
        )

    async def _issue(
        self,
        decision: ExchangeDecision,
        presenter: Presenter,
        operations: list[Operation],
        *,
        action: AuditAction,
        grant: Grant | None,
        refresh_token: str | None,
    ) -> IssuedToken:
        jti = base64url.encode(self._entropy.token(JTI_BYTES))
        claims = token_claims.access_token_claims(
            decision,
            issuer=self.issuer,
            bound=presenter.bound,
            jti=jti,
            grant=grant.id if grant else None,
        )
        signed = await self._keyring.sign_own(
            KeyPurpose.TOKEN, typ=token_claims.ACCESS_TOKEN_TYP, claims=claims
        )
        event = _issued_event(decision, presenter, action, jti=jti, kid=signed.kid, grant=grant)
        await self._store.apply(operations, events=[*_grant_events(operations, event), event])
        return IssuedToken(
            access_token=signed.jws,
            token_type="DPoP",
            issued_token_type=forms.ACCESS_TOKEN_TYPE,
            expires_in=decision.expires_at - decision.issued_at,
            scope=" ".join(decision.scopes),
            refresh_token=refresh_token,
        )

    async def _record_refusal(self, presenter: Presenter, error: KeysteadError) -> None:
        """The proof was good, so this refusal has a name; the proof is used up by it."""
        event = AuditEvent(
            action=AuditAction.TOKEN_REFUSED,
            at=self._clock.now(),
            caller=presenter.bound.spiffe_id,
            actors=(presenter.bound.spiffe_id,),
            jkt=presenter.bound.jkt,
            kind=presenter.bound.residency.kind.value,
            reason=error.reason.value,
            step=error.step,
        )
        await self._store.apply([presenter.used], events=[event])

    async def introspect(self, caller: Caller, token: str) -> dict[str, JSON]:
        """RFC 7662: what a live access token of ours says; anything else is just inactive."""
        require(caller, Role.RELYING_PARTY, Role.OPERATOR)
        keys = await self._keys_of(self.issuer, None)
        found = introspection.active_claims(
            token, keys=keys, issuer=self.issuer, now=self._clock.now()
        )
        if found is None:
            return introspection.INACTIVE
        grant_id = introspection.grant_of(found)
        if grant_id is not None:
            grant = await self._store.grant(grant_id)
            if grant is None or grant.revoked_at is not None:
                return introspection.INACTIVE
        return introspection.response(found)

    async def revoke(self, token: str, *, proofs: Sequence[str]) -> None:
        """RFC 7009 for a refresh token, by the key that holds it; unknown tokens are no error."""
        try:
            presenter = await self._presenter(proofs, url=f"{self.issuer.rstrip('/')}/revoke")
        except KeysteadError as error:
            self._trail.note_refusal(error)
            raise
        try:
            grant = await self._store.grant_by_handle(grant_rules.handle_hash(token))
        except Malformed:
            grant = None
        if grant is None:
            await self._store.apply([presenter.used], events=())
            return
        if grant.jkt != presenter.bound.jkt:
            error = ProofRejected(Reason.KEY_BINDING_MISMATCH)
            await self._record_refusal(presenter, error)
            raise error
        await self._revoke(grant, caller=presenter.bound.spiffe_id, used=(presenter.used,))

    async def grants(self, caller: Caller, *, sub: str, agent: str) -> Sequence[Grant]:
        """Grants, newest first, of one user or agent if named."""
        require(caller, Role.OPERATOR, Role.ADMIN_SOCKET)
        return await self._store.grants(
            sub=sub or None, agent=SpiffeId(agent) if agent else None, limit=MAX_GRANTS_A_PAGE
        )

    async def revoke_grant(self, caller: Caller, *, id: str) -> None:
        """Revoke a grant and all below it: the next renewal is refused."""
        require(caller, Role.OPERATOR)
        grant = await self._store.grant(GrantId(id))
        if grant is None:
            raise NotFound(Reason.GRANT_UNKNOWN)
        await self._revoke(grant, caller=caller.name, used=())

    async def _revoke(self, grant: Grant, *, caller: str, used: Sequence[Operation]) -> None:
        now = self._clock.now()
        event = AuditEvent(
            action=AuditAction.GRANT_REVOKED,
            at=now,
            caller=caller,
            sub=grant.subject.sub,
            actors=(grant.agent,),
            jkt=grant.jkt,
            object=grant.id,
            detail={"subject_issuer": grant.subject.issuer, "audience": grant.audience},
        )
        await self._store.apply([*used, RevokeGrant(id=grant.id, at=now)], events=[event])


def _use_of(proof: Proof) -> UseOnce:
    """The replay row of a proof: its minute first, so that rows of one time lie together."""
    minute = (proof.issued_at // MINUTE_S).to_bytes(TIME_BYTES, "big")
    name = hashlib.sha256(f"{proof.jkt}\0{proof.jti}".encode()).digest()[:REPLAY_KEY_BYTES]
    return UseOnce(space="proof", key=minute + name, until=proof.issued_at + replay_window_s())


def _live(presenter: Presenter, grant: GrantId | None, now: int) -> list[Operation]:
    bound = presenter.bound
    live: list[Operation] = [RequireLiveBinding(jkt=bound.jkt, spiffe_id=bound.spiffe_id, now=now)]
    if grant is not None:
        live.append(RequireLiveGrant(id=grant, now=now))
    return live


def _issued_event(
    decision: ExchangeDecision,
    presenter: Presenter,
    action: AuditAction,
    *,
    jti: str,
    kid: str,
    grant: Grant | None,
) -> AuditEvent:
    actors: list[str] = []
    link = decision.actor
    while link is not None:
        actors.append(link.sub)
        link = link.act
    detail: dict[str, str | int] = {
        "subject_issuer": decision.subject.issuer,
        "audience": decision.audience,
        "scope": " ".join(decision.scopes),
        "expires_at": decision.expires_at,
        "policy": " ".join(decision.policies),
        "kid": kid,
    }
    if grant is not None:
        detail["grant"] = grant.id
    return AuditEvent(
        action=action,
        at=decision.issued_at,
        caller=presenter.bound.spiffe_id,
        sub=decision.subject.sub,
        actors=tuple(actors),
        jkt=presenter.bound.jkt,
        kind=presenter.bound.residency.kind.value,
        object=jti,
        detail=detail,
    )


def _grant_events(operations: Sequence[Operation], issued: AuditEvent) -> list[AuditEvent]:
    return [
        AuditEvent(
            action=AuditAction.GRANT_CREATED,
            at=issued.at,
            caller=issued.caller,
            sub=issued.sub,
            actors=issued.actors,
            jkt=issued.jkt,
            kind=issued.kind,
            object=operation.grant.id,
            detail={
                "subject_issuer": operation.grant.subject.issuer,
                "audience": operation.grant.audience,
                "scope": " ".join(operation.grant.scopes),
                "expires_at": operation.grant.expires_at,
            },
        )
        for operation in operations
        if isinstance(operation, PutGrant)
    ]
