"""Batches of tokens and requests against the readable path: the same verdict, reason and step."""

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.errors import KeysteadError, ProofRejected, Reason
from keystead.model import Freshness, Protection, VerifiedToken
from keystead.relying import ReplayMemory, RequestToVerify, ResidencyRequirement, Verifier
from keystead.relying.steps import Step
from tests.bent_tokens import NAMES, bent_request, damaged, issuer_jwks
from tests.relying_tokens import AUDIENCE, ISSUER, NOW, request
from tests.status_lists import URI as STATUS_URI
from tests.status_lists import FixedLists, packed

# One status of each sort, for tokens that have the ``status`` of ``bent_tokens``.
STATUS_LISTS = FixedLists(
    {STATUS_URI: (packed([0, 0, 1, 2, 3], bits=2), 2), STATUS_URI + "é": (b"\0", 1)},
    away=STATUS_URI + "/away",
)

Outcome = tuple[type, Reason, int | None] | VerifiedToken


class OneNonce:
    """A ``NonceSource`` whose nonce is always "good"."""

    def current(self, *, now: int) -> str:
        return "good"

    def check(self, nonce: str | None, *, now: int) -> None:
        if nonce != "good":
            reason = Reason.NONCE_REQUIRED if nonce is None else Reason.NONCE_INVALID
            raise ProofRejected(reason, step=Step.PROOF)


def _residency(random: Random) -> ResidencyRequirement:
    some = random.choice
    return ResidencyRequirement(
        protections=frozenset(
            some((list(Protection), [Protection.NON_EXPORTABLE], [Protection.NONE]))
        ),
        hardware=some((False, False, True)),
        freshness=frozenset(some((list(Freshness), [Freshness.CHALLENGED], [Freshness.BEARER]))),
        max_age_s=some((None, 0, 30, 25, 24, 10**30)),
        policies=some(
            (None, None, frozenset(), frozenset({"servers/3", "é"}), frozenset({"\ud800"}))
        ),
    )


def options(random: Random) -> dict[str, Any]:
    """How a verifier may be configured: mostly so that a good request passes."""
    rare: dict[str, Callable[[], Any]] = {
        "allowed_algorithms": lambda: random.sample(NAMES, random.randrange(1, 8)),
        "scopes_required": lambda: random.choice(
            (["orders:read"], ["orders:read", "x"], ["a b"], ["\ud800"])
        ),
        "minimum_aal": lambda: random.choice((1, 2, 3)),
        "acr_values": lambda: random.choice((["phrh"], ["phr", "é"], ["\ud800"])),
        "max_authentication_age_s": lambda: random.choice((0, 594, 595, 600, 10**30)),
        "require_residency": lambda: _residency(random),
        "leeway_s": lambda: random.choice((0, 1, 60)),
        "max_token_lifetime_s": lambda: random.choice((1, 209, 210, 86_400)),
        "proof_max_age_s": lambda: random.choice((1, 600)),
        "nonces": OneNonce,
        "issuer": lambda: random.choice((ISSUER + "/", "é", "\ud800")),
        "audience": lambda: random.choice(("other", "é", "\ud800")),
        "status_lists": lambda: STATUS_LISTS,
    }
    often = {"status_lists": 0.3}
    chosen = {
        name: make() for name, make in rare.items() if random.random() < often.get(name, 0.04)
    }
    fixed = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "jwks": issuer_jwks(),
        "allowed_algorithms": NAMES,
    }
    return {**fixed, "dpop_required": random.random() < 0.6, **chosen}


def outcome(verdict: Callable[[], VerifiedToken]) -> Outcome:
    try:
        return verdict()
    except KeysteadError as error:
        return type(error), error.reason, error.step


def check_same(
    requests: list[RequestToVerify],
    configured: dict[str, Any],
    *,
    now: int = NOW,
    capacity: int = 100,
) -> list[Outcome]:
    """Both paths on the same requests; answers what both say of each."""
    readable, alone, many = (
        Verifier(**configured, replay=ReplayMemory(capacity=capacity, not_before=0))
        for _ in range(3)
    )
    checks, tokens = readable._checks, [sent.token for sent in requests]
    expected = [outcome(lambda sent=sent: checks.token(sent, now=now)) for sent in tokens]  # type: ignore[misc]
    batch = many.verify_batch(tokens, now=now)
    assert [outcome(lambda at=at: batch[at]) for at in range(len(batch))] == expected  # type: ignore[misc]
    expected = [outcome(lambda sent=sent: checks.request(sent, now=now)) for sent in requests]  # type: ignore[misc]
    found = [
        outcome(lambda s=s: alone.verify_request(s.token, s.proof, s.method, s.url, now=now))  # type: ignore[misc]
        for s in requests
    ]
    assert found == expected
    result = many.verify_request_batch(requests, now=now, threads=2)
    found = [outcome(lambda at=at: result[at]) for at in range(len(result))]  # type: ignore[misc]
    assert found == expected
    reasons = [item[1] if isinstance(item, tuple) else None for item in expected]
    assert [result.reason(at) for at in range(len(result))] == reasons
    return expected


def check_bent(random: Random, count: int) -> list[Outcome]:
    """Some bent requests under some configuration."""
    times = (NOW + 30, NOW + 199, NOW + 205, -NOW, -1, 0, 2**63, -(2**70))
    now = random.choice(times) if random.random() < 0.05 else NOW
    requests = [bent_request(random) for _ in range(count)]
    return check_same(
        requests, options(random), now=now, capacity=random.choice((100, 100, 100, 1))
    )


def check_damaged(random: Random, count: int) -> None:
    """Texts that nobody signed: they stop early, and at the same step."""
    good = request()
    requests = [
        RequestToVerify(
            token=damaged(random, good.token),
            proof=damaged(random, str(good.proof)),
            method="GET",
            url=good.url,
        )
        for _ in range(count)
    ]
    check_same(requests, {"issuer": ISSUER, "audience": AUDIENCE, "jwks": issuer_jwks()})


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_bent_requests_are_judged_alike(random: Random) -> None:
    check_bent(random, 4)


@settings(deadline=None, max_examples=10, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_damaged_texts_are_judged_alike(random: Random) -> None:
    check_damaged(random, 50)
