import pytest

from keystead.errors import ConfigurationError, ProofRejected, Reason
from keystead.relying import RollingNonces
from tests.relying_tokens import NOW

SECRET = b"s" * 32
START = NOW - NOW % 60


def refused(nonces: RollingNonces, nonce: str | None, now: int) -> Reason:
    with pytest.raises(ProofRejected) as caught:
        nonces.check(nonce, now=now)
    return caught.value.reason


def test_a_nonce_is_good_in_its_period_and_the_next() -> None:
    nonces = RollingNonces(SECRET)
    nonce = nonces.current(now=START)
    for now in (START, START + 59, START + 119):
        nonces.check(nonce, now=now)
    for now in (START - 1, START + 120):
        assert refused(nonces, nonce, now) is Reason.NONCE_INVALID


def test_workers_with_one_secret_agree() -> None:
    RollingNonces(SECRET).check(RollingNonces(SECRET).current(now=NOW), now=NOW)
    other = RollingNonces(b"t" * 32).current(now=NOW)
    assert refused(RollingNonces(SECRET), other, NOW) is Reason.NONCE_INVALID


@pytest.mark.parametrize("nonce", ["", "A", "é", "A" * 32, "A" * 5_000])
def test_refuses_what_it_never_made(nonce: str) -> None:
    assert refused(RollingNonces(SECRET), nonce, NOW) is Reason.NONCE_INVALID


def test_says_when_one_is_needed() -> None:
    assert refused(RollingNonces(SECRET), None, NOW) is Reason.NONCE_REQUIRED


def test_refuses_a_weak_secret() -> None:
    with pytest.raises(ConfigurationError):
        RollingNonces(b"short")
