"""Key sets: as given, from files, and fetched; what happens when the issuer cannot be reached."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from keystead.errors import (
    ConfigurationError,
    KeysteadError,
    Reason,
    TokenRejected,
    Unavailable,
)
from keystead.relying import CachedJwks, StaticJwks
from keystead.relying.jwks import jwks_source
from tests.jose_keys import public_jwk
from tests.relying_tokens import KID, NOW, jwks, request, token, verifier


class Issuer:
    """A document that tests change, and how often it was read."""

    def __init__(self, kid: str = KID) -> None:
        self.document: object = jwks(kid=kid)
        self.fetches = 0
        self.away = False

    def fetch(self) -> bytes:
        self.fetches += 1
        if self.away:
            raise OSError("away")
        return json.dumps(self.document).encode()


def find(source: CachedJwks, kid: str, *, now: int) -> str | None:
    """As a caller does: refresh, wait if told to, look."""
    pending = source.refresh(kid, now=now)
    if pending is not None:
        pending.result(timeout=5)
    return source.find(kid, now=now).kid


def refused(call: Callable[[], object]) -> Reason:
    with pytest.raises(KeysteadError) as caught:
        call()
    return caught.value.reason


def settle(source: CachedJwks, *, now: int) -> None:
    """Wait for the fetch that is under way in the background."""
    pending = source.refresh("nobody", now=now)
    if pending is not None:
        pending.result(timeout=5)


def test_a_static_set_finds_by_kid_only() -> None:
    source = StaticJwks(jwks())
    assert source.find(KID, now=NOW).kid == KID
    for kid in (None, "other"):
        with pytest.raises(TokenRejected) as caught:
            source.find(kid, now=NOW)
        assert caught.value.reason is Reason.KEY_UNKNOWN


def test_a_secret_in_the_set_refuses_the_set() -> None:
    private = {**public_jwk(kid=KID).to_dict(), "d": "A" * 43}
    with pytest.raises(ConfigurationError, match="private_key_member"):
        StaticJwks({"keys": [private]})
    with pytest.raises(ConfigurationError, match="two keys with one kid"):
        StaticJwks({"keys": [*jwks()["keys"], *jwks()["keys"]]})


def test_fetches_once_and_again_when_old() -> None:
    issuer = Issuer()
    source = CachedJwks(issuer.fetch, max_age_s=300)
    for now in (NOW, NOW + 1, NOW + 299):
        assert find(source, KID, now=now) == KID
    assert issuer.fetches == 1
    assert source.refresh(KID, now=NOW + 300) is None  # in the background: nobody waits
    settle(source, now=NOW + 300)
    assert issuer.fetches == 2


def test_an_unknown_kid_fetches_at_most_once_a_minute() -> None:
    issuer = Issuer()
    source = CachedJwks(issuer.fetch)
    find(source, KID, now=NOW)
    issuer.document = jwks(kid="new")
    for now in range(NOW + 1, NOW + 60):
        assert refused(lambda now=now: find(source, "new", now=now)) is Reason.KEY_UNKNOWN  # type: ignore[misc]
    assert issuer.fetches == 1
    assert find(source, "new", now=NOW + 60) == "new"
    assert refused(lambda: find(source, KID, now=NOW + 61)) is Reason.KEY_UNKNOWN


def test_keeps_the_last_good_set_for_a_bounded_time() -> None:
    issuer = Issuer()
    source = CachedJwks(issuer.fetch, max_age_s=300, max_stale_s=3_600)
    find(source, KID, now=NOW)
    issuer.away = True
    for now in (NOW + 300, NOW + 1_800, NOW + 3_600):
        assert find(source, KID, now=now) == KID
    assert refused(lambda: find(source, KID, now=NOW + 3_601)) is Reason.KEYS_UNAVAILABLE
    issuer.away = False
    assert find(source, KID, now=NOW + 3_700) == KID


@pytest.mark.parametrize(
    "document",
    [{}, {"keys": []}, {"keys": [public_jwk().to_dict()]}, {"keys": [{"kty": "oct", "k": "AA"}]}],
)
def test_a_bad_document_does_not_replace_a_good_one(document: object) -> None:
    issuer = Issuer()
    source = CachedJwks(issuer.fetch)
    find(source, KID, now=NOW)
    issuer.document = document
    source.refresh(KID, now=NOW + 300)
    settle(source, now=NOW + 300)
    assert source.find(KID, now=NOW + 301).kid == KID


def test_nothing_fetched_is_unavailable_and_tried_again_after_a_minute() -> None:
    issuer = Issuer()
    issuer.away = True
    source = CachedJwks(issuer.fetch)
    for now in (NOW, NOW + 1, NOW + 59):
        with pytest.raises(Unavailable) as caught:
            find(source, KID, now=now)
        assert (caught.value.reason, caught.value.retry_after_s) == (Reason.KEYS_UNAVAILABLE, 60)
    assert issuer.fetches == 1
    issuer.away = False
    assert find(source, KID, now=NOW + 60) == KID


def test_a_clock_that_was_ahead_does_not_keep_keys_for_ever() -> None:
    issuer = Issuer()
    source = CachedJwks(issuer.fetch, max_age_s=300, max_stale_s=3_600)
    find(source, KID, now=NOW + 10_000_000)
    assert find(source, KID, now=NOW) == KID
    assert issuer.fetches == 2


def test_many_threads_share_one_fetch() -> None:
    issuer, gate, found = Issuer(), threading.Event(), []

    def slow() -> bytes:
        gate.wait(5)
        return issuer.fetch()

    source = CachedJwks(slow)
    threads = [
        threading.Thread(target=lambda: found.append(find(source, KID, now=NOW))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert (found, issuer.fetches) == ([KID] * 8, 1)


def test_callers_with_known_keys_do_not_wait_for_a_slow_issuer() -> None:
    issuer, gate = Issuer(), threading.Event()

    def slow() -> bytes:
        if issuer.fetches:
            gate.wait(5)
        return issuer.fetch()

    source = CachedJwks(slow)
    find(source, KID, now=NOW)
    try:
        assert source.refresh(KID, now=NOW + 300) is None
        assert source.find(KID, now=NOW + 300).kid == KID
        assert source.refresh("unknown", now=NOW + 300) is not None
    finally:
        gate.set()


def test_a_verifier_gives_up_on_an_issuer_that_hangs() -> None:
    gate = threading.Event()

    def hangs() -> bytes:
        gate.wait(5)
        raise OSError("too late")

    check = verifier(jwks=CachedJwks(hangs, timeout_s=0.05))
    sent = request()
    try:
        with pytest.raises(Unavailable):
            check.verify_request(sent.token, sent.proof, "GET", sent.url, now=NOW)
    finally:
        gate.set()


def test_reads_a_file_and_reads_it_again_for_a_new_key(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(jwks(kid="old")))
    check = verifier(jwks=file)
    sent = request(token(header={"kid": "new"}))

    def verify(now: int) -> str:
        return check.verify_request(sent.token, sent.proof, "GET", sent.url, now=now).user

    assert refused(lambda: verify(NOW)) is Reason.KEY_UNKNOWN
    file.write_text(json.dumps(jwks(kid="new")))
    assert refused(lambda: verify(NOW + 1)) is Reason.KEY_UNKNOWN
    assert verify(NOW + 60) == "user-7"


def test_a_file_that_grew_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(b" " * 300_000)
    with pytest.raises(ConfigurationError, match="too_large"):
        jwks_source(file)


def test_refuses_ages_that_cannot_be_meant() -> None:
    for max_age_s, max_stale_s in ((0, 10), (11, 10)):
        with pytest.raises(ConfigurationError):
            CachedJwks(Issuer().fetch, max_age_s=max_age_s, max_stale_s=max_stale_s)


def test_the_keys_of_other_uses_are_not_used() -> None:
    svid = public_jwk(name="issuer", kid=KID, use="jwt-svid").to_dict()
    with pytest.raises(ConfigurationError):
        StaticJwks({"keys": [svid]})
