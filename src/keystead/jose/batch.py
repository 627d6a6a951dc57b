"""Verifying many signatures in one call: the Python face of the native engine.

    verdicts = verify_signatures("ES256", issuer_jwk, messages, signatures)
    bad = [index for index, verdict in enumerate(verdicts) if not verdict]

A batch accepts what :mod:`keystead.jose.jwk` and :mod:`keystead.jose.algorithms` accept; the tests
hold them against each other. Everything but the reading of keys happens in C, without the GIL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from keystead._native import batch as _native
from keystead.codec import base64url
from keystead.codec.json import JSON
from keystead.errors import ConfigurationError, Malformed, Reason, TokenRejected
from keystead.jose import algorithms, multi_buffer
from keystead.jose.jwk import PublicJwk, may_be_ed25519, parse_public

Key: TypeAlias = PublicJwk | Mapping[str, JSON]
_Parameters: TypeAlias = tuple[bytes, bytes]

multi_buffer.load()

# What one call takes: it holds a few kilobytes for each RSA key.
MAX_BATCH = _native.MAX_BATCH
MAX_THREADS = _native.MAX_THREADS

# The engine knows one Ed25519 under two names (RFC 8037 §3.1, RFC 9864 §2.2).
_ENGINE_NAME = {name: name for name in _native.ALGORITHMS} | {"EdDSA": "Ed25519"}
# The members of a key's RFC 7638 form that are its parameters, in the engine's order.
_PARAMETER_NAMES = {"EC": ("x", "y"), "OKP": ("x",), "RSA": ("n", "e")}
# Sizes are checked in C, where no key has parameters without bytes.
_UNSUITABLE: _Parameters = (b"", b"")

# A dict is asked for by name, because an abstract class takes half a microsecond to ask.
_MAPPINGS = (dict, Mapping)
# What a DPoP proof's key looks like (RFC 9449 §4.2): a key of these members needs no other check
# than that of its point, which the engine makes.
_BARE_EC = frozenset({"kty", "crv", "x", "y"})
_BARE_OKP = frozenset({"kty", "crv", "x"})
_CURVE_OF = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
# What gains by the engine even with a single signature, because there are kernels of our own; ES384
# has one that is not always used.
_GAIN_ALONE = frozenset({"ES256", "Ed25519", "EdDSA"})
_MAX_COORDINATE_BYTES = 66  # of P-521


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
    A key that does not suit the algorithm, or a signature of the wrong length, makes its item 0.
    At most ``threads`` threads work, the calling one included, and none outlives the call. Any
    number of threads may call at once, ``asyncio.to_thread`` among them. In the main thread Ctrl-C
    ends a long call as it ends other Python.

    Raises TokenRejected (``algorithm_not_allowed``) for an algorithm that is not in
    :func:`capabilities`; TypeError for anything but ``bytes`` and mappings; ValueError for unequal
    lengths, more than ``MAX_BATCH`` items, or ``threads`` outside 1..``MAX_THREADS``.
    """
    name = _engine_name(algorithm)
    if not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads must be 1 to {MAX_THREADS}")
    message_items, signature_items = _snapshot(messages), _snapshot(signatures)
    if len(message_items) > MAX_BATCH:
        raise ValueError(f"more than {MAX_BATCH} items in one batch")
    table, key_of = _key_table(keys, name, count=len(message_items))
    return _native.verify_batch(
        _native.ALGORITHMS[name], table, key_of, message_items, signature_items, threads
    )


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
    if not _is_valid(number, _octets(key), signing_input, signature):
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
    return _octets(key)


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


def _engine_name(algorithm: str) -> str:
    name = _ENGINE_NAME.get(algorithm)
    if name is None:
        raise TokenRejected(Reason.ALGORITHM_NOT_ALLOWED, "no such algorithm in the engine")
    return name


def _snapshot(items: Sequence[bytes]) -> tuple[bytes, ...]:
    """A tuple, which no other thread can change while C reads what it holds."""
    if isinstance(items, (str, bytes, bytearray, memoryview)):
        raise TypeError("a sequence of bytes objects is expected")
    return tuple(items)


def _key_table(
    keys: Key | Sequence[Key], name: str, *, count: int
) -> tuple[tuple[_Parameters, ...], tuple[int, ...]]:
    """The distinct keys, and for each item the index of its own."""
    if isinstance(keys, PublicJwk | Mapping):
        return (_parameters(keys, algorithm=name),), (0,) * count
    held = tuple(keys)  # keeps every key alive, so that an id means one key
    if len(held) != count:
        raise ValueError("messages, signatures and keys must be equally many")
    index_by_id: dict[int, int] = {}
    index_by_value: dict[_Parameters, int] = {}
    key_of = []
    for key in held:
        index = index_by_id.get(id(key))
        if index is None:
            index = index_by_value.setdefault(_parameters(key, algorithm=name), len(index_by_value))
            index_by_id[id(key)] = index
        key_of.append(index)
    return tuple(index_by_value), tuple(key_of)


def _parameters(key: Key, *, algorithm: str) -> _Parameters:
    """The octets of the key's parameters; ``_UNSUITABLE`` if it is no key for ``algorithm``."""
    if not isinstance(key, (PublicJwk, *_MAPPINGS)):
        raise TypeError(f"a key is a PublicJwk or a mapping, not {type(key).__name__}")
    try:
        if isinstance(key, _MAPPINGS) and algorithm in _CURVE_OF and key.keys() == _BARE_EC:
            return _bare_point(key, curve=_CURVE_OF[algorithm])
        if isinstance(key, _MAPPINGS) and algorithm == "Ed25519" and key.keys() == _BARE_OKP:
            return _bare_ed25519(key)
        public = key if isinstance(key, PublicJwk) else parse_public(key)
        algorithms.check_key(algorithm, public)
    except (Malformed, TokenRejected):
        return _UNSUITABLE
    return _octets(public)


def _octets(key: PublicJwk) -> _Parameters:
    octets = [base64url.decode(key.members[name]) for name in _PARAMETER_NAMES[key.kty]]
    return octets[0], octets[1] if len(octets) == 2 else b""


def _bare_point(key: Mapping[str, JSON], *, curve: str) -> _Parameters:
    """The coordinates as they stand: a fifth of the time that ``parse_public`` takes."""
    if key["kty"] != "EC" or key["crv"] != curve:
        return _UNSUITABLE
    return _coordinate(key["x"]), _coordinate(key["y"])


def _bare_ed25519(key: Mapping[str, JSON]) -> _Parameters:
    if key["kty"] != "OKP" or key["crv"] != "Ed25519":
        return _UNSUITABLE
    x = _coordinate(key["x"])
    return (x, b"") if may_be_ed25519(x) else _UNSUITABLE


def _coordinate(member: JSON) -> bytes:
    if not isinstance(member, str):
        raise Malformed(Reason.MALFORMED, "a coordinate is not a string")
    return base64url.decode(member, max_bytes=_MAX_COORDINATE_BYTES)
