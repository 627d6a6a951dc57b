"""Requests a second, each an access token and the DPoP proof that came with it, all checks made."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from bench.figures import figures, ratio, ratios
from bench.floor import opened
from bench.interleaved import Runner, measured, runner
from bench.peer import NODE, Item, Peers
from bench.tokens import METHOD, URL, Issuer, Requests, agents, bent_requests, requests
from bench.workload import PrivateKey
from keystead.relying import RequestToVerify, Verifier

question = "How many requests a second does one core verify, token and proof together?"

REQUESTS = 512
PYTHON_PEERS = ("pyjwt", "joserfc")
NODE_PEERS = ("node_jose",)

Keys = Callable[[], Sequence[PrivateKey]]
Way = Callable[[Verifier, Sequence[RequestToVerify], int], bool]


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in requests a second of CPU time.

    A request is one issuer's token, bound to an agent's key, and this agent's proof; both by ES256,
    every agent another. ``keystead``: ``Verifier.verify_request_batch``, all checks and those of
    RFC 9449 §4.3, replay included, where half of the agents were seen before; ``keystead_all_seen``
    and ``keystead_none_seen``: all of them, and none; ``keystead_one_alone``: half of them, by a
    ``Verifier.verify_request`` for each. ``openssl``: the two signatures and nothing
    else. Peers check the token as in ``verify_tokens``, and the proof by hand with what they have;
    none of them remembers proofs.
    """
    chance = random.Random(seed)
    issuer = Issuer.make("ES256", chance)
    known = agents(REQUESTS, chance)
    made = requests(issuer, known, chance)
    half = REQUESTS // 2
    supplies: dict[str, Keys] = {
        "keystead": lambda: [*known[:half], *agents(half, chance)],
        "keystead_all_seen": lambda: known,
        "keystead_none_seen": lambda: agents(REQUESTS, chance),
    }
    with ExitStack() as stack:
        floor = stack.enter_context(opened())
        runners = {
            name: request_runner(issuer, keys, chance, verify_together)
            for name, keys in supplies.items()
        }
        runners["keystead_one_alone"] = request_runner(
            issuer, supplies["keystead"], chance, verify_alone
        )
        refuses(issuer, bent_requests(made))
        runners["openssl"] = floor.runner(made.tokens, made.proofs)
        items = [item(issuer, each) for each in made.items]
        bent = bent_items(issuer, made)
        missing: dict[str, str] = {}
        for peers, names in (
            (stack.enter_context(Peers()), PYTHON_PEERS),
            (stack.enter_context(Peers(NODE)), NODE_PEERS),
        ):
            for name in names:
                runners |= peers.runners(name, verifier=f"{name}_request", items=items, bent=bent)
            missing |= peers.missing
        rates = measured(runners, rounds=rounds)
    return {
        "question": question,
        "batch": REQUESTS,
        "per_second": figures(rates, unit="per_second"),
        "keystead_to": ratios(rates, "keystead"),
        "all_seen_to": ratios(rates, "keystead_all_seen"),
        "one_alone_to": ratios(rates, "keystead_one_alone"),
        "none_seen_to_openssl": ratio(rates, "keystead_none_seen", "openssl"),
        "missing": missing,
    }


def verify_together(verifier: Verifier, batch: Sequence[RequestToVerify], now: int) -> bool:
    """All in one call."""
    return all(verifier.verify_request_batch(batch, now=now).ok)


def verify_alone(verifier: Verifier, batch: Sequence[RequestToVerify], now: int) -> bool:
    """A call each, which raises if it must."""
    for sent in batch:
        verifier.verify_request(sent.token, sent.proof, sent.method, sent.url, now=now)
    return True


def request_runner(issuer: Issuer, keys: Keys, chance: random.Random, verified: Way) -> Runner:
    """Requests that are new each time, since a proof is good once."""

    def measure() -> float:
        verifier, items = issuer.verifier(), requests(issuer, keys(), chance).items

        def verify(batch: Sequence[RequestToVerify]) -> None:
            if not verified(verifier, batch, issuer.now):
                raise RuntimeError("a good request was refused: the figures would mean nothing")

        return runner([items], verify)() * len(items)

    measure()  # the first time also loads, and meets those who are known
    return measure


def refuses(issuer: Issuer, bent: Sequence[RequestToVerify]) -> None:
    """RuntimeError where ours accepts what nobody may."""
    if any(issuer.verifier().verify_request_batch(bent, now=issuer.now).ok):
        raise RuntimeError("a bent request was accepted: the figures would mean nothing")


def item(issuer: Issuer, request: RequestToVerify) -> Item:
    """What a peer is given."""
    return issuer.item(
        request.token, proof=str(request.proof), method=request.method, url=request.url
    )


def bent_items(issuer: Issuer, made: Requests) -> list[Item]:
    """The bent ones of ours, and good proofs with bent tokens."""
    proof = str(made.items[0].proof)
    bent_tokens = issuer.bent(made.items[0].token, random.Random(0))
    more = {"proof": proof.encode(), "method": METHOD.encode(), "url": URL.encode()}
    return [
        *(item(issuer, each) for each in bent_requests(made)),
        *({**each, **more} for each in bent_tokens),
    ]
