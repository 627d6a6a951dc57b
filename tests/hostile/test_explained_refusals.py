"""A refusal's detail comes from the readable path, and must not serve whoever is refused.

What nobody signed is not read further than the engine read it, and no source is asked about it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from keystead.errors import KeysteadError, Reason
from keystead.model import VerifiedToken
from keystead.relying import CachedStatusLists, RequestToVerify, StaticJwks, StatusListRules
from keystead.relying.challenge import Challenge
from keystead.relying.checks import Checks
from keystead.relying.door import Door, Presented
from keystead.relying.status import MAX_LISTS
from keystead.relying.steps import Step
from tests.relying_tokens import (
    ISSUER,
    LEAVE_OUT,
    NOW,
    URL,
    accept,
    jwks,
    proof,
    refusal,
    request,
    token,
    verifier,
)
from tests.status_lists import BELOW, URI, list_token, listed

RULES = StatusListRules(issuer=ISSUER, keys=StaticJwks(jwks()), algorithms={"ES256"}, leeway_s=5)


def forged(genuine: str) -> str:
    """With a signature that nobody made."""
    return genuine.rpartition(".")[0] + "." + "A" * 86


def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods of the readable path that are called from now on."""
    called: list[str] = []

    def watch(name: str) -> None:
        real = getattr(Checks, name)

        def method(*arguments: object, **options: object) -> object:
            called.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(Checks, name, method)

    for name in ("decode", "check_payload", "check_status", "open_proof", "check_proof"):
        watch(name)
    return called


class FixedClock:
    """Long after the door was made, so that no proof is from before."""

    def __init__(self) -> None:
        self.times = iter([NOW - 1_000])

    def now(self) -> int:
        return next(self.times, NOW)


class AskedNonces:
    """A ``NonceSource`` that takes all of them and says which."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def current(self, *, now: int) -> str:
        return "n"

    def check(self, nonce: str | None, *, now: int) -> None:
        self.asked.append(nonce)


def every_way(check: Any, sent: RequestToVerify) -> list[KeysteadError]:
    """The refusal of one request, from every call that says its detail."""
    single = refusal(check, sent)
    batch = check.verify_request_batch([sent], now=NOW)
    tokens = check.verify_batch([sent.token], now=NOW)
    found = [single, *batch.verdicts(), *tokens.verdicts()]
    with pytest.raises(KeysteadError) as caught:
        batch[0]
    return [*found, caught.value]


def test_strangers_make_no_list_be_forgotten() -> None:
    fetched: list[str] = []

    def fetch(uri: str) -> bytes:
        fetched.append(uri)
        return list_token(sub=uri, iat=NOW)

    lists = CachedStatusLists(fetch, RULES)
    check = verifier(status_lists=lists)
    accept(check, token(status=listed(0)))
    for number in range(MAX_LISTS + 1):
        sent = request(forged(token(status=listed(0, BELOW + f"stranger-{number}"))))
        assert {error.reason for error in every_way(check, sent)} == {Reason.SIGNATURE_INVALID}
    accept(check, token(status=listed(0)))
    assert fetched == [URI] and list(lists._lists) == [URI]


def test_what_nobody_signed_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    check = verifier(nonces=AskedNonces())
    called = watched(monkeypatch)
    for refused, reason in (
        (request(forged(token())), Reason.SIGNATURE_INVALID),
        (request(token(header={"kid": "nobody"})), Reason.KEY_UNKNOWN),
    ):
        assert {error.reason for error in every_way(check, refused)} == {reason}
    assert called == []
    every_way(check, request(forged(token(header={"typ": "JWT"}))))
    assert set(called) == {"decode"}


def test_a_nonce_is_asked_about_once_and_only_of_a_proof_that_is_good() -> None:
    nonces = AskedNonces()
    check = verifier(nonces=nonces)
    good = token()
    for bad in (
        request(forged(good)),
        request(good, proof(good, nonce="of a forged proof")[:-86] + "A" * 86),
        request(good, proof(good, nonce="for another method", htm="POST")),
    ):
        assert refusal(check, bad)
    assert nonces.asked == []
    late = request(good, proof(good, nonce="late", iat=NOW - 100))
    assert refusal(check, late).reason is Reason.PROOF_TOO_OLD
    assert nonces.asked == ["late"]
    sent = request(good, proof(good, nonce="good"))
    check.verify_request(sent.token, sent.proof, sent.method, sent.url, now=NOW)
    assert nonces.asked == ["late", "good"]


def test_the_nonce_is_that_of_the_proof_whose_signature_was_checked() -> None:
    good = token()

    class Changing(list[str]):
        """Iterated it is one proof, read by its index another."""

        def __getitem__(self, index: Any) -> Any:
            return proof(good, nonce="another")

    nonces = AskedNonces()
    sent = RequestToVerify(
        token=good, proof=Changing([proof(good, nonce="own")]), method="GET", url=URL
    )
    assert verifier(nonces=nonces).verify_request_batch([sent], now=NOW).ok == b"\1"
    assert nonces.asked == ["own"]


@pytest.mark.parametrize(
    ("changes", "step", "detail"),
    [
        ({"header": {"typ": "JWT"}}, Step.TYPE, "typ 'JWT'"),
        ({"iss": "https://other.example"}, Step.ISSUER, "another issuer"),
        ({"scope": "a b"}, Step.SCOPES_REQUIRED, "orders:read"),
        ({"cnf": LEAVE_OUT}, Step.CONFIRMATION, ""),
    ],
)
def test_says_in_its_detail_what_was_found(
    changes: dict[str, Any], step: Step, detail: str
) -> None:
    check = verifier(scopes_required=["orders:read"])
    sent = request(token(**changes))
    for error in every_way(check, sent):
        assert error.step == step and detail in error.detail


def test_says_nothing_more_where_nobody_wants_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    check = verifier()
    sent = request(token(iss="https://other.example"))
    called = watched(monkeypatch)
    with pytest.raises(KeysteadError) as caught:
        check.verify_request(sent.token, sent.proof, sent.method, sent.url, now=NOW, explain=False)
    error = caught.value
    assert (error.reason, error.step, error.detail) == (Reason.ISSUER_MISMATCH, Step.ISSUER, "")
    assert called == []


@pytest.mark.parametrize("issuer", [ISSUER, "https://other.example"])
def test_the_doors_of_a_server_never_look_twice(
    issuer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = watched(monkeypatch)
    door = Door(verifier(), FixedClock())
    sent = request(token(iss=issuer))
    presented = Presented(
        authorization=[f"DPoP {sent.token}"], proofs=[str(sent.proof)], method="GET", url=URL
    )
    good = issuer == ISSUER
    assert isinstance(door.admit(presented), VerifiedToken if good else Challenge)
    # The second use of the proof is a replay, where the first was let in.
    again = asyncio.run(door.admit_async(presented))
    assert isinstance(again, Challenge)
    assert called == []
