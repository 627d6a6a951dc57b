"""Access tokens a second, all claims checked: one issuer's, beside everybody else."""

from __future__ import annotations

import random
from contextlib import ExitStack

from bench.figures import figures, ratio, ratios
from bench.floor import Floor, opened
from bench.interleaved import Runner, measured, runner
from bench.peer import NODE, Item, Peers, own
from bench.tokens import Issuer
from bench.workload import Workload

question = "How many access tokens of one issuer does one core verify, all claims checked?"

ALGORITHMS = ("ES256", "EdDSA", "RS256")
PYTHON_PEERS = ("pyjwt", "joserfc", "authlib", "python_jose", "jwcrypto")
NODE_PEERS = ("node_jose", "fast_jwt")
TOKENS = 512
ALONE = 128
REPEATS = 4


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in tokens a second of CPU time.

    ``keystead``: ``Verifier.verify_batch``, which checks signature, type, issuer, audience, times,
    lifetime, actors, confirmation and residency. ``keystead_portable``: the same in a process of
    its own where KEYSTEAD_ENGINE forces the path without AVX-512. Peers check signature, ``exp``,
    ``iat``, ``iss`` and ``aud``, with the key parsed before, one token after the other.
    ``openssl``: the signatures and nothing else. ``one_alone``: one token a call.
    """
    chance = random.Random(seed)
    missing: dict[str, str] = {}
    cases: dict[str, object] = {}
    with ExitStack() as stack:
        floor = stack.enter_context(opened())
        everybody = {
            "python": stack.enter_context(Peers()),
            "node": stack.enter_context(Peers(NODE)),
            "own": stack.enter_context(Peers(own("portable"))),
        }
        for algorithm in ALGORITHMS:
            issuer = Issuer.make(algorithm, chance)
            made = issuer.tokens(["A" * 43] * TOKENS, chance)
            cases[algorithm] = measure(issuer, made, floor, everybody, chance, rounds, missing)
        alone = measure_alone(everybody["python"], chance, rounds)
    return {
        "question": question,
        "batch": TOKENS,
        "cases": cases,
        "one_alone": alone,
        "missing": missing,
    }


def measure(
    issuer: Issuer,
    made: Workload,
    floor: Floor,
    everybody: dict[str, Peers],
    chance: random.Random,
    rounds: int,
    missing: dict[str, str],
) -> dict[str, object]:
    """One algorithm, everybody in turns."""
    items = [issuer.item(token) for token in made.tokens]
    bent = issuer.bent(made.tokens[0], chance)
    asked = [
        *(("python", name, name) for name in PYTHON_PEERS),
        *(("node", name, name) for name in NODE_PEERS),
        ("own", "keystead_portable", "verify_batch"),
    ]
    runners: dict[str, Runner] = {
        "keystead": batch_runner(issuer, made, bent),
        "openssl": floor.runner(made),
    }
    for where, name, verifier in asked:
        peers = everybody[where]
        runners |= peers.runners(name, verifier=verifier, items=items, bent=bent)
        if name in peers.missing:
            missing[f"{name} {issuer.algorithm}"] = peers.missing.pop(name)
    rates = measured(runners, rounds=rounds)
    best = max(
        (name for name in rates if name in PYTHON_PEERS), default="", key=lambda n: sum(rates[n])
    )
    return {
        "per_second": figures(rates, unit="per_second"),
        "keystead_to": {
            **ratios(rates, "keystead"),
            "best_python_peer": ratio(rates, "keystead", best),
        },
        "best_python_peer": best,
        "portable_to_best_python_peer": ratio(rates, "keystead_portable", best)
        if "keystead_portable" in rates
        else None,
    }


def batch_runner(issuer: Issuer, made: Workload, bent: list[Item]) -> Runner:
    """All tokens in one call."""
    verifier, tokens = issuer.verifier(), made.tokens
    wrong = [item["token"].decode() for item in bent]
    if not all(verifier.verify_batch(tokens, now=issuer.now).ok):
        raise RuntimeError("a good token was refused: the figures would mean nothing")
    if any(verifier.verify_batch(wrong, now=issuer.now).ok):
        raise RuntimeError("a bent token was accepted: the figures would mean nothing")
    measure = runner([tokens] * REPEATS, lambda each: verifier.verify_batch(each, now=issuer.now))
    return lambda: measure() * len(tokens)


def measure_alone(peers: Peers, chance: random.Random, rounds: int) -> dict[str, object]:
    """One ES256 token a call, ours and PyJWT's."""
    issuer = Issuer.make("ES256", chance)
    tokens = issuer.tokens(["A" * 43] * ALONE, chance).tokens
    verifier = issuer.verifier()

    def verify(token: str) -> object:
        return verifier.verify_batch((token,), now=issuer.now)[0]

    runners = {"keystead": runner(tokens, verify)}
    items = [issuer.item(token) for token in tokens]
    runners |= peers.runners(
        "pyjwt", verifier="pyjwt", items=items, bent=issuer.bent(tokens[0], chance)
    )
    rates = measured(runners, rounds=rounds, warm=True)
    return {
        "per_second": figures(rates, unit="per_second"),
        "keystead_to": ratios(rates, "keystead"),
    }
