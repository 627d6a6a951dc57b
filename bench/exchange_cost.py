"""Server CPU of one token request: the whole service over HTTP, the TPM's own time apart."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from bench.figures import figure
from bench.installation import GRANTING, PLAIN, Installation, running
from bench.load import CONNECTIONS
from bench.process import cpu_seconds
from bench.progress import each_round
from keystead.delegation.policy import DelegationPolicy
from keystead.jose.jwk import PublicJwk
from keystead.jose.jws import parse_compact, verify_compact

question = "What does one exchange cost the server, apart from the TPM?"

REQUESTS = 500
WARM_UP = 200
REFUSALS = 2_000
REPEATS = 500
# The kernel keeps 15 bytes of a name.
TPM_THREAD = "keystead-tpm2"
STORE_THREAD = "keystead-store"

Requests = Callable[[], list[bytes]]


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds of µs of CPU a request.

    ``apart_from_tpm_us`` is the service's process without the thread that talks to the TPM, which
    is ``tpm_thread_us``; the TPM itself (swtpm) is another process and in neither. Its parts are
    ``store_us``, the thread that commits, and ``rest_us``: HTTP, checks, policy, encoding.
    ``parts`` are the largest known portions of that rest, each alone: an empty form that the same
    service refuses, the two signatures that an exchange verifies, one decision of its policy.
    """
    chance = random.Random(seed)
    with running() as installation:
        refresh_token = installation.refresh_token(chance)
        cases: dict[str, Requests] = {
            "exchange": lambda: installation.exchanges(REQUESTS, audience=PLAIN, chance=chance),
            "exchange_with_grant": lambda: installation.exchanges(
                REQUESTS, audience=GRANTING, chance=chance
            ),
            "renewal": lambda: installation.renewals(REQUESTS, refresh_token=refresh_token),
        }
        for make in cases.values():
            installation.send(make()[:WARM_UP])
        seen: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
        parts: list[dict[str, float]] = []
        for _ in each_round(rounds):
            for name, make in cases.items():
                seen[name].append(measure(installation, make()))
            parts.append(measure_parts(installation, chance))
    return {
        "question": question,
        "connections": CONNECTIONS,
        "requests_a_round": REQUESTS,
        "cases": {name: figures_of(rounds_seen) for name, rounds_seen in seen.items()},
        "parts": figures_of(parts),
    }


def measure(installation: Installation, requests: list[bytes]) -> dict[str, float]:
    before = cpu_seconds(installation.pid)
    answers = installation.send(requests)
    after = cpu_seconds(installation.pid)
    each_us = {
        name: (seconds - before.get(name, 0.0)) / len(requests) * 1e6
        for name, seconds in after.items()
    }
    apart = sum(each_us.values()) - each_us[TPM_THREAD]
    return {
        "apart_from_tpm_us": apart,
        "store_us": each_us[STORE_THREAD],
        "rest_us": apart - each_us[STORE_THREAD],
        "tpm_thread_us": each_us[TPM_THREAD],
        "wall_per_second": len(requests) / answers.seconds,
    }


def measure_parts(installation: Installation, chance: random.Random) -> dict[str, float]:
    before = sum(cpu_seconds(installation.pid).values())
    installation.send_refused(REFUSALS)
    http_s = (sum(cpu_seconds(installation.pid).values()) - before) / REFUSALS
    signed = installation.user_token(chance)
    policy, asked = DelegationPolicy.parse(installation.delegation), installation.asked()
    return {
        "http_refusal_us": http_s * 1e6,
        "two_signatures_us": 2 * cpu_us(lambda: verify(signed, installation.provider.public)),
        "policy_decision_us": cpu_us(lambda: policy.decide(asked)),
    }


def verify(token: str, key: PublicJwk) -> bytes:
    return verify_compact(parse_compact(token), key=key)


def cpu_us(work: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(REPEATS):
        work()
    return (time.process_time() - began) / REPEATS * 1e6


def figures_of(rounds: list[dict[str, float]]) -> dict[str, object]:
    return {
        name: figure(
            [each[name] for each in rounds],
            unit="per_second" if name == "wall_per_second" else "us",
        )
        for name in rounds[0]
    }
