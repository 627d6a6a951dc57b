"""An identity provider's keys: kept, refreshed, and done without for a while."""

import asyncio

import pytest

from keystead.errors import Reason, Unavailable
from keystead.jose.jwk import parse_set
from keystead.service.subject_keys import (
    GRACE_FACTOR,
    RETRY_INTERVAL_S,
    UNKNOWN_KID_INTERVAL_S,
    SubjectKeys,
)
from tests.service_parts import Clock, Provider, idp_document

MAX_AGE_S = 300
KID = "idp-1"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider() -> Provider:
    return Provider(idp_document())


@pytest.fixture
def keys(clock: Clock, provider: Provider) -> SubjectKeys:
    return SubjectKeys(
        location="https://idp.example/jwks", source=provider, clock=clock, max_age_s=MAX_AGE_S
    )


async def unavailable(keys: SubjectKeys, kid: str | None = KID) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await keys.key_set(kid=kid)
    assert caught.value.reason is Reason.KEYS_UNAVAILABLE
    return caught.value


async def test_keeps_the_keys_until_they_are_too_old(
    keys: SubjectKeys, clock: Clock, provider: Provider
) -> None:
    assert (await keys.key_set(kid=KID)).get(KID) is not None
    clock.at += MAX_AGE_S
    await keys.key_set(kid=KID)
    assert provider.fetches == 1
    clock.at += 1
    await keys.key_set(kid=KID)
    assert provider.fetches == 2


async def test_a_key_that_the_provider_withdrew_is_gone_after_the_refresh(
    keys: SubjectKeys, clock: Clock, provider: Provider
) -> None:
    await keys.key_set(kid=KID)
    provider.document = b'{"keys": []}'
    clock.at += MAX_AGE_S + 1
    assert (await keys.key_set(kid=KID)).get(KID) is None


async def test_an_unknown_kid_refreshes_once_a_minute(
    keys: SubjectKeys, clock: Clock, provider: Provider
) -> None:
    provider.document = b'{"keys": []}'
    await keys.key_set(kid=None)
    provider.document = idp_document()
    for _ in range(5):
        assert (await keys.key_set(kid=KID)).get(KID) is None
    clock.at += UNKNOWN_KID_INTERVAL_S - 1
    assert (await keys.key_set(kid=KID)).get(KID) is None
    assert provider.fetches == 1
    clock.at += 1
    assert (await keys.key_set(kid=KID)).get(KID) is not None
    assert provider.fetches == 2
    for _ in range(5):
        await keys.key_set(kid="made-up")
    assert provider.fetches == 2, "and a made-up kid cannot hammer the provider"


async def test_a_provider_that_is_away_stops_nobody_for_a_while(
    keys: SubjectKeys, clock: Clock, provider: Provider
) -> None:
    await keys.key_set(kid=KID)
    provider.away = True
    clock.at += GRACE_FACTOR * MAX_AGE_S
    assert (await keys.key_set(kid=KID)).get(KID) is not None
    clock.at += RETRY_INTERVAL_S
    await unavailable(keys)
    provider.away = False
    clock.at += RETRY_INTERVAL_S
    assert (await keys.key_set(kid=KID)).get(KID) is not None


async def test_the_grace_ends_between_two_tries_too(
    keys: SubjectKeys, clock: Clock, provider: Provider
) -> None:
    await keys.key_set(kid=KID)
    provider.away = True
    clock.at += GRACE_FACTOR * MAX_AGE_S
    await keys.key_set(kid=KID)
    clock.at += 1
    await unavailable(keys)


async def test_a_broken_document_counts_as_away(
    keys: SubjectKeys, clock: Clock, provider: Provider
) -> None:
    await keys.key_set(kid=KID)
    provider.document = b'{"keys": '
    clock.at += MAX_AGE_S + 1
    assert (await keys.key_set(kid=KID)).get(KID) is not None


async def test_without_any_keys_the_answer_is_unavailable(
    keys: SubjectKeys, provider: Provider
) -> None:
    provider.away = True
    await unavailable(keys)


async def test_a_provider_that_is_away_is_not_asked_by_every_request(
    keys: SubjectKeys, clock: Clock, provider: Provider
) -> None:
    """Each try may wait for its whole deadline, and all requests would wait behind one another."""
    await keys.key_set(kid=KID)
    provider.away = True
    clock.at += MAX_AGE_S + 1
    for _ in range(20):
        await keys.key_set(kid=KID)
    assert provider.fetches == 2
    clock.at += RETRY_INTERVAL_S
    await keys.key_set(kid=KID)
    assert provider.fetches == 3


async def test_without_keys_a_provider_that_is_away_is_not_asked_by_every_request(
    keys: SubjectKeys, clock: Clock, provider: Provider
) -> None:
    provider.away = True
    for _ in range(20):
        await unavailable(keys)
    assert provider.fetches == 1
    clock.at += RETRY_INTERVAL_S
    provider.away = False
    await keys.key_set(kid=KID)


async def test_many_at_once_are_one_fetch(
    keys: SubjectKeys, clock: Clock, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch, arrived = provider.fetch, asyncio.Event()

    async def slow(location: str, *, max_bytes: int, timeout_s: float) -> bytes:
        await arrived.wait()
        return await fetch(location, max_bytes=max_bytes, timeout_s=timeout_s)

    monkeypatch.setattr(provider, "fetch", slow)
    waiting = [asyncio.create_task(keys.key_set(kid=KID)) for _ in range(20)]
    await asyncio.sleep(0)
    arrived.set()
    found = await asyncio.gather(*waiting)
    assert provider.fetches == 1
    assert all(each.get(KID) is not None for each in found)


async def test_a_provider_may_have_a_form_of_its_own(clock: Clock) -> None:
    keys = SubjectKeys(
        location="https://idp.example/jwks",
        source=Provider(b"another form"),
        clock=clock,
        max_age_s=MAX_AGE_S,
        parse={b"another form": parse_set(idp_document())}.__getitem__,
    )
    assert (await keys.key_set(kid=KID)).get(KID) is not None
