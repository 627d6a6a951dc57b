"""One attestation from the workload's side: challenge, evidence, activation, result."""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import grpc

from keystead.agent.channel import from_rpc
from keystead.agent.collector import ServerChallenge, selection_of
from keystead.agent.hosts import Host
from keystead.agent.proofs import DpopSigner
from keystead.agent.signing import SigningKey
from keystead.codec import base64url
from keystead.errors import Malformed, Reason, Rejected, Unavailable
from keystead.model import EvidenceKind, ResultId, SpiffeId
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol.keystead_v1_pb2_grpc import AttestationServiceStub

ATTEST_TIMEOUT_S: Final = 90.0
"""For the whole conversation: servers end it then, and a slow chip quotes in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What an attestation achieved: the key of ``jkt`` speaks for ``spiffe_id`` until
    ``expires_at`` (Unix seconds), and should attest again from ``renew_at`` on. ``ear`` is the
    signed attestation result."""

    spiffe_id: SpiffeId
    jkt: str
    result_id: ResultId
    ear: str = field(repr=False)
    renew_at: int
    expires_at: int
    issuer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """A binding and the key that it is of."""

    binding: Binding
    key: SigningKey


def attest(
    channel: grpc.Channel,
    *,
    host: Host,
    signer: Callable[[SigningKey], DpopSigner],
    issuer: str | None = None,
    spiffe_id: str = "",
    timeout_s: float = ATTEST_TIMEOUT_S,
) -> Attested:
    """Prove to the service on ``channel`` where the workload's key lives, and have it bound.

    ``issuer`` is the only issuer to attest to, None for whichever answers; ``spiffe_id`` says
    which of several registration entries is meant.

    Raises:
        EvidenceRejected, Refused, Conflict: the server says no; reason and step are its own.
        Rejected: issuer_mismatch; or the result is not about this key.
        Unavailable: server, TPM or platform do not answer.
    """
    begin = pb.BeginAttestation(kind=host.kind.value)
    with Conversation(channel, timeout_s=timeout_s) as talk:
        challenge = _challenge(talk.ask(pb.AttestRequest(begin=begin), "challenge").challenge)
        _check_issuer(challenge, issuer)
        answer = host.answer(challenge)
        proof = signer(answer.key).key_proof(issuer=challenge.issuer, nonce=challenge.nonce)
        evidence = pb.Evidence(envelope=answer.envelope, key_proof=proof, spiffe_id=spiffe_id)
        result = _result(talk, pb.AttestRequest(evidence=evidence), host)
    return Attested(binding=_binding(result, answer.key, challenge), key=answer.key)


def _result(talk: Conversation, evidence: pb.AttestRequest, host: Host) -> pb.AttestationResult:
    """What the server makes of it; of a TPM it asks for the secret of a credential first."""
    if host.kind is not EvidenceKind.TPM2:
        return talk.ask(evidence, "result").result
    credential = talk.ask(evidence, "activation").activation
    secret = host.activate(
        credential_blob=credential.credential_blob,
        encrypted_secret=credential.encrypted_secret,
    )
    activated = pb.CredentialActivated(secret=secret)
    return talk.ask(pb.AttestRequest(activated=activated), "result").result


class Conversation:
    """The bidirectional stream as question and answer; leaving the block ends it."""

    def __init__(self, channel: grpc.Channel, *, timeout_s: float) -> None:
        self._questions: queue.SimpleQueue[pb.AttestRequest | None] = queue.SimpleQueue()
        stub = AttestationServiceStub(channel)
        self._call = stub.Attest(iter(self._questions.get, None), timeout=timeout_s)
        self._answers: Iterator[pb.AttestResponse] = iter(self._call)

    def ask(self, question: pb.AttestRequest, wanted: str) -> pb.AttestResponse:
        """The answer to ``question``, which has to be the step called ``wanted``."""
        self._questions.put(question)
        try:
            answer = next(self._answers)
        except StopIteration:
            raise Unavailable(
                Reason.SERVER_UNAVAILABLE, f"the server ended the stream before {wanted}"
            ) from None
        except grpc.RpcError as error:
            raise from_rpc(error) from error
        if answer.WhichOneof("step") != wanted:
            raise Malformed(Reason.MALFORMED, f"the server did not answer with {wanted}")
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._questions.put(None)
        if error is not None:
            self._call.cancel()


def _challenge(message: pb.Challenge) -> ServerChallenge:
    policy = selection_of([(bank.bank, tuple(bank.indexes)) for bank in message.key_policy_pcrs])
    return ServerChallenge(
        nonce=message.nonce,
        issuer=message.issuer,
        required_pcrs=selection_of(
            [(bank.bank, tuple(bank.indexes)) for bank in message.required_pcrs]
        ),
        pcr_policy=policy if policy.banks else None,
        event_log_required=message.event_log_required,
    )


def _check_issuer(challenge: ServerChallenge, issuer: str | None) -> None:
    if issuer is not None and challenge.issuer != issuer:
        raise Rejected(Reason.ISSUER_MISMATCH, f"the server is {challenge.issuer!r}")


def _binding(result: pb.AttestationResult, key: SigningKey, challenge: ServerChallenge) -> Binding:
    """The result, if it is about our key and named by its own hash."""
    if result.jkt != key.jwk.thumbprint:
        raise Rejected(Reason.KEY_MISMATCH, "the server bound another key")
    digest = hashlib.sha256(result.ear.encode()).digest()
    if result.id != base64url.encode(digest):
        raise Rejected(Reason.TOKEN_HASH_MISMATCH, "the result's id is not the hash of its EAR")
    return Binding(
        spiffe_id=SpiffeId(result.spiffe_id),
        jkt=result.jkt,
        result_id=ResultId(result.id),
        ear=result.ear,
        renew_at=result.renew_at,
        expires_at=result.expires_at,
        issuer=challenge.issuer,
    )
