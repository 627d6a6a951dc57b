"""ES256 batches of every composition against the readable Python, whatever tables they cause."""

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
from tests.jose_keys import signature

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
# Q = G, -G, 2G, -2G, and keys that look like any other.
SECRETS = (1, N - 1, 2, N - 2, *(pow(3, 100 + i, N) for i in range(12)))
# More than the kernels' runs of 64 items.
MOST_ITEMS = 150


@dataclass(frozen=True)
class Item:
    key: dict[str, str]
    message: bytes
    signature: bytes


@cache
def pair(index: int) -> tuple[ec.EllipticCurvePrivateKey, dict[str, str]]:
    private = ec.derive_private_key(SECRETS[index], ec.SECP256R1())
    return private, dict(jwk.from_public_key(private.public_key()).members)


@cache
def good(index: int, message: bytes = b"message") -> Item:
    private, public = pair(index)
    return Item(public, message, signature("ES256", private, message))


@cache
def reference(key: tuple[tuple[str, str], ...], message: bytes, signed: bytes) -> int:
    try:
        algorithms.verify("ES256", jwk.parse_public(dict(key)), message, signed)
    except KeysteadError:
        return 0
    return 1


def check_same(items: Sequence[Item], *, threads: int = 1) -> bytes:
    verdicts = verify_signatures(
        "ES256",
        [item.key for item in items],
        [item.message for item in items],
        [item.signature for item in items],
        threads=threads,
    )
    expected = [reference(tuple(i.key.items()), i.message, i.signature) for i in items]
    assert verdicts == bytes(expected)
    return verdicts


def flipped(item: Item, bit: int) -> Item:
    changed = int.from_bytes(item.signature, "big") ^ (1 << bit)
    return replace(item, signature=changed.to_bytes(64, "big"))


def off_the_curve(item: Item) -> Item:
    y = int.from_bytes(base64url.decode(item.key["y"]), "big") ^ 1
    return replace(item, key={**item.key, "y": base64url.encode(y.to_bytes(32, "big"))})


@st.composite
def some_items(draw: st.DrawFn) -> Item:
    item = good(draw(st.integers(0, len(SECRETS) - 1)), draw(st.sampled_from([b"", b"message"])))
    kind = draw(st.sampled_from(["good", "good", "good", "bit", "key", "curve", "half", "garbage"]))
    if kind == "bit":
        return flipped(item, draw(st.integers(0, 511)))
    if kind == "key":
        return replace(item, key=good(draw(st.integers(0, len(SECRETS) - 1))).key)
    if kind == "curve":
        return off_the_curve(item)
    if kind == "half":
        edge = draw(st.sampled_from([0, 1, 2, N - 1, N, N + 1, P - N, P - N - 1, P, 2**256 - 1]))
        half = edge.to_bytes(32, "big")
        first, second = item.signature[:32], item.signature[32:]
        return replace(item, signature=draw(st.sampled_from([half + second, first + half])))
    if kind == "garbage":
        return replace(item, signature=draw(st.binary(min_size=64, max_size=64)))
    return item


@settings(max_examples=150, deadline=None)
@given(data=st.data(), threads=st.integers(1, 2))
def test_agrees_on_any_batch(data: st.DataObject, threads: int) -> None:
    kinds = data.draw(st.lists(some_items(), min_size=1, max_size=10))
    order = data.draw(st.lists(st.integers(0, len(kinds) - 1), max_size=MOST_ITEMS))
    check_same([kinds[index] for index in order], threads=threads)


@pytest.mark.parametrize("keys", [1, 3, 12])
def test_agrees_with_one_bad_item_in_each_place(keys: int) -> None:
    row = [good(4 + index % keys) for index in range(24)]
    for place in range(len(row)):
        for bad in (flipped(row[place], 300), off_the_curve(row[place])):
            bent = [*row[:place], bad, *row[place + 1 :]]
            assert check_same(bent) == bytes(index != place for index in range(len(row)))


@pytest.mark.parametrize("keys", [1, 12])
def test_agrees_with_one_good_item_in_each_place(keys: int) -> None:
    row = [flipped(good(4 + index % keys), 17 + index) for index in range(24)]
    for place in range(len(row)):
        lone = good(4 + place % keys)
        mixed = [*row[:place], lone, *row[place + 1 :]]
        assert check_same(mixed) == bytes(index == place for index in range(len(row)))


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 63, 64, 65, 129])
def test_agrees_whatever_the_batch_size(count: int) -> None:
    for keys in (1, 12):
        row = [good(4 + index % keys) for index in range(count)]
        assert check_same(row) == b"\1" * count
        row[-1] = flipped(row[-1], 5)
        assert check_same(row) == b"\1" * (count - 1) + b"\0"


def test_agrees_before_and_after_a_key_has_tables() -> None:
    item, stranger = good(15), good(14)
    stolen = replace(stranger, key=item.key)
    for uses in (1, 1, 5, 300, 300, 1):  # cold, a comb, and from 256 uses on a wide table
        row = [item] * uses + [stolen, flipped(item, 260)]
        assert check_same(row) == b"\1" * uses + b"\0\0"


def test_agrees_on_the_base_point_as_a_key_with_tables() -> None:
    """Both tables are the same, and windows of u1 and u2 meet."""
    for index in range(4):
        row = [good(index, b"%d" % number) for number in range(300)]
        assert check_same(row) == b"\1" * 300
        assert check_same([flipped(item, 100) for item in row[:40]]) == bytes(40)


def test_finds_the_valid_ones_again_after_many_forgeries() -> None:
    """Forgeries use up the kernels' credit; what comes then takes another path."""
    forged = [flipped(good(4 + index % 12), index % 500) for index in range(MOST_ITEMS)]
    assert check_same(forged) == bytes(MOST_ITEMS)
    mixed = [forged[index] if index % 3 else good(4 + index % 12) for index in range(MOST_ITEMS)]
    assert check_same(mixed) == bytes(index % 3 == 0 for index in range(MOST_ITEMS))
    assert check_same([good(4)] * MOST_ITEMS) == b"\1" * MOST_ITEMS
