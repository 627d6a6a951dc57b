"""Bytes to structures: what every token and every piece of evidence passes."""

import random
from typing import Any

from bench.tokens import claims
from keystead.codec import base64url, json

NOW = 1_800_000_000
PAYLOAD = json.encode(claims("A" * 43, random.Random(1), now=NOW))
ENCODED = base64url.encode(PAYLOAD)


def test_base64url_decode(benchmark: Any) -> None:
    assert benchmark(base64url.decode, ENCODED) == PAYLOAD


def test_json_parse_object(benchmark: Any) -> None:
    assert benchmark(json.parse_object, PAYLOAD)["aal"] == 3


def test_json_encode(benchmark: Any) -> None:
    assert benchmark(json.encode, json.parse_object(PAYLOAD)) == PAYLOAD
