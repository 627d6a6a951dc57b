"""VerificationService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from keystead.errors import Malformed, Reason
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol import keystead_v1_pb2_grpc as rpc
from keystead.server.grpc.door import Servicer, bidi_stream, unary
from keystead.server.limits import STREAM_IDLE_S
from keystead.service.roles import Caller, Role, require
from keystead.service.verification import BatchResult, RequestToVerify


class VerificationServicer(Servicer, rpc.VerificationServiceServicer):
    """Many tokens at a time."""

    @unary
    async def VerifyBatch(
        self, request: pb.VerifyBatchRequest, caller: Caller
    ) -> pb.VerifyBatchResponse:
        """One verdict for each item."""
        return await self._verify(request, caller)

    @bidi_stream(deadline_s=None, idle_s=STREAM_IDLE_S)
    async def VerifyStream(
        self, requests: AsyncIterator[pb.VerifyBatchRequest], caller: Caller
    ) -> AsyncIterator[pb.VerifyBatchResponse]:
        """One response for each request, in order; a refused request ends the stream."""
        require(caller, Role.RELYING_PARTY, Role.OPERATOR)
        async for request in requests:
            yield await self._verify(request, caller)

    async def _verify(
        self, request: pb.VerifyBatchRequest, caller: Caller
    ) -> pb.VerifyBatchResponse:
        verifications = self.door.use_cases.verifications
        if request.tokens and request.requests:
            raise Malformed(Reason.PARAMETER_INVALID, "both tokens and requests")
        if request.requests:
            result = await verifications.verify_requests(
                caller,
                [
                    RequestToVerify(
                        token=item.token,
                        proof=item.proof or None,
                        method=item.method,
                        url=item.url,
                    )
                    for item in request.requests
                ],
                audience=request.audience,
            )
        else:
            result = await verifications.verify_tokens(
                caller, list(request.tokens), audience=request.audience
            )
        if request.want_claims:
            # 4,096 of them are megabytes, whose copying would let nobody else be answered.
            return await asyncio.to_thread(_response, result, want_claims=True)
        return _response(result, want_claims=False)


def _response(result: BatchResult, *, want_claims: bool) -> pb.VerifyBatchResponse:
    reasons = [""] * len(result.ok)
    for item, good in enumerate(result.ok):
        if not good:
            reasons[item] = result.reason(item) or ""
    claims: list[bytes] = []
    if want_claims:
        claims = [result.payload(i) if good else b"" for i, good in enumerate(result.ok)]
    return pb.VerifyBatchResponse(ok=result.ok, reasons=reasons, claims=claims)
