"""The whole service when its parts fail: the TPM dies or hangs, the process is killed, its state is
put back. Callers get an answer or 503, and nothing acknowledged is lost or accepted twice."""

import asyncio
import json
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import httpx
import pytest

from keystead.agent import Workload
from keystead.codec import base64url
from keystead.errors import Reason, Unavailable
from keystead.hardware.tpm2.owner import AWAY_TIMEOUT_S
from keystead.jose.jws import parse_compact
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol.keystead_v1_pb2_grpc import TokenServiceStub
from keystead.testing.swtpm import Swtpm, SwtpmCa
from tests.demo_processes import running
from tests.integration.service_harness import (
    Caller,
    Installation,
    Load,
    Reply,
    caller,
    exchange_form,
    installation,
)

# What the harness configures as a hang.
SILENCE_S = 1.0
# Two cores may be busy with other tests.
SLACK_S = 4.0
RECOVERY_S = 15.0
# How many of the acknowledged are tried again, one by one.
SAMPLE = 12


@pytest.fixture
def site(other_swtpm: Swtpm, swtpm_ca: SwtpmCa) -> Iterator[Installation]:
    """A running service whose TPM the test may kill."""
    with installation(other_swtpm, host_ca=swtpm_ca) as made:
        yield made


@pytest.fixture
def workload(site: Installation, swtpm: Swtpm) -> Iterator[Workload]:
    """An attested workload; its own TPM stays alive."""
    with site.workload(swtpm) as made:
        made.attest()
        yield made


@pytest.fixture
async def agent(site: Installation, workload: Workload) -> AsyncIterator[Caller]:
    async with caller(site, workload) as made:
        yield made


async def assert_recovers(agent: Caller) -> None:
    """The same process gives tokens again, without anybody's help."""
    deadline = time.monotonic() + RECOVERY_S
    while (reply := await agent.exchange()).status != 200:
        assert_unavailable(reply)
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


def assert_unavailable(*replies: Reply) -> None:
    """503, with the reason and when to ask again."""
    for reply in replies:
        status, code, reason = reply.error
        assert (status, code) == (503, "temporarily_unavailable"), reply.body
        assert reason in {"hardware_unavailable", "hardware_busy"}
        assert int(reply.headers["Retry-After"]) >= 1


def assert_trail_whole(site: Installation, acknowledged: list[Reply]) -> None:
    """The chain verifies, and has every token that was given out."""
    report = site.asked("audit", "verify")
    assert report["verified"] is True
    assert report["checkpoints"] >= 1
    recorded = {e["object"] for e in site.events() if e["action"] == "token.issued"}
    assert acknowledged
    assert {reply.claims["jti"] for reply in acknowledged} <= recorded


def get(site: Installation, path: str) -> httpx.Response:
    return httpx.get(site.http + path, trust_env=False, timeout=20)


# The TPM.


async def test_a_tpm_killed_under_load_is_503_until_it_is_back(
    site: Installation, agent: Caller
) -> None:
    load, health = Load(agent=agent), []

    def look() -> None:
        health.append(get(site, "/healthz"))

    away_s = AWAY_TIMEOUT_S + 0.5
    await load.during(0.6, site.tpm.kill, away_s, look, site.tpm.start, 1.0)
    assert load.issued
    assert load.refused
    assert_unavailable(*load.refused)
    assert load.longest_s < AWAY_TIMEOUT_S + SLACK_S
    assert load.cut_off == 0
    assert health[0].status_code == 503
    assert (health[0].json()["store"], health[0].json()["hardware"]) == (
        "ok",
        "hardware_unavailable",
    )
    await assert_recovers(agent)
    assert get(site, "/healthz").status_code == 200
    assert_trail_whole(site, load.issued)


async def test_a_tpm_killed_again_and_again_in_the_middle_of_signatures(
    site: Installation, agent: Caller
) -> None:
    load = Load(agent=agent, pause_s=0.005)
    # A paused TPM has a command that it never answers.
    restart = [site.tpm.pause, 0.2, site.tpm.kill, site.tpm.start, 0.4]
    await load.during(0.5, *restart, *restart, *restart)
    assert load.issued
    assert_unavailable(*load.refused)
    assert load.longest_s < AWAY_TIMEOUT_S + SLACK_S
    await assert_recovers(agent)
    assert_trail_whole(site, load.issued)


