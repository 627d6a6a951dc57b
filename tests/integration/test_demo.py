"""``keystead demo`` as a person or a script runs it: what it says, and that nothing is left."""

import hashlib
import json
import signal
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey, KeySet

from tests.demo_processes import Run, running

MEMBERS = {
    *("issuer", "jwks", "access_token", "dpop_proof", "method", "url", "subject_token"),
    *("attestation_result", "refusals", "audit", "timings_ms", "eks", "evidence"),
}
FIRST_STEPS = [
    *("start", "issuer", "enrol", "attest", "bind", "exchange", "call", "thief", "replay"),
    *("wider_scope", "foreign_audience"),
]
LAST_STEPS = ["renew", "call_again", "revoke", "audit", "total"]
STEPS = {
    "tpm2": [*FIRST_STEPS, *LAST_STEPS],
    "oidc": [*FIRST_STEPS, "stolen_evidence", "used_evidence", *LAST_STEPS],
}
AGENTS = {
    "tpm2": "spiffe://dev.example/agent/calendar",
    "oidc": "spiffe://dev.example/ci/example-org/calendar-agent",
}
RESIDENCIES = {
    "tpm2": ("non-exportable", False, "challenged"),
    "oidc": ("none", False, "challenged"),
}
ANY_KIND = [
    (401, "invalid_token", "key_binding_mismatch"),
    (401, "invalid_dpop_proof", "proof_replayed"),
    (400, "invalid_scope", "scope_not_allowed"),
    (400, "invalid_target", "audience_not_allowed"),
]
REVOKED = (400, "invalid_grant", "grant_revoked")
REFUSALS = {
    "tpm2": [*ANY_KIND, REVOKED],
    "oidc": [
        *ANY_KIND,
        (7, "PERMISSION_DENIED", "key_mismatch"),
        (7, "PERMISSION_DENIED", "nonce_mismatch"),
        REVOKED,
    ],
}
BANNERS = {
    "tpm2": "both TPMs here are software",
    "oidc": "nothing about where its key lives",
}


@dataclass(frozen=True, kw_only=True)
class Finished:
    """One run that came to its end."""

    status: int
    out: str
    err: str
    nothing_left: bool
    files: list[str]

    @property
    def document(self) -> dict:
        return json.loads(self.out)


def finish(run: Run) -> Finished:
    out, err = run.communicate()
    return Finished(
        status=run.process.returncode,
        out=out,
        err=err,
        nothing_left=run.nothing_is_left(),
        files=run.temporary_files(),
    )


