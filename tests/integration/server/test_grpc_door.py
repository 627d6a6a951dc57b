"""The gRPC door on real sockets: callers, refusals, streams, limits and the drain."""

import asyncio
import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from keystead.errors import (
    ConfigurationError,
    EvidenceRejected,
    ProofRejected,
    Reason,
    Refused,
    Unavailable,
)
from keystead.model import Challenge
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol import keystead_v1_pb2_grpc as rpc
from keystead.server import Doors, run
from keystead.server.grpc import attestation, door, verification
from keystead.server.grpc.server import CALL_SHARE, SPARE_RPCS
from keystead.server.limits import Limits
from keystead.service.affirmation import Outcome
from keystead.service.attestation import Wanted
from keystead.service.health import HealthReport
from keystead.service.roles import Role
from tests.doors import (
    OPERATOR,
    Recorder,
    admin_folder,
    make_callers,
    make_use_cases,
    open_doors,
    waits,
)

BEARER = (("authorization", f"Bearer {OPERATOR}"),)


def channel(doors: Doors) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(doors.grpc_address)


@contextlib.asynccontextmanager
async def stub(use_cases: Any, kind: Any, **settings: Any) -> AsyncIterator[Any]:
    async with open_doors(use_cases, **settings) as doors, channel(doors) as open_channel:
        yield kind(open_channel)


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call, 10)
    metadata = {k: v for k, v in caught.value.trailing_metadata() if isinstance(v, str)}
    return caught.value.code(), caught.value.details() or "", metadata


# --- refusals -------------------------------------------------------------------------------------


async def test_a_refusal_carries_its_reason_and_step_and_no_detail() -> None:
    error = EvidenceRejected(Reason.QUOTE_SIGNATURE, "secret detail", step=11)
    use_cases = make_use_cases(attestations=Recorder(result=waits(error)))
    async with stub(use_cases, rpc.AttestationServiceStub) as service:
        code, details, metadata = await refusal(service.GetResult(pb.GetResultRequest(id="x")))
    assert (code, details) == (grpc.StatusCode.PERMISSION_DENIED, "quote_signature")
    assert metadata == {"keystead-reason": "quote_signature", "keystead-step": "11"}


async def test_a_part_that_is_away_says_when_to_ask_again() -> None:
    error = Unavailable(Reason.HARDWARE_BUSY, retry_after_s=4)
    use_cases = make_use_cases(tokens=Recorder(exchange=waits(error)))
    async with stub(use_cases, rpc.TokenServiceStub) as service:
        code, _, metadata = await refusal(service.Exchange(pb.ExchangeRequest()))
    assert code is grpc.StatusCode.UNAVAILABLE
    assert metadata == {"keystead-reason": "hardware_busy", "keystead-retry-after-s": "4"}


async def test_a_proof_without_a_nonce_is_given_one() -> None:
    error = ProofRejected(Reason.NONCE_REQUIRED)
    use_cases = make_use_cases(tokens=Recorder(exchange=waits(error), fresh_nonce="n1"))
    async with stub(use_cases, rpc.TokenServiceStub) as service:
        code, _, metadata = await refusal(service.Exchange(pb.ExchangeRequest()))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert metadata == {"keystead-reason": "nonce_required", "dpop-nonce": "n1"}


async def test_a_bug_is_internal_with_an_id_and_leaks_nothing() -> None:
    use_cases = make_use_cases(tokens=Recorder(exchange=waits(ValueError("the secret"))))
    async with stub(use_cases, rpc.TokenServiceStub) as service:
        code, details, metadata = await refusal(service.Exchange(pb.ExchangeRequest()))
    assert (code, details) == (grpc.StatusCode.INTERNAL, "internal")
    assert metadata == {"keystead-reason": "internal", "keystead-correlation-id": "ab" * 8}


