"""A workload without a TPM and a running service: attest, call, attest again, be refused."""

import json
import signal
from collections.abc import Iterator

import httpx
import pytest

from keystead.agent import DocumentHost, KeysteadAuth, Workload
from keystead.agent.collectors import OidcCollector
from keystead.agent.collectors.token_providers import GitHubActions
from keystead.agent.tokens import AccessToken
from keystead.cli import main
from keystead.demo.build_platform import (
    JOB,
    REPOSITORY_ID,
    StandInPlatform,
    environment_of_job,
)
from keystead.errors import EvidenceRejected, Reason, Refused, Unavailable
from keystead.system import SystemClock
from tests.build_platform import CREDENTIAL, policy_for, running_platform
from tests.demo_processes import running
from tests.integration.agent.running_service import (
    AGENT,
    AUDIENCE,
    SCOPE,
    RunningService,
    running_service,
)
from tests.integration.agent.test_workload import api


class SettableClock:
    """The system's clock, ahead by what a test says."""

    def __init__(self) -> None:
        self.ahead_s = 0

    def now(self) -> int:
        return SystemClock().now() + self.ahead_s


@pytest.fixture(scope="module")
def platform() -> Iterator[StandInPlatform]:
    with running_platform() as running_one:
        yield running_one


@pytest.fixture(scope="module")
def oidc_service(
    platform: StandInPlatform, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    """A service that believes the platform, with one entry for its job."""
    state = tmp_path_factory.mktemp("oidc-service")
    state.chmod(0o700)
    with running_service(state, appraisal=policy_for(platform)) as service:
        selectors = [
            f"anchor={platform.url}",
            "profile=github-actions",
            f"claims.repository_id={REPOSITORY_ID}",
        ]
        options = [option for each in selectors for option in ("--select", each)]
        assert service.command("entries", "create", AGENT, "--kind", "oidc", *options) == 0
        yield service


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def job(
    platform: StandInPlatform, oidc_service: RunningService, clock: SettableClock
) -> Iterator[Workload]:
    """A new job of the platform, with a key of its own and the claims that the policy names."""
    platform.job = dict(JOB)
    told = environment_of_job(platform.url, credential=CREDENTIAL)
    collector = OidcCollector(provider=GitHubActions.of_environment(told))
    with Workload(
        DocumentHost(collector),
        server=oidc_service.grpc,
        issuer=oidc_service.http,
        clock=clock,
    ) as workload:
        yield workload


def auth_of(job: Workload, service: RunningService) -> KeysteadAuth:
    return job.auth(service.user_token(), audience=AUDIENCE, scope=SCOPE)


def attest_when_due(job: Workload, clock: SettableClock) -> bool:
    """As if the time to attest again had come; only the workload's own clock is ahead."""
    assert job.binding is not None
    clock.ahead_s = job.binding.renew_at - SystemClock().now()
    try:
        return job.attest_if_due()
    finally:
        clock.ahead_s = 0


def renewed_by_hand(job: Workload, service: RunningService, auth: KeysteadAuth) -> httpx.Response:
    """The grant's refresh token with a good proof, as the agent sends it; nothing is attested."""
    refresh = auth.tokens._refresh
    assert refresh is not None
    url = f"{service.http}/token"
    form = {"grant_type": "refresh_token", "refresh_token": refresh.refresh_token}
    with httpx.Client(trust_env=False, timeout=20) as http:
        first = http.post(url, data=form, headers={"DPoP": job.proof("POST", url)})
        proof = job.proof("POST", url, nonce=first.headers["DPoP-Nonce"])
        return http.post(url, data=form, headers={"DPoP": proof})


def introspect(service: RunningService, token: AccessToken) -> dict:
    answer = httpx.post(
        f"{service.http}/introspect", data={"token": token.value}, trust_env=False, timeout=20
    )
    assert answer.status_code == 200
    return answer.json()


def test_attests_exchanges_and_calls(job: Workload, oidc_service: RunningService) -> None:
    binding = job.attest()
    assert (binding.spiffe_id, binding.jkt) == (AGENT, job.jkt)
    auth = auth_of(job, oidc_service)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(api)) as http:
        claims = http.get(AUDIENCE).json()
    assert claims["act"]["sub"] == AGENT
    residency = claims["cnf"]["residency"]
    assert (residency["kind"], residency["protection"]) == ("oidc", "none")
    assert (residency["hardware"], residency["freshness"]) == (False, "challenged")
    assert residency["result"] == binding.result_id
    assert introspect(oidc_service, auth.tokens.current())["active"] is True


