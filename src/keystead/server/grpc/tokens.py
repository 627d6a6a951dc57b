"""TokenService: the same as POST /token, /introspect and /revoke, and the grants."""

from __future__ import annotations

from keystead.codec import json
from keystead.errors import Malformed, Reason
from keystead.model import Grant
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol import keystead_v1_pb2_grpc as rpc
from keystead.server.grpc.door import Servicer, unary
from keystead.server.limits import MAX_FORM_FIELDS
from keystead.service.roles import Caller


class TokenServicer(Servicer, rpc.TokenServiceServicer):
    """Tokens and grants."""

    @unary
    async def Exchange(self, request: pb.ExchangeRequest, caller: Caller) -> pb.ExchangeResponse:
        """Anyone may call: the proof by an attested key is the credential."""
        if len(request.parameters) > MAX_FORM_FIELDS:
            raise Malformed(Reason.TOO_LARGE, f"more than {MAX_FORM_FIELDS} parameters")
        tokens = self.door.use_cases.tokens
        issued = await tokens.exchange(
            [(parameter.name, parameter.value) for parameter in request.parameters],
            proofs=_proofs(request.dpop_proof),
        )
        return pb.ExchangeResponse(
            access_token=issued.access_token,
            issued_token_type=issued.issued_token_type,
            token_type=issued.token_type,
            expires_in=issued.expires_in,
            scope=issued.scope,
            refresh_token=issued.refresh_token or "",
            dpop_nonce=tokens.fresh_nonce(),
        )

    @unary
    async def Introspect(
        self, request: pb.IntrospectRequest, caller: Caller
    ) -> pb.IntrospectResponse:
        """RFC 7662 §2.2, as JSON."""
        response = await self.door.use_cases.grants.introspect(caller, request.token)
        return pb.IntrospectResponse(response=json.encode(response))

    @unary
    async def Revoke(self, request: pb.RevokeRequest, caller: Caller) -> pb.RevokeResponse:
        """By the key that holds the refresh token."""
        await self.door.use_cases.grants.revoke(request.token, proofs=_proofs(request.dpop_proof))
        return pb.RevokeResponse()

    @unary
    async def ListGrants(
        self, request: pb.ListGrantsRequest, caller: Caller
    ) -> pb.ListGrantsResponse:
        """Grants, newest first."""
        grants = await self.door.use_cases.grants.list(caller, sub=request.sub, agent=request.agent)
        return pb.ListGrantsResponse(grants=[grant_message(grant) for grant in grants])

    @unary
    async def RevokeGrant(
        self, request: pb.RevokeGrantRequest, caller: Caller
    ) -> pb.RevokeResponse:
        """A grant and all below it."""
        await self.door.use_cases.grants.revoke_grant(caller, id=request.id)
        return pb.RevokeResponse()


def grant_message(grant: Grant) -> pb.Grant:
    """A grant on the wire; its refresh token's hash stays here."""
    return pb.Grant(
        id=grant.id,
        sub=grant.subject.sub,
        subject_issuer=grant.subject.issuer,
        agent=grant.agent,
        jkt=grant.jkt,
        audience=grant.audience,
        scopes=grant.scopes,
        created_at=grant.created_at,
        expires_at=grant.expires_at,
        revoked_at=grant.revoked_at or 0,
        parent=grant.parent or "",
    )


def _proofs(proof: str) -> list[str]:
    return [proof] if proof else []
