"""What the figures are meant to reach, as data; ``judge`` says of each whether it was.

A target names a figure by its bench and the names that lead to it. Ratios are those of one run, on
one core.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bench.figures import Figure, find
from bench.results import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``demand`` is the least where more is better, and the most where less is."""

    group: str
    what: str
    bench: str
    path: tuple[str, ...]
    demand: float
    unit: str = "ratio"
    algorithm: str = ""
    """Whose path in the engine decides; empty where none does."""
    meant_for: str = ""
    """The path that the target was set for; empty where it is for all of them."""
    note: str = ""
    """Where the documentation explains a miss."""
    difference: bool = False
    """Whether it is one of two figures, whose noise may be more than itself."""
    by_clock: bool = False
    """Whether it is taken by the clock on the wall, so that a busy machine shows in it."""


class Outcome(StrEnum):
    """What became of a target."""

    MET = "met"
    MISSED = "missed"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One target, what was measured, and why it was missed, as far as the data tell."""

    target: Target
    figure: Figure | None
    outcome: Outcome
    why: str


# The path that an algorithm takes where the CPU has AVX-512 IFMA: what its targets were set for.
_FASTEST = {"ES256": "ifma", "EdDSA": "ifma", "RS256": "crypto_mb", "ES384": "crypto_mb"}
# Where docs/benchmarks.md says why a target is missed.
_APPRAISALS = "docs/benchmarks.md, “Appraisals”"
_TOKENS = "docs/benchmarks.md, “Tokens and signatures without AVX-512”"


def _kernel(case: str, what: str, algorithm: str, demand: float) -> Target:
    return Target(
        group="Signatures alone, to OpenSSL’s",
        what=what,
        bench="verify_batch",
        path=("cases", case, "keystead_to", "openssl"),
        demand=demand,
        algorithm=algorithm,
        meant_for=_FASTEST[algorithm],
    )


def _tokens(algorithm: str, peer: str, demand: float) -> Target:
    return Target(
        group="Access tokens of one issuer, from Python, all claims checked",
        what=f"{algorithm}, to {PEER_NAMES[peer]}",
        bench="verify_tokens",
        path=("cases", algorithm, "keystead_to", peer),
        demand=demand,
        algorithm=algorithm,
        meant_for=_FASTEST[algorithm],
    )


def _requests(peer: str, demand: float) -> Target:
    return Target(
        group="DPoP proofs with their tokens, from Python, all checks",
        what=f"ES256, to {PEER_NAMES[peer]}",
        bench="verify_requests",
        path=("keystead_to", peer),
        demand=demand,
        algorithm="ES256",
        meant_for=_FASTEST["ES256"],
    )


def _appraisal(bench: str, case: str, what: str, demand: float) -> Target:
    return Target(
        group="Appraisals",
        what=f"{what}, a second",
        bench=bench,
        path=("per_second", case),
        unit="per_second",
        demand=demand,
        note=_APPRAISALS,
    )


def _beside(bench: str, path: tuple[str, ...], what: str) -> Target:
    return Target(
        group="Appraisals",
        what=what,
        bench=bench,
        path=path,
        demand=1.0,
        note=_APPRAISALS,
    )


PEER_NAMES: Mapping[str, str] = {
    "authlib": "Authlib",
    "best_python_peer": "the best Python peer",
    "cryptography": "cryptography",
    "fast_jwt": "fast-jwt",
    "joserfc": "joserfc",
    "jwcrypto": "jwcrypto",
    "node_jose": "node jose",
    "openssl": "OpenSSL",
    "pyjwt": "PyJWT",
    "python_jose": "python-jose",
}

TARGETS: tuple[Target, ...] = (
    _kernel("es256_distinct_keys", "ES256, every item with a key of its own", "ES256", 8),
    _kernel("es256_one_key", "ES256, one key", "ES256", 30),
    _kernel("eddsa_distinct_keys", "EdDSA, every item with a key of its own", "EdDSA", 8),
    _kernel("eddsa_one_key", "EdDSA, one key", "EdDSA", 30),
    _kernel("rs256_one_key", "RS256, one key", "RS256", 3.5),
    _kernel("es384_distinct_keys", "ES384, every item with a key of its own", "ES384", 8),
    *(
        Target(
            group="Signatures alone, to OpenSSL’s",
            what=f"ES256, {what}, OpenSSL reading keys too",
            bench="verify_batch",
            path=("cases", case, "keystead_to", "openssl_from_octets"),
            demand=1,
            algorithm="ES256",
            note=_TOKENS,
        )
        for case, what in (
            ("es256_new_keys", "keys never seen before"),
            ("es256_forgeries", "nothing but forgeries"),
        )
    ),
    _tokens("ES256", "openssl", 12),
    _tokens("ES256", "python_jose", 17),
    _tokens("RS256", "openssl", 2.5),
    Target(
        group="Access tokens of one issuer, from Python, all claims checked",
        what="one ES256 token alone, to PyJWT",
        bench="verify_tokens",
        path=("one_alone", "keystead_to", "pyjwt"),
        demand=1,
    ),
    *(
        Target(
            group="Access tokens of one issuer, from Python, all claims checked",
            what=f"{algorithm} without IFMA, to the best Python peer",
            bench="verify_tokens",
            path=("cases", algorithm, "portable_to_best_python_peer"),
            demand=1,
        )
        for algorithm in ("ES256", "EdDSA", "RS256")
    ),
    _requests("openssl", 6),
    _requests("joserfc", 14),
    Target(
        group="Batches and threads",
        what="two threads, to one; ES256, every item with a key of its own",
        bench="batch_size",
        path=("threads", "es256_distinct_keys", "gain", "2"),
        demand=1.6,
        by_clock=True,
    ),
    *(
        Target(
            group="Batches and threads",
            what=f"batches of 32, to batches of 512; ES256, {what}",
            bench="batch_size",
            path=("batches", case, "to_512", "32"),
            demand=0.8,
        )
        for case, what in (
            ("es256_one_key", "one key"),
            ("es256_distinct_keys", "every item with a key of its own"),
        )
    ),
    Target(
        group="Batches and threads",
        what="a token over VerifyBatch, more than in the process; batches of 1,024",
        bench="batch_rpc",
        path=("more_a_token_us",),
        difference=True,
        unit="us",
        demand=1.3,
        note=_TOKENS,
    ),
    Target(
        group="The service",
        what="signatures through the service's queue, to the bare swtpm",
        bench="sign_rate",
        path=("to_raw_socket", "device"),
        demand=0.8,
        by_clock=True,
    ),
    Target(
        group="The service",
        what="the same with the JWS written",
        bench="sign_rate",
        path=("to_raw_socket", "keyring"),
        demand=0.8,
        by_clock=True,
    ),
    Target(
        group="The service",
        what="server CPU of one exchange, apart from the TPM",
        bench="exchange_cost",
        path=("cases", "exchange", "apart_from_tpm_us"),
        demand=600,
        unit="us",
        note="docs/benchmarks.md, “What an exchange costs”",
    ),
    Target(
        group="The service",
        what="memory of an idle service, resident",
        bench="idle_memory",
        path=("cases", "started", "rss_mb"),
        demand=150,
        unit="mb",
    ),
    Target(
        group="The service",
        what="the same after 1,000 exchanges",
        bench="idle_memory",
        path=("cases", "after_exchanges", "rss_mb"),
        demand=150,
        unit="mb",
    ),
    _appraisal("appraise_tpm2", "known_ak_ES256", "TPM quotes of a known AK, ES256", 5_000),
    _appraisal("appraise_tpm2", "known_ak_RS256", "TPM quotes of a known AK, RS256", 5_000),
    _appraisal("appraise_nitro", "remembered_chain", "Nitro documents, chain remembered", 400),
    _appraisal("appraise_snp", "remembered_chain", "SEV-SNP reports, chain remembered", 400),
    _appraisal("appraise_snp", "azure_machine", "Azure machines, chain remembered", 400),
    _beside("appraise_tdx", ("to_peer",), "TD quotes, all remembered, to dcap-qvl"),
    _beside("appraise_tdx", ("new_host_to_peer",), "TD quotes of a new host, to dcap-qvl"),
    _beside("appraise_tdx", ("new_chain_to_peer",), "TD quotes from scratch, to dcap-qvl"),
    *(
        _beside("appraise_oidc", (f"to_{peer}", case), f"workloads' tokens, {case}, to {name}")
        for peer, name in (("pyjwt", "PyJWT"), ("joserfc", "joserfc"))
        for case in ("RS256", "ES256", "maa")
    ),
)


def judge(document: Document) -> list[Judged]:
    """Every target, in the order of the table."""
    return [_judged(target, document) for target in TARGETS]


def _judged(target: Target, document: Document) -> Judged:
    result = document.results.get(target.bench)
    found = find(result, *target.path)
    if found is None:
        outcome, why = Outcome.NOT_MEASURED, _why_not_measured(target, result)
    elif target.difference and found.low <= target.demand < (found.high - found.low) / 2:
        outcome, why = Outcome.NOT_MEASURED, "its rounds lie further apart than the demand"
    elif meets(found, target.demand):
        outcome, why = Outcome.MET, ""
    else:
        outcome, why = Outcome.MISSED, _why_missed(target, document)
    return Judged(target=target, figure=found, outcome=outcome, why=why)


def reached(figure: Figure, demand: float) -> float:
    """How much of the demand is there: 1 is all of it, and more is more."""
    if figure.more_is_better:
        return figure.median / demand
    return demand / figure.median if figure.median > 0 else math.inf


def meets(figure: Figure, demand: float) -> bool:
    """Whether the median is on the right side."""
    return reached(figure, demand) >= 1


def _why_not_measured(target: Target, result: Mapping[str, Any] | None) -> str:
    if result is None:
        return f"{target.bench} did not run"
    missing = result.get("missing") or {}
    named = [f"{name}: {why}" for name, why in missing.items() if name.split()[0] in target.path]
    return "; ".join(named) or f"{target.bench} has no such figure here"


def _why_missed(target: Target, document: Document) -> str:
    path = document.paths.get(target.algorithm, {})
    busy = _busy(document, target.bench) if target.by_clock else ""
    if target.meant_for and path and path["path"] != target.meant_for:
        return (
            f"set for the path “{target.meant_for}”; {target.algorithm} takes “{path['path']}” "
            f"here: {path['reason']}"
        )
    if busy:
        return busy
    return f"see {target.note}" if target.note else "the data give no reason"


def _busy(document: Document, bench: str) -> str:
    load, cores = document.results[bench]["run"]["load_average"], document.machine["cores"]
    if load < cores / 2:
        return ""
    return f"taken by the clock while others used the machine: load average {load} on {cores} cores"
