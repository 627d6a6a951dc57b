"""The whole way, on two software TPMs: attest, exchange, call, renew, revoke."""

import asyncio
import hashlib
import json
from pathlib import Path

import httpx
import pytest

from keystead.agent import JWT_TYPE, TpmHost, Workload, client
from keystead.agent.collector import endorsement
from keystead.agent.endpoint import TokenEndpoint
from keystead.agent.nonces import NonceMemory
from keystead.agent.tokens import Target, TokenSource
from keystead.cli import main
from keystead.codec import base64url
from keystead.codec.tpm2 import parse_tpm2b_public
from keystead.errors import Conflict, KeysteadError, Reason, Refused, Rejected, Unavailable
from keystead.hardware.tpm2 import Tpm2Device
from keystead.jose.dpop import verify_proof
from keystead.jose.jws import parse_compact
from keystead.system import SystemClock
from keystead.testing.swtpm import Swtpm
from tests.integration.agent.running_service import (
    AGENT,
    AUDIENCE,
    OTHER_AGENT,
    SCOPE,
    USER,
    RunningService,
)


def api(request: httpx.Request) -> httpx.Response:
    """An API that shows the token's claims to a request whose proof fits."""
    token = request.headers["Authorization"].removeprefix("DPoP ")
    claims = json.loads(parse_compact(token).payload)
    verify_proof(
        request.headers.get_list("DPoP"),
        method=request.method,
        url=str(request.url),
        now=SystemClock().now(),
        access_token=token,
        expected_jkt=claims["cnf"]["jkt"],
        nonce=None,
    )
    return httpx.Response(200, json=claims)


def api_client(workload: Workload, token: str) -> httpx.Client:
    auth = workload.auth(token, audience=AUDIENCE, scope=SCOPE)
    return httpx.Client(auth=auth, transport=httpx.MockTransport(api))


def test_attesting_binds_the_key_to_the_workloads_id(workload: Workload) -> None:
    binding = workload.attest()
    assert binding.spiffe_id == AGENT
    assert binding.jkt == workload.jkt
    assert binding.result_id == base64url.encode(hashlib.sha256(binding.ear.encode()).digest())
    assert binding.expires_at > SystemClock().now()
    assert workload.binding is binding


def test_the_same_key_attests_again_after_a_restart(
    enrolled: RunningService, swtpm: Swtpm, tmp_path: Path
) -> None:
    bindings = []
    for _ in range(2):
        with Workload.open(
            tcti=swtpm.tcti, folder=tmp_path / "keys", server=enrolled.grpc, spiffe_id=AGENT
        ) as workload:
            bindings.append(workload.attest())
    assert bindings[0].jkt == bindings[1].jkt
    assert bindings[0].result_id != bindings[1].result_id


def test_calls_an_api_for_a_user(workload: Workload, enrolled: RunningService) -> None:
    with api_client(workload, enrolled.user_token()) as http:
        claims = http.get(f"{AUDIENCE}/calendar?day=1").json()
    assert claims["sub"] == USER
    assert claims["act"]["sub"] == AGENT
    assert claims["cnf"]["jkt"] == workload.jkt
    assert claims["cnf"]["residency"]["protection"] == "non-exportable"
    assert claims["cnf"]["residency"]["hardware"] is False


async def test_many_calls_at_once_from_an_event_loop(
    workload: Workload, enrolled: RunningService
) -> None:
    auth = await asyncio.to_thread(
        workload.auth, enrolled.user_token(), audience=AUDIENCE, scope=SCOPE
    )
    async with httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(api)) as http:
        answers = await asyncio.gather(*(http.get(f"{AUDIENCE}/{n}") for n in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["jti"] for answer in answers}) == 1


def test_renews_by_the_grant(workload: Workload, enrolled: RunningService) -> None:
    given = iter([enrolled.user_token()])
    auth = workload.auth(lambda: next(given, None), audience=AUDIENCE, scope=SCOPE)
    first = auth.tokens.current()
    second = auth.tokens.renew()
    assert second.value != first.value
    assert second.jkt == workload.jkt


def test_a_revoked_grant_ends_it(
    workload: Workload, enrolled: RunningService, capsys: pytest.CaptureFixture[str]
) -> None:
    auth = workload.auth(enrolled.user_token(sub="bob"), audience=AUDIENCE, scope=SCOPE)
    token = auth.tokens.current()
    grant = json.loads(parse_compact(token.value).payload)["grant_id"]
    assert enrolled.command("grants", "revoke", grant) == 0
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            auth.tokens.renew()
        assert caught.value.reason is Reason.GRANT_REVOKED


def test_the_three_lines_of_the_documentation(
    enrolled: RunningService, swtpm: Swtpm, tmp_path: Path
) -> None:
    with client(
        enrolled.user_token(),
        audience=AUDIENCE,
        scope=SCOPE,
        tcti=swtpm.tcti,
        folder=tmp_path / "keys",
        server=enrolled.grpc,
        spiffe_id=AGENT,
    ) as http:
        sent = http.get(f"{enrolled.http}/healthz").request.headers
        scheme, token = sent["Authorization"].split(" ")
        assert scheme == "DPoP"
        assert "DPoP" in sent
        keys = httpx.get(f"{enrolled.http}/jwks").json()["keys"]
    assert parse_compact(token).kid in {key["kid"] for key in keys}


def test_a_scope_that_nobody_permits_is_refused_with_its_reason(
    workload: Workload, enrolled: RunningService
) -> None:
    auth = workload.auth(enrolled.user_token(), audience=AUDIENCE, scope="calendar.write")
    with pytest.raises(Refused) as caught:
        auth.tokens.current()
    assert caught.value.reason is Reason.SCOPE_NOT_ALLOWED


