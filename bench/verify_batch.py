"""Signatures a second: the native batch, OpenSSL alone, and the usual JOSE libraries."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import joserfc.jwk
import joserfc.jws
import jwt

from bench.figures import figures, ratios
from bench.floor import Floor, opened
from bench.interleaved import Runner, measured
from bench.workload import Workload, workload
from keystead.jose import algorithms, jwk
from keystead.jose.batch import verify_signatures

question = "How close to OpenSSL's own speed does Python verify a batch of signatures?"

BATCH = 512
# Name of the case: algorithm, and whether every item has a key of its own.
CASES = {
    "es256_one_key": ("ES256", False),
    "es256_distinct_keys": ("ES256", True),
    "es384_distinct_keys": ("ES384", True),
    "eddsa_one_key": ("EdDSA", False),
    "eddsa_distinct_keys": ("EdDSA", True),
    "rs256_one_key": ("RS256", False),
}
K = TypeVar("K")


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in verifications a second, and their ratios.

    All of one thread's CPU time; ``batch_size`` has other sizes of batches, and more threads.
    """
    warnings.filterwarnings("ignore", message="EdDSA is deprecated", module="joserfc")
    chance = random.Random(seed)
    with opened() as floor:
        cases = {
            name: measure(made(algorithm, chance, distinct=distinct), floor, rounds)
            for name, (algorithm, distinct) in CASES.items()
        }
        cases["es256_new_keys"] = measure_new_keys(chance, floor, rounds)
        cases["es256_forgeries"] = measure_forgeries(chance, floor, rounds)
    return {"question": question, "batch": BATCH, "cases": cases}


def made(algorithm: str, chance: random.Random, *, distinct: bool) -> Workload:
    return workload(algorithm, chance, count=BATCH, distinct=distinct)


def measure(item: Workload, floor: Floor, rounds: int) -> dict[str, object]:
    def supply() -> Workload:
        return item

    runners: dict[str, Runner] = {
        "openssl": floor.runner(item),
        "keystead": keystead_runner(supply),
        "keystead_batches_of_32": keystead_runner(supply, batch=32),
        "keystead_batches_of_1": keystead_runner(supply, batch=1),
        "cryptography": cryptography_runner(item),
        "pyjwt": pyjwt_runner(item),
        "joserfc": joserfc_runner(item),
    }
    return compare(runners, rounds)


def measure_new_keys(chance: random.Random, floor: Floor, rounds: int) -> dict[str, object]:
    """Keys that the engine meets for the first time, so that no table is there."""

    def new() -> Workload:
        return made("ES256", chance, distinct=True)

    return compare(
        {
            "openssl": floor.runner(new()),
            "openssl_from_octets": lambda: floor.runner(new(), from_octets=True)(),
            "keystead": keystead_runner(new),
            "keystead_batches_of_32": keystead_runner(new, batch=32),
            "keystead_batches_of_1": keystead_runner(new, batch=1),
        },
        rounds,
    )


def measure_forgeries(chance: random.Random, floor: Floor, rounds: int) -> dict[str, object]:
    """Nothing but signatures of other messages, each under a new key: OpenSSL refuses them all.

    OpenSSL alone is timed with good ones, which take it as long.
    """

    def good() -> Workload:
        return made("ES256", chance, distinct=True)

    def forged() -> Workload:
        item = good()
        return replace(item, messages=(*item.messages[1:], item.messages[0]))

    return compare(
        {
            "openssl": floor.runner(good()),
            "openssl_from_octets": lambda: floor.runner(good(), from_octets=True)(),
            "keystead": keystead_runner(forged, valid=False),
            "keystead_batches_of_32": keystead_runner(forged, batch=32, valid=False),
        },
        rounds,
    )


def compare(runners: dict[str, Runner], rounds: int) -> dict[str, object]:
    rates = measured(runners, rounds=rounds, warm=True)
    return {
        "per_second": figures(rates, unit="per_second"),
        "keystead_to": ratios(rates, "keystead"),
    }


# --- who verifies it ---------------------------------------------------------------------------


def keystead_runner(
    supply: Callable[[], Workload], *, batch: int = BATCH, valid: bool = True
) -> Runner:
    """From JWKs as they arrive, so that reading them counts. Each round has a workload supplied."""

    def rate() -> float:
        item = supply()
        keys = [key.to_dict() for key in item.keys]
        start = time.thread_time()
        for first in range(0, BATCH, batch):
            part = slice(first, first + batch)
            verdicts = verify_signatures(
                item.algorithm,
                keys[part] if len(keys) > 1 else keys[0],
                item.messages[part],
                item.signatures[part],
            )
            require(all(verdicts) if valid else not any(verdicts))
        return BATCH / (time.thread_time() - start)

    rate()  # the first time also loads and caches
    return rate


def cryptography_runner(item: Workload) -> Runner:
    """With the keys ready: what a careful program reaches one signature at a time."""
    items = list(zip(item.key_of_each, item.messages, item.signatures, strict=True))

    def verify() -> None:
        for key, message, signature in items:
            algorithms.verify(item.algorithm, key, message, signature)

    return timed(verify)


def pyjwt_runner(item: Workload) -> Runner:
    tokens, decoder = item.tokens, jwt.PyJWS()
    readers = [partial(jwt.PyJWK, key, item.algorithm) for key in plain(item.keys)]

    def verify() -> None:
        for token, key in keyed(tokens, readers):
            decoder.decode_complete(token, key, algorithms=[item.algorithm])

    return timed(verify)


def joserfc_runner(item: Workload) -> Runner:
    tokens = item.tokens
    readers = [partial(joserfc.jwk.import_key, key) for key in plain(item.keys)]

    def verify() -> None:
        for token, key in keyed(tokens, readers):
            joserfc.jws.deserialize_compact(token, key, algorithms=[item.algorithm])

    return timed(verify)


# --- the means ---------------------------------------------------------------------------------


def plain(keys: Sequence[jwk.PublicJwk]) -> list[dict[str, str]]:
    return [dict(key.members) for key in keys]


def keyed(tokens: list[str], readers: Sequence[Callable[[], K]]) -> Iterator[tuple[str, K]]:
    """Each token with its key: a shared key is read once, every other one when its token comes."""
    if len(readers) == 1:
        shared = readers[0]()
        yield from ((token, shared) for token in tokens)
        return
    for token, read in zip(tokens, readers, strict=True):
        yield token, read()


def timed(verify: Callable[[], None]) -> Runner:
    verify()  # the first time also loads and caches

    def rate() -> float:
        start = time.thread_time()
        verify()
        return BATCH / (time.thread_time() - start)

    return rate


def require(holds: bool) -> None:
    if not holds:
        raise RuntimeError("a verification failed: the figures would mean nothing")
