"""The attestation conversation with servers that do not keep to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from keystead.agent import TpmHost, Workload
from keystead.agent.attestation import Conversation, attest
from keystead.agent.channel import open_channel
from keystead.agent.collector import ServerChallenge
from keystead.agent.proofs import DpopSigner
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection
from keystead.errors import (
    Conflict,
    EvidenceRejected,
    KeysteadError,
    Malformed,
    Reason,
    Refused,
    Rejected,
    Unavailable,
)
from keystead.evidence.envelope import parse_envelope
from keystead.evidence.key_proof import verify_key_proof
from keystead.hardware.tpm2 import Tpm2Device
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol import keystead_v1_pb2_grpc as rpc
from keystead.system import SystemEntropy
from tests.agent_parts import FakeClock, result_id
from tests.certificates import TestAuthority

ISSUER = "https://keystead.example"
NONCE = bytes(range(32))
EAR = "an.attestation.result"
EXPIRES_AT = 1_900_000_000

Answers = Callable[[Iterator[pb.AttestRequest], grpc.ServicerContext], Iterator[pb.AttestResponse]]


def challenge(**changes: object) -> pb.AttestResponse:
    fields: dict[str, object] = {
        "nonce": NONCE,
        "issuer": ISSUER,
        "required_pcrs": [pb.PcrBank(bank="sha256", indexes=[0, 7])],
        **changes,
    }
    return pb.AttestResponse(challenge=pb.Challenge(**fields))  # type: ignore[arg-type]


def result(**changes: object) -> pb.AttestResponse:
    fields: dict[str, object] = {
        "id": result_id(EAR),
        "ear": EAR,
        "spiffe_id": "spiffe://example.org/agent",
        "expires_at": EXPIRES_AT,
        **changes,
    }
    return pb.AttestResponse(result=pb.AttestationResult(**fields))  # type: ignore[arg-type]


@contextmanager
def served(
    answers: Answers, *, tls: TestAuthority | None = None, ca: bytes | None = None
) -> Iterator[grpc.Channel]:
    """A channel to a server that answers Attest by ``answers``; the client trusts ``ca``."""

    class Servicer(rpc.AttestationServiceServicer):
        def Attest(
            self, requests: Iterator[pb.AttestRequest], context: grpc.ServicerContext
        ) -> Iterator[pb.AttestResponse]:
            return answers(requests, context)

    server = grpc.server(ThreadPoolExecutor(2))
    rpc.add_AttestationServiceServicer_to_server(Servicer(), server)
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        files = tls.server()
        pair = (files.private_key.read_bytes(), files.certificate.read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        with open_channel(f"127.0.0.1:{port}", ca=ca) as channel:
            yield channel
    finally:
        server.stop(None).wait()


class Agent:
    """What ``attest`` needs on the workload's side."""

    def __init__(self, folder: Path, device: Tpm2Device) -> None:
        self.host = TpmHost(device, folder=folder)

    def attest(self, answers: Answers, **options: object) -> object:
        with served(answers) as channel:
            return attest(
                channel,
                host=self.host,
                signer=lambda key: DpopSigner(key=key, clock=FakeClock(), entropy=SystemEntropy()),
                **options,  # type: ignore[arg-type]
            )


@pytest.fixture
def agent(tmp_path: Path, tpm_device: Tpm2Device) -> Agent:
    return Agent(tmp_path / "keys", tpm_device)


def test_answers_the_challenge_with_evidence_and_a_key_proof(agent: Agent) -> None:
    seen: list[pb.AttestRequest] = []

    def answers(
        requests: Iterator[pb.AttestRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.AttestResponse]:
        seen.append(next(requests))
        yield challenge(key_policy_pcrs=[pb.PcrBank(bank="sha256", indexes=[7])])
        seen.append(next(requests))
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "enough")

    with pytest.raises(KeysteadError):
        agent.attest(answers, spiffe_id="spiffe://example.org/agent")
    assert seen[0].begin.kind == "tpm2"
    evidence = seen[1].evidence
    submission = parse_envelope(evidence.envelope)
    assert submission.nonce == NONCE
    assert submission.key is not None
    verify_key_proof(evidence.key_proof, key=submission.key, issuer=ISSUER, nonce=NONCE)
    assert evidence.spiffe_id == "spiffe://example.org/agent"
    key = agent.host.folder.current()
    assert key is not None
    assert key.pcr_policy == PcrSelection.of({HashAlgorithm.SHA256: [7]})


