"""Where a channel goes in the clear, and where never."""

import pytest

from keystead.agent import channel as channels
from keystead.agent.channel import is_loopback, open_channel
from keystead.errors import ConfigurationError


class Opened:
    """Which of grpc's two ways was taken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ways: list[str] = []
        for way in ("insecure_channel", "secure_channel"):
            monkeypatch.setattr(
                channels.grpc, way, lambda *_, way=way: self.ways.append(way) or object()
            )


@pytest.mark.parametrize(
    "server", ["unix:/run/keystead.sock", "127.0.0.1:8441", "[::1]:8441", "localhost:8441"]
)
def test_this_machine_needs_no_tls(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    opened = Opened(monkeypatch)
    open_channel(server)
    assert opened.ways == ["insecure_channel"]


@pytest.mark.parametrize(
    "server",
    ["keystead.example:8441", "192.0.2.1:8441", "127.0.0.1.example:8441", "[2001:db8::1]:1"],
)
def test_every_other_machine_needs_tls(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    opened = Opened(monkeypatch)
    open_channel(server)
    assert opened.ways == ["secure_channel"]


def test_a_ca_always_means_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened(monkeypatch)
    open_channel("127.0.0.1:8441", ca=b"PEM")
    assert opened.ways == ["secure_channel"]


@pytest.mark.parametrize("server", ["", "keystead.example", ":8441", "host:port", "https://host"])
def test_rejects_an_address_that_is_none(server: str) -> None:
    with pytest.raises(ConfigurationError):
        open_channel(server)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("::1", True), ("127.9.9.9", True), ("0.0.0.0", False), ("localhost.example", False)],
)
def test_knows_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
