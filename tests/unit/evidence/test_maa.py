"""The envelope's ``maa`` member, and client nonces that answer challenges."""

from typing import Any

import pytest

from keystead.codec import base64url
from keystead.errors import Malformed
from keystead.evidence import maa
from keystead.evidence.envelope import Submission, encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.workload_tokens import (
    KEY,
    NONCE,
    client_payload,
    issuer_keys,
    maa_claims,
    maa_evidence,
    maa_token,
    platform_claims,
    sign,
)


def with_nonce(text: str) -> bytes | None:
    claims = maa_claims(**{"x-ms-runtime": client_payload(text)})
    return maa_evidence(maa_token(claims)).answer


def test_travels_in_an_envelope() -> None:
    members = maa.encode(token=maa_token(), jwks=issuer_keys().to_dict())
    data = encode_envelope(kind=EvidenceKind.MAA, evidence=members, nonce=NONCE, key=KEY)
    evidence = maa.parse(parse_envelope(data))
    assert evidence.nonce == NONCE and evidence.jwks == issuer_keys().to_dict()
    assert evidence.answer is not None and evidence.answer[:32] == NONCE
    assert "jwks" not in maa.encode(token=maa_token())


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"token": "a.b"},
        {"token": maa_token(), "keys": []},
        {"token": maa_token(), "jwks": []},
        {"token": sign(platform_claims())},
        {"token": "a" * 40_000},
    ],
)
def test_other_members_are_malformed(members: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        maa.parse(Submission(kind=EvidenceKind.MAA, nonce=None, key=None, evidence=members))


def test_answer_is_the_nonce_with_or_without_a_hash() -> None:
    assert with_nonce(maa.client_nonce(NONCE)) == NONCE
    assert with_nonce(maa.client_nonce(NONCE + b"\x07" * 32)) == NONCE + b"\x07" * 32


@pytest.mark.parametrize("size", [1, 31, 33, 63, 65])
def test_nonces_of_another_length_are_no_answer(size: int) -> None:
    assert with_nonce(base64url.encode(b"\x01" * size)) is None


def test_nonces_of_others_are_no_answer_and_no_error() -> None:
    assert with_nonce("midnight") is None and with_nonce("ä ö") is None
