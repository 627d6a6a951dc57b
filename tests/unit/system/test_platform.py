"""Endpoints over a real socket on loopback, from servers that behave and servers that do not."""

import asyncio
import gzip
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from keystead.errors import (
    ConfigurationError,
    KeysteadError,
    Malformed,
    Reason,
    Refused,
    Unavailable,
)
from keystead.system.platform import PlatformEndpoint, read_file
from tests.platform_server import Answer, body, serving

SECRET = b"eyJhbGciOi.the-answer-itself"
OK = b"HTTP/1.1 200 OK\r\n"


def get(answer: Answer, *, max_bytes: int = 1_000, **changes: Any) -> bytes:
    with serving(answer, "/platform?here=1") as server:
        return PlatformEndpoint(url=server.url, **changes).get(max_bytes=max_bytes)


def refusal(answer: Answer, **changes: Any) -> KeysteadError:
    with pytest.raises(KeysteadError) as refused:
        get(answer, **({"timeout_s": 2.0} | changes))
    assert SECRET.decode() not in f"{refused.value} {refused.value.__cause__!r}"
    assert "here=1" not in str(refused.value)
    return refused.value


def test_gets_with_its_headers_and_parameters() -> None:
    with serving(body(SECRET), "/metadata?api-version=1") as server:
        endpoint = PlatformEndpoint(url=server.url, headers={"Metadata": "true"})
        found = endpoint.get(max_bytes=1_000, parameters={"audience": "keystead:a b&c"})
    assert found == SECRET
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.body) == ("GET", "/metadata", b"")
    assert asked.parameters == {"api-version": ["1"], "audience": ["keystead:a b&c"]}
    assert asked.headers["metadata"] == "true"
    assert asked.headers["accept-encoding"] == "identity"


def test_posts_json() -> None:
    with serving(body(b"{}")) as server:
        assert PlatformEndpoint(url=server.url).post(b'{"a":1}', max_bytes=10) == b"{}"
    (asked,) = server.asked
    assert (asked.method, asked.body) == ("POST", b'{"a":1}')
    assert asked.headers["content-type"] == "application/json"


def test_uses_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert get(body(SECRET)) == SECRET


def test_is_asked_in_an_event_loop_too() -> None:
    async def ask() -> bytes:
        return get(body(SECRET))

    assert asyncio.run(ask()) == SECRET


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect"])
def test_follows_no_redirect(status: str) -> None:
    with serving(body(SECRET)) as other:
        error = refusal(body(SECRET, status=status, headers=[f"Location: {other.url}"]))
    assert (type(error), error.reason) == (Refused, Reason.HARDWARE_REFUSED)
    assert other.asked == []


@pytest.mark.parametrize("status", ["204 No Content", "400 Bad", "401 Who", "403 No", "404 None"])
def test_another_status_is_a_refusal(status: str) -> None:
    error = refusal(body(b"" if status.startswith("204") else SECRET, status=status))
    assert (type(error), error.reason) == (Refused, Reason.HARDWARE_REFUSED)
    assert f"HTTP {status[:3]}" in error.detail


@pytest.mark.parametrize("status", ["410 Gone", "429 Too Many", "500 Oops", "503 Later"])
def test_what_may_pass_is_unavailable(status: str) -> None:
    error = refusal(body(SECRET, status=status))
    assert (type(error), error.reason) == (Unavailable, Reason.HARDWARE_UNAVAILABLE)


def test_takes_as_much_as_is_allowed_and_no_more() -> None:
    assert get(body(bytes(1_000))) == bytes(1_000)
    error = refusal(body(bytes(1_001)))
    assert (type(error), error.reason) == (Malformed, Reason.TOO_LARGE)


def endless(connection: socket.socket) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"4000\r\n" + bytes(0x4000) + b"\r\n")


def test_ends_an_answer_without_end() -> None:
    assert refusal(endless).reason is Reason.TOO_LARGE


def test_unpacks_nothing() -> None:
    packed = gzip.compress(bytes(1_000_000))
    error = refusal(body(packed, headers=["Content-Encoding: gzip"]), max_bytes=10_000)
    assert (type(error), error.reason) == (Malformed, Reason.MALFORMED)


def dribbled(part: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(part)
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.05)

    return answer


@pytest.mark.parametrize("part", [b"", OK + b"Content-Length: 1000\r\n\r\n", OK + b"X-Long: "])
def test_a_slow_answer_ends_at_the_deadline(part: bytes) -> None:
    """Each byte comes in time, the whole never would."""
    begun = time.monotonic()
    error = refusal(dribbled(part), timeout_s=0.3)
    assert time.monotonic() - begun < 2
    assert (type(error), error.reason) == (Unavailable, Reason.HARDWARE_UNAVAILABLE)


def test_silence_ends_at_the_deadline() -> None:
    asleep = threading.Event()

    def waits(connection: socket.socket) -> None:
        asleep.wait(10)

    with serving(waits) as server:
        begun = time.monotonic()
        with pytest.raises(Unavailable, match=r"TimeoutError|ReadTimeout"):
            PlatformEndpoint(url=server.url, timeout_s=0.2).get(max_bytes=10)
        assert time.monotonic() - begun < 2
        asleep.set()


@pytest.mark.parametrize(
    "said", [b"", b"nonsense\r\n\r\n", OK + b"Content-Length: 10\r\n\r\nshort", OK[:9]]
)
def test_what_is_no_answer_is_unavailable(said: bytes) -> None:
    assert type(refusal(lambda connection: connection.sendall(said))) is Unavailable


def test_nobody_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable, match="ConnectError"):
        PlatformEndpoint(url=f"http://127.0.0.1:{port}/").get(max_bytes=10)


@pytest.mark.parametrize(
    "url", ["", "metadata", "ftp://host/", "http://", "http://user:pw@host/", "http://host:port/"]
)
def test_asks_only_urls(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PlatformEndpoint(url=url)
    assert caught.value.reason is Reason.CONFIGURATION_INVALID


def test_repr_shows_no_header() -> None:
    assert "secret" not in repr(PlatformEndpoint(url="https://x.example", headers={"A": "secret"}))


def test_reads_a_file_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for content in (b"one", b"two"):
        file.write_bytes(content)
        assert read_file(file, max_bytes=3) == content


def test_reads_no_file_without_end() -> None:
    with pytest.raises(Malformed) as caught:
        read_file(Path("/dev/zero"), max_bytes=1_000)
    assert caught.value.reason is Reason.TOO_LARGE


def test_says_which_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="token: No such file"):
        read_file(tmp_path / "token", max_bytes=10)
