"""The demo's stand-in for a build platform, listening, with claims that a test may change."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from keystead.demo.build_platform import REPOSITORY_ID, StandInPlatform, build_app
from keystead.demo.listener import loopback_socket

CREDENTIAL = "of-the-job"
STOP_TIMEOUT_S = 20


@contextmanager
def running_platform() -> Iterator[StandInPlatform]:
    """A platform on loopback; its ``job`` is what its next tokens claim."""
    listener, url = loopback_socket()
    platform = StandInPlatform(url, credential=CREDENTIAL)
    config = uvicorn.Config(build_app(platform), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield platform
    finally:
        server.should_exit = True
        thread.join(STOP_TIMEOUT_S)
        listener.close()
        assert not thread.is_alive()


def policy_for(platform: StandInPlatform) -> str:
    """An appraisal policy that names one branch of the platform's repository."""
    return f"""\
id = "ci"
version = 1

[[oidc.issuers]]
issuer = "{platform.url}"
profile = "github-actions"
jwks_url = "{platform.url}/jwks"

[[oidc.issuers.rules]]
repository_id = ["{REPOSITORY_ID}"]
ref = ["refs/heads/main"]
"""