async def test_a_use_case_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "REQUEST_DEADLINE_S", 0.05)

    async def never(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    use_cases = make_use_cases(tokens=Recorder(exchange=never))
    async with stub(use_cases, rpc.TokenServiceStub) as service:
        code, details, _ = await refusal(service.Exchange(pb.ExchangeRequest()))
    assert (code, details) == (grpc.StatusCode.UNAVAILABLE, "deadline_exceeded")


# --- callers --------------------------------------------------------------------------------------


async def test_an_operator_is_known_by_the_credential() -> None:
    use_cases = make_use_cases()
    async with stub(use_cases, rpc.IdentityServiceStub) as service:
        await service.ListEntries(pb.ListEntriesRequest(), metadata=BEARER)
    [(_, (caller,), _)] = use_cases.identities.calls
    assert (caller.name, caller.roles) == ("olga", {Role.OPERATOR})


@pytest.mark.parametrize(
    "metadata",
    [
        (("authorization", "Bearer kso_" + "x" * 43),),
        (("authorization", ""),),
        (("authorization", f"Basic {OPERATOR}"),),
        (*BEARER, *BEARER),
    ],
)
async def test_a_wrong_credential_reaches_no_use_case(metadata: Any) -> None:
    use_cases = make_use_cases()
    async with stub(use_cases, rpc.IdentityServiceStub) as service:
        call = service.ListEntries(pb.ListEntriesRequest(), metadata=metadata)
        code, details, _ = await refusal(call)
    assert (code, details) == (grpc.StatusCode.UNAUTHENTICATED, "credential_invalid")
    assert use_cases.identities.calls == []
    assert [e.reason for e in use_cases.trail.refusals] == [Reason.CREDENTIAL_INVALID]


async def test_a_good_credential_is_refused_over_plaintext() -> None:
    use_cases = make_use_cases()
    async with stub(use_cases, rpc.IdentityServiceStub, development=False) as service:
        call = service.ListEntries(pb.ListEntriesRequest(), metadata=BEARER)
        code, details, _ = await refusal(call)
    assert (code, details) == (grpc.StatusCode.UNAUTHENTICATED, "tls_required")
    assert use_cases.identities.calls == []


async def test_the_socket_is_its_own_role_and_takes_credentials(tmp_path: Path) -> None:
    use_cases = make_use_cases()
    path = admin_folder(tmp_path) / "keystead.sock"
    async with (
        open_doors(use_cases, admin_socket=path, development=False),
        grpc.aio.insecure_channel(f"unix:{path}") as open_channel,
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        service = rpc.IdentityServiceStub(open_channel)
        await service.ListEntries(pb.ListEntriesRequest())
        await service.ListEntries(pb.ListEntriesRequest(), metadata=BEARER)
    [(_, (socket,), _), (_, (both,), _)] = use_cases.identities.calls
    assert socket.roles == {Role.ADMIN_SOCKET}
    assert both.roles == {Role.ADMIN_SOCKET, Role.OPERATOR}
    assert not path.exists()


async def test_a_socket_left_behind_by_a_crash_is_replaced(tmp_path: Path) -> None:
    path = admin_folder(tmp_path) / "keystead.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    async with (
        open_doors(admin_socket=path),
        grpc.aio.insecure_channel(f"unix:{path}") as open_channel,
    ):
        await rpc.IdentityServiceStub(open_channel).ListHosts(pb.ListHostsRequest())


async def test_a_folder_that_others_may_enter_stops_the_start(tmp_path: Path) -> None:
    folder = admin_folder(tmp_path)
    folder.chmod(0o750)
    with pytest.raises(ConfigurationError) as caught:
        async with open_doors(admin_socket=folder / "keystead.sock"):
            pass
    assert caught.value.reason is Reason.PERMISSIONS_TOO_OPEN
    assert os.listdir(folder) == []


# --- limits ---------------------------------------------------------------------------------------


async def test_a_message_over_the_limit_is_refused_unparsed() -> None:
    use_cases = make_use_cases()
    async with stub(
        use_cases, rpc.TokenServiceStub, limits=Limits(message_bytes=65_536)
    ) as service:
        big = pb.ExchangeRequest(dpop_proof="p" * 70_000)
        code, _, _ = await refusal(service.Exchange(big))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert use_cases.tokens.calls == []


async def test_metadata_over_the_limit_is_refused() -> None:
    use_cases = make_use_cases()
    async with stub(use_cases, rpc.TokenServiceStub) as service:
        metadata = (("x", "y" * 60_000),)
        code, _, _ = await refusal(service.Exchange(pb.ExchangeRequest(), metadata=metadata))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert use_cases.tokens.calls == []


async def test_more_parameters_than_anybody_needs_are_refused() -> None:
    use_cases = make_use_cases()
    parameters = [pb.Parameter(name="a", value="b")] * 65
    async with stub(use_cases, rpc.TokenServiceStub) as service:
        _, details, _ = await refusal(service.Exchange(pb.ExchangeRequest(parameters=parameters)))
    assert details == "too_large"


async def test_a_caller_over_its_rate_is_told_when_to_come_back() -> None:
    limits = Limits(requests_per_caller_per_s=1, burst_per_caller=2)
    async with stub(None, rpc.IdentityServiceStub, limits=limits) as service:
        for _ in range(2):
            await service.ListHosts(pb.ListHostsRequest())
        code, details, metadata = await refusal(service.ListHosts(pb.ListHostsRequest()))
    assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate_limited")
    assert metadata["keystead-retry-after-s"] == "1"


async def test_an_administrator_gets_in_when_strangers_keep_the_service_busy(
    tmp_path: Path,
) -> None:
    path = admin_folder(tmp_path) / "keystead.sock"
    limits = Limits(requests_per_caller_per_s=1, burst_per_caller=1)
    async with (
        open_doors(admin_socket=path, limits=limits),
        grpc.aio.insecure_channel(f"unix:{path}") as open_channel,
    ):
        service = rpc.IdentityServiceStub(open_channel)
        for _ in range(5):
            await service.ListHosts(pb.ListHostsRequest())


async def test_an_administrator_gets_in_when_strangers_hold_every_place(tmp_path: Path) -> None:
    going = asyncio.Event()

    async def slow(*_: Any, **__: Any) -> Any:
        await going.wait()
        raise Refused(Reason.GRANT_UNKNOWN)

    use_cases = make_use_cases(tokens=Recorder(exchange=slow, fresh_nonce="n"))
    path = admin_folder(tmp_path) / "keystead.sock"
    async with (
        open_doors(use_cases, admin_socket=path, limits=Limits(concurrent_requests=1)) as doors,
        channel(doors) as open_channel,
        grpc.aio.insecure_channel(f"unix:{path}") as local_channel,
    ):
        strangers = rpc.TokenServiceStub(open_channel)
        held = asyncio.ensure_future(refusal(strangers.Exchange(pb.ExchangeRequest())))
        async with asyncio.timeout(10):
            while not use_cases.tokens.calls:
                await asyncio.sleep(0.01)
        _, details, _ = await refusal(strangers.Exchange(pb.ExchangeRequest()))
        assert details == "rate_limited"
        await rpc.IdentityServiceStub(local_channel).ListHosts(pb.ListHostsRequest())
        going.set()
        assert (await held)[1] == "grant_unknown"


async def test_garbage_on_the_wire_does_not_stop_the_door() -> None:
    async with open_doors() as doors:
        host, port = doors.grpc_address.rsplit(":", 1)
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        for garbage in (
            b"\x00" * 4096,
            b"GET / HTTP/1.1\r\n\r\n",
            preface + b"\xff" * 4096,
            preface + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x7f\xff\xff\x01\x05" * 100,
        ):
            _, writer = await asyncio.open_connection(host, int(port))
            with contextlib.suppress(ConnectionError):
                writer.write(garbage)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        async with channel(doors) as open_channel:
            await rpc.TokenServiceStub(open_channel).Exchange(pb.ExchangeRequest())


@pytest.mark.parametrize("junk", [b"\xff\xff\xff\xff", b"\x0a\x7f", b"\x0a\x02\xff\xfe"])
async def test_a_message_that_does_not_decode_is_malformed(
    junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    use_cases = make_use_cases()
    async with open_doors(use_cases) as doors, channel(doors) as open_channel:
        for method in ("KeyService/GetKey", "TokenService/Introspect"):
            call = open_channel.unary_unary(f"/keystead.v1.{method}")
            code, details, _ = await refusal(call(junk))
            assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "malformed")
        stream = open_channel.stream_stream("/keystead.v1.AttestationService/Attest")
        code, details, _ = await refusal(collect(stream(iter([junk]))))
        assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "malformed")
        tail = open_channel.unary_stream("/keystead.v1.AuditService/Tail")
        code, details, _ = await refusal(collect(tail(b"\xff")))
        assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "malformed")
    assert use_cases.keys.calls == use_cases.grants.calls == []
    assert caplog.records == []


