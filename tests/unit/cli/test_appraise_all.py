"""``keystead appraise --all``: what would change, told before it does, on a state in use."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from keystead.cli import main
from keystead.dev import DevSettings, prepare
from tests import workload_tokens
from tests.exchange_parts import AGENT, ISSUER
from tests.kind_parts import WORKLOADS
from tests.service_parts import Clock, Installation, installation
from tests.unit.service.test_attestation_kinds import attest, register

POLICY = """\
id = "ci"
version = {version}
[oidc]
max_age_s = {max_age_s}
[[oidc.issuers]]
issuer = "{issuer}"
profile = "github-actions"
jwks_file = "jwks.json"
[[oidc.issuers.rules]]
repository_id = ["{repository}"]
"""

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Installation]:
    """A build job is bound, and the service goes on running."""
    workload = WORKLOADS["oidc"](tmp_path)
    state = tmp_path / "dev"
    prepare(state, DevSettings(http_port=1, grpc_port=2))
    config = state / "keystead.toml"
    config.write_text(config.read_text().replace("http://127.0.0.1:1", ISSUER))
    clock = Clock(at=workload.now)
    monkeypatch.setattr("keystead.system.clock.SystemClock.now", lambda _: clock.at)
    async with installation(state / "store", clock=clock, appraisal=workload.policy) as it:
        await register(it, workload)
        await attest(it, workload)
        yield it


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def run(
        *options: str, repository: str = "74", max_age_s: int = 3_600, version: int = 4
    ) -> tuple[int, str, str]:
        policy = tmp_path / "new.toml"
        policy.write_text(
            POLICY.format(
                version=version,
                max_age_s=max_age_s,
                issuer=workload_tokens.GITHUB,
                repository=repository,
            )
        )
        state = str(tmp_path / "dev")
        status = main(["appraise", "--all", "--policy", str(policy), "--state", state, *options])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


async def test_a_policy_that_carries_everything_is_a_yes(running: Installation, ask: Ask) -> None:
    status, out, _ = ask()
    assert status == 0
    assert out == (
        "under ci@4: 1 stay, 0 would end sooner, 0 would end now, 0 cannot be asked again\n"
    )


async def test_what_would_end_is_named_with_its_check(running: Installation, ask: Ask) -> None:
    status, out, _ = ask(repository="75")
    assert status == 1
    assert AGENT in out and "claim_not_allowed (step 9)" in out
    assert "0 stay, 0 would end sooner, 1 would end now" in out
    status, out, _ = ask("--json", repository="75")
    assert status == 1
    (change,) = json.loads(out)["changes"]
    assert change["outcome"] == "ends"
    assert (change["reason"], change["step"]) == ("claim_not_allowed", 9)
    assert json.loads(out)["bindings"] == {"stays": 0, "shorter": 0, "ends": 1, "not-kept": 0}
    (bound,) = await running.store.bindings(live_at=running.clock.at)
    assert bound.spiffe_id == AGENT, "only looked at"


async def test_what_would_end_sooner_says_when(running: Installation, ask: Ask) -> None:
    status, out, _ = ask(max_age_s=60)
    assert status == 1 and "shorter" in out and "until " in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["appraise", "--policy", "p.toml"],
        ["appraise", "--all", "envelope.json", "--policy", "p.toml"],
        ["appraise", "--all", "--policy", "p.toml", "--state", "/nowhere"],
        ["appraise", "--all", "--policy", "p.toml", "--config", "/nowhere/keystead.toml"],
    ],
)
def test_wrong_use_is_told(arguments: list[str], capsys: Any) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("keystead: ")
