"""Verifying many signatures in one call: the Python face of the native engine.

    verdicts = verify_signatures("ES256", issuer_jwk, messages, signatures)
    bad = [index for index, verdict in enumerate(verdicts) if not verdict]

A batch accepts what :mod:`keystead.jose.jwk` and :mod:`keystead.jose.algorithms` accept; the tests
hold them against each other. Everything but the reading of keys happens in C, without the GIL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from keystead._native import batch as _native
from keystead.codec import base64url
from keystead.codec.json import JSON
from keystead.errors import ConfigurationError, Malformed, Reason, TokenRejected
from keystead.jose import algorithms, multi_buffer
from keystead.jose.jwk import PublicJwk, parse_public

Key: TypeAlias = PublicJwk | Mapping[str, JSON]
_Parameters: TypeAlias = tuple[bytes, bytes]

multi_buffer.load()

# What one call takes: it holds a few kilobytes for each RSA key.
MAX_BATCH = _native.MAX_BATCH
MAX_THREADS = _native.MAX_THREADS

# The engine knows one Ed25519 under two names (RFC 8037 §3.1, RFC 9864 §2.2).
_ENGINE_NAME = {name: name for name in _native.ALGORITHMS} | {"EdDSA": "Ed25519"}
# Sizes are checked in C, where no key has parameters without bytes.
_UNSUITABLE: _Parameters = (b"", b"")

# Type and curve of the keys that are points. A key that has these and its coordinates alone, as a
# DPoP proof's (RFC 9449 §4.2), needs no other check than that of its point, which the engine makes.
_POINTS = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "Ed25519": ("OKP", "Ed25519"),
}
# What gains by the engine even with a single signature, because there are kernels of our own; ES384
# has one that is not always used.
_GAIN_ALONE = frozenset({"ES256", "Ed25519", "EdDSA"})


def verify_signatures(
    algorithm: str,
    keys: Key | Sequence[Key],
    messages: Sequence[bytes],
    signatures: Sequence[bytes],
    *,
    threads: int = 1,
) -> bytes:
    """One byte for each item, in order: 1 where the signature is valid, 0 where it is not.

    ``keys`` is one public JWK for all items, or one for each; a key that recurs is built once.
    ``messages`` are unhashed, ``signatures`` as JWS spells them (RFC 7518 §3: r ‖ s for ES256).
    A key that does not suit the algorithm, a private key or a key set in the place of a key, or a
    signature of the wrong length, makes its item 0: whoever sent it must not end the batch.
    At most ``threads`` threads work, the calling one included, and none outlives the call. Any
    number of threads may call at once, ``asyncio.to_thread`` among them. In the main thread Ctrl-C
    ends a long call as it ends other Python.

    Raises TokenRejected (``algorithm_not_allowed``) for an algorithm that is not in
    :func:`capabilities`; TypeError for anything but ``bytes`` and mappings; ValueError for unequal
    lengths, more than ``MAX_BATCH`` items, or ``threads`` that is no integer in 1..``MAX_THREADS``.
    """
    name = _engine_name(algorithm)
    check_threads(threads)
    message_items = _snapshot("messages", messages)
    signature_items = _snapshot("signatures", signatures)
    if len(message_items) > MAX_BATCH:
        raise ValueError(f"more than {MAX_BATCH} items in one batch")
    if len(signature_items) != len(message_items):
        raise ValueError(f"{len(message_items)} messages and {len(signature_items)} signatures")
    table, key_of = _key_table(keys, name, count=len(message_items))
    try:
        return _native.verify_batch(
            _native.ALGORITHMS[name], table, key_of, message_items, signature_items, threads
        )
    except TypeError:  # C looks at all of them anyway; here is time to say which one it was
        _check_bytes("messages", message_items)
        _check_bytes("signatures", signature_items)
        raise


def verify_signature(
    algorithm: str, key: PublicJwk, signing_input: bytes, signature: bytes
) -> None:
    """As :func:`keystead.jose.algorithms.verify`, which has the errors.

    ES256, EdDSA and mostly ES384 go to the engine, which keeps tables of keys that come again; no
    other algorithm gains.
    """
    if not _gains_alone(algorithm):
        algorithms.verify(algorithm, key, signing_input, signature)
        return
    algorithms.check_key(algorithm, key)
    number = _native.ALGORITHMS[_ENGINE_NAME[algorithm]]
    if not _is_valid(number, _octets(algorithm, key), signing_input, signature):
        raise TokenRejected(Reason.SIGNATURE_INVALID, f"{algorithm} signature")


def verify_es256_by_point(point: tuple[bytes, bytes], message: bytes, signature: bytes) -> None:
    """Return where the holder of the P-256 key ``point`` signed ``message`` by ES256.

    ``point`` is its coordinates, 32 bytes each, ``signature`` is r ‖ s: for keys that never were
    JWKs. Raises TokenRejected (``signature_invalid``), also for a point that is not on the curve.
    """
    if not _is_valid(_native.ALGORITHMS["ES256"], point, message, signature):
        raise TokenRejected(Reason.SIGNATURE_INVALID, "ES256 signature")


def _gains_alone(algorithm: str) -> bool:
    # Intel's library gains from two signatures on, and the system's OpenSSL is not faster than
    # the one that `cryptography` brings.
    if algorithm == "ES384":
        return _native.path_of(_native.ALGORITHMS["ES384"]) == "portable"
    return algorithm in _GAIN_ALONE


def parameters_for(algorithm: str, key: PublicJwk) -> tuple[bytes, bytes]:
    """The octets of ``key``'s parameters in the engine's order, once it suits ``algorithm``.

    Raises TokenRejected as :func:`keystead.jose.algorithms.check_key`.
    """
    algorithms.check_key(algorithm, key)
    return _octets(algorithm, key)


def _is_valid(number: int, key: _Parameters, message: bytes, signature: bytes) -> bool:
    return _native.verify_batch(number, (key,), (0,), (message,), (signature,), 1) == b"\1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """How this machine verifies an algorithm."""

    name: str
    """The JOSE name of the algorithm."""
    path: str
    """``openssl``; a kernel: ``ifma`` (eight at a time), ``portable`` (one, with tables); or
    ``crypto_mb``, Intel's library (eight at a time)."""
    reason: str
    """Why it takes that path, in words for an operator."""
    forced: bool
    """Whether the environment chose the path, and not the CPU."""