# --- attestation ----------------------------------------------------------------------------------

NONCE = b"n" * 32


class Session:
    """One attestation that goes well."""

    challenge = Challenge(nonce=NONCE, issuer="https://k.example", issued_at=1, expires_at=61)
    wanted = Wanted(pcrs=[("sha256", [0, 7])], key_policy_pcrs=[("sha256", [7])], event_log=True)

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def submit(self, envelope: bytes, *, proof: str, wanted: str) -> Any:
        self.seen.append((envelope, proof, wanted))
        return SimpleNamespace(credential_blob=b"blob", encrypted_secret=b"encrypted")

    async def finish(self, secret: bytes) -> Any:
        self.seen.append(secret)
        bound = SimpleNamespace(spiffe_id="spiffe://example.org/agent", jkt="j", expires_at=99)
        return SimpleNamespace(id="r", ear="e.a.r", bound=bound, renew_at=90)


def attesting(session: Any = None) -> Any:
    def begin(kind: str) -> Any:
        if kind != "tpm2":
            raise EvidenceRejected(Reason.KIND_UNSUPPORTED)
        return session or Session()

    return make_use_cases(attestations=Recorder(begin=begin))


BEGIN = pb.AttestRequest(begin=pb.BeginAttestation(kind="tpm2"))
EVIDENCE = pb.AttestRequest(
    evidence=pb.Evidence(envelope=b"{}", key_proof="p", spiffe_id="spiffe://example.org/agent")
)
ACTIVATED = pb.AttestRequest(activated=pb.CredentialActivated(secret=b"s"))