@pytest.mark.parametrize(
    ("status", "metadata", "kind", "reason", "step"),
    [
        (
            "PERMISSION_DENIED",
            {"keystead-reason": "pcr_value_mismatch", "keystead-step": "11"},
            EvidenceRejected,
            Reason.PCR_VALUE_MISMATCH,
            11,
        ),
        (
            "PERMISSION_DENIED",
            {"keystead-reason": "ek_not_enrolled"},
            Refused,
            Reason.EK_NOT_ENROLLED,
            None,
        ),
        (
            "ALREADY_EXISTS",
            {"keystead-reason": "key_bound_to_another_id"},
            Conflict,
            Reason.KEY_BOUND_TO_ANOTHER_ID,
            None,
        ),
        (
            "INVALID_ARGUMENT",
            {"keystead-reason": "kind_unsupported"},
            Malformed,
            Reason.KIND_UNSUPPORTED,
            None,
        ),
        (
            "RESOURCE_EXHAUSTED",
            {"keystead-reason": "rate_limited", "keystead-retry-after-s": "7"},
            Unavailable,
            Reason.RATE_LIMITED,
            None,
        ),
        # A server of tomorrow, and one that is none of ours.
        (
            "PERMISSION_DENIED",
            {"keystead-reason": "not_a_reason"},
            Unavailable,
            Reason.SERVER_UNAVAILABLE,
            None,
        ),
        ("UNIMPLEMENTED", {}, Unavailable, Reason.SERVER_UNAVAILABLE, None),
        (
            "PERMISSION_DENIED",
            {"keystead-reason": "ek_mismatch", "keystead-step": "²"},
            Refused,
            Reason.EK_MISMATCH,
            None,
        ),
    ],
)
def test_a_refusal_comes_back_as_the_error_that_it_was(
    agent: Agent,
    status: str,
    metadata: dict[str, str],
    kind: type[KeysteadError],
    reason: Reason,
    step: int | None,
) -> None:
    def answers(
        requests: Iterator[pb.AttestRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.AttestResponse]:
        context.set_trailing_metadata(
            tuple((name, value) for name, value in metadata.items() if value.isascii())
        )
        context.abort(grpc.StatusCode[status], "no")
        yield challenge()

    with pytest.raises(kind) as caught:
        agent.attest(answers)
    assert type(caught.value) is kind
    assert caught.value.reason is reason
    assert caught.value.step == step
    if isinstance(caught.value, Unavailable) and reason is Reason.RATE_LIMITED:
        assert caught.value.retry_after_s == 7


@pytest.mark.parametrize(
    "first",
    [
        result(),
        pb.AttestResponse(),
        challenge(nonce=NONCE[:-1]),
        challenge(required_pcrs=[]),
        challenge(required_pcrs=[pb.PcrBank(bank="sha256", indexes=[24])]),
        challenge(required_pcrs=[pb.PcrBank(bank="md5", indexes=[0])]),
        challenge(required_pcrs=[pb.PcrBank(bank="sha256", indexes=[0])] * 2),
        challenge(key_policy_pcrs=[pb.PcrBank(bank="sha256", indexes=[7, 7])]),
    ],
)
def test_rejects_a_first_answer_that_is_no_challenge(
    agent: Agent, first: pb.AttestResponse
) -> None:
    def answers(
        requests: Iterator[pb.AttestRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.AttestResponse]:
        yield first
        next(requests, None)

    with pytest.raises(Malformed):
        agent.attest(answers)
    assert agent.host.folder.current() is None


def test_attests_to_no_other_issuer(agent: Agent) -> None:
    def answers(
        requests: Iterator[pb.AttestRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.AttestResponse]:
        yield challenge()

    with pytest.raises(Rejected) as caught:
        agent.attest(answers, issuer="https://other.example")
    assert caught.value.reason is Reason.ISSUER_MISMATCH
    assert agent.host.folder.current() is None


def test_a_credential_for_another_tpm_is_refused_here(agent: Agent) -> None:
    def answers(
        requests: Iterator[pb.AttestRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.AttestResponse]:
        yield challenge()
        next(requests)
        next(requests)
        blob = (34).to_bytes(2, "big") + bytes(34)
        yield pb.AttestResponse(
            activation=pb.CredentialActivation(credential_blob=blob, encrypted_secret=b"\0\0")
        )

    with pytest.raises(KeysteadError) as caught:
        agent.attest(answers)
    assert caught.value.reason in (Reason.ACTIVATION_FAILED, Reason.HARDWARE_REFUSED)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"jkt": "A" * 43}, Reason.KEY_MISMATCH),
        ({"jkt": ""}, Reason.KEY_MISMATCH),
        ({"ear": "another.attestation.result"}, Reason.TOKEN_HASH_MISMATCH),
        ({"id": ""}, Reason.TOKEN_HASH_MISMATCH),
    ],
)
def test_rejects_a_result_about_another_key(
    agent: Agent,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    reason: Reason,
) -> None:
    # Only the real service makes credentials that this TPM can activate; the secret is not read.
    monkeypatch.setattr(TpmHost, "activate", lambda *_, **__: b"secret")

    def answers(
        requests: Iterator[pb.AttestRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.AttestResponse]:
        yield challenge()
        next(requests)
        shown = parse_envelope(next(requests).evidence.envelope).key
        assert shown is not None
        yield pb.AttestResponse(activation=pb.CredentialActivation())
        next(requests)
        yield result(**{"jkt": shown.thumbprint, **changes})

    with pytest.raises(Rejected) as caught:
        agent.attest(answers)
    assert caught.value.reason is reason


def test_a_server_that_ends_the_stream_is_unavailable(agent: Agent) -> None:
    def answers(
        requests: Iterator[pb.AttestRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.AttestResponse]:
        yield challenge()

    with pytest.raises(Unavailable):
        agent.attest(answers)


def test_a_server_that_says_nothing_is_given_up(agent: Agent) -> None:
    over = threading.Event()

    def answers(
        requests: Iterator[pb.AttestRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.AttestResponse]:
        over.wait(10)
        yield challenge()

    try:
        with pytest.raises(Unavailable) as caught:
            agent.attest(answers, timeout_s=0.2)
        assert "DEADLINE_EXCEEDED" in caught.value.detail
    finally:
        over.set()


def test_attests_over_tls_to_a_server_of_the_ca_alone(tmp_path: Path) -> None:
    authority, other = (TestAuthority(tmp_path, name) for name in ("ca", "other"))

    def answers(
        requests: Iterator[pb.AttestRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.AttestResponse]:
        next(requests)
        yield challenge()

    def first_answer(ca: TestAuthority) -> pb.AttestResponse:
        with (
            served(answers, tls=authority, ca=ca.certificate.read_bytes()) as channel,
            Conversation(channel, timeout_s=5) as talk,
        ):
            return talk.ask(pb.AttestRequest(begin=pb.BeginAttestation()), "challenge")

    assert first_answer(authority).challenge.nonce == NONCE
    with pytest.raises(Unavailable) as caught:
        first_answer(other)
    assert caught.value.reason is Reason.SERVER_UNAVAILABLE


def test_many_threads_attest_once(
    tmp_path: Path, tpm_device: Tpm2Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []
    monkeypatch.setattr(TpmHost, "activate", lambda *_, **__: b"secret")

    def answers(
        requests: Iterator[pb.AttestRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.AttestResponse]:
        begun.append(next(requests))
        assert started.wait(10)
        yield challenge()
        shown = parse_envelope(next(requests).evidence.envelope).key
        assert shown is not None
        yield pb.AttestResponse(activation=pb.CredentialActivation())
        next(requests)
        yield result(jkt=shown.thumbprint)

    started = threading.Event()
    entered = threading.Barrier(5)

    with served(answers) as channel:
        monkeypatch.setattr("keystead.agent.workload.open_channel", lambda *_, **__: _Kept(channel))
        workload = Workload(TpmHost(tpm_device, folder=tmp_path / "keys"), server="127.0.0.1:1")

        def ask(_: int) -> str:
            entered.wait()
            return workload.attest().jkt

        with ThreadPoolExecutor(4) as pool:
            answers_of = [pool.submit(ask, number) for number in range(4)]
            entered.wait()
            started.set()
            assert len({answer.result(20) for answer in answers_of}) == 1
    assert len(begun) in (1, 2)  # a thread may come late, after the first attestation


class _Kept:
    """A channel that outlives the ``with`` of whoever uses it."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def __enter__(self) -> grpc.Channel:
        return self._channel

    def __exit__(self, *_: object) -> None:
        return None


def test_a_challenge_without_pcrs_is_none_for_a_tpm(agent: Agent) -> None:
    asked = ServerChallenge(nonce=NONCE, issuer=ISSUER, required_pcrs=PcrSelection.of({}))
    with pytest.raises(Malformed):
        agent.host.answer(asked)
