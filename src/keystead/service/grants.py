"""Grants after they were made: introspection, revocation, the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keystead.codec.json import JSON
from keystead.delegation import grants as grant_rules
from keystead.errors import KeysteadError, NotFound, ProofRejected, Reason, Refused
from keystead.issuance import introspection
from keystead.model import (
    AuditAction,
    AuditEvent,
    Grant,
    GrantId,
    KeyPurpose,
    SpiffeId,
)
from keystead.operations import (
    Delegation,
    Operation,
    RefuseEarlierSubjects,
    RevokeGrant,
)
from keystead.ports import Clock, Store
from keystead.service.keyring import Keyring
from keystead.service.presenter import Presenters
from keystead.service.roles import Caller, Role, require
from keystead.service.trail import Trail

MAX_GRANTS_A_PAGE = 1000


class Grants:
    """The grant use cases."""

    def __init__(
        self,
        *,
        issuer: str,
        store: Store,
        keyring: Keyring,
        presenters: Presenters,
        trail: Trail,
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._revocation_endpoint = f"{issuer.rstrip('/')}/revoke"
        self._store = store
        self._keyring = keyring
        self._presenters = presenters
        self._trail = trail
        self._clock = clock

    async def introspect(self, caller: Caller, token: str) -> dict[str, JSON]:
        """RFC 7662: what a live access token of ours says; anything else is just inactive."""
        require(caller, Role.RELYING_PARTY, Role.OPERATOR)
        claims = introspection.active_claims(
            token,
            keys=self._keyring.key_set(KeyPurpose.TOKEN),
            issuer=self._issuer,
            now=self._clock.now(),
        )
        if claims is None or not await self._is_bound(claims):
            return introspection.INACTIVE
        grant_id = introspection.grant_of(claims)
        if grant_id is not None:
            grant = await self._store.grant(grant_id)
            if grant is None or grant.revoked_at is not None:
                return introspection.INACTIVE
        return introspection.response(claims)

    async def _is_bound(self, claims: Mapping[str, JSON]) -> bool:
        """Whether the token's key still speaks for its agent: without its entry or host it does
        not, and a token that hangs on no grant has nothing else to be ended by."""
        bound = await self._store.binding(introspection.jkt_of(claims))
        return bound is not None and bound.spiffe_id == claims.get("client_id")

    async def revoke(self, token: str, *, proofs: Sequence[str]) -> None:
        """RFC 7009 for a refresh token, by the key that holds it; an unknown one is no error."""
        try:
            presenter = await self._presenters.present(proofs, url=self._revocation_endpoint)
        except KeysteadError as error:
            self._trail.note_refusal(error)
            raise
        try:
            grant = await self._store.grant_by_handle(grant_rules.handle_hash(token))
        except Refused:
            grant = None
        if grant is None:
            await self._store.apply([presenter.used], events=())
            return
        if grant.jkt != presenter.bound.jkt:
            refusal = ProofRejected(Reason.KEY_BINDING_MISMATCH)
            await self._trail.record_refusal(presenter, refusal)
            raise refusal
        await self._revoke(grant, caller=presenter.bound.spiffe_id, also=[presenter.used])

    async def list(self, caller: Caller, *, sub: str, agent: str) -> Sequence[Grant]:
        """Grants, newest first, of one user or agent if named."""
        require(caller, Role.OPERATOR, Role.ADMIN_SOCKET)
        return await self._store.grants(
            sub=sub or None, agent=SpiffeId(agent) if agent else None, limit=MAX_GRANTS_A_PAGE
        )

    async def revoke_grant(self, caller: Caller, *, id: str) -> None:
        """Revoke a grant and all below it: the next renewal is refused, and so is any exchange of
        a user's token from before. (When an agent itself lets go of a grant, the user's token
        stays good: the user said nothing.)"""
        require(caller, Role.OPERATOR)
        grant = await self._store.grant(GrantId(id))
        if grant is None:
            raise NotFound(Reason.GRANT_UNKNOWN)
        delegation = Delegation(
            subject_issuer=grant.subject.issuer,
            sub=grant.subject.sub,
            agent=grant.agent,
            audience=grant.audience,
        )
        barred = RefuseEarlierSubjects(delegation=delegation, at=self._clock.now())
        await self._revoke(grant, caller=caller.name, also=[barred])

    async def _revoke(self, grant: Grant, *, caller: str, also: Sequence[Operation]) -> None:
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
        await self._store.apply([*also, RevokeGrant(id=grant.id, at=now)], events=[event])
