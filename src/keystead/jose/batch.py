"""Verifying many signatures in one call: the Python face of the native engine.

    verdicts = verify_signatures("ES256", issuer_jwk, messages, signatures)
    bad = [index for index, verdict in enumerate(verdicts) if not verdict]

Keys and their bounds are those of :mod:`keystead.jose.algorithms`, which the tests hold against
this module. Everything but the reading of JWKs happens in C, without the GIL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keystead._native import batch as _native
from keystead.codec import base64url
from keystead.errors import Malformed, Reason, TokenRejected

# What one call takes; split longer work, which also lets a waiting program breathe.
MAX_BATCH = _native.MAX_BATCH
MAX_THREADS = _native.MAX_THREADS

Parameters = tuple[bytes, bytes]

# The engine refuses a key of the wrong size, and no parameter of any key has no bytes.
_UNSUITABLE: Parameters = (b"", b"")

# Octets of an RSA modulus of 8192 bits: no member of any key is longer.
_MAX_PARAMETER_BYTES = 1024

# RFC 8037 §3.1 calls it EdDSA, RFC 9864 §2.2 by the curve; in a JWK's terms: kty, crv, members.
_ENGINE_NAME = {name: name for name in _native.ALGORITHMS} | {"EdDSA": "Ed25519"}
_KEY_SHAPE: Mapping[str, tuple[str, str | None, tuple[str, ...]]] = {
    "ES256": ("EC", "P-256", ("x", "y")),
    "ES384": ("EC", "P-384", ("x", "y")),
    "ES512": ("EC", "P-521", ("x", "y")),
    "Ed25519": ("OKP", "Ed25519", ("x",)),
    "RS256": ("RSA", None, ("n", "e")),
    "PS256": ("RSA", None, ("n", "e")),
}


def verify_signatures(
    algorithm: str,
    keys: Mapping[str, object] | Sequence[Mapping[str, object]],
    messages: Sequence[bytes],
    signatures: Sequence[bytes],
    *,
    threads: int = 1,
) -> bytes:
    """One byte for each item, in order: 1 where the signature is valid, 0 where it is not.

    ``keys`` is one public JWK for all items, or one for each; a key that recurs is built once.
    ``messages`` are unhashed, ``signatures`` as JWS spells them (RFC 7518 §3: r ‖ s for ES256).
    A key that does not suit the algorithm, or a signature of the wrong length, makes its item 0.
    At most ``threads`` threads work, the calling one included, and none outlives the call.

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


def capabilities() -> dict[str, str]:
    """The code path that each JOSE algorithm takes on this machine, by the algorithm's name."""
    return {
        name: _native.path_of(_native.ALGORITHMS[engine]) for name, engine in _ENGINE_NAME.items()
    }


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
    keys: Mapping[str, object] | Sequence[Mapping[str, object]], name: str, *, count: int
) -> tuple[tuple[Parameters, ...], tuple[int, ...]]:
    """The distinct keys, and for each item the index of its own."""
    if isinstance(keys, Mapping):
        return (_parameters(keys, name),), (0,) * count
    held = tuple(keys)  # keeps every key alive, so that an id means one key
    if len(held) != count:
        raise ValueError("messages, signatures and keys must be equally many")
    index_by_id: dict[int, int] = {}
    index_by_value: dict[Parameters, int] = {}
    key_of = []
    for key in held:
        index = index_by_id.get(id(key))
        if index is None:
            index = index_by_value.setdefault(_parameters(key, name), len(index_by_value))
            index_by_id[id(key)] = index
        key_of.append(index)
    return tuple(index_by_value), tuple(key_of)


def _parameters(key: Mapping[str, object], name: str) -> Parameters:
    """The octets of the key's one or two members; ``_UNSUITABLE`` if it is no key for ``name``."""
    if not isinstance(key, Mapping):
        raise TypeError(f"a JWK is a mapping, not {type(key).__name__}")
    key_type, curve, members = _KEY_SHAPE[name]
    if key.get("kty") != key_type or (curve is not None and key.get("crv") != curve):
        return _UNSUITABLE
    try:
        octets = [_octets(key.get(member)) for member in members]
    except Malformed:
        return _UNSUITABLE
    return octets[0], octets[1] if len(octets) == 2 else b""


def _octets(member: object) -> bytes:
    if not isinstance(member, str):
        raise Malformed(Reason.MALFORMED, "a key's member is missing or not a string")
    return base64url.decode(member, max_bytes=_MAX_PARAMETER_BYTES)
