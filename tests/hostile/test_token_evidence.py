"""Tokens as evidence, bent region by region, oversized, deep, and in others' envelopes."""

import json
import time
import tracemalloc
from typing import Any

import pytest

from keystead.appraisal import maa, oidc
from keystead.appraisal.verifier import appraise_saved
from keystead.codec import base64url
from keystead.errors import EvidenceRejected, KeysteadError, Malformed, Reason, Rejected
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.workload_tokens import (
    GITHUB,
    INSTANCE,
    NONCE,
    NOW,
    issuer_keys,
    maa_evidence,
    maa_policy,
    maa_token,
    oidc_evidence,
    oidc_policy,
    platform_claims,
    sign,
)

MAX_CPU_S = 1.0
MAX_MEMORY_BYTES = 64 * 1024 * 1024
MIB = 1024 * 1024

KINDS = {
    EvidenceKind.OIDC: (sign(platform_claims()), GITHUB),
    EvidenceKind.MAA: (maa_token(), INSTANCE),
}


def appraise(kind: EvidenceKind, token: str) -> object:
    keys = {KINDS[kind][1]: issuer_keys()}
    if kind is EvidenceKind.OIDC:
        return oidc.appraise(
            oidc_evidence(token), policy=oidc_policy(), nonce=NONCE, now=NOW, keys=keys
        )
    return maa.appraise(maa_evidence(token), policy=maa_policy(), nonce=NONCE, now=NOW, keys=keys)


def refusal(kind: EvidenceKind, token: str) -> tuple[Reason, int | None]:
    with pytest.raises(KeysteadError) as refused:
        appraise(kind, token)
    return refused.value.reason, refused.value.step


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_that_was_signed_counts(kind: EvidenceKind) -> None:
    token = KINDS[kind][0]
    for region, segment in enumerate(token.split(".")):
        raw = base64url.decode(segment)
        for at in range(0, len(raw), 5):
            bent = bytearray(raw)
            bent[at] ^= 1
            segments = token.split(".")
            segments[region] = base64url.encode(bytes(bent))
            reason, step = refusal(kind, ".".join(segments))
            if region == 2:
                assert (reason, step) == (Reason.SIGNATURE_INVALID, 4)
            else:
                # Before the signature only what chooses issuer, algorithm and key is looked at.
                assert step in (None, 1, 2, 3, 4), (reason, step)


@pytest.mark.parametrize("kind", KINDS)
def test_segments_of_two_good_tokens_make_no_third(kind: EvidenceKind) -> None:
    one, two = KINDS[kind][0], maa_token() if kind is EvidenceKind.OIDC else sign(platform_claims())
    mixed = one.split(".")[:2] + two.split(".")[2:]
    assert refusal(kind, ".".join(mixed)) == (Reason.SIGNATURE_INVALID, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_takes_the_others_tokens(kind: EvidenceKind) -> None:
    other = next(each for each in KINDS if each is not kind)
    with pytest.raises((Malformed, EvidenceRejected)):
        appraise(kind, KINDS[other][0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("envelope", EvidenceKind)
def test_other_kinds_envelopes_take_no_tokens(kind: EvidenceKind, envelope: EvidenceKind) -> None:
    if envelope is kind:
        return
    data = encode_envelope(kind=envelope, evidence={"token": KINDS[kind][0]})
    policy = oidc_policy() if kind is EvidenceKind.OIDC else maa_policy()
    with pytest.raises((Malformed, Rejected)):
        appraise_saved(
            parse_envelope(data), policy=policy, now=NOW, keys={KINDS[kind][1]: issuer_keys()}
        )


def padded(payload: bytes) -> str:
    head = base64url.encode(b'{"alg":"RS256"}')
    return f"{head}.{base64url.encode(payload)}.{base64url.encode(b'a' * 256)}"


def hurtful(kind: EvidenceKind) -> list[dict[str, Any]]:
    """Members of about a megabyte each, made to cost as much as can be."""
    deep = b'{"a":' * 3_000 + b"1" + b"}" * 3_000
    members: list[dict[str, Any]] = [
        {"token": "." * MIB},
        {"token": "a" * MIB},
        {"token": ".".join(["A" * 5_000] * 200)},
        {"token": padded(deep)},
        {"token": padded(b"[" * 10_000)},
        {"token": padded(b'{"iss":"' + b"\\u0041" * 1_500 + b'"}')},
        {"token": padded(json.dumps({str(i): i for i in range(900)}).encode())},
        {"token": KINDS[kind][0], "more": "b" * MIB},
    ]
    if kind is EvidenceKind.MAA:
        keys = [{"kty": "RSA", "kid": str(i), "x5c": ["A" * 9_000]} for i in range(100)]
        members.append({"token": KINDS[kind][0], "jwks": {"keys": keys}})
    return members


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_that_is_made_to_hurt_costs_little(kind: EvidenceKind) -> None:
    policy = oidc_policy() if kind is EvidenceKind.OIDC else maa_policy()
    for members in hurtful(kind):
        data = encode_envelope(kind=kind, evidence=members)
        tracemalloc.start()
        began = time.thread_time()
        with pytest.raises((Malformed, Rejected)):
            appraise_saved(parse_envelope(data), policy=policy, now=NOW)
        spent, (_, peak) = time.thread_time() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert spent < MAX_CPU_S and peak < MAX_MEMORY_BYTES