async def test_an_attestation_goes_step_by_step() -> None:
    session = Session()
    async with stub(attesting(session), rpc.AttestationServiceStub) as service:
        call = service.Attest()
        await call.write(BEGIN)
        challenge = (await call.read()).challenge
        assert (challenge.nonce, challenge.issuer, challenge.expires_at) == (
            NONCE,
            "https://k.example",
            61,
        )
        assert [(b.bank, list(b.indexes)) for b in challenge.required_pcrs] == [("sha256", [0, 7])]
        assert [(b.bank, list(b.indexes)) for b in challenge.key_policy_pcrs] == [("sha256", [7])]
        assert challenge.event_log_required
        await call.write(EVIDENCE)
        activation = (await call.read()).activation
        assert (activation.credential_blob, activation.encrypted_secret) == (b"blob", b"encrypted")
        await call.write(ACTIVATED)
        result = (await call.read()).result
        assert (result.id, result.ear, result.jkt, result.expires_at) == ("r", "e.a.r", "j", 99)
        assert result.renew_at == 90
        assert await call.read() is grpc.aio.EOF
    assert session.seen == [(b"{}", "p", "spiffe://example.org/agent"), b"s"]


async def test_evidence_that_stands_by_itself_has_its_result_at_once() -> None:
    bound = SimpleNamespace(spiffe_id="spiffe://example.org/agent", jkt="j", expires_at=99)

    class Document(Session):
        async def submit(self, envelope: bytes, *, proof: str, wanted: str) -> Any:
            return Outcome(id="r", ear="e.a.r", bound=bound, renew_at=90)  # type: ignore[arg-type]

    async with stub(attesting(Document()), rpc.AttestationServiceStub) as service:
        call = service.Attest()
        for message in (BEGIN, EVIDENCE):
            await call.write(message)
            answer = await call.read()
        assert (answer.result.id, answer.result.renew_at) == ("r", 90)
        assert await call.read() is grpc.aio.EOF


