"""Signatures a second: the native batch, OpenSSL alone, and the usual JOSE libraries."""

from __future__ import annotations

import ctypes
import hashlib
import json
import random
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import joserfc.jwk
import joserfc.jws
import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from bench.figures import figures, ratio, ratios
from bench.interleaved import Runner, measured
from keystead.codec import base64url
from keystead.jose import algorithms, jwk, jws
from keystead.jose.batch import capabilities, verify_signatures

question = "How close to OpenSSL's own speed does Python verify a batch of signatures?"

BATCH = 512
# About what an access token's claims take.
PAYLOAD_BYTES = 480

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
# Verifies a whole batch and answers the seconds that it took: of this thread's CPU time, so that a
# busy machine does not count; of the clock on the wall where more than one thread works.
Clocked = Callable[[], float]
K = TypeVar("K")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """`BATCH` signed tokens; `keys` has one key for each, or a single one for all."""

    algorithm: str
    keys: tuple[jwk.PublicJwk, ...]
    messages: tuple[bytes, ...]
    signatures: tuple[bytes, ...]

    @property
    def tokens(self) -> list[str]:
        pairs = zip(self.messages, self.signatures, strict=True)
        return [jws.assemble(message, signature) for message, signature in pairs]

    @property
    def key_of_each(self) -> tuple[jwk.PublicJwk, ...]:
        return self.keys if len(self.keys) > 1 else self.keys * len(self.messages)


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in verifications a second, and their ratios."""
    warnings.filterwarnings("ignore", message="EdDSA is deprecated", module="joserfc")
    chance = random.Random(seed)
    workloads = {
        "es256_one_key": workload("ES256", chance, distinct=False),
        "es256_distinct_keys": workload("ES256", chance, distinct=True),
        "eddsa_distinct_keys": workload("EdDSA", chance, distinct=True),
        "rs256_one_key": workload("RS256", chance, distinct=False),
    }
    with tempfile.TemporaryDirectory() as folder:
        floor = build_floor(Path(folder))
        cases = {name: measure(item, floor, rounds) for name, item in workloads.items()}
        cases["es256_new_keys"] = measure_new_keys(chance, floor, rounds)
        cases["es256_forgeries"] = measure_forgeries(chance, floor, rounds)
    paths = {name: capability.path for name, capability in capabilities().items()}
    return {"question": question, "batch": BATCH, "paths": paths, "cases": cases}


def measure(item: Workload, floor: ctypes.CDLL, rounds: int) -> dict[str, object]:
    runners: dict[str, Clocked] = {
        "openssl": floor_runner(item, floor),
        "keystead": keystead_runner(lambda: item, threads=1),
        "keystead_2_threads": keystead_runner(lambda: item, threads=2),
        "keystead_batches_of_32": keystead_runner(lambda: item, threads=1, batch=32),
        "keystead_batches_of_1": keystead_runner(lambda: item, threads=1, batch=1),
        "cryptography": cryptography_runner(item),
        "pyjwt": pyjwt_runner(item),
        "joserfc": joserfc_runner(item),
    }
    return compare(runners, rounds)


def measure_new_keys(chance: random.Random, floor: ctypes.CDLL, rounds: int) -> dict[str, object]:
    """Keys that the engine meets for the first time, so that no table is there."""

    def new() -> Workload:
        return workload("ES256", chance, distinct=True)

    return compare(
        {
            "openssl": floor_runner(new(), floor),
            "keystead": keystead_runner(new, threads=1),
            "keystead_2_threads": keystead_runner(new, threads=2),
            "keystead_batches_of_32": keystead_runner(new, threads=1, batch=32),
            "keystead_batches_of_1": keystead_runner(new, threads=1, batch=1),
        },
        rounds,
    )


def measure_forgeries(chance: random.Random, floor: ctypes.CDLL, rounds: int) -> dict[str, object]:
    """Nothing but signatures of other messages, each under a new key: OpenSSL refuses them all."""

    def forged() -> Workload:
        item = workload("ES256", chance, distinct=True)
        return replace(item, messages=(*item.messages[1:], item.messages[0]))

    return compare(
        {
            "openssl": floor_runner(workload("ES256", chance, distinct=True), floor),
            "keystead": keystead_runner(forged, threads=1, valid=False),
            "keystead_2_threads": keystead_runner(forged, threads=2, valid=False),
            "keystead_batches_of_32": keystead_runner(forged, threads=1, batch=32, valid=False),
        },
        rounds,
    )


def compare(runners: dict[str, Clocked], rounds: int) -> dict[str, object]:
    rates = measured(
        {name: rate_of(each) for name, each in runners.items()}, rounds=rounds, warm=True
    )
    return {
        "per_second": figures(rates, unit="per_second"),
        "keystead_to": ratios(rates, "keystead"),
        "two_threads_gain": ratio(rates, "keystead_2_threads", "keystead"),
    }


def rate_of(clocked: Clocked) -> Runner:
    return lambda: BATCH / clocked()


# --- what is verified --------------------------------------------------------------------------


def workload(algorithm: str, chance: random.Random, *, distinct: bool) -> Workload:
    private = [make_key(algorithm, chance) for _ in range(BATCH if distinct else 1)]
    messages, signatures = [], []
    for index in range(BATCH):
        payload = chance.randbytes(PAYLOAD_BYTES)
        message = jws.signing_input({"alg": algorithm, "typ": "at+jwt"}, payload)
        messages.append(message)
        signatures.append(sign(algorithm, private[index % len(private)], message))
    return Workload(
        algorithm=algorithm,
        keys=tuple(jwk.from_public_key(key.public_key()) for key in private),
        messages=tuple(messages),
        signatures=tuple(signatures),
    )


def make_key(algorithm: str, chance: random.Random) -> PrivateKey:
    if algorithm == "ES256":
        return ec.derive_private_key(chance.getrandbits(255) + 1, ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def sign(algorithm: str, key: PrivateKey, message: bytes) -> bytes:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        der = key.sign(message, ec.ECDSA(hashes.SHA256()))
        return algorithms.ecdsa_raw_from_der(algorithm, der)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, padding.PKCS1v15(), hashes.SHA256())


# --- who verifies it ---------------------------------------------------------------------------


def keystead_runner(
    supply: Callable[[], Workload], *, threads: int, batch: int = BATCH, valid: bool = True
) -> Clocked:
    """From JWKs as they arrive, so that reading them counts. Each round has a workload supplied."""

    clock = time.thread_time if threads == 1 else time.perf_counter

    def clocked() -> float:
        item = supply()
        keys = [key.to_dict() for key in item.keys]
        start = clock()
        for first in range(0, BATCH, batch):
            part = slice(first, first + batch)
            verdicts = verify_signatures(
                item.algorithm,
                keys[part] if len(keys) > 1 else keys[0],
                item.messages[part],
                item.signatures[part],
                threads=threads,
            )
            require(all(verdicts) if valid else not any(verdicts))
        return clock() - start

    clocked()  # the first time also loads and caches
    return clocked


def cryptography_runner(item: Workload) -> Clocked:
    """With the keys ready: what a careful program reaches one signature at a time."""
    items = list(zip(item.key_of_each, item.messages, item.signatures, strict=True))

    def verify() -> None:
        for key, message, signature in items:
            algorithms.verify(item.algorithm, key, message, signature)

    return timed(verify)


def pyjwt_runner(item: Workload) -> Clocked:
    tokens, decoder = item.tokens, jwt.PyJWS()
    readers = [partial(jwt.PyJWK, key, item.algorithm) for key in plain(item.keys)]

    def verify() -> None:
        for token, key in keyed(tokens, readers):
            decoder.decode_complete(token, key, algorithms=[item.algorithm])

    return timed(verify)


def joserfc_runner(item: Workload) -> Clocked:
    tokens = item.tokens
    readers = [partial(joserfc.jwk.import_key, key) for key in plain(item.keys)]

    def verify() -> None:
        for token, key in keyed(tokens, readers):
            joserfc.jws.deserialize_compact(token, key, algorithms=[item.algorithm])

    return timed(verify)


def floor_runner(item: Workload, floor: ctypes.CDLL) -> Clocked:
    digests = b"".join(hashlib.sha256(message).digest() for message in item.messages)
    parameters = [octets(key) for key in item.key_of_each]
    signatures = b"".join(item.signatures)
    points, count = b"".join(parameters), ctypes.c_size_t(BATCH)
    if item.algorithm == "ES256":
        call = partial(floor.floor_es256_ns, points, digests, signatures, count)
    elif item.algorithm == "EdDSA":
        messages, size = b"".join(item.messages), ctypes.c_size_t(len(item.messages[0]))
        call = partial(floor.floor_ed25519_ns, points, messages, size, signatures, count)
    else:
        modulus, size = parameters[0], ctypes.c_size_t(len(parameters[0]))
        call = partial(floor.floor_rs256_ns, modulus, size, digests, signatures, count)

    def clocked() -> float:
        taken: int = call()
        require(taken > 0)
        return taken / 1e9

    return clocked


# --- the means ---------------------------------------------------------------------------------


def build_floor(folder: Path) -> ctypes.CDLL:
    source = Path(__file__).parent / "peers" / "openssl_floor.c"
    library = folder / "openssl_floor.so"
    command = ["cc", "-O3", "-shared", "-fPIC", "-o", str(library), str(source), "-lcrypto"]
    subprocess.run(command, check=True)
    loaded = ctypes.CDLL(str(library))
    for name in ("floor_es256_ns", "floor_rs256_ns", "floor_ed25519_ns"):
        getattr(loaded, name).restype = ctypes.c_int64
    return loaded


def octets(key: jwk.PublicJwk) -> bytes:
    """x ‖ y, x, or n."""
    names = [name for name in ("x", "y", "n") if name in key.members]
    return b"".join(base64url.decode(key.members[name]) for name in names)


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


def timed(verify: Callable[[], None]) -> Clocked:
    verify()  # the first time also loads and caches

    def clocked() -> float:
        start = time.thread_time()
        verify()
        return time.thread_time() - start

    return clocked


def require(holds: bool) -> None:
    if not holds:
        raise RuntimeError("a verification failed: the figures would mean nothing")


if __name__ == "__main__":
    print(json.dumps(run(seed=1, rounds=9), indent=2))
