import hashlib
from dataclasses import replace
from itertools import count

import pytest

from keystead.delegation.grants import (
    MAX_GRANT_TTL_S,
    check_live,
    check_renewal,
    handle_hash,
    make_grant,
)
from keystead.errors import Reason, Refused
from keystead.model import Actor, Grant, Jkt, SpiffeId
from tests.exchange_parts import AGENT, API, NOW, bound_key, grant, subject


class CountingEntropy:
    """Different bytes at every call, the same in every run."""

    def __init__(self) -> None:
        self._calls = count()

    def token(self, size_bytes: int) -> bytes:
        return hashlib.shake_256(bytes([next(self._calls)])).digest(size_bytes)


def made(**changes: object) -> tuple[Grant, str]:
    arguments: dict[str, object] = {
        "subject": subject(),
        "agent": AGENT,
        "jkt": bound_key().jkt,
        "actor": Actor(sub=AGENT),
        "audience": API,
        "scopes": ("read",),
        "ttl_s": 600,
        "now": NOW,
        "entropy": CountingEntropy(),
        **changes,
    }
    return make_grant(**arguments)


def renewal(of: Grant, **changes: object) -> tuple[str, ...]:
    arguments = {"jkt": of.jkt, "agent": of.agent, "now": NOW, **changes}
    return check_renewal(of, **arguments)


def refusal(of: Grant, **changes: object) -> tuple[Reason, int | None]:
    with pytest.raises(Refused) as caught:
        renewal(of, **changes)
    return caught.value.reason, caught.value.step


def test_a_grant_knows_only_the_hash_of_its_handle() -> None:
    new, token = made()
    assert new.handle_hash == handle_hash(token) == hashlib.sha256(token.encode()).digest()
    assert token.startswith("ksr_")
    assert len(token) == 4 + 43
    assert token not in repr(new)
    assert (new.created_at, new.expires_at, new.parent) == (NOW, NOW + 600, None)


def test_two_grants_share_nothing() -> None:
    entropy = CountingEntropy()
    (one, first), (two, second) = made(entropy=entropy), made(entropy=entropy)
    assert len({one.id, two.id}) == len({first, second}) == 2


def test_no_grant_lasts_longer_than_the_bound() -> None:
    assert made(ttl_s=10**9)[0].expires_at == NOW + MAX_GRANT_TTL_S


def test_a_child_hangs_on_its_parent_and_ends_with_it() -> None:
    parent = grant(expires_at=NOW + 5)
    child, _ = made(parent=parent)
    assert (child.parent, child.expires_at) == (parent.id, NOW + 5)


@pytest.mark.parametrize("token", ["", "ksr_", "ksr_" + "a" * 42, "ksr_" + "a" * 44, "x" * 47])
def test_what_is_no_handle_names_no_grant(token: str) -> None:
    with pytest.raises(Refused) as caught:
        handle_hash(token)
    assert caught.value.reason is Reason.GRANT_UNKNOWN


def test_a_truncated_handle_names_no_grant() -> None:
    with pytest.raises(Refused):
        handle_hash(made()[1][:-1])


def test_renews_all_or_fewer_scopes() -> None:
    assert renewal(grant()) == ("read", "write")
    assert renewal(grant(), scopes=("write",)) == ("write",)
    assert renewal(grant(), scopes=("write", "read")) == ("write", "read")
    assert renewal(grant(), audience=API) == ("read", "write")


@pytest.mark.parametrize(
    ("change", "request_", "expected"),
    [
        ({}, {"jkt": Jkt("other")}, (Reason.KEY_BINDING_MISMATCH, 1)),
        ({}, {"agent": SpiffeId("spiffe://example.org/x")}, (Reason.CLIENT_MISMATCH, 2)),
        ({"revoked_at": NOW - 1}, {}, (Reason.GRANT_REVOKED, None)),
        ({"expires_at": NOW}, {}, (Reason.GRANT_EXPIRED, None)),
        ({}, {"audience": "https://other.example/"}, (Reason.AUDIENCE_NOT_ALLOWED, 4)),
        ({}, {"scopes": ("read", "purge")}, (Reason.SCOPE_NOT_ALLOWED, 5)),
        ({}, {"scopes": ()}, (Reason.SCOPE_NOT_ALLOWED, 5)),
    ],
)
def test_refuses_a_renewal_wrong_in_one_thing(
    change: dict[str, object], request_: dict[str, object], expected: tuple[Reason, int | None]
) -> None:
    assert refusal(grant(**change), **request_) == expected


def test_a_stranger_learns_nothing_of_a_revoked_grant() -> None:
    revoked = grant(revoked_at=NOW, expires_at=NOW)
    assert refusal(revoked, jkt=Jkt("stolen"))[0] is Reason.KEY_BINDING_MISMATCH


def test_a_grant_lives_until_its_last_second() -> None:
    check_live(grant(expires_at=NOW + 1), now=NOW)
    with pytest.raises(Refused):
        check_live(replace(grant(), expires_at=NOW), now=NOW)
