"""Small documents of results, as a run of the benchmarks leaves them."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.figures import figure, ratio
from bench.results import Document

STEADY = (0.99, 1.0, 1.0, 1.0, 1.01)
"""How the rounds of a quiet machine lie around their median."""
WILD = (0.6, 0.8, 1.0, 1.2, 1.4)


def rounds(median: float, around: Sequence[float] = STEADY) -> list[float]:
    return [median * each for each in around]


def tokens(
    ours: float = 10_000, peer: float = 5_000, around: Sequence[float] = STEADY
) -> dict[str, Any]:
    """What ``verify_tokens`` says, with one peer."""
    seen = {"keystead": rounds(ours, around), "openssl": rounds(peer)}
    case = {
        "per_second": {name: figure(each, unit="per_second") for name, each in seen.items()},
        "keystead_to": {"openssl": ratio(seen, "keystead", "openssl")},
    }
    return {"question": "How many tokens?", "cases": {"ES256": case}, "run": run()}


def memory(mb: float) -> dict[str, Any]:
    """What ``idle_memory`` says, which has no peer."""
    cases = {"started": {"rss_mb": figure([mb], unit="mb")}}
    return {"question": "How much memory?", "cases": cases, "run": run()}


def endpoint() -> dict[str, Any]:
    """What ``token_endpoint`` says of a case."""
    seen = {"keystead": rounds(300), "oidc_provider": rounds(400)}
    return {
        "per_second": {name: figure(each, unit="per_second") for name, each in seen.items()},
        "keystead_to": {"oidc_provider": ratio(seen, "keystead", "oidc_provider")},
    }


def run(**changes: Any) -> dict[str, Any]:
    return {
        "at": "2026-01-02 03:04",
        "commit": "abc1234",
        "load_average": 0.1,
        "rounds": 5,
        "seed": 1,
        "seconds": 7,
        **changes,
    }


def document(
    results: Mapping[str, Any] | None = None, *, cpu: str = "A CPU", path: str = "portable"
) -> Document:
    reason = "this CPU has no AVX-512 IFMA"
    return Document(
        machine={"cpu": cpu, "cores": 2, "cpu_features": ["avx2"]},
        versions={"commit": "abc1234", "keystead": "0.1"},
        paths={"ES256": {"path": path, "reason": reason, "forced": False}},
        results={"verify_tokens": tokens()} if results is None else results,
    )


def every_section() -> Document:
    """One of everything that the page draws."""
    rate = {"keystead": figure(rounds(9), unit="per_second")}
    curve = {"es256_one_key": {"per_second": {"1": rate["keystead"], "32": rate["keystead"]}}}
    wall = {"es256_one_key": {"wall_per_second": curve["es256_one_key"]["per_second"]}}
    part = figure(rounds(2), unit="us")
    stages = {"stages_us": {"claims": part, "signature": part}, "whole_us": part}
    named: dict[str, dict[str, Any]] = {
        "verify_tokens": tokens(),
        "verify_requests": {"per_second": rate},
        "verify_batch": {"cases": {"es256_one_key": {"per_second": rate}}},
        "batch_size": {"batches": curve, "threads": wall},
        "token_stages": {"cases": {"es256_one_key": stages}},
        "sign_rate": {"wall_per_second": {"raw_socket": part, "device": part}},
        "token_endpoint": {"cases": {"exchange": endpoint()}, "compared": {"exchange": "Who?"}},
        "appraise_nitro": {
            "per_second": {
                **rate,
                "epsilon-attestation-verifier": rate["keystead"],
                "w" * 40: part,
            },
            "missing": {"a peer": "not installed"},
        },
        "idle_memory": memory(90),
    }
    return document(
        {name: {"question": "?", "run": run(), **result} for name, result in named.items()}
    )
