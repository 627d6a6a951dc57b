"""OAuth clients that others wrote, from npm and unmodified, get and use tokens that are bound to a
key in a TPM: RFC 8414 discovery, RFC 8693 exchange, RFC 9449 proofs and nonces, RFC 6749 renewal.

Skipped, visibly, where Node.js is absent or too old, and where npm can reach no registry.
"""

import fcntl
import hashlib
import json
import os
import shutil
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import jwt
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from keystead import Verifier
from keystead.agent import Workload
from keystead.relying import ReplayMemory, RollingNonces
from keystead.relying.asgi import KeysteadMiddleware
from keystead.system import SystemClock
from keystead.testing.swtpm import Swtpm, SwtpmCa
from tests.conftest import ROOT
from tests.integration.agent.running_service import AGENT, AUDIENCE, SCOPE, USER
from tests.integration.service_harness import Installation, installation

NODE_FOLDER = ROOT / "tests" / "node"
# WebCrypto without a flag, and what the clients ask for.
NODE_VERSION = 20
INSTALL_TIMEOUT_S = 100
RUN_TIMEOUT_S = 60
# What npm says when nobody answers, as opposed to a lock file that does not fit.
NO_REGISTRY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENOTCACHED")
MAX_MESSAGE_BYTES = 65_536


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with what the lock file names installed beside the scripts."""
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.lstrip("v").split(".")[0]) < NODE_VERSION:
        pytest.skip(f"node {version.stdout.strip()} is older than {NODE_VERSION}")
    install()
    return found


def install() -> None:
    """``npm ci``, once for a lock file; test processes wait for each other."""
    wanted = hashlib.sha256((NODE_FOLDER / "package-lock.json").read_bytes()).hexdigest()
    stamp = NODE_FOLDER / "node_modules" / ".installed"
    descriptor = os.open(NODE_FOLDER, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        command = ["npm", "ci", "--prefer-offline", "--fetch-retries=1"]
        try:
            done = subprocess.run(
                command,
                cwd=NODE_FOLDER,
                capture_output=True,
                text=True,
                timeout=INSTALL_TIMEOUT_S,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            pytest.skip("npm reaches no registry")
        if done.returncode != 0 and any(code in done.stderr for code in NO_REGISTRY):
            pytest.skip("npm reaches no registry")
        assert done.returncode == 0, done.stderr
        stamp.write_text(wanted)
    finally:
        os.close(descriptor)


class _SignOne(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        message = self.rfile.read(MAX_MESSAGE_BYTES)
        self.wfile.write(self.server.sign(message))  # type: ignore[attr-defined]


class SigningSocket(socketserver.ThreadingUnixStreamServer):
    """Signs with the workload's key for whoever may open the socket: this user."""

    def __init__(self, path: Path, workload: Workload) -> None:
        super().__init__(str(path), _SignOne)
        self.messages: list[bytes] = []
        self._workload = workload

    def sign(self, message: bytes) -> bytes:
        """``r`` and ``s`` of ES256."""
        self.messages.append(message)
        return self._workload.signer.key.sign(message)


@contextmanager
def signing(path: Path, workload: Workload) -> Iterator[SigningSocket]:
    with SigningSocket(path, workload) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)


async def calendar(request: Request) -> JSONResponse:
    token = request.scope["keystead.token"]
    return JSONResponse({"user": token.user, "agent": token.agent})


@contextmanager
def api(site: Installation) -> Iterator[str]:
    """A protected API that wants nonces in proofs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        verifier = Verifier(
            issuer=site.http,
            jwks=f"{site.http}/jwks",
            audience=AUDIENCE,
            replay=ReplayMemory(not_before=0),
            nonces=RollingNonces(os.urandom(32)),
        )
        app = KeysteadMiddleware(
            Starlette(routes=[Route("/calendar", calendar)]),
            verifier=verifier,
            clock=SystemClock(),
            external_url=url,
        )
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"{url}/calendar"
        finally:
            server.should_exit = True
            thread.join(10)


def forged(site: Installation) -> str:
    """One user's token with the signature of another's."""
    unsigned, _ = site.running.user_token().rsplit(".", 1)
    _, signature = site.running.user_token(sub="bob").rsplit(".", 1)
    return f"{unsigned}.{signature}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one client did, and the service that it did it with."""

    site: Installation
    jkt: str
    said: dict
    messages: list[bytes]

    def requests(self, path: str) -> list[int]:
        """The statuses of the requests to ``path``, in order."""
        return [entry["status"] for entry in self.said["http"] if entry["path"] == path]


