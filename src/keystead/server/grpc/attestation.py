"""AttestationService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from keystead.errors import Malformed, Reason
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol import keystead_v1_pb2_grpc as rpc
from keystead.server.grpc.door import Servicer, bidi_stream, unary
from keystead.server.limits import ATTEST_DEADLINE_S, ATTEST_IDLE_S
from keystead.service.affirmation import Outcome
from keystead.service.attestation import Banks, Session
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
        yield pb.AttestResponse(challenge=self._challenge(session))
        evidence = (await _next(requests, "evidence")).evidence
        answer = await session.submit(
            evidence.envelope, proof=evidence.key_proof, wanted=evidence.spiffe_id
        )
        if isinstance(answer, Outcome):
            yield pb.AttestResponse(result=_result(answer))
            return
        yield pb.AttestResponse(
            activation=pb.CredentialActivation(
                credential_blob=answer.credential_blob,
                encrypted_secret=answer.encrypted_secret,
            )
        )
        activated = (await _next(requests, "activated")).activated
        yield pb.AttestResponse(result=_result(await session.finish(activated.secret)))

    def _challenge(self, session: Session) -> pb.Challenge:
        challenge = session.challenge
        wanted = session.wanted
        return pb.Challenge(
            nonce=challenge.nonce,
            issuer=challenge.issuer,
            expires_at=challenge.expires_at,
            required_pcrs=_banks(wanted.pcrs),
            key_policy_pcrs=_banks(wanted.key_policy_pcrs),
            event_log_required=wanted.event_log,
        )

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


def _banks(banks: Banks) -> list[pb.PcrBank]:
    return [pb.PcrBank(bank=bank, indexes=indexes) for bank, indexes in banks]


def _result(outcome: Outcome) -> pb.AttestationResult:
    return pb.AttestationResult(
        id=outcome.id,
        ear=outcome.ear,
        spiffe_id=outcome.bound.spiffe_id,
        jkt=outcome.bound.jkt,
        expires_at=outcome.bound.expires_at,
        renew_at=outcome.renew_at,
    )
