"""Tokens asked for over HTTP: of this service, and in turns of npm's oidc-provider."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from bench import oidc_provider
from bench.exchange_cost import TPM_THREAD
from bench.figures import figures, ratios
from bench.installation import PLAIN, Installation, running
from bench.load import CONNECTIONS
from bench.oidc_provider import OidcProvider, PeerMissing
from bench.process import child_called, run_seconds, run_seconds_by_thread
from bench.progress import each_round

question = "What does a token cost its server, beside oidc-provider?"

REQUESTS = 500
# V8 takes some thousand requests to compile what they run through.
PEER_WARM_UP = 1_500
# The first round is everybody's warm-up, too.
DROPPED = 1

OURS = "keystead"
APART_FROM_TPM = "keystead_apart_from_tpm"
AND_SWTPM = "keystead_and_swtpm"
PEER = "oidc_provider"
PEER_BY_SECRET = "oidc_provider_by_secret"

COMPARED: Mapping[str, str] = {
    "exchange": "Ours: a token exchange; the user's token and the agent's proof are verified. "
    "oidc-provider: client credentials by private_key_jwt; the assertion and the proof are "
    "verified. Either verifies two ES256 signatures and makes one.",
    "renewal": "Either: the refresh token grant without rotation; the proof is all that a client "
    "has. “By secret”: client credentials with a shared secret, the least that oidc-provider can "
    "be asked for. Each verifies one ES256 signature and makes one.",
    "both": "Every request has a DPoP proof with the server's nonce, its replay refused, and the "
    "access token is an ES256 JWT of five minutes, bound to the proof's key.",
    "keystead_alone": "Keystead alone knows the key as an attested one, says in the token where it "
    "is and who acts, asks a policy, and has the proof's use and an audit event on disk before the "
    "answer leaves; its signature comes from a TPM, emulated by swtpm in another process.",
    "oidc_provider_alone": "oidc-provider signs with a key in its own memory, and remembers proofs "
    "and grants in a Map there: nothing is durable.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one request, as one round has it."""

    cpu_us: float
    wall_per_second: float


Ask = Callable[[], dict[str, Cost]]
"""Sends a round's requests of one kind; answers what they cost, by whose figure it is."""


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, after one that does not count.

    ``cpu_us``: CPU time of the server a request, all threads. ``per_second``: the same as requests
    a second of it. ``wall_per_second``: by the clock, eight connections, the sender on the same
    machine. ``keystead`` is the service's process, ``keystead_apart_from_tpm`` without the thread
    that talks to the TPM, ``keystead_and_swtpm`` with the process that stands for the chip. Every
    answer is 200.
    """
    chance, missing = random.Random(seed), dict[str, str]()
    peer = "not measured"
    with ExitStack() as stack:
        asks = our_asks(stack.enter_context(running()), chance)
        try:
            provider = stack.enter_context(oidc_provider.running(chance))
        except PeerMissing as error:
            missing[PEER] = str(error)
        else:
            peer = provider.version
            for case, ask in peer_asks(provider):
                asks[case].append(ask)
        seen = measured(asks, rounds)
    return {
        "question": question,
        "connections": CONNECTIONS,
        "requests_a_round": REQUESTS,
        "peer": peer,
        "compared": COMPARED,
        "cases": {case: figures_of(costs) for case, costs in seen.items()},
        "missing": missing,
    }


def our_asks(installation: Installation, chance: random.Random) -> dict[str, list[Ask]]:
    """Of each case, ours."""
    swtpm = child_called("swtpm", of=installation.pid)
    refresh_token = installation.refresh_token(chance)

    def exchange() -> dict[str, Cost]:
        requests = installation.exchanges(REQUESTS, audience=PLAIN, chance=chance)
        return measure_ours(installation, swtpm, requests)

    def renewal() -> dict[str, Cost]:
        requests = installation.renewals(REQUESTS, refresh_token=refresh_token)
        return measure_ours(installation, swtpm, requests)

    return {"exchange": [exchange], "renewal": [renewal]}


def measure_ours(
    installation: Installation, swtpm: int | None, requests: list[bytes]
) -> dict[str, Cost]:
    before, chip = run_seconds_by_thread(installation.pid), _chip_seconds(swtpm)
    answers = installation.send(requests)
    after = run_seconds_by_thread(installation.pid)
    chip_s = _chip_seconds(swtpm) - chip
    whole_s = sum(after.values()) - sum(before.values())
    seconds = {
        OURS: whole_s,
        APART_FROM_TPM: whole_s - (after[TPM_THREAD] - before[TPM_THREAD]),
        **({AND_SWTPM: whole_s + chip_s} if swtpm is not None else {}),
    }
    return {name: _cost(each, len(requests), answers.seconds) for name, each in seconds.items()}


def _chip_seconds(swtpm: int | None) -> float:
    return run_seconds(swtpm) if swtpm is not None else 0.0


def peer_asks(provider: OidcProvider) -> list[tuple[str, Ask]]:
    """The peer's, warmed up, each with its case."""

    def ask(name: str, make: Callable[[int], list[bytes]]) -> Ask:
        provider.send(make(PEER_WARM_UP))
        return lambda: {name: measure_peer(provider, make(REQUESTS))}

    return [
        ("exchange", ask(PEER, provider.by_assertion)),
        ("renewal", ask(PEER, provider.renewals)),
        ("renewal", ask(PEER_BY_SECRET, provider.by_secret)),
    ]


def measure_peer(provider: OidcProvider, requests: list[bytes]) -> Cost:
    before = run_seconds(provider.pid)
    answers = provider.send(requests)
    return _cost(run_seconds(provider.pid) - before, len(requests), answers.seconds)


def _cost(cpu_s: float, count: int, wall_s: float) -> Cost:
    return Cost(cpu_us=cpu_s / count * 1e6, wall_per_second=count / wall_s)


def measured(asks: Mapping[str, list[Ask]], rounds: int) -> dict[str, dict[str, list[Cost]]]:
    """What everybody answered, by case and by whose figure it is; all take turns."""
    seen: dict[str, dict[str, list[Cost]]] = {case: {} for case in asks}
    for number in each_round(DROPPED + rounds):
        for case, everybody in asks.items():
            costs = {name: cost for ask in everybody for name, cost in ask().items()}
            if number < DROPPED:
                continue
            for name, cost in costs.items():
                seen[case].setdefault(name, []).append(cost)
    return seen


def figures_of(costs: Mapping[str, list[Cost]]) -> dict[str, object]:
    """Of one case; what is ours as a multiple of the peer's is by CPU time, and by the clock."""
    cpu = {name: [each.cpu_us for each in seen] for name, seen in costs.items()}
    rates = {name: [1e6 / each for each in seen] for name, seen in cpu.items()}
    wall = {
        name: [each.wall_per_second for each in seen]
        for name, seen in costs.items()
        if name not in (APART_FROM_TPM, AND_SWTPM)
    }
    return {
        "cpu_us": figures(cpu, unit="us"),
        "per_second": figures(rates, unit="per_second"),
        **{
            f"{name}_to": ratios(rates, name)
            for name in (OURS, APART_FROM_TPM, AND_SWTPM)
            if name in rates
        },
        "wall_per_second": figures(wall, unit="per_second"),
        "wall_keystead_to": ratios(wall, OURS),
    }
