"""AttestationService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from keystead.codec.hashes import HashAlgorithm
from keystead.errors import Malformed, Reason
from keystead.model import Challenge
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol import keystead_v1_pb2_grpc as rpc
from keystead.server.grpc.door import Servicer, bidi_stream, unary
from keystead.server.limits import ATTEST_DEADLINE_S, ATTEST_IDLE_S
from keystead.service.attestation import Outcome
from keystead.service.roles import Caller


class AttestationServicer(Servicer, rpc.AttestationServiceServicer):
    """Anyone may call: the evidence is the credential."""

    @bidi_stream(deadline_s=ATTEST_DEADLINE_S, idle_s=ATTEST_IDLE_S)
    async def Attest(
        self, requests: AsyncIterator[pb.AttestRequest], caller: Caller
    ) -> AsyncIterator[pb.AttestResponse]:
        """One conversation, in exactly the order that the proto gives."""
        begin = (await _next(requests, "begin")).begin
        session = self.door.use_cases.attestations.begin(begin.kind)
        yield pb.AttestResponse(challenge=self._challenge(session.challenge))
        evidence = (await _next(requests, "evidence")).evidence
        pending = await session.submit(
            evidence.envelope, proof=evidence.key_proof, wanted=evidence.spiffe_id
        )
        yield pb.AttestResponse(
            activation=pb.CredentialActivation(
                credential_blob=pending.credential_blob,
                encrypted_secret=pending.encrypted_secret,
            )
        )
        activated = (await _next(requests, "activated")).activated
        yield pb.AttestResponse(result=_result(await session.finish(activated.secret)))

    def _challenge(self, challenge: Challenge) -> pb.Challenge:
        message = pb.Challenge(
            nonce=challenge.nonce, issuer=challenge.issuer, expires_at=challenge.expires_at
        )
        wanted = self.door.use_cases.attestations.policy.tpm2
        if wanted is not None:
            message.required_pcrs.extend(_banks(wanted.required_pcrs.banks))
            message.event_log_required = wanted.event_log.required
            if wanted.require_key_policy is not None:
                message.key_policy_pcrs.extend(_banks(wanted.require_key_policy.banks))
        return message

    @unary
    async def GetResult(self, request: pb.GetResultRequest, caller: Caller) -> pb.AttestationResult:
        """A stored result; whoever knows its hash may read it."""
        ear = await self.door.use_cases.attestations.result(request.id)
        return pb.AttestationResult(id=request.id, ear=ear)


async def _next(requests: AsyncIterator[pb.AttestRequest], step: str) -> pb.AttestRequest:
    try:
        request = await anext(requests)
    except StopAsyncIteration:
        raise Malformed(Reason.MALFORMED, f"the stream ended before {step}") from None
    if request.WhichOneof("step") != step:
        raise Malformed(Reason.MALFORMED, f"expected {step}")
    return request


def _banks(banks: Sequence[tuple[HashAlgorithm, Sequence[int]]]) -> list[pb.PcrBank]:
    return [pb.PcrBank(bank=bank.digest_name, indexes=indexes) for bank, indexes in banks]


def _result(outcome: Outcome) -> pb.AttestationResult:
    return pb.AttestationResult(
        id=outcome.id,
        ear=outcome.ear,
        spiffe_id=outcome.bound.spiffe_id,
        jkt=outcome.bound.jkt,
        expires_at=outcome.bound.expires_at,
    )
