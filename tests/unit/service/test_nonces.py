"""DPoP nonces: ours, fresh, and unforgeable."""

import pytest

from keystead.codec import base64url
from keystead.errors import ProofRejected, Reason
from keystead.service.nonces import NONCE_WINDOW_S, DpopNonces
from tests.evidence_builder import Dice
from tests.service_parts import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def nonces(clock: Clock) -> DpopNonces:
    return DpopNonces(clock=clock, entropy=Dice())


def refused(nonces: DpopNonces, nonce: str | None) -> Reason:
    with pytest.raises(ProofRejected) as caught:
        nonces.check(nonce)
    return caught.value.reason


def test_accepts_its_own_nonce_again_and_again_within_the_window(
    nonces: DpopNonces, clock: Clock
) -> None:
    nonce = nonces.fresh()
    for age in (0, 1, NONCE_WINDOW_S):
        clock.at = clock.at + age
        nonces.check(nonce)
        clock.at -= age


def test_asks_for_a_nonce_where_there_is_none(nonces: DpopNonces) -> None:
    assert refused(nonces, None) is Reason.NONCE_REQUIRED


@pytest.mark.parametrize("age", [NONCE_WINDOW_S + 1, -1])
def test_refuses_a_nonce_outside_its_window(nonces: DpopNonces, clock: Clock, age: int) -> None:
    nonce = nonces.fresh()
    clock.at += age
    assert refused(nonces, nonce) is Reason.NONCE_INVALID


def test_refuses_a_nonce_of_another_process(nonces: DpopNonces, clock: Clock) -> None:
    other = DpopNonces(clock=clock, entropy=Dice(b"other"))
    assert refused(nonces, other.fresh()) is Reason.NONCE_INVALID


def test_refuses_a_nonce_whose_time_was_moved(nonces: DpopNonces, clock: Clock) -> None:
    old = bytearray(base64url.decode(nonces.fresh()))
    clock.at += NONCE_WINDOW_S + 1
    old[:8] = clock.at.to_bytes(8, "big")
    assert refused(nonces, base64url.encode(bytes(old))) is Reason.NONCE_INVALID


@pytest.mark.parametrize("size", [0, 1, 7, 8, 23])
def test_refuses_a_truncated_nonce(nonces: DpopNonces, size: int) -> None:
    cut = base64url.encode(base64url.decode(nonces.fresh())[:size])
    assert refused(nonces, cut) is Reason.NONCE_INVALID


@pytest.mark.parametrize("bent", ["{}=", "{}A", "{} ", "+/{}", "é{}", "{}" * 1_000])
def test_refuses_what_is_not_exactly_a_nonce(nonces: DpopNonces, bent: str) -> None:
    assert refused(nonces, bent.replace("{}", nonces.fresh())) is Reason.NONCE_INVALID