async def test_a_hanging_tpm_is_503_until_it_goes_on(site: Installation, agent: Caller) -> None:
    load, keys = Load(agent=agent), []

    def look() -> None:
        keys.append(get(site, "/jwks"))

    hang_s = SILENCE_S + AWAY_TIMEOUT_S + 1.0
    await load.during(0.6, site.tpm.pause, 0.5, look, hang_s, site.tpm.resume, 1.0)
    assert load.issued
    assert load.refused
    assert_unavailable(*load.refused)
    assert load.longest_s < SILENCE_S + AWAY_TIMEOUT_S + SLACK_S
    # What needs no TPM is answered meanwhile.
    assert keys[0].status_code == 200
    assert keys[0].elapsed.total_seconds() < 1.0
    await assert_recovers(agent)
    assert_trail_whole(site, load.issued)


async def test_grpc_callers_get_unavailable_while_the_tpm_is_away(
    site: Installation, agent: Caller
) -> None:
    assert (await agent.exchange()).status == 200
    site.tpm.kill()
    with grpc.insecure_channel(site.running.grpc) as channel:
        request = pb.ExchangeRequest(
            parameters=[pb.Parameter(name=n, value=v) for n, v in exchange_form(site).items()],
            dpop_proof=agent.workload.proof("POST", f"{site.http}/token", nonce=agent.nonce),
        )
        ask = TokenServiceStub(channel).Exchange
        with pytest.raises(grpc.RpcError) as caught:
            await asyncio.to_thread(ask, request, timeout=AWAY_TIMEOUT_S + SLACK_S)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    trailing = {entry.key: entry.value for entry in caught.value.trailing_metadata()}
    assert trailing["keystead-reason"] == "hardware_unavailable"
    with pytest.raises(Unavailable) as unavailable:
        await asyncio.to_thread(agent.workload.attest)
    assert unavailable.value.reason is Reason.HARDWARE_UNAVAILABLE
    site.tpm.start()
    await assert_recovers(agent)


async def test_a_refused_exchange_leaves_no_grant(site: Installation, agent: Caller) -> None:
    first = await agent.exchange()
    site.tpm.kill()
    assert_unavailable(await agent.exchange(sub="mallory"))
    site.tpm.start()
    await assert_recovers(agent)
    assert first.claims["grant_id"] in site.grants()
    assert "mallory" not in {grant["sub"] for grant in site.grants().values()}


def test_a_service_without_its_tpm_does_not_start(other_swtpm: Swtpm, swtpm_ca: SwtpmCa) -> None:
    with installation(other_swtpm, host_ca=swtpm_ca, start=False) as site:
        other_swtpm.kill()
        ended = site.refuses_to_start()
        assert ended.status == 1
        assert ended.document["error"] == "hardware_unavailable"
        other_swtpm.start()
        site.start()
        assert get(site, "/healthz").status_code == 200


# The process.


@dataclass(frozen=True, kw_only=True)
class Crash:
    """What clients remember of a service that was killed, and the service after it."""

    site: Installation
    agent: Caller
    load: Load
    nonce: str


@pytest.fixture
async def crash(site: Installation, agent: Caller) -> Crash:
    load = Load(agent=agent, pause_s=0.005)
    await load.during(1.2, site.kill, 0.3)
    assert load.cut_off > 0
    assert len(load.issued) > SAMPLE
    assert len(load.revoked) > 1
    assert agent.nonce is not None
    before = agent.nonce
    site.start()
    return Crash(site=site, agent=agent, load=load, nonce=before)


async def test_nothing_acknowledged_is_lost_in_a_crash(crash: Crash) -> None:
    site, load = crash.site, crash.load
    assert_trail_whole(site, load.issued)
    grants = site.grants()
    acknowledged = {reply.claims["grant_id"] for reply in load.issued}
    assert acknowledged <= grants.keys()
    assert all(grants[grant]["revoked_at"] for grant in load.revoked)
    untouched = acknowledged - load.revoking
    assert untouched
    assert not any(grants[grant]["revoked_at"] for grant in untouched)
    revocations = {e["object"] for e in site.events() if e["action"] == "grant.revoked"}
    assert load.revoked <= revocations


