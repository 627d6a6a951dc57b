"""The middleware in a real server: Starlette behind uvicorn, called over a socket."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from keystead.relying import ReplayMemory
from keystead.relying.asgi import KeysteadMiddleware
from tests.relying_tokens import NOW, jwks, proof, token, verifier


class Clock:
    def now(self) -> int:
        return NOW


async def orders(request: Request) -> JSONResponse:
    found = request.scope["keystead.token"]
    return JSONResponse({"user": found.user, "agent": found.agent})


@contextmanager
def serving(key_file: Path, *, http: str) -> Iterator[str]:
    """A server on a free port of loopback, whose middleware compares with where it listens."""
    key_file.write_text(json.dumps(jwks()))
    routes = [Route("/orders", orders, methods=["GET", "POST"]), Route("/healthz", orders)]
    app = KeysteadMiddleware(
        Starlette(routes=routes),
        verifier=verifier(jwks=key_file, replay=ReplayMemory(not_before=0)),
        clock=Clock(),
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http=http, loop="asyncio", log_level="error", lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(params=["h11", "httptools"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path / "jwks.json", http=request.param) as url:
        yield url


def headers(url: str, **changes: object) -> dict[str, str]:
    access_token = token()
    return {
        "authorization": f"DPoP {access_token}",
        "dpop": proof(access_token, htu=url, **changes),
    }


def test_a_good_request_reaches_the_application(base: str) -> None:
    url = f"{base}/orders"
    answer = httpx.get(url, params={"page": "2"}, headers=headers(url))
    assert answer.status_code == 200
    assert answer.json() == {"user": "user-7", "agent": "spiffe://example.org/agent/mail"}


def test_refusals_are_answered_as_rfc_9449_says(base: str) -> None:
    url = f"{base}/orders"
    sent = headers(url)
    assert httpx.get(url, headers=sent).status_code == 200
    for bad, error in [
        (sent, "invalid_dpop_proof"),
        (headers(f"{base}/other"), "invalid_dpop_proof"),
        (headers(url, key="thief"), "invalid_token"),
        ({"authorization": f"Bearer {token()}"}, "invalid_token"),
    ]:
        answer = httpx.get(url, headers=bad)
        assert answer.status_code == 401
        assert answer.json()["error"] == error
        assert f'DPoP error="{error}"' in answer.headers["www-authenticate"]
    answer = httpx.get(url)
    assert (answer.status_code, answer.json()) == (401, {"error": "credentials_required"})


def test_repeated_headers_are_refused(base: str) -> None:
    url = f"{base}/orders"
    sent = list(headers(url).items())
    for name, reason in [("authorization", "credential_invalid"), ("dpop", "proof_not_single")]:
        repeated = sent + [pair for pair in sent if pair[0] == name]
        answer = httpx.get(url, headers=repeated)
        assert (answer.status_code, answer.json()["reason"]) == (401, reason)


def test_the_absolute_form_changes_nothing(base: str) -> None:
    host, port = base.removeprefix("http://").split(":")
    sent = headers("http://evil.example/orders")
    lines = [f"{name}: {value}" for name, value in sent.items()]
    message = "\r\n".join(
        ["GET http://evil.example/orders HTTP/1.1", "host: evil.example", *lines, "", ""]
    )
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(message.encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")