@pytest.mark.parametrize(
    "messages",
    [
        [EVIDENCE],
        [ACTIVATED],
        [pb.AttestRequest()],
        [BEGIN, BEGIN],
        [BEGIN, ACTIVATED],
        [BEGIN, EVIDENCE, EVIDENCE],
        [BEGIN, EVIDENCE, BEGIN],
        [],
        [BEGIN],
        [BEGIN, EVIDENCE],
    ],
)
async def test_an_attestation_in_another_order_is_malformed(messages: list[Any]) -> None:
    async with stub(attesting(), rpc.AttestationServiceStub) as service:
        call = service.Attest()
        for message in messages[:-1]:
            await call.write(message)
            await call.read()
        if messages:
            await call.write(messages[-1])
        if messages in ([BEGIN], [BEGIN, EVIDENCE]):
            await call.read()
        await call.done_writing()
        code, details, _ = await refusal(call.read())
    assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "malformed")


async def collect(call: Any) -> list[Any]:
    return [answer async for answer in call]


@pytest.mark.parametrize("first", [[], [BEGIN]])
async def test_an_attestation_that_dawdles_is_ended(
    first: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrap(monkeypatch, attestation.AttestationServicer, "Attest", deadline_s=90, idle_s=0.1)

    async def dawdling() -> AsyncIterator[Any]:
        for message in first:
            yield message
        await asyncio.Event().wait()

    async with stub(attesting(), rpc.AttestationServiceStub) as service:
        code, details, _ = await refusal(collect(service.Attest(dawdling())))
    assert (code, details) == (grpc.StatusCode.UNAVAILABLE, "deadline_exceeded")


def rewrap(monkeypatch: pytest.MonkeyPatch, servicer: type, method: str, **times: Any) -> None:
    """The same method under shorter times."""
    plain = getattr(servicer, method).__wrapped__
    monkeypatch.setattr(servicer, method, door.bidi_stream(**times)(plain))


async def test_a_conversation_has_a_deadline_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rewrap(monkeypatch, attestation.AttestationServicer, "Attest", deadline_s=0.1, idle_s=30)
    async with stub(attesting(), rpc.AttestationServiceStub) as service:
        call = service.Attest()
        await call.write(BEGIN)
        await call.read()
        code, details, _ = await refusal(call.read())
    assert (code, details) == (grpc.StatusCode.UNAVAILABLE, "deadline_exceeded")


async def test_one_caller_does_not_hold_every_stream() -> None:
    limits = Limits(concurrent_streams=8)
    async with stub(attesting(), rpc.AttestationServiceStub, limits=limits) as service:
        held = [service.Attest() for _ in range(2)]
        for call in held:
            await call.write(BEGIN)
            await call.read()
        code, details, _ = await refusal(collect(service.Attest(iter([BEGIN]))))
        assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate_limited")
        held[0].cancel()
        await asyncio.sleep(0.1)
        await refused_for_order(service)


async def refused_for_order(service: Any) -> None:
    """The place is free again: the stream is refused for what it says."""
    _, details, _ = await refusal(collect(service.Attest(iter([BEGIN]))))
    assert details == "malformed"


# --- verification ---------------------------------------------------------------------------------


def verifying(**answers: Any) -> Any:
    relying_parties = make_callers(frozenset({Role.RELYING_PARTY}))
    result = SimpleNamespace(
        ok=b"\x01\x00",
        reason=lambda item: None if item == 0 else Reason.EXPIRED,
        payload=lambda item: b'{"sub": "u"}',
    )
    verifications = Recorder(verify_tokens=waits(result), verify_requests=waits(result), **answers)
    return make_use_cases(callers=relying_parties, verifications=verifications)


async def test_a_batch_has_a_verdict_for_each_item() -> None:
    use_cases = verifying()
    async with stub(use_cases, rpc.VerificationServiceStub) as service:
        request = pb.VerifyBatchRequest(audience="a", tokens=["x", "y"], want_claims=True)
        answer = await service.VerifyBatch(request)
    assert (answer.ok, list(answer.reasons)) == (b"\x01\x00", ["", "expired"])
    assert list(answer.claims) == [b'{"sub": "u"}', b""]


async def test_the_claims_of_a_batch_are_written_off_the_event_loop() -> None:
    threads = set()

    def payload(item: int) -> bytes:
        threads.add(threading.get_ident())
        return b"{}"

    result = SimpleNamespace(ok=b"\x01", reason=lambda item: None, payload=payload)
    use_cases = make_use_cases(verifications=Recorder(verify_tokens=waits(result)))
    async with stub(use_cases, rpc.VerificationServiceStub) as service:
        await service.VerifyBatch(
            pb.VerifyBatchRequest(audience="a", tokens=["x"], want_claims=True)
        )
    assert threads and threading.get_ident() not in threads


async def test_requests_go_with_their_proofs() -> None:
    use_cases = verifying()
    items = [
        pb.RequestToVerify(token="t", proof="p", method="GET", url="https://a/"),
        pb.RequestToVerify(token="t", method="GET", url="https://a/"),
    ]
    async with stub(use_cases, rpc.VerificationServiceStub) as service:
        answer = await service.VerifyBatch(pb.VerifyBatchRequest(audience="a", requests=items))
    assert list(answer.claims) == []
    [(_, (_, requests), kwargs)] = use_cases.verifications.calls
    assert [(r.proof, r.method, r.url) for r in requests] == [
        ("p", "GET", "https://a/"),
        (None, "GET", "https://a/"),
    ]
    assert kwargs == {"audience": "a"}


async def test_tokens_and_requests_in_one_batch_are_refused() -> None:
    both = pb.VerifyBatchRequest(tokens=["x"], requests=[pb.RequestToVerify()])
    async with stub(verifying(), rpc.VerificationServiceStub) as service:
        code, details, _ = await refusal(service.VerifyBatch(both))
    assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "parameter_invalid")


