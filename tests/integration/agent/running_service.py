"""``keystead serve --dev`` as a process, with one user and one API, for tests of the agent."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keystead.cli import main
from keystead.config import AudienceConfig, SubjectIssuerConfig
from keystead.dev import APPRAISAL, DevSettings, free_ports, prepare
from keystead.system import SystemClock
from tests.jose_keys import compact, public_jwk

AGENT = "spiffe://dev.example/agent/calendar"
OTHER_AGENT = "spiffe://dev.example/agent/mail"
PROVIDER = "https://idp.example"
CLIENT = "notebook"
AUDIENCE = "https://api.example"
SCOPE = "calendar.read"
USER = "alice"
USER_TOKEN_S = 600
STOP_TIMEOUT_S = 20

DELEGATION = f"""\
@id("exchange")
permit (
    principal,
    action in [Action::"exchange", Action::"renew", Action::"handover"],
    resource
);

@id("grant")
@grant_ttl_s("3600")
permit (
    principal == Agent::"{AGENT}",
    action == Action::"grant",
    resource == Audience::"{AUDIENCE}"
) when {{
    context.user.issuer == "{PROVIDER}" && context.user.client == "{CLIENT}" &&
    ["{SCOPE}"].containsAll(context.scopes)
}};
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningService:
    """Where it listens, and how to administer it."""

    http: str
    grpc: str
    state: Path

    def command(self, *arguments: str) -> int:
        """Run one administration command against it."""
        return main([*arguments, "--state", str(self.state)])

    def user_token(self, *, sub: str = USER) -> str:
        """A fresh access token of the identity provider's."""
        now = SystemClock().now()
        claims = {
            "iss": PROVIDER,
            "sub": sub,
            "aud": self.http,
            "client_id": CLIENT,
            "iat": now,
            "auth_time": now,
            "exp": now + USER_TOKEN_S,
            "jti": f"{sub}-{now}",
        }
        return compact({"typ": "at+jwt", "alg": "ES256", "kid": "idp-1"}, claims)


@contextmanager
def running_service(
    state: Path, *, ek_ca: bytes = b"", appraisal: str = APPRAISAL
) -> Iterator[RunningService]:
    """A service that believes TPMs under ``ek_ca``, or what another ``appraisal`` policy says.

    It is stopped with the block.
    """
    prepare(state, _settings(state, ek_ca=ek_ca, appraisal=appraisal))
    (state / "idp.json").write_text(json.dumps({"keys": [public_jwk(kid="idp-1").to_dict()]}))
    serve = [sys.executable, "-m", "keystead", "serve", "--dev", "--json", "--state", str(state)]
    with (state / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [*_dies_with_us(), *serve],
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert b"http" in line, (line, (state / "service.log").read_text())
        said = json.loads(line)
        yield RunningService(http=said["http"], grpc=said["grpc"], state=state)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        finally:
            process.kill()
            if process.stdout is not None:
                process.stdout.close()


def _dies_with_us() -> list[str]:
    """The kernel ends the service where the tests are killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def _settings(state: Path, *, ek_ca: bytes, appraisal: str) -> DevSettings:
    http_port, grpc_port = free_ports(0, 0)
    issuer = f"http://127.0.0.1:{http_port}"
    return DevSettings(
        http_port=http_port,
        grpc_port=grpc_port,
        subject_issuers=(
            SubjectIssuerConfig(
                issuer=PROVIDER,
                jwks_file=str(state / "idp.json"),
                audiences=(issuer,),
                clients=(CLIENT,),
                algorithms=("ES256",),
            ),
        ),
        audiences=(AudienceConfig(uri=AUDIENCE, scopes=(SCOPE,)),),
        delegation=DELEGATION,
        appraisal=appraisal,
        anchors={"host-ek-ca.pem": ek_ca} if ek_ca else {},
    )
