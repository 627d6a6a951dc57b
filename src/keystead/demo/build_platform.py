"""A STAND-IN for a build platform that gives tokens to its jobs. IT AUTHENTICATES NOBODY.

Whoever has the credential that this process was started with is told to be a job of a made-up
repository, by a key that lies in this process's memory. Nothing was pushed, built or checked. It
exists so that the demo has a workload's token to begin with; never use it for anything else. What
is real about it is what a job and Keystead see of such a platform: a request URL and credential in
the job's environment, tokens for the audience that is asked for, and a key set by URL. The names
of the variables and claims are GitHub Actions', the issuer is this stand-in and nobody else.

    python -m keystead.demo.build_platform
"""

from __future__ import annotations

import hmac
import os
import time
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from keystead.agent.collectors.token_providers import GITHUB_TOKEN, GITHUB_URL
from keystead.codec.json import JSON
from keystead.demo.listener import loopback_socket, serve
from keystead.demo.software_key import SoftwareKey

CREDENTIAL = "STAND_IN_JOB_CREDENTIAL"
"""The variable that names this process what its jobs have to send."""

OWNER = "example-org"
REPOSITORY = f"{OWNER}/calendar-agent"
REPOSITORY_ID = "1001"
TOKEN_LIFETIME_S = 300
JOB: dict[str, JSON] = {
    "sub": f"repo:{REPOSITORY}:ref:refs/heads/main",
    "repository": REPOSITORY,
    "repository_id": REPOSITORY_ID,
    "repository_owner": OWNER,
    "repository_owner_id": "2002",
    "ref": "refs/heads/main",
    "ref_type": "branch",
    "workflow_ref": f"{REPOSITORY}/.github/workflows/agent.yml@refs/heads/main",
    "event_name": "workflow_dispatch",
    "run_id": "1",
    "run_attempt": "1",
}
"""What it says of its job."""


class StandInPlatform:
    """One key, one job; ``job`` is what its next tokens claim."""

    def __init__(self, url: str, *, credential: str) -> None:
        self.url = url
        self.job = dict(JOB)
        self._authorization = f"Bearer {credential}".encode()
        self._key = SoftwareKey()

    async def jwks(self, request: Request) -> JSONResponse:
        """RFC 7517 §5."""
        return JSONResponse({"keys": [self._key.published()]})

    async def token(self, request: Request) -> JSONResponse:
        """A token of the job for the audience that was asked for. NO JOB IS CHECKED."""
        if request.client is None or request.client.host != "127.0.0.1":
            return JSONResponse({"error": "loopback only"}, status_code=403)
        shown = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(shown, self._authorization):
            return JSONResponse({"error": "not the job's credential"}, status_code=401)
        audience = request.query_params.get("audience")
        if not audience:
            return JSONResponse({"error": "audience is missing"}, status_code=400)
        token = self._key.sign_jwt(self._claims(audience), typ="JWT")
        return JSONResponse({"value": token}, headers={"Cache-Control": "no-store"})

    def _claims(self, audience: str) -> dict[str, JSON]:
        now = int(time.time())
        return {
            **self.job,
            "iss": self.url,
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + TOKEN_LIFETIME_S,
            "jti": str(uuid4()),
        }


def environment_of_job(url: str, *, credential: str) -> dict[str, str]:
    """What the platform at ``url`` sets for its jobs."""
    return {GITHUB_URL: f"{url}/token?job=1", GITHUB_TOKEN: credential}


def build_app(platform: StandInPlatform) -> Starlette:
    """The routes."""
    return Starlette(routes=[Route("/jwks", platform.jwks), Route("/token", platform.token)])


def main() -> None:
    """Listen on loopback."""
    listener, url = loopback_socket()
    platform = StandInPlatform(url, credential=os.environ[CREDENTIAL])
    serve(build_app(platform), listener, url=url)


if __name__ == "__main__":
    main()