async def test_a_stream_answers_in_order() -> None:
    use_cases = verifying()
    requests = [pb.VerifyBatchRequest(audience=str(n), tokens=["x", "y"]) for n in range(20)]
    async with stub(use_cases, rpc.VerificationServiceStub) as service:
        assert len(await collect(service.VerifyStream(iter(requests)))) == 20
    assert [c[2]["audience"] for c in use_cases.verifications.calls] == [str(n) for n in range(20)]


async def test_every_message_of_a_stream_counts_for_the_rate() -> None:
    limits = Limits(requests_per_caller_per_s=1, burst_per_caller=5)
    request = pb.VerifyBatchRequest(tokens=["x", "y"])
    async with stub(verifying(), rpc.VerificationServiceStub, limits=limits) as service:
        call = service.VerifyStream()
        for _ in range(5):
            await call.write(request)
            assert len((await call.read()).ok) == 2
        await call.write(request)
        code, details, _ = await refusal(call.read())
    assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate_limited")


async def test_a_stranger_holds_no_verification_stream() -> None:
    async with stub(None, rpc.VerificationServiceStub) as service:
        code, details, _ = await refusal(service.VerifyStream().read())
    assert (code, details) == (grpc.StatusCode.PERMISSION_DENIED, "role_required")


async def test_an_idle_stream_gives_up_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    servicer = verification.VerificationServicer
    rewrap(monkeypatch, servicer, "VerifyStream", deadline_s=None, idle_s=0.1)
    async with stub(verifying(), rpc.VerificationServiceStub) as service:
        call = service.VerifyStream()
        await call.write(pb.VerifyBatchRequest(tokens=["x", "y"]))
        await call.read()
        code, details, _ = await refusal(call.read())
    assert (code, details) == (grpc.StatusCode.UNAVAILABLE, "deadline_exceeded")


