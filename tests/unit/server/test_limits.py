"""Rates, places, and what an address's rate is counted under."""

import asyncio

import pytest

from keystead.errors import Reason, Unavailable
from keystead.server.limits import Admission, Limits, Places, TokenBuckets, rate_key


class Stopwatch:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def refused(take: object, *args: str) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        take(*args)  # type: ignore[operator]
    return caught.value


def test_a_burst_passes_and_the_next_request_is_told_to_wait() -> None:
    buckets = TokenBuckets(per_s=0.5, burst=3, monotonic=Stopwatch())
    for _ in range(3):
        buckets.take("a")
    error = refused(buckets.take, "a")
    assert error.reason is Reason.RATE_LIMITED
    assert error.retry_after_s == 2


def test_one_caller_leaves_another_alone() -> None:
    buckets = TokenBuckets(per_s=1, burst=1, monotonic=Stopwatch())
    buckets.take("a")
    refused(buckets.take, "a")
    buckets.take("b")


def test_tokens_come_back_with_time_and_never_beyond_the_burst() -> None:
    watch = Stopwatch()
    buckets = TokenBuckets(per_s=2, burst=2, monotonic=watch)
    buckets.take("a")
    buckets.take("a")
    refused(buckets.take, "a")
    watch.seconds += 0.5
    buckets.take("a")
    refused(buckets.take, "a")
    watch.seconds += 3600
    buckets.take("a")
    buckets.take("a")
    refused(buckets.take, "a")


def test_waiting_as_long_as_was_told_is_enough() -> None:
    watch = Stopwatch()
    buckets = TokenBuckets(per_s=0.3, burst=1, monotonic=watch)
    buckets.take("a")
    watch.seconds += refused(buckets.take, "a").retry_after_s
    buckets.take("a")


def test_remembers_a_bounded_number_of_callers() -> None:
    buckets = TokenBuckets(per_s=1, burst=1, monotonic=Stopwatch(), max_buckets=100)
    for number in range(1000):
        buckets.take(f"stranger {number}")
    assert len(buckets) == 100


def test_a_caller_who_keeps_asking_is_not_forgotten_for_strangers() -> None:
    buckets = TokenBuckets(per_s=0.001, burst=1, monotonic=Stopwatch(), max_buckets=10)
    buckets.take("loud")
    for number in range(50):
        buckets.take(f"stranger {number}")
        assert refused(buckets.take, "loud").reason is Reason.RATE_LIMITED


def test_places_are_given_back_also_after_an_error() -> None:
    places = Places(1)
    with pytest.raises(ValueError, match="inside"), places.one("a"):
        raise ValueError("inside")
    with places.one("a"):
        assert places.taken == 1
    assert places.taken == 0


def test_no_place_is_given_beyond_the_total() -> None:
    places = Places(2, retry_after_s=5)
    with places.one("a"), places.one("b"), pytest.raises(Unavailable) as caught, places.one("c"):
        pass
    assert caught.value.reason is Reason.RATE_LIMITED
    assert caught.value.retry_after_s == 5


def test_one_caller_holds_only_its_share_of_the_places() -> None:
    places = Places(8, share=4)
    with places.one("a"), places.one("a"):
        with pytest.raises(Unavailable), places.one("a"):
            pass
        with places.one("b"):
            assert places.taken == 3
    with places.one("a"):
        assert places.taken == 1


def test_a_closing_service_admits_nobody() -> None:
    admission = Admission(Limits(), monotonic=Stopwatch())
    admission.admit("a")
    admission.closing = True
    assert refused(admission.admit, "a").reason is Reason.SHUTTING_DOWN
    assert refused(admission.admit_local).reason is Reason.SHUTTING_DOWN


async def prove(admission: Admission, watch: Stopwatch, seconds: float = 0.0) -> None:
    async with admission.issuer_proof():
        watch.seconds += seconds


async def refused_proof(admission: Admission) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        async with admission.issuer_proof():
            pytest.fail("nobody asks the TPM")
    return caught.value


async def test_issuer_proofs_have_a_rate_of_their_own() -> None:
    watch = Stopwatch()
    admission = Admission(Limits(issuer_proofs_per_minute=2), monotonic=watch)
    await prove(admission, watch)
    await prove(admission, watch)
    error = await refused_proof(admission)
    assert error.reason is Reason.RATE_LIMITED
    assert error.retry_after_s == 30
    watch.seconds += 30
    await prove(admission, watch)


async def test_issuer_proofs_get_a_share_of_a_slow_tpms_time() -> None:
    """A chip that makes an RSA primary key for each would do nothing else."""
    watch = Stopwatch()
    admission = Admission(Limits(), monotonic=watch)
    for _ in range(3):
        await prove(admission, watch, seconds=25)
    error = await refused_proof(admission)
    assert error.reason is Reason.RATE_LIMITED
    watch.seconds += error.retry_after_s
    await prove(admission, watch, seconds=25)
    assert (await refused_proof(admission)).retry_after_s >= 100


async def test_issuer_proofs_are_made_one_at_a_time() -> None:
    admission = Admission(Limits(), monotonic=Stopwatch())
    inside: list[int] = []

    async def one() -> None:
        async with admission.issuer_proof():
            inside.append(1)
            assert len(inside) == 1
            await asyncio.sleep(0)
            inside.pop()

    await asyncio.gather(one(), one(), one())


async def test_a_proof_that_fails_is_charged_too() -> None:
    watch = Stopwatch()
    admission = Admission(Limits(), monotonic=watch)
    with pytest.raises(RuntimeError):
        async with admission.issuer_proof():
            watch.seconds += 200
            raise RuntimeError("the TPM said no")
    await refused_proof(admission)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not:an:address", "not:an:address"),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_site_has_one_rate(address: str, key: str) -> None:
    assert rate_key(address) == key
