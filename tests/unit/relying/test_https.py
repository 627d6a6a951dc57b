"""Fetching over a real socket on loopback, from servers that behave and servers that do not."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keystead.errors import ConfigurationError, Reason, Unavailable
from keystead.relying.https import Kind, fetcher
from tests.jose_keys import private_key
from tests.relying_tokens import NOW, jwks, request, verifier

BODY = json.dumps(jwks()).encode()
KIND = Kind(
    name="document",
    media_type="application/json",
    max_bytes=1_000,
    reason=Reason.KEYS_UNAVAILABLE,
)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def sized(body: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % len(body) + body


@contextmanager
def serving(answer: Callable[[socket.socket], None], *, read_first: bool = True) -> Iterator[str]:
    """A server that lets ``answer`` speak on each connection, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        if read_first:
                            connection.recv(65_536)
                        answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/jwks?all=1"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def failure(answer: Callable[[socket.socket], None], *, timeout_s: float = 2.0) -> Unavailable:
    with serving(answer) as url, pytest.raises(Unavailable) as caught:
        fetcher(url, KIND, timeout_s=timeout_s)()
    assert caught.value.reason is Reason.KEYS_UNAVAILABLE
    return caught.value


@pytest.mark.parametrize(
    "response",
    [
        sized(BODY),
        OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
        OK.replace(b"1.1", b"1.0") + b"\r\n" + BODY,
    ],
)
def test_fetches_a_document(response: bytes) -> None:
    with serving(lambda connection: connection.sendall(response)) as url:
        assert fetcher(url, KIND, timeout_s=2)() == BODY


def test_a_verifier_takes_its_keys_from_a_url() -> None:
    sent = request()
    with serving(lambda connection: connection.sendall(sized(BODY))) as url:
        check = verifier(jwks=url)
        found = check.verify_request(sent.token, sent.proof, "GET", sent.url, now=NOW)
    assert found.user == "user-7"


def test_refuses_redirects() -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    assert "302" in failure(lambda connection: connection.sendall(answer)).detail


def test_refuses_an_error_status() -> None:
    answer = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    assert "500" in failure(lambda connection: connection.sendall(answer)).detail


def test_refuses_a_document_without_end() -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(OK + b"\r\n")
        while True:
            connection.sendall(b" " * 65_536)

    assert "more than" in failure(endless).detail


def test_refuses_what_is_not_http() -> None:
    failure(lambda connection: connection.sendall(b"\x00\x01\r\n\r\n"))
    failure(lambda connection: None)


@pytest.mark.parametrize("prefix", [b"", OK, OK + b"Content-Length: 1000\r\n\r\n", OK + b"\r\n"])
def test_a_server_that_drips_is_cut_off_in_time(prefix: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(prefix)
        for _ in range(200):
            connection.sendall(b"X")
            time.sleep(0.02)

    begin = time.monotonic()
    with serving(drip) as url, suppress(Unavailable):
        # Without a length, being cut off looks like the end; the parser refuses what came.
        assert len(fetcher(url, KIND, timeout_s=0.3)()) < 100
    assert time.monotonic() - begin < 3


def test_nobody_listening_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable):
        fetcher(f"http://localhost:{port}/", KIND, timeout_s=1)()


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/jwks",
        "http://127.0.0.1.example/jwks",
        "file:///etc/passwd",
        "https:///jwks",
        "https://user@issuer.example/jwks",
        "https://issuer.example/jwks#keys",
        "https://issuer.example:notaport/jwks",
        "https://issuer.example/jwks\r\nX: y",
    ],
)
def test_refuses_urls_that_are_not_plain_https(url: str) -> None:
    with pytest.raises(ConfigurationError):
        fetcher(url, KIND, timeout_s=1)


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate for 127.0.0.1 that nobody trusts yet."""
    key = private_key(name="tls")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    begin = datetime.now(UTC) - timedelta(minutes=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(pem + made.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


def test_https_trusts_only_whom_it_should(tmp_path: Path) -> None:
    server = certificate(tmp_path)

    def answer(raw: socket.socket) -> None:
        with server.wrap_socket(raw.dup(), server_side=True) as connection:
            connection.recv(65_536)
            connection.sendall(sized(BODY))

    with serving(answer, read_first=False) as url:
        url = url.replace("http:", "https:")
        with pytest.raises(Unavailable) as caught:
            fetcher(url, KIND, timeout_s=2)()
        assert "CERTIFICATE_VERIFY_FAILED" in caught.value.detail
        trusting = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
        assert fetcher(url, KIND, timeout_s=2, ssl_context=trusting)() == BODY
        by_name = url.replace("127.0.0.1", "localhost")
        with pytest.raises(Unavailable):
            fetcher(by_name, KIND, timeout_s=2, ssl_context=trusting)()