def test_attests_when_the_service_does_not_know_the_key(
    workload: Workload, enrolled: RunningService
) -> None:
    with httpx.Client() as http:
        endpoint = TokenEndpoint(
            f"{enrolled.http}/token", holder=workload, http=http, nonces=NonceMemory()
        )
        tokens = TokenSource(
            endpoint,
            holder=workload,
            target=Target(audience=AUDIENCE, scope=SCOPE),
            subject_token=enrolled.user_token(),
            clock=SystemClock(),
        )
        assert workload.binding is None
        token = tokens.current()
    assert workload.binding is not None
    assert token.jkt == workload.binding.jkt


def test_hands_over_to_another_agent(
    workload: Workload, enrolled: RunningService, swtpm: Swtpm, tmp_path: Path
) -> None:
    token = workload.auth(enrolled.user_token(), audience=AUDIENCE, scope=SCOPE).tokens.current()
    handed = workload.hand_over(token.value, to=OTHER_AGENT, audience=AUDIENCE, scope=SCOPE)
    other = Workload(
        TpmHost(workload.host.device, folder=tmp_path / "other"),
        server=enrolled.grpc,
        spiffe_id=OTHER_AGENT,
    )
    auth = other.auth(handed, audience=AUDIENCE, scope=SCOPE, subject_token_type=JWT_TYPE)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(api)) as http:
        claims = http.get(f"{AUDIENCE}/mail").json()
    assert claims["sub"] == USER
    assert claims["act"]["sub"] == OTHER_AGENT
    assert claims["act"]["act"]["sub"] == AGENT
    assert claims["cnf"]["jkt"] == other.jkt != workload.jkt


def test_nobody_else_can_use_what_was_handed_over(
    workload: Workload, enrolled: RunningService
) -> None:
    user_token = enrolled.user_token()
    handed = workload.hand_over(user_token, to=OTHER_AGENT, audience=AUDIENCE, scope=SCOPE)
    auth = workload.auth(handed, audience=AUDIENCE, scope=SCOPE, subject_token_type=JWT_TYPE)
    with pytest.raises(Refused) as caught:
        auth.tokens.current()
    assert caught.value.reason is Reason.ACTOR_NOT_ALLOWED


def test_an_unknown_host_is_refused_by_name(
    enrolled: RunningService, other_swtpm: Swtpm, tmp_path: Path
) -> None:
    with (
        Workload.open(
            tcti=other_swtpm.tcti, folder=tmp_path / "keys", server=enrolled.grpc
        ) as stranger,
        pytest.raises(Refused) as caught,
    ):
        stranger.attest()
    assert caught.value.reason is Reason.EK_NOT_ENROLLED


def test_an_id_that_no_entry_names_is_refused(
    enrolled: RunningService, swtpm: Swtpm, tmp_path: Path
) -> None:
    with (
        Workload.open(
            tcti=swtpm.tcti,
            folder=tmp_path / "keys",
            server=enrolled.grpc,
            spiffe_id="spiffe://dev.example/agent/other",
        ) as workload,
        pytest.raises(KeysteadError) as caught,
    ):
        workload.attest()
    assert isinstance(caught.value, Refused | Conflict)
    assert caught.value.reason is Reason.NO_REGISTRATION_ENTRY


def test_attests_to_no_other_issuer(enrolled: RunningService, swtpm: Swtpm, tmp_path: Path) -> None:
    with (
        Workload.open(
            tcti=swtpm.tcti,
            folder=tmp_path / "keys",
            server=enrolled.grpc,
            issuer="https://keystead.example",
        ) as workload,
        pytest.raises(Rejected) as caught,
    ):
        workload.attest()
    assert caught.value.reason is Reason.ISSUER_MISMATCH


def test_a_server_that_is_not_there_is_unavailable(swtpm: Swtpm, tmp_path: Path) -> None:
    with (
        Workload.open(
            tcti=swtpm.tcti, folder=tmp_path / "keys", server=f"unix:{tmp_path}/nobody"
        ) as workload,
        pytest.raises(Unavailable) as caught,
    ):
        workload.attest()
    assert caught.value.reason is Reason.SERVER_UNAVAILABLE


def test_the_command_attests(
    enrolled: RunningService, swtpm: Swtpm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--tcti", swtpm.tcti, "--folder", str(tmp_path / "keys"), "--server", enrolled.grpc]
    options += ["--spiffe-id", AGENT]
    capsys.readouterr()
    assert main(["attest", "--json", *options]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["spiffe_id"] == AGENT
    assert said["issuer"] == enrolled.http
    assert main(["attest", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "spiffe_id",
        "jkt",
        "result",
        "renew_at",
        "expires_at",
        "issuer",
    ]
    assert said["jkt"] in lines[1]


def test_the_command_says_who_refused_and_why(
    enrolled: RunningService, other_swtpm: Swtpm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--tcti", other_swtpm.tcti, "--folder", str(tmp_path), "--server", enrolled.grpc]
    tmp_path.chmod(0o700)
    assert main(["attest", *options]) == 1
    assert "ek_not_enrolled" in capsys.readouterr().err


def test_the_command_writes_the_ek_for_enrolment(
    swtpm: Swtpm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ek.pub"
    assert main(["attest", "--json", "--tcti", swtpm.tcti, "--ek-out", str(path)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert base64url.decode(said["ek_public"]) == path.read_bytes()
    with Tpm2Device(swtpm.tcti) as device:
        area = parse_tpm2b_public(endorsement(device).public)
    assert said["ek_name"] == area.name.hex()


def test_the_command_needs_a_server_and_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attest"]) == 2
    assert "--server" in capsys.readouterr().err
    assert main(["attest", "--server", "127.0.0.1:1"]) == 2
    assert "--folder" in capsys.readouterr().err
