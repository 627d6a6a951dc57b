"""Tokens, keys and signatures, one at a time and 512 at once."""

import random
from typing import Any

import pytest

from bench.workload import workload
from keystead.jose import jwk, jws
from keystead.jose.batch import verify_signature, verify_signatures

BATCH = 512
ALGORITHMS = ("ES256", "EdDSA", "RS256")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_verify_signature(benchmark: Any, algorithm: str) -> None:
    made = workload(algorithm, random.Random(1), count=1, distinct=False)
    benchmark(verify_signature, algorithm, made.keys[0], made.messages[0], made.signatures[0])


@pytest.mark.parametrize("distinct", [False, True], ids=["one_key", "distinct_keys"])
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_verify_signatures(benchmark: Any, algorithm: str, distinct: bool) -> None:
    made = workload(algorithm, random.Random(1), count=BATCH, distinct=distinct)
    keys = made.keys if distinct else made.keys[0]
    verdicts = benchmark(verify_signatures, algorithm, keys, made.messages, made.signatures)
    assert verdicts == b"\x01" * BATCH


def test_parse_compact(benchmark: Any) -> None:
    token = workload("ES256", random.Random(1), count=1, distinct=False).tokens[0]
    assert benchmark(jws.parse_compact, token).algorithm == "ES256"


def test_parse_public(benchmark: Any) -> None:
    key = workload("ES256", random.Random(1), count=1, distinct=False).keys[0]
    assert benchmark(jwk.parse_public, key.to_dict()) == key
