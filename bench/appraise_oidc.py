"""Tokens of workloads a second on one core, beside what PyJWT needs to verify the same ones."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping

import jwt
from jwt.types import Options

from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.verifier import appraise_saved
from keystead.binding.oidc import audience_for
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.evidence.maa import encode as encode_maa
from keystead.evidence.oidc import encode as encode_oidc
from keystead.model import EvidenceKind
from tests.jose_keys import public_jwk
from tests.workload_tokens import (
    GITHUB,
    INSTANCE,
    KEY,
    SERVICE,
    issuer_keys,
    maa_claims,
    maa_policy,
    maa_token,
    oidc_policy,
    platform_claims,
    sign,
)

question = "How many workload tokens a second does one core appraise, beside PyJWT's decode?"

TOKENS = 128
LIFETIME_S = 300
ALGORITHMS = ("RS256", "ES256")

Runner = Callable[[], float]


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in tokens a second.

    ``appraise_*`` starts at the envelope's bytes and ends with the result: all nine steps, the
    platform's claims read and compared with the policy. ``pyjwt_*`` starts at the token and checks
    signature, issuer, audience and times, with a key that it parsed before; it knows no platform.
    """
    chance, now = random.Random(seed), int(time.time())
    runners: dict[str, Runner] = {}
    for algorithm in ALGORITHMS:
        tokens = github_tokens(chance, algorithm, now)
        runners[f"appraise_{algorithm}"] = appraiser(tokens, algorithm, now)
        runners[f"pyjwt_{algorithm}"] = peer(tokens, algorithm)
    tokens = [
        (maa_token(maa_claims(iat=now, nbf=now, exp=now + LIFETIME_S, jti=str(i))), "")
        for i in range(TOKENS)
    ]
    runners["appraise_maa"] = maa_appraiser([token for token, _ in tokens], now)
    runners["pyjwt_maa"] = peer(tokens, "RS256", issuer=INSTANCE)
    rates: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, runner in runners.items():
            rates[name].append(runner())
    medians = {name: statistics.median(seen) for name, seen in rates.items()}
    return {
        "question": question,
        "per_second": {name: round(rate) for name, rate in medians.items()},
        "to_pyjwt": ratios(medians),
    }


def ratios(medians: Mapping[str, float]) -> dict[str, float]:
    """How much faster than the peer, each by each."""
    return {
        what: round(medians[f"appraise_{what}"] / medians[f"pyjwt_{what}"], 2)
        for what in (*ALGORITHMS, "maa")
    }


def github_tokens(chance: random.Random, algorithm: str, now: int) -> list[tuple[str, str]]:
    """Tokens and their audiences, each the answer to another challenge."""
    audiences = [
        audience_for(KEY, issuer=SERVICE, nonce=chance.randbytes(32)) for _ in range(TOKENS)
    ]
    return [
        (
            sign(
                platform_claims(aud=audience, iat=now, nbf=now, exp=now + LIFETIME_S),
                algorithm=algorithm,
            ),
            audience,
        )
        for audience in audiences
    ]


def appraiser(tokens: list[tuple[str, str]], algorithm: str, now: int) -> Runner:
    """Ours."""
    envelopes = [
        encode_envelope(kind=EvidenceKind.OIDC, evidence=encode_oidc(token=token))
        for token, _ in tokens
    ]
    return rate_of(envelopes, oidc_policy(), GITHUB, algorithm, now)


def maa_appraiser(tokens: list[str], now: int) -> Runner:
    """Ours, for tokens of Azure Attestation."""
    envelopes = [
        encode_envelope(kind=EvidenceKind.MAA, evidence=encode_maa(token=token)) for token in tokens
    ]
    return rate_of(envelopes, maa_policy(), INSTANCE, "RS256", now)


def rate_of(
    envelopes: list[bytes], policy: AppraisalPolicy, issuer: str, algorithm: str, now: int
) -> Runner:
    """Envelopes a second, one after the other."""
    keys = {issuer: issuer_keys(algorithm)}

    def measure() -> float:
        began = time.perf_counter()
        for envelope in envelopes:
            appraise_saved(parse_envelope(envelope), policy=policy, now=now, keys=keys)
        return len(envelopes) / (time.perf_counter() - began)

    return measure


def peer(tokens: list[tuple[str, str]], algorithm: str, *, issuer: str = GITHUB) -> Runner:
    """PyJWT, asked for the checks that it has."""
    key = jwt.PyJWK(public_jwk(algorithm, "platform", kid="k1").to_dict(), algorithm)
    required: Options = {"require": ["exp", "iat", "iss"]}

    def measure() -> float:
        began = time.perf_counter()
        for token, audience in tokens:
            jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=audience or None,
                issuer=issuer,
                options=required,
            )
        return len(tokens) / (time.perf_counter() - began)

    return measure