@pytest.fixture(scope="module", params=["tpm2", "oidc"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of evidence that the demo plays."""
    return str(request.param)


@pytest.fixture(scope="module")
def demo(kind: str) -> Iterator[Finished]:
    """One run with ``--json``."""
    with running(["demo", "--evidence", kind, "--json"]) as run:
        yield finish(run)


@pytest.fixture
def document(demo: Finished) -> dict:
    assert demo.status == 0, demo.err
    return demo.document


def sha256(data: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(data.encode()).digest()).rstrip(b"=").decode()


def test_prints_one_document_and_leaves_nothing(demo: Finished, kind: str) -> None:
    assert (demo.status, demo.err) == (0, "")
    assert len(demo.out.splitlines()) == 1
    assert demo.document.keys() == MEMBERS
    assert demo.document["evidence"] == kind
    assert demo.nothing_left
    assert demo.files == []


def test_token_verifies_with_a_generic_jose_library(document: dict, kind: str) -> None:
    keys = KeySet.import_key_set(document["jwks"])
    token = jwt.decode(document["access_token"], keys, algorithms=["ES256"])
    jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": document["issuer"]},
        aud={"essential": True, "value": document["url"].removesuffix("/calendar")},
        sub={"essential": True, "value": "alice"},
        exp={"essential": True},
    ).validate(token.claims)
    assert token.header["typ"] == "at+jwt"
    assert token.header["kid"] in {key["kid"] for key in document["jwks"]["keys"]}
    assert token.claims["act"]["sub"] == AGENTS[kind]
    assert token.claims["scope"] == "calendar.read"
    assert token.claims["exp"] - token.claims["iat"] <= 300


def test_another_key_of_the_same_kid_does_not_verify_the_token(document: dict) -> None:
    kid = document["jwks"]["keys"][0]["kid"]
    keys = KeySet([ECKey.generate_key("P-256", {"kid": kid})])
    with pytest.raises(BadSignatureError):
        jwt.decode(document["access_token"], keys, algorithms=["ES256"])


def test_proof_verifies_with_a_generic_jose_library(document: dict) -> None:
    keys = KeySet.import_key_set(document["jwks"])
    token = jwt.decode(document["access_token"], keys, algorithms=["ES256"])
    header = json.loads(_decode(document["dpop_proof"].split(".")[0]))
    key = ECKey.import_key(header["jwk"])
    proof = jwt.decode(document["dpop_proof"], key, algorithms=["ES256"])
    assert proof.header["typ"] == "dpop+jwt"
    assert not key.is_private
    assert key.thumbprint() == token.claims["cnf"]["jkt"]
    assert proof.claims["ath"] == sha256(document["access_token"])
    assert (proof.claims["htm"], proof.claims["htu"]) == (document["method"], document["url"])
    assert token.claims["iat"] <= proof.claims["iat"] <= token.claims["exp"]


def test_token_names_the_attestation_result_and_claims_no_hardware(
    document: dict, kind: str
) -> None:
    residency = _claims(document["access_token"])["cnf"]["residency"]
    assert residency["result"] == sha256(document["attestation_result"])
    said = (residency["protection"], residency["hardware"], residency["freshness"])
    assert said == RESIDENCIES[kind]
    assert residency["kind"] == kind


def test_service_and_host_have_different_tpms_if_the_host_has_one(
    document: dict, kind: str
) -> None:
    attested = _claims(document["attestation_result"])["submods"][kind]["keystead.evidence"]
    hosts = {"tpm2": {"host"}, "oidc": set()}[kind]
    assert set(document["eks"]) == {"service"} | hosts
    assert document["eks"].get("host") == attested.get("ek")
    assert document["eks"]["service"] != document["eks"].get("host")


def test_the_issuer_of_a_jobs_token_is_the_stand_in(document: dict, kind: str) -> None:
    attested = _claims(document["attestation_result"])["submods"][kind]["keystead.evidence"]
    loopback = attested.get("anchor", "").startswith("http://127.0.0.1:")
    assert loopback is (kind == "oidc")


def test_subject_token_is_the_users_and_for_the_service(document: dict) -> None:
    subject = _claims(document["subject_token"])
    token = _claims(document["access_token"])
    assert subject["iss"] not in (document["issuer"], token["iss"])
    assert (subject["sub"], subject["aud"]) == ("alice", document["issuer"])
    assert token["sub_id"] == {"format": "iss_sub", "iss": subject["iss"], "sub": "alice"}


def test_every_attempt_was_refused_for_its_own_reason(document: dict, kind: str) -> None:
    refused = [(r["status"], r["error"], r["reason"]) for r in document["refusals"]]
    assert refused == REFUSALS[kind]
    assert all(r["attempt"] for r in document["refusals"])


def test_trail_was_verified_and_every_step_timed(document: dict, kind: str) -> None:
    assert document["audit"]["verified"] is True
    assert document["audit"]["events"] > len(document["refusals"])
    timings = document["timings_ms"]
    assert list(timings) == STEPS[kind]
    assert sum(timings[step] for step in STEPS[kind][:-1]) <= timings["total"]
    assert timings["total"] < 60_000


def test_tells_each_step_what_was_checked_and_the_apis_log(kind: str) -> None:
    with running(["demo", "--evidence", kind]) as run:
        told = finish(run)
    assert told.status == 0, told.err
    assert "EMULATED HARDWARE" in told.out
    assert BANNERS[kind] in told.out
    assert "github" not in told.out.lower().replace("profile=github-actions", "")
    done = [line.split("  ")[0] for line in told.out.splitlines() if line.startswith("✓")]
    assert done == [f"✓ {step.replace('_', ' ')}" for step in STEPS[kind][:-1]]
    logged = [line for line in told.out.splitlines() if "event=admitted" in line]
    assert len(logged) == 2
    assert all(f'user="alice" agent="{AGENTS[kind]}"' in line for line in logged)
    assert told.nothing_left
    assert told.files == []


def test_knows_no_other_evidence() -> None:
    with running(["demo", "--evidence", "crystal"]) as run:
        told = finish(run)
    assert (told.status, told.out) == (2, "")
    assert "tpm2" in told.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("process", ["swtpm_setup", "keystead serve"])
def test_signal_during_the_start_ends_everything(number: int, process: str) -> None:
    with running(["demo"]) as run:
        run.wait_for_process(process)
        assert_ends_by(run, number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_between_steps_ends_everything(number: int, kind: str) -> None:
    with running(["demo", "--evidence", kind]) as run:
        run.read_until("✓ issuer")
        assert_ends_by(run, number)


def assert_ends_by(run: Run, number: int) -> None:
    run.process.send_signal(number)
    told = finish(run)
    assert told.status == 128 + number
    assert f"signal {number}" in told.err
    assert told.nothing_left
    assert told.files == []


def test_nothing_survives_its_sudden_death(kind: str) -> None:
    with running(["demo", "--evidence", kind]) as run:
        run.read_until("✓ issuer")
        assert len(run.others()) >= 6  # four parts and two TPMs, or five and one
        run.process.kill()
        run.process.wait()
        assert run.nothing_is_left(within_s=30)


def test_failure_says_why_and_shows_the_log() -> None:
    with running(["demo", "--json"], path="/nonexistent") as run:
        told = finish(run)
    assert told.status == 1
    assert (told.document["error"], told.document["step"]) == ("step_failed", "start")
    assert "swtpm_localca is not installed" in told.document["detail"]
    assert "failed at 'start'" in told.err
    assert "the last lines of the log of: host" in told.err
    assert told.nothing_left
    assert told.files == []


def _claims(token: str) -> dict:
    return json.loads(_decode(token.split(".")[1]))


def _decode(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