def capabilities() -> dict[str, Capability]:
    """The code path that each JOSE algorithm takes on this machine, by the algorithm's name.

    Raises ConfigurationError where the environment forces a path that there is not: what verifies
    then is OpenSSL, which is safe, and not what somebody meant.
    """
    return {
        name: _capability(name, _native.ALGORITHMS[_ENGINE_NAME[name]]) for name in _ENGINE_NAME
    }


def _capability(name: str, number: int) -> Capability:
    forced = _native.path_forced_of(number)
    if forced == _native.FORCED_UNKNOWN:
        raise ConfigurationError(
            detail="KEYSTEAD_ENGINE is openssl, portable, ifma or crypto_mb;"
            " unset it and the CPU decides"
        )
    return Capability(
        name=name,
        path=_native.path_of(number),
        reason=_native.path_reason_of(number),
        forced=forced == _native.FORCED,
    )


def check_threads(threads: int) -> None:
    """Raise ValueError unless a batch can be worked by that many threads."""
    if type(threads) is not int or not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads is 1 to {MAX_THREADS}, not {threads!r}")


def _engine_name(algorithm: str) -> str:
    name = _ENGINE_NAME.get(algorithm)
    if name is None:
        known = ", ".join(_ENGINE_NAME)
        raise TokenRejected(Reason.ALGORITHM_NOT_ALLOWED, f"the engine has {known}")
    return name


def _snapshot(name: str, items: Sequence[bytes]) -> tuple[bytes, ...]:
    """A tuple, which no other thread can change while C reads what it holds."""
    if isinstance(items, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"{name} is a sequence of bytes objects, not one of {type(items).__name__}")
    return tuple(items)


def _check_bytes(name: str, items: tuple[bytes, ...]) -> None:
    for index, item in enumerate(items):
        if type(item) is not bytes:
            raise TypeError(f"{name}[{index}] is bytes, not {type(item).__name__}")


def _key_table(
    keys: Key | Sequence[Key], name: str, *, count: int
) -> tuple[tuple[_Parameters, ...], tuple[int, ...]]:
    """The distinct keys, and for each item the index of its own."""
    read, number = partial(_parameters, algorithm=name), _native.ALGORITHMS[name]
    if isinstance(keys, PublicJwk | Mapping):
        table, _ = _native.key_table(number, _POINTS.get(name), (keys,), read)
        return table, (0,) * count
    given: object = keys  # whatever the annotation says
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        raise TypeError(f"keys is a JWK or a sequence of them, not {type(keys).__name__}")
    held = tuple(keys)
    if len(held) != count:
        raise ValueError(f"{count} messages and {len(held)} keys")
    return _native.key_table(number, _POINTS.get(name), held, read)


def _parameters(key: Key, *, algorithm: str) -> _Parameters:
    """The octets of the key's parameters; ``_UNSUITABLE`` if it is no key for ``algorithm``."""
    if not isinstance(key, PublicJwk | Mapping):
        raise TypeError(f"a key is a PublicJwk or a mapping, not {type(key).__name__}")
    try:
        public = key if isinstance(key, PublicJwk) else parse_public(key)
        algorithms.check_key(algorithm, public)
    except (Malformed, TokenRejected):
        return _UNSUITABLE
    return _octets(algorithm, public)


def _octets(algorithm: str, key: PublicJwk) -> _Parameters:
    """Of a key that suits ``algorithm``."""
    name = _ENGINE_NAME[algorithm]
    if name not in _POINTS:
        return base64url.decode(key.members["n"]), base64url.decode(key.members["e"])
    kty, crv = _POINTS[name]
    members = {**key.members, "kty": kty, "crv": crv}
    return _native.bare_point(_native.ALGORITHMS[name], kty, crv, members) or _UNSUITABLE
