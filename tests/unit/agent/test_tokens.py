"""A token that is always there: exchange, renewal, and what ends it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from keystead.agent.tokens import KEEP_FRESH_S, RENEW_BEFORE_S, Target
from keystead.errors import ConfigurationError, Reason, Refused, TokenRejected, Unavailable
from tests.agent_parts import LIFETIME_S, NOW, World


@pytest.fixture
def world() -> World:
    return World()


def test_exchanges_the_subject_token_for_one_bound_to_the_key(world: World) -> None:
    token = world.tokens().current()
    assert token.jkt == world.holder.jkt
    assert token.expires_at == NOW + LIFETIME_S
    assert world.issuer.forms == [
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": "user-token",
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "audience": "https://api.example",
            "scope": "calendar.read",
        }
    ]


def test_keeps_a_token_until_shortly_before_its_end(world: World) -> None:
    tokens = world.tokens()
    first = tokens.current()
    world.clock.time = NOW + LIFETIME_S - RENEW_BEFORE_S - 1
    assert tokens.current() is first
    world.clock.time += 1
    assert tokens.ready() is None
    assert tokens.current() is not first


def test_renews_by_the_refresh_token_without_the_user(world: World) -> None:
    tokens = world.tokens()
    tokens.current()
    world.clock.time += LIFETIME_S
    tokens.current()
    assert world.issuer.grant_types == ["token-exchange", "refresh_token"]
    assert world.issuer.forms[1] == {
        "grant_type": "refresh_token",
        "refresh_token": "handle-1",
        "audience": "https://api.example",
        "scope": "calendar.read",
    }


def test_keeps_the_refresh_token_that_a_renewal_does_not_repeat(world: World) -> None:
    tokens = world.tokens()
    tokens.current()
    world.issuer.refresh = False
    for _ in range(2):
        world.clock.time += LIFETIME_S
        tokens.current()
    assert world.issuer.grant_types == ["token-exchange", "refresh_token", "refresh_token"]


def test_exchanges_again_where_there_is_no_refresh_token(world: World) -> None:
    world.issuer.refresh = False
    tokens = world.tokens()
    tokens.current()
    world.clock.time += LIFETIME_S
    tokens.current()
    assert world.issuer.grant_types == ["token-exchange", "token-exchange"]


@pytest.mark.parametrize("reason", ["grant_unknown", "grant_expired", "client_mismatch"])
def test_exchanges_again_when_the_grant_is_over(world: World, reason: str) -> None:
    tokens = world.tokens()
    tokens.current()
    world.clock.time += LIFETIME_S
    world.issuer.refuse = [(400, "invalid_grant", reason)]
    tokens.current()
    assert world.issuer.grant_types == ["token-exchange", "refresh_token", "token-exchange"]


def test_says_that_the_grant_is_over_when_there_is_no_subject_token(world: World) -> None:
    given = iter(["user-token", None])
    tokens = world.tokens(lambda: next(given))
    tokens.current()
    world.clock.time += LIFETIME_S
    world.issuer.refuse = [(400, "invalid_grant", "grant_expired")]
    with pytest.raises(Refused) as caught:
        tokens.current()
    assert caught.value.reason is Reason.GRANT_EXPIRED
    assert world.issuer.grant_types == ["token-exchange", "refresh_token"]


def test_asks_nobody_without_any_subject_token(world: World) -> None:
    with pytest.raises(Refused) as caught:
        world.tokens(lambda: None).current()
    assert caught.value.reason is Reason.SUBJECT_TOKEN_INVALID
    assert world.issuer.forms == []


def test_does_not_work_around_a_grant_that_the_user_revoked(world: World) -> None:
    tokens = world.tokens()
    tokens.current()
    world.clock.time += LIFETIME_S
    world.issuer.refuse = [(400, "invalid_grant", "grant_revoked")]
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            tokens.current()
        assert caught.value.reason is Reason.GRANT_REVOKED
    assert world.issuer.grant_types == ["token-exchange", "refresh_token"]


def test_a_revoked_grant_ends_a_token_that_has_seconds_left(world: World) -> None:
    tokens = world.tokens()
    tokens.current()
    world.clock.time += LIFETIME_S - RENEW_BEFORE_S
    world.issuer.refuse = [(400, "invalid_grant", "grant_revoked")]
    with pytest.raises(Refused):
        tokens.current()
    assert tokens.ready() is None


def test_attests_again_when_the_key_is_not_bound(world: World) -> None:
    world.issuer.refuse = [(400, "invalid_client", "key_not_bound")]
    world.tokens().current()
    assert world.holder.attested == 1
    assert world.issuer.grant_types == ["token-exchange", "token-exchange"]


def test_attests_only_once_for_one_request(world: World) -> None:
    world.issuer.refuse = [(400, "invalid_client", "binding_expired")] * 2
    with pytest.raises(Refused) as caught:
        world.tokens().current()
    assert caught.value.reason is Reason.BINDING_EXPIRED
    assert world.holder.attested == 1


def test_a_token_of_another_key_is_not_used(world: World) -> None:
    tokens = world.tokens()
    first = tokens.current()
    world.holder.name = "next key"
    second = tokens.current()
    assert second.jkt == world.holder.jkt != first.jkt
    assert world.issuer.grant_types == ["token-exchange", "token-exchange"]


def test_refuses_a_bearer_token(world: World) -> None:
    world.issuer.token_type = "Bearer"
    with pytest.raises(TokenRejected) as caught:
        world.tokens().current()
    assert caught.value.reason is Reason.TYPE_MISMATCH


def test_goes_on_with_the_old_token_while_the_server_is_away(world: World) -> None:
    tokens = world.tokens()
    first = tokens.current()
    world.clock.time += LIFETIME_S - RENEW_BEFORE_S
    world.issuer.refuse = [(503, "temporarily_unavailable", "hardware_unavailable")]
    still = tokens.current()
    assert still.value == first.value
    assert tokens.current() is still
    assert len(world.issuer.forms) == 2
    world.clock.time += 1
    assert tokens.current().value != first.value


def test_has_no_token_when_the_server_is_away_for_too_long(world: World) -> None:
    tokens = world.tokens()
    tokens.current()
    world.clock.time += LIFETIME_S
    world.issuer.refuse = [(503, "temporarily_unavailable", "hardware_unavailable")]
    with pytest.raises(Unavailable) as caught:
        tokens.current()
    assert caught.value.reason is Reason.HARDWARE_UNAVAILABLE


def test_many_threads_cause_one_exchange(world: World) -> None:
    tokens = world.tokens()
    start = threading.Barrier(8)

    def use(_: int) -> str:
        start.wait()
        return tokens.current().value

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(use, range(8)))) == 1
    assert len(world.issuer.forms) == 1


def test_others_use_the_old_token_while_one_thread_renews(world: World) -> None:
    tokens = world.tokens()
    first = tokens.current()
    world.clock.time += LIFETIME_S - RENEW_BEFORE_S
    renewing, done = threading.Event(), threading.Event()

    def slowly() -> None:
        renewing.set()
        assert done.wait(10)

    world.issuer.before_answer = slowly
    with ThreadPoolExecutor(1) as pool:
        renewal = pool.submit(tokens.current)
        assert renewing.wait(10)
        assert tokens.current() is first
        done.set()
        assert renewal.result(10) is not first


def test_replaces_a_refused_token_once_it_is_not_fresh(world: World) -> None:
    tokens = world.tokens()
    first = tokens.current()
    assert tokens.replace(first) is None
    world.clock.time += KEEP_FRESH_S
    second = tokens.replace(first)
    assert second is not None
    assert second is not first
    assert tokens.replace(first) is second


def test_renews_when_told_to(world: World) -> None:
    tokens = world.tokens()
    first = tokens.current()
    second = tokens.renew()
    assert second.value != first.value
    assert tokens.current() is second
    world.issuer.refuse = [(503, "temporarily_unavailable", "hardware_unavailable")]
    with pytest.raises(Unavailable):
        tokens.renew()
    assert tokens.current() is second


def test_needs_one_target(world: World) -> None:
    for targets in ({}, {"audience": "a", "resource": "https://b.example"}):
        with pytest.raises(ConfigurationError):
            Target(**targets)
    assert Target(resource="https://b.example").form() == {"resource": "https://b.example"}


def test_never_shows_a_token(world: World) -> None:
    token = world.tokens().current()
    assert token.value not in repr(token)