async def test_grants_are_renewed_and_revocations_stand_after_a_crash(crash: Crash) -> None:
    load = crash.load
    live = [r for r in load.issued if r.claims["grant_id"] not in load.revoking][-SAMPLE:]
    ended = [r for r in load.issued if r.claims["grant_id"] in load.revoked][-SAMPLE:]
    for reply in live:
        renewed = await crash.agent.renew(reply.body["refresh_token"])
        assert renewed.status == 200
        assert renewed.claims["grant_id"] == reply.claims["grant_id"]
    for reply in ended:
        refused = await crash.agent.renew(reply.body["refresh_token"])
        assert refused.error == (400, "invalid_grant", "grant_revoked")


async def test_no_proof_from_before_a_crash_is_taken(crash: Crash) -> None:
    site, agent = crash.site, crash.agent
    form = exchange_form(site)
    for reply in crash.load.issued[-SAMPLE:]:
        again = await agent.send("/token", form, reply.proof)
        assert again.error == (400, "use_dpop_nonce", "nonce_invalid")
    late = await agent.workload.proof_async("POST", f"{site.http}/token", nonce=crash.nonce)
    assert (await agent.send("/token", form, late)).error[2] == "nonce_invalid"


async def test_no_jti_from_before_a_crash_is_taken_with_a_new_nonce(crash: Crash) -> None:
    site, agent = crash.site, crash.agent
    assert (await agent.exchange()).status == 200
    for reply in crash.load.issued[-SAMPLE:]:
        proof = resigned(agent, site, reply.proof, nonce=str(agent.nonce))
        again = await agent.send("/token", exchange_form(site), proof)
        assert again.error == (400, "invalid_dpop_proof", "proof_replayed")


@dataclass(frozen=True)
class Fixed:
    """A clock and a source of chance that say what they are told."""

    at: int
    jti: bytes

    def now(self) -> int:
        return self.at

    def token(self, size_bytes: int) -> bytes:
        assert size_bytes == len(self.jti)
        return self.jti


def resigned(agent: Caller, site: Installation, proof: str, *, nonce: str) -> str:
    """The same key's proof with the ``jti`` and ``iat`` of an old one."""
    claims = json.loads(parse_compact(proof).payload)
    fixed = Fixed(claims["iat"], base64url.decode(claims["jti"]))
    signer = replace(agent.workload.signer, clock=fixed, entropy=fixed)
    return signer.sign("POST", f"{site.http}/token", nonce=nonce)


async def test_sigterm_lets_the_running_exchange_end(site: Installation, agent: Caller) -> None:
    assert (await agent.exchange()).status == 200
    site.tpm.pause()
    running_exchange = asyncio.create_task(agent.exchange())
    await asyncio.sleep(0.4)
    site.signal(signal.SIGTERM)
    await asyncio.sleep(0.2)
    assert not running_exchange.done()
    with pytest.raises(httpx.ConnectError):
        await asyncio.to_thread(get, site, "/jwks")
    site.tpm.resume()
    reply = await running_exchange
    assert reply.status == 200
    assert await asyncio.to_thread(site.wait) == 0, site.log
    assert site.processes() == {}
    site.start()
    assert reply.claims["grant_id"] in site.grants()
    assert_trail_whole(site, [reply])


async def test_sigterm_under_load_is_a_clean_end(site: Installation, agent: Caller) -> None:
    load = Load(agent=agent)

    def terminate() -> None:
        site.signal(signal.SIGTERM)
        assert site.wait() == 0, site.log

    await load.during(0.6, terminate, 0.2)
    assert load.issued
    assert {reply.error for reply in load.refused} <= {
        (503, "temporarily_unavailable", "shutting_down")
    }
    assert site.processes() == {}
    site.start()
    assert_trail_whole(site, load.issued)


def test_sigterm_ends_it_while_the_tpm_hangs(site: Installation) -> None:
    site.tpm.pause()
    site.signal(signal.SIGTERM)
    before = time.monotonic()
    assert site.wait() == 0, site.log
    assert time.monotonic() - before < SILENCE_S + AWAY_TIMEOUT_S + SLACK_S