# --- health, reflection, the drain ----------------------------------------------------------------


async def health_of(open_channel: Any, service: str = "") -> Any:
    request = health_pb2.HealthCheckRequest(service=service)
    return (await health_pb2_grpc.HealthStub(open_channel).Check(request)).status


async def test_health_and_reflection_are_on() -> None:
    async with open_doors() as doors, channel(doors) as open_channel:
        serving = health_pb2.HealthCheckResponse.SERVING
        assert await health_of(open_channel) == serving
        assert await health_of(open_channel, "keystead.v1.TokenService") == serving
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        stub_ = reflection_pb2_grpc.ServerReflectionStub(open_channel)
        [answer] = [a async for a in stub_.ServerReflectionInfo(iter([ask]))]
        names = {service.name for service in answer.list_services_response.service}
    assert {f"keystead.v1.{name}Service" for name in SERVICES} <= names


SERVICES = ("Attestation", "Key", "Token", "Verification", "Identity", "Audit")


async def test_health_turns_when_a_part_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "HEALTH_EVERY_S", 0.05)
    use_cases = make_use_cases(
        health=Recorder(check=waits(HealthReport(store="", hardware="timeout")))
    )
    async with open_doors(use_cases) as doors, channel(doors) as open_channel:
        async with asyncio.timeout(5):
            while await health_of(open_channel) != health_pb2.HealthCheckResponse.NOT_SERVING:
                await asyncio.sleep(0.02)


async def test_calls_in_flight_are_finished_and_streams_ended_when_the_doors_close() -> None:
    going = asyncio.Event()

    async def slow(*_: Any, **__: Any) -> Any:
        going.set()
        await asyncio.sleep(0.5)
        return []

    async def tail(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()
        yield

    use_cases = make_use_cases(identities=Recorder(hosts=slow), trail=TailTrail(tail))
    async with open_doors(use_cases, drain_s=5) as doors, channel(doors) as open_channel:
        following = rpc.AuditServiceStub(open_channel).Tail(pb.TailRequest(), metadata=BEARER)
        running = asyncio.ensure_future(
            rpc.IdentityServiceStub(open_channel).ListHosts(pb.ListHostsRequest())
        )
        await going.wait()
        started = time.monotonic()
        stopping = asyncio.create_task(doors.stop())
        code, details, _ = await refusal(following.read())
        assert (code, details) == (grpc.StatusCode.UNAVAILABLE, "shutting_down")
        assert await running == pb.ListHostsResponse()
        await stopping
        assert time.monotonic() - started < 4


class TailTrail(Recorder):
    """A trail whose tail never ends."""

    def __init__(self, tail: Any) -> None:
        super().__init__(tail=tail, note_refusal=lambda error: None)


async def test_a_refused_role_is_counted_for_the_audit_trail() -> None:
    use_cases = make_use_cases(
        identities=Recorder(hosts=waits(Refused(Reason.ROLE_REQUIRED, "nobody")))
    )
    async with stub(use_cases, rpc.IdentityServiceStub) as service:
        code, _, _ = await refusal(service.ListHosts(pb.ListHostsRequest()))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert [e.reason for e in use_cases.trail.refusals] == [Reason.ROLE_REQUIRED]


async def test_watchers_of_one_caller_leave_calls_for_the_others() -> None:
    limits = Limits(concurrent_requests=2, concurrent_streams=2)
    request = health_pb2.HealthCheckRequest()
    async with open_doors(limits=limits) as doors, channel(doors) as open_channel:
        watch = health_pb2_grpc.HealthStub(open_channel).Watch
        watches = [watch(request) for _ in range((2 + 2 + SPARE_RPCS) // CALL_SHARE)]
        for call in watches:
            await call.read()
        assert await refusal(watch(request).read()) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "rate_limited",
            {"keystead-reason": "rate_limited", "keystead-retry-after-s": "1"},
        )
        for call in watches:
            call.cancel()
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    assert await health_of(open_channel) == health_pb2.HealthCheckResponse.SERVING
                    break
                await asyncio.sleep(0.01)
