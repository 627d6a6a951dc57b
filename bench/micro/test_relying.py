"""What an API does for each of its requests."""

import random
from typing import Any

import pytest

from bench.tokens import METHOD, URL, Issuer, agents, requests

CHANCE = random.Random(1)
ISSUER = Issuer.make("ES256", CHANCE)
# A proof is good once, so every round needs another one.
ROUNDS = 200


@pytest.mark.parametrize("size", [1, 32, 512])
def test_verify_batch(benchmark: Any, size: int) -> None:
    tokens = ISSUER.tokens(["A" * 43] * size, CHANCE).tokens
    verifier = ISSUER.verifier()
    result = benchmark(verifier.verify_batch, tokens, now=ISSUER.now)
    assert all(result.ok)


def test_verify_request(benchmark: Any) -> None:
    made = iter(requests(ISSUER, agents(ROUNDS + 1, CHANCE), CHANCE).items)
    verifier = ISSUER.verifier()

    def another() -> tuple[tuple[object, ...], dict[str, object]]:
        request = next(made)
        return (request.token, request.proof, METHOD, URL), {"now": ISSUER.now}

    token = benchmark.pedantic(
        verifier.verify_request, setup=another, rounds=ROUNDS, warmup_rounds=1
    )
    assert token.jkt
