"""Who is at the other end of a call, from what gRPC's transport says."""

from typing import Any

import pytest

from keystead.errors import Reason, Refused
from keystead.server.grpc import peers


class Context:
    """What a servicer's context tells of the peer."""

    def __init__(self, peer: str = "", names: Any = None, metadata: Any = ()) -> None:
        self._peer, self._names, self._metadata = peer, names, metadata

    def peer(self) -> str:
        return self._peer

    def auth_context(self) -> Any:
        return {"peer_spiffe_id": self._names} if self._names is not None else {}

    def invocation_metadata(self) -> Any:
        return self._metadata


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        ("ipv4:192.0.2.7:50000", "192.0.2.7"),
        ("ipv6:%5B2001:db8:1:2::5%5D:50000", "2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:2::5]:50000", "2001:db8:1:2::/64"),
        ("unix:", "unix"),
    ],
)
def test_a_strangers_rate_goes_by_address(peer: str, key: str) -> None:
    assert peers.address_key(Context(peer)) == key


def test_one_verified_name_is_the_peers() -> None:
    assert peers.spiffe_id(Context(names=[b"spiffe://example.org/a"])) == "spiffe://example.org/a"


@pytest.mark.parametrize("names", [None, [], [b"spiffe://a.example/x", b"spiffe://a.example/y"]])
def test_no_name_or_two_are_nobodys(names: Any) -> None:
    assert peers.spiffe_id(Context(names=names)) is None


def test_one_authorization_is_read() -> None:
    metadata = (("user-agent", "x"), ("authorization", "Bearer y"))
    assert peers.authorization(Context(metadata=metadata)) == "Bearer y"
    assert peers.authorization(Context(metadata=None)) is None


def test_two_authorizations_are_refused() -> None:
    with pytest.raises(Refused) as caught:
        peers.authorization(Context(metadata=(("authorization", "a"), ("authorization", "b"))))
    assert caught.value.reason is Reason.CREDENTIAL_INVALID
