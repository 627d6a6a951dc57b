"""ES256 and ES384 in batches of every composition, against the readable Python."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.codec import base64url
from keystead.errors import KeysteadError
from keystead.jose import algorithms, jwk
from keystead.jose.batch import verify_signatures
from tests.jose_keys import CURVES, signature

ORDER = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": 2**384 - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D,
}
PRIME = {
    "ES256": 2**256 - 2**224 + 2**192 + 2**96 - 1,
    "ES384": 2**384 - 2**128 - 2**96 + 2**32 - 1,
}
SIZE = {"ES256": 32, "ES384": 48}
every_algorithm = pytest.mark.parametrize("algorithm", ["ES256", "ES384"])
# Q = G, -G, 2G, -2G, and keys that look like any other.
KEYS = 16
# More than the kernels' runs of 64 items.
MOST_ITEMS = 150


@dataclass(frozen=True)
class Item:
    algorithm: str
    key: dict[str, str]
    message: bytes
    signature: bytes


def secret(algorithm: str, index: int) -> int:
    n = ORDER[algorithm]
    return (1, n - 1, 2, n - 2)[index] if index < 4 else pow(3, 300 + index, n)


@cache
def pair(algorithm: str, index: int) -> tuple[ec.EllipticCurvePrivateKey, dict[str, str]]:
    private = ec.derive_private_key(secret(algorithm, index), CURVES[algorithm])
    return private, dict(jwk.from_public_key(private.public_key()).members)


@cache
def good(algorithm: str, index: int, message: bytes = b"message") -> Item:
    private, public = pair(algorithm, index)
    return Item(algorithm, public, message, signature(algorithm, private, message))


@cache
def reference(
    algorithm: str, key: tuple[tuple[str, str], ...], message: bytes, signed: bytes
) -> int:
    try:
        algorithms.verify(algorithm, jwk.parse_public(dict(key)), message, signed)
    except KeysteadError:
        return 0
    return 1


def check_same(items: Sequence[Item], *, threads: int = 1) -> bytes:
    """The verdicts; all items are of one algorithm."""
    verdicts = verify_signatures(
        items[0].algorithm if items else "ES256",
        [item.key for item in items],
        [item.message for item in items],
        [item.signature for item in items],
        threads=threads,
    )
    assert verdicts == bytes(
        reference(item.algorithm, tuple(item.key.items()), item.message, item.signature)
        for item in items
    )
    return verdicts


def flipped(item: Item, bit: int) -> Item:
    changed = int.from_bytes(item.signature, "big") ^ (1 << bit)
    return replace(item, signature=changed.to_bytes(len(item.signature), "big"))


def off_the_curve(item: Item) -> Item:
    octets = base64url.decode(item.key["y"])
    bent = octets[:-1] + bytes([octets[-1] ^ 1])
    return replace(item, key={**item.key, "y": base64url.encode(bent)})


@st.composite
def some_items(draw: st.DrawFn, algorithm: str) -> Item:
    size, n, p = SIZE[algorithm], ORDER[algorithm], PRIME[algorithm]
    indexes = st.integers(0, KEYS - 1)
    item = good(algorithm, draw(indexes), draw(st.sampled_from([b"", b"message"])))
    kind = draw(st.sampled_from(["good", "good", "good", "bit", "key", "curve", "half", "garbage"]))
    if kind == "bit":
        return flipped(item, draw(st.integers(0, 16 * size - 1)))
    if kind == "key":
        return replace(item, key=good(algorithm, draw(indexes)).key)
    if kind == "curve":
        return off_the_curve(item)
    if kind == "half":
        edges = [0, 1, 2, n - 1, n, n + 1, p - n, p - n - 1, p, 2 ** (8 * size) - 1]
        half = draw(st.sampled_from(edges)).to_bytes(size, "big")
        first, second = item.signature[:size], item.signature[size:]
        return replace(item, signature=draw(st.sampled_from([half + second, first + half])))
    if kind == "garbage":
        return replace(item, signature=draw(st.binary(min_size=2 * size, max_size=2 * size)))
    return item


@every_algorithm
@settings(max_examples=100, deadline=None)
@given(data=st.data(), threads=st.integers(1, 2))
def test_agrees_on_any_batch(algorithm: str, data: st.DataObject, threads: int) -> None:
    kinds = data.draw(st.lists(some_items(algorithm), min_size=1, max_size=10))
    order = data.draw(st.lists(st.integers(0, len(kinds) - 1), max_size=MOST_ITEMS))
    check_same([kinds[index] for index in order], threads=threads)


@pytest.mark.parametrize("keys", [1, 3, 12])
@every_algorithm
def test_agrees_with_one_bad_item_in_each_place(algorithm: str, keys: int) -> None:
    row = [good(algorithm, 4 + index % keys) for index in range(24)]
    for place in range(len(row)):
        for bad in (flipped(row[place], 300), off_the_curve(row[place])):
            bent = [*row[:place], bad, *row[place + 1 :]]
            assert check_same(bent) == bytes(index != place for index in range(len(row)))


@pytest.mark.parametrize("keys", [1, 12])
@every_algorithm
def test_agrees_with_one_good_item_in_each_place(algorithm: str, keys: int) -> None:
    row = [flipped(good(algorithm, 4 + index % keys), 17 + index) for index in range(24)]
    for place in range(len(row)):
        lone = good(algorithm, 4 + place % keys)
        mixed = [*row[:place], lone, *row[place + 1 :]]
        assert check_same(mixed) == bytes(index == place for index in range(len(row)))


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 63, 64, 65, 129])
@every_algorithm
def test_agrees_whatever_the_batch_size(algorithm: str, count: int) -> None:
    for keys in (1, 12):
        row = [good(algorithm, 4 + index % keys) for index in range(count)]
        assert check_same(row) == b"\1" * count
        row[-1] = flipped(row[-1], 5)
        assert check_same(row) == b"\1" * (count - 1) + b"\0"


@every_algorithm
def test_agrees_before_and_after_a_key_has_tables(algorithm: str) -> None:
    item, stranger = good(algorithm, 15), good(algorithm, 14)
    stolen = replace(stranger, key=item.key)
    for uses in (1, 1, 5, 300, 300, 1):  # cold, a comb, and from 256 uses on a wide table
        row = [item] * uses + [stolen, flipped(item, 260)]
        assert check_same(row) == b"\1" * uses + b"\0\0"


@every_algorithm
def test_agrees_on_the_base_point_as_a_key_with_tables(algorithm: str) -> None:
    """Both tables are the same, and windows of u1 and u2 meet."""
    for index in range(4):
        row = [good(algorithm, index, b"%d" % number) for number in range(300)]
        assert check_same(row) == b"\1" * 300
        assert check_same([flipped(item, 100) for item in row[:40]]) == bytes(40)


@every_algorithm
def test_finds_the_valid_ones_again_after_many_forgeries(algorithm: str) -> None:
    """Forgeries use up the kernels' credit; what comes then takes another path."""
    forged = [flipped(good(algorithm, 4 + index % 12), index % 500) for index in range(MOST_ITEMS)]
    assert check_same(forged) == bytes(MOST_ITEMS)
    mixed = [
        forged[index] if index % 3 else good(algorithm, 4 + index % 12)
        for index in range(MOST_ITEMS)
    ]
    assert check_same(mixed) == bytes(index % 3 == 0 for index in range(MOST_ITEMS))
    assert check_same([good(algorithm, 4)] * MOST_ITEMS) == b"\1" * MOST_ITEMS
