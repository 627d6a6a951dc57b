import threading
import tracemalloc
from typing import Any

import pytest

from keystead.errors import ConfigurationError, KeysteadError, Reason, Replayed
from keystead.jose.dpop import replay_window_s
from keystead.relying import ReplayMemory
from tests.relying_tokens import NOW, refusal, request, verifier

WINDOW_S = replay_window_s(60, 5)


def remember(memory: ReplayMemory, jti: str, *, iat: int = NOW, now: int = NOW) -> None:
    memory.remember("jkt", jti, first=iat - 5, last=iat + 65, now=now)


def reason(memory: ReplayMemory, jti: str, *, iat: int = NOW, now: int = NOW) -> Reason:
    with pytest.raises(KeysteadError) as caught:
        remember(memory, jti, iat=iat, now=now)
    return caught.value.reason


@pytest.mark.parametrize("used_at", [NOW - 5, NOW, NOW + 65])
@pytest.mark.parametrize("again_at", [NOW - 5, NOW, NOW + 64, NOW + 65])
def test_never_forgets_while_the_proof_could_be_accepted(used_at: int, again_at: int) -> None:
    memory = ReplayMemory(not_before=0)
    remember(memory, "one", now=used_at)
    assert reason(memory, "one", now=max(used_at, again_at)) is Reason.PROOF_REPLAYED


def test_the_verifier_keeps_a_proof_for_the_window_and_the_skew_on_both_sides() -> None:
    check, sent = verifier(), request()
    check.verify_request(sent.token, sent.proof, sent.method, sent.url, now=NOW - 5)
    for later in range(NOW - 5, NOW + 66):
        assert refusal(check, sent, now=later).reason is Reason.PROOF_REPLAYED
    assert refusal(check, sent, now=NOW + 66).reason is Reason.PROOF_TOO_OLD


@pytest.mark.parametrize("other", [{"proof_max_age_s": 600}, {"leeway_s": 6}])
def test_verifiers_that_share_a_memory_have_one_window(other: dict[str, int]) -> None:
    memory = ReplayMemory(not_before=0)
    first, second = verifier(replay=memory), verifier(replay=memory, audience="https://b.example")
    with pytest.raises(ConfigurationError, match="share a memory"):
        verifier(replay=memory, **other)
    assert first.audience != second.audience
    verifier(replay=ReplayMemory(not_before=0), **other)


@pytest.mark.parametrize(
    "options",
    [
        *({"capacity": bad} for bad in (0, 2**40, 1.5, True, "1", None)),
        *({"not_before": bad} for bad in (1.5, True, "1", None, 2**70, -(2**70))),
    ],
)
def test_refuses_what_no_memory_can_be_made_of(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ReplayMemory(**{"not_before": 0, **options})


def test_the_same_jti_of_another_key_is_another_proof() -> None:
    memory = ReplayMemory(not_before=0)
    memory.remember("a", "bc", first=NOW, last=NOW + 70, now=NOW)
    memory.remember("ab", "c", first=NOW, last=NOW + 70, now=NOW)
    with pytest.raises(Replayed):
        memory.remember("a", "bc", first=NOW + 1, last=NOW + 71, now=NOW)


def test_a_jti_is_refused_under_a_new_time_too() -> None:
    memory = ReplayMemory(not_before=0)
    remember(memory, "one")
    assert reason(memory, "one", iat=NOW + 3, now=NOW + 3) is Reason.PROOF_REPLAYED


def test_forgets_after_the_window() -> None:
    memory = ReplayMemory(not_before=0)
    for second in range(1_000):
        remember(memory, f"jti-{second}", iat=NOW + second, now=NOW + second)
        assert len(memory) <= WINDOW_S
    remember(memory, "last", iat=NOW + 5_000, now=NOW + 5_000)
    assert len(memory) == 1


def test_refuses_when_full_and_opens_again_when_the_oldest_expire() -> None:
    memory = ReplayMemory(capacity=2, not_before=0)
    remember(memory, "one")
    remember(memory, "two", iat=NOW + 1)
    assert reason(memory, "three") is Reason.REPLAY_MEMORY_FULL
    assert reason(memory, "one") is Reason.PROOF_REPLAYED
    later = NOW + 66
    remember(memory, "three", iat=later, now=later)
    assert reason(memory, "two", iat=NOW + 1, now=later) is Reason.PROOF_REPLAYED


def test_refuses_what_could_have_been_used_before_it_started() -> None:
    memory = ReplayMemory(not_before=NOW)
    # A client whose clock is five seconds ahead could have used this one at NOW - 1.
    assert reason(memory, "one", iat=NOW + 4) is Reason.PROOF_TOO_OLD
    remember(memory, "two", iat=NOW + 5)
    memory.refuse_before(NOW - 100)
    assert reason(memory, "three", iat=NOW) is Reason.PROOF_TOO_OLD


def test_a_clock_that_went_ahead_and_back_opens_nothing() -> None:
    memory = ReplayMemory(not_before=0)
    remember(memory, "one")
    remember(memory, "far", iat=NOW + 3_600, now=NOW + 3_600)
    assert reason(memory, "one", now=NOW) is Reason.PROOF_TOO_OLD
    assert reason(memory, "two", now=NOW) is Reason.PROOF_TOO_OLD


def test_memory_is_bounded() -> None:
    tracemalloc.start()
    memory = ReplayMemory(capacity=10_000, not_before=0)
    for index in range(10_000):
        remember(memory, f"{index:0256d}")
    refused = sum(reason(memory, f"x{index}") is Reason.REPLAY_MEMORY_FULL for index in range(99))
    size_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused == 99
    assert size_bytes < 10_000 * 200


def test_one_of_many_threads_wins() -> None:
    memory, won = ReplayMemory(not_before=0), []
    barrier = threading.Barrier(8)

    def race() -> None:
        barrier.wait()
        for index in range(200):
            try:
                remember(memory, f"jti-{index}")
            except Replayed:
                continue
            won.append(index)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(200))


@pytest.mark.parametrize("capacity", [0, -1, 10_000_001])
def test_refuses_a_capacity_that_cannot_be_meant(capacity: int) -> None:
    with pytest.raises(ConfigurationError):
        ReplayMemory(capacity=capacity, not_before=0)
