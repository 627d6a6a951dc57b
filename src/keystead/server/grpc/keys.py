"""KeyService."""

from __future__ import annotations

from keystead.codec import json
from keystead.model import SigningKey
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol import keystead_v1_pb2_grpc as rpc
from keystead.server.grpc.door import Servicer, unary
from keystead.service.roles import Caller


class KeyServicer(Servicer, rpc.KeyServiceServicer):
    """Keys of this issuer's hardware."""

    @unary
    async def CreateKey(self, request: pb.CreateKeyRequest, caller: Caller) -> pb.Key:
        """A new key, with its evidence."""
        key = await self.door.use_cases.keys.create(
            caller,
            purpose=request.purpose,
            algorithm=request.algorithm,
            owner=request.owner,
            allow_digest=request.allow_digest,
        )
        return key_message(key, with_evidence=True)

    @unary
    async def ListKeys(self, request: pb.ListKeysRequest, caller: Caller) -> pb.ListKeysResponse:
        """The keys that the caller may see."""
        keys = self.door.use_cases.keys.visible(caller, purpose=request.purpose)
        return pb.ListKeysResponse(keys=[key_message(key, with_evidence=False) for key in keys])

    @unary
    async def GetKey(self, request: pb.GetKeyRequest, caller: Caller) -> pb.Key:
        """One key, with its evidence."""
        key = self.door.use_cases.keys.get(caller, kid=request.kid)
        return key_message(key, with_evidence=True)

    @unary
    async def Sign(self, request: pb.SignRequest, caller: Caller) -> pb.SignResponse:
        """A signature by an external key that the caller owns."""
        what = request.WhichOneof("what")
        made = await self.door.use_cases.keys.sign(
            caller,
            kid=request.kid,
            payload=request.payload if what == "payload" else None,
            digest=request.digest if what == "digest" else None,
            typ=request.typ,
        )
        return pb.SignResponse(jws=made.jws, signature=made.signature)

    @unary
    async def Rotate(self, request: pb.RotateRequest, caller: Caller) -> pb.Key:
        """The successor."""
        key = await self.door.use_cases.keys.rotate(
            caller, purpose=request.purpose, owner=request.owner
        )
        return key_message(key, with_evidence=False)


def key_message(key: SigningKey, *, with_evidence: bool) -> pb.Key:
    """A key on the wire; 0 stands for "not yet"."""
    return pb.Key(
        kid=key.kid,
        purpose=key.purpose.value,
        algorithm=key.algorithm,
        state=key.state.value,
        tier=key.tier.value,
        owner=key.owner,
        allow_digest=key.allow_digest,
        jwk=json.encode(dict(key.jwk)).decode("utf-8"),
        created_at=key.created_at,
        activates_at=key.activates_at,
        retired_at=key.retired_at or 0,
        evidence=_evidence(key) if with_evidence else None,
    )


def _evidence(key: SigningKey) -> pb.KeyEvidence:
    evidence = key.evidence
    return pb.KeyEvidence(
        ek_public=evidence.ek_public,
        ek_certificate=evidence.ek_certificate or b"",
        ek_certificate_chain=evidence.ek_certificate_chain,
        ak_public=evidence.ak_public,
        key_public=key.wrapped.public,
        qualifying_data=evidence.qualifying_data,
        certify_attest=evidence.certify_attest,
        certify_signature=evidence.certify_signature,
    )
