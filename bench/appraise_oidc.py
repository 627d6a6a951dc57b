"""Tokens of workloads a second on one core, beside what JOSE libraries need to verify them."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import joserfc.jwk
import joserfc.jwt
import jwt
from jwt.types import Options

from bench.figures import figures, ratio
from bench.interleaved import Runner, measured, runner
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

question = "How many workload tokens a second does one core appraise, beside PyJWT and joserfc?"

TOKENS = 128
LIFETIME_S = 300
ALGORITHMS = ("RS256", "ES256")
CASES = (*ALGORITHMS, "maa")
PEERS = ("pyjwt", "joserfc")

Tokens = list[tuple[str, str]]
"""Each with its audience, which is empty where it has none."""


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in tokens a second.

    ``appraise_*`` starts at the envelope's bytes and ends with the result: all nine steps, the
    platform's claims read and compared with the policy. The peers start at the token and check
    signature, issuer, audience and times, with a key that was parsed before; they know no platform.
    """
    chance, now = random.Random(seed), int(time.time())
    runners: dict[str, Runner] = {}
    for algorithm in ALGORITHMS:
        tokens = github_tokens(chance, algorithm, now)
        runners[f"appraise_{algorithm}"] = appraiser(tokens, algorithm, now)
        runners[f"pyjwt_{algorithm}"] = pyjwt(tokens, algorithm)
        runners[f"joserfc_{algorithm}"] = joserfc_(tokens, algorithm)
    tokens = [
        (maa_token(maa_claims(iat=now, nbf=now, exp=now + LIFETIME_S, jti=str(i))), "")
        for i in range(TOKENS)
    ]
    runners["appraise_maa"] = maa_appraiser([token for token, _ in tokens], now)
    runners["pyjwt_maa"] = pyjwt(tokens, "RS256", issuer=INSTANCE)
    runners["joserfc_maa"] = joserfc_(tokens, "RS256", issuer=INSTANCE)
    rates = measured(runners, rounds=rounds)
    return {
        "question": question,
        "per_second": figures(rates, unit="per_second"),
        "to_pyjwt": ratios(rates, "pyjwt"),
        "to_joserfc": ratios(rates, "joserfc"),
    }


def ratios(rates: Mapping[str, Sequence[float]], peer: str) -> dict[str, object]:
    """How much faster than the peer, each by each."""
    return {what: ratio(rates, f"appraise_{what}", f"{peer}_{what}") for what in CASES}


def github_tokens(chance: random.Random, algorithm: str, now: int) -> Tokens:
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


def appraiser(tokens: Tokens, algorithm: str, now: int) -> Runner:
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
    return runner(
        envelopes,
        lambda data: appraise_saved(parse_envelope(data), policy=policy, now=now, keys=keys),
    )


def pyjwt(tokens: Tokens, algorithm: str, *, issuer: str = GITHUB) -> Runner:
    """PyJWT, asked for the checks that it has."""
    key = jwt.PyJWK(public_jwk(algorithm, "platform", kid="k1").to_dict(), algorithm)
    required: Options = {"require": ["exp", "iat", "iss"]}

    def verify(item: tuple[str, str]) -> object:
        token, audience = item
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=audience or None,
            issuer=issuer,
            options=required,
        )

    return runner(tokens, verify)


def joserfc_(tokens: Tokens, algorithm: str, *, issuer: str = GITHUB) -> Runner:
    """joserfc, asked for the checks that it has."""
    jwk = public_jwk(algorithm, "platform", kid="k1").to_dict()
    key = joserfc.jwk.import_key(jwk)  # type: ignore[arg-type]

    def verify(item: tuple[str, str]) -> object:
        token, audience = item
        wanted: dict[str, Any] = {
            "iss": {"essential": True, "value": issuer},
            "iat": {"essential": True},
            "exp": {"essential": True},
        }
        if audience:
            wanted["aud"] = {"essential": True, "value": audience}
        decoded = joserfc.jwt.decode(token, key, algorithms=[algorithm])
        joserfc.jwt.JWTClaimsRegistry(**wanted).validate(decoded.claims)
        return decoded

    return runner(tokens, verify)