def test_a_killed_dev_service_takes_its_tpm_along_and_starts_again(tmp_path: Path) -> None:
    serve = ["serve", "--dev", "--json", "--state", str(tmp_path / "state")]
    keys = []
    for _ in range(2):
        with running(serve) as run:
            http = json.loads(run.read_until("\n"))["http"]
            assert any("swtpm" in line for line in run.others().values())
            keys.append(httpx.get(f"{http}/jwks", trust_env=False).json())
            run.process.kill()
            run.process.wait(20)
            assert run.nothing_is_left(within_s=30)
    assert keys[0]["keys"]
    assert keys[0] == keys[1]


# The state.


async def test_an_older_state_does_not_start_beside_a_tpm_that_counted_on(
    site: Installation, agent: Caller, tmp_path: Path
) -> None:
    assert (await agent.exchange()).status == 200
    site.stop()
    shutil.copytree(site.database.parent, tmp_path / "older")
    site.start()
    newer = await agent.exchange()
    assert newer.status == 200
    site.stop()
    put_back(tmp_path / "older", site.database.parent)
    ended = site.refuses_to_start()
    assert (ended.status, ended.document["error"]) == (1, "audit_rolled_back")


async def test_a_kept_checkpoint_finds_the_rollback_of_state_and_tpm_together(
    site: Installation, agent: Caller, tmp_path: Path
) -> None:
    assert (await agent.exchange()).status == 200
    site.stop()
    site.tpm.stop()
    shutil.copytree(site.database.parent, tmp_path / "older")
    shutil.copytree(site.tpm.state_folder, tmp_path / "tpm", ignore=only_state)
    site.tpm.start()
    site.start()
    assert (await agent.exchange()).status == 200
    kept = tmp_path / "checkpoint"
    site.asked("audit", "checkpoint", "--out", str(kept))
    assert site.asked("audit", "verify", "--checkpoint", str(kept))["verified"] is True
    site.stop()
    site.tpm.stop()
    put_back(tmp_path / "older", site.database.parent)
    put_back(tmp_path / "tpm", site.tpm.state_folder)
    site.tpm.start()
    site.start()
    # The emulated TPM went back with the disk, so the log agrees with itself ...
    assert site.asked("audit", "verify")["verified"] is True
    # ... but not with what was kept elsewhere.
    found = site.command("audit", "verify", "--checkpoint", str(kept))
    assert (found.status, found.document["error"]) == (1, "audit_rolled_back")


def only_state(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".permall")]


def put_back(older: Path, folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    shutil.copytree(older, folder, dirs_exist_ok=True)


def test_an_administration_folder_that_others_may_enter_stops_the_start(
    site: Installation,
) -> None:
    site.stop()
    folder = site.folder / "admin"
    folder.chmod(0o750)
    ended = site.refuses_to_start()
    assert (ended.status, ended.document["error"]) == (2, "permissions_too_open")
    assert str(folder) in ended.document["detail"]
    assert "0750, expected 0700" in ended.document["detail"]
    folder.chmod(0o700)
    site.start()


@pytest.mark.parametrize(
    ("found", "put", "path", "expected"),
    [
        ("[storage]", "[storage]\nfloder = 1", "storage", "floder"),
        (
            "command_timeout_ms = 1000",
            "command_timeout_ms = 'soon'",
            "tpm2.command_timeout_ms",
            "int",
        ),
        ("command_timeout_ms = 1000", "command_timeout_ms = 1", "tpm2.command_timeout_ms", ">= 10"),
        ('role = "administrator"', 'role = "root"', "authorization.operators", "root"),
        ("trust_domain", "trust_domian", "", "trust_domian"),
        ("[storage]", "[storage", "", "TOML"),
    ],
)
def test_a_wrong_configuration_is_named_with_status_2(
    other_swtpm: Swtpm, swtpm_ca: SwtpmCa, found: str, put: str, path: str, expected: str
) -> None:
    with installation(other_swtpm, host_ca=swtpm_ca, start=False) as site:
        text = site.config.read_text()
        assert text.count(found) == 1
        site.config.write_text(text.replace(found, put))
        ended = site.refuses_to_start()
    assert (ended.status, ended.document["error"]) == (2, "configuration_invalid")
    assert str(site.config) in ended.document["detail"]
    assert path in ended.document["detail"]
    assert expected in ended.document["detail"]