@pytest.fixture(scope="module", params=["openid_client", "oauth4webapi"])
def run(
    request: pytest.FixtureRequest,
    node: str,
    swtpm_ca: SwtpmCa,
    swtpm_template: Path,
    other_swtpm_template: Path,
) -> Iterator[Run]:
    """One run of a client's script against a running service and API."""
    with (
        Swtpm.copy_of(other_swtpm_template) as service_tpm,
        Swtpm.copy_of(swtpm_template) as host_tpm,
        installation(service_tpm, host_ca=swtpm_ca) as site,
        site.workload(host_tpm) as workload,
        api(site) as api_url,
        signing(site.folder / "sign.sock", workload) as signer,
    ):
        binding = workload.attest()
        job = {
            "issuer": site.http,
            "client_id": AGENT,
            "jwk": workload.signer.key.jwk.to_dict(),
            "signer": str(site.folder / "sign.sock"),
            "subject_token": site.running.user_token(),
            "forged_token": forged(site),
            "audience": AUDIENCE,
            "scope": SCOPE,
            "wider_scope": f"{SCOPE} calendar.write",
            "foreign_audience": "https://other.example",
            "api": api_url,
        }
        done = subprocess.run(
            [node, NODE_FOLDER / f"{request.param}.mjs"],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        yield Run(site=site, jkt=binding.jkt, said=said, messages=signer.messages)


def claims(run: Run, name: str) -> dict:
    """An access token's claims, checked with PyJWT and the published keys."""
    token = run.said[name]["access_token"]
    metadata = run.said["metadata"]
    published = jwt.PyJWKSet.from_dict(httpx.get(metadata["jwks_uri"], trust_env=False).json())
    key = published[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(
        token, key, algorithms=["ES256"], audience=AUDIENCE, issuer=metadata["issuer"]
    )


def test_discovers_the_server(run: Run) -> None:
    metadata = run.said["metadata"]
    assert metadata["issuer"] == run.site.http
    assert metadata["token_endpoint"] == f"{run.site.http}/token"
    assert "ES256" in metadata["dpop_signing_alg_values_supported"]
    assert run.requests("/.well-known/oauth-authorization-server") == [200]


def test_gets_a_token_bound_to_the_key_in_the_tpm(run: Run) -> None:
    issued = run.said["issued"]
    assert issued["token_type"] == "dpop"
    assert issued["scope"] == SCOPE
    assert 0 < issued["expires_in"] <= 300
    assert issued["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    found = claims(run, "issued")
    assert found["cnf"]["jkt"] == run.said["jkt"] == run.jkt
    assert (found["sub"], found["act"]["sub"], found["client_id"]) == (USER, AGENT, AGENT)


def test_learns_the_nonce_by_itself(run: Run) -> None:
    # The first proof has none; the second is the first one's retry, the third renews.
    assert run.requests("/token")[:3] == [400, 200, 200]
    assert run.requests("/calendar") == [401, 200]


def test_renews(run: Run) -> None:
    first, second = claims(run, "issued"), claims(run, "renewed")
    assert first["jti"] != second["jti"]
    assert first["grant_id"] == second["grant_id"]
    assert run.said["renewed"]["refresh_token"] == run.said["issued"]["refresh_token"]


def test_calls_an_api(run: Run) -> None:
    assert run.said["api"] == {"status": 200, "body": {"user": USER, "agent": AGENT}}


def test_introspects(run: Run) -> None:
    found = run.said["introspection"]
    assert found["active"] is True
    assert (found["sub"], found["act"]["sub"]) == (USER, AGENT)
    assert found["cnf"]["jkt"] == run.jkt


@pytest.mark.parametrize(
    ("attempt", "error", "description"),
    [
        ("wider_scope", "invalid_scope", "scope_not_allowed"),
        ("foreign_audience", "invalid_target", "audience_not_allowed"),
        ("forged_subject", "invalid_request", "signature_invalid"),
        ("unknown_grant", "invalid_grant", "grant_unknown"),
        ("without_proof", "invalid_dpop_proof", "proof_missing"),
    ],
)
def test_sees_a_refusal_as_an_oauth_error(
    run: Run, attempt: str, error: str, description: str
) -> None:
    assert run.said[attempt] == {
        "name": "ResponseBodyError",
        "code": "OAUTH_RESPONSE_BODY_ERROR",
        "status": 400,
        "error": error,
        "description": description,
    }


def test_every_proof_was_signed_in_the_tpm(run: Run) -> None:
    # One a request with a proof: what went to the API, and all but one of those to /token.
    proofs = len(run.requests("/token")) - 1 + len(run.requests("/calendar"))
    assert len(run.messages) == proofs