def test_attests_again_only_when_it_is_due(job: Workload, clock: SettableClock) -> None:
    first = job.attest()
    assert job.attest_if_due() is False
    assert job.binding is first
    assert attest_when_due(job, clock) is True
    again = job.binding
    assert again is not None
    assert (again.jkt, again.spiffe_id) == (first.jkt, first.spiffe_id)
    assert again.result_id != first.result_id
    assert again.expires_at >= first.expires_at


def test_a_platform_that_is_away_changes_nothing_while_the_binding_lives(
    job: Workload,
    oidc_service: RunningService,
    clock: SettableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = job.attest()
    token = auth_of(job, oidc_service).tokens.current()

    def away(self: GitHubActions, audience: str) -> str:
        raise Unavailable(Reason.HARDWARE_UNAVAILABLE, "as the endpoint is said to be")

    monkeypatch.setattr(GitHubActions, "token", away)
    assert attest_when_due(job, clock) is False
    assert job.binding is before
    assert introspect(oidc_service, token)["active"] is True


def test_a_refused_reattestation_ends_the_binding(
    job: Workload,
    oidc_service: RunningService,
    platform: StandInPlatform,
    clock: SettableClock,
) -> None:
    job.attest()
    auth = auth_of(job, oidc_service)
    token = auth.tokens.current()
    assert renewed_by_hand(job, oidc_service, auth).status_code == 200
    assert introspect(oidc_service, token)["active"] is True

    platform.job["ref"] = "refs/heads/experiment"
    with pytest.raises(EvidenceRejected) as refused:
        attest_when_due(job, clock)
    assert (refused.value.reason, refused.value.step) == (Reason.CLAIM_NOT_ALLOWED, 9)

    answer = renewed_by_hand(job, oidc_service, auth)
    assert (answer.status_code, answer.json()["error_description"]) == (400, "key_not_bound")
    assert introspect(oidc_service, token) == {"active": False}
    with pytest.raises(EvidenceRejected) as renewal:  # it attests again before it gives up
        auth.tokens.renew()
    assert renewal.value.reason is Reason.CLAIM_NOT_ALLOWED


def test_the_grant_of_an_ended_binding_stays_ended(
    job: Workload,
    oidc_service: RunningService,
    platform: StandInPlatform,
    clock: SettableClock,
) -> None:
    job.attest()
    auth = auth_of(job, oidc_service)
    auth.tokens.current()
    platform.job["repository_id"] = "another"
    with pytest.raises(EvidenceRejected):
        attest_when_due(job, clock)
    platform.job = dict(JOB)
    assert job.attest().spiffe_id == AGENT
    with pytest.raises(Refused) as renewal:
        auth.tokens.renew()
    assert renewal.value.reason is Reason.GRANT_REVOKED


def command(service: RunningService, *options: str) -> list[str]:
    start = ["attest", "--kind", "oidc", "--token-from", "github-actions"]
    return [*start, "--server", service.grpc, "--json", *options]


@pytest.fixture
def told(platform: StandInPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a job."""
    platform.job = dict(JOB)
    for name, value in environment_of_job(platform.url, credential=CREDENTIAL).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("told")
def test_the_command_attests(
    oidc_service: RunningService, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(command(oidc_service)) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["spiffe_id"], said["issuer"]) == (AGENT, oidc_service.http)
    assert SystemClock().now() < said["renew_at"] < said["expires_at"]


@pytest.mark.usefixtures("told")
def test_the_command_says_who_refused_and_why(
    oidc_service: RunningService, platform: StandInPlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    platform.job["ref"] = "refs/heads/experiment"
    capsys.readouterr()
    assert main(command(oidc_service)) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["error"], said["step"]) == ("claim_not_allowed", 9)


def test_the_command_says_what_is_missing(
    oidc_service: RunningService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_URL", raising=False)
    assert main(command(oidc_service)) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["error"] == "hardware_unavailable"
    assert "ACTIONS_ID_TOKEN_REQUEST_URL is not set" in said["detail"]


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_stays_until_a_signal_comes(oidc_service: RunningService, number: int) -> None:
    with running(command(oidc_service, "--keep")) as run:
        first = json.loads(run.read_until("\n"))
        assert first["spiffe_id"] == AGENT
        assert run.process.poll() is None
        run.process.send_signal(number)
        out, err = run.communicate()
        assert (run.process.returncode, out, err) == (0, "", "")
        assert run.nothing_is_left()
