"""EdDSA batches of every composition against the readable Python, whatever tables they cause."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.codec import base64url
from keystead.errors import KeysteadError
from keystead.jose import algorithms, jwk
from keystead.jose.batch import verify_signatures

L = 2**252 + 27742317777372353535851937790883648493
P = 2**255 - 19
KEYS = 16
# More than the kernels' runs of 64 items.
MOST_ITEMS = 150


@dataclass(frozen=True)
class Item:
    x: bytes
    message: bytes
    signature: bytes

    @property
    def key(self) -> dict[str, str]:
        return {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(self.x)}


@cache
def good(index: int, message: bytes = b"message") -> Item:
    private = Ed25519PrivateKey.from_private_bytes(bytes([index]) * 32)
    return Item(private.public_key().public_bytes_raw(), message, private.sign(message))


@cache
def reference(item: Item) -> int:
    try:
        key = jwk.parse_public(item.key)
        algorithms.verify("EdDSA", key, item.message, item.signature)
    except KeysteadError:
        return 0
    return 1


def check_same(items: Sequence[Item], *, threads: int = 1) -> bytes:
    verdicts = verify_signatures(
        "EdDSA",
        [item.key for item in items],
        [item.message for item in items],
        [item.signature for item in items],
        threads=threads,
    )
    assert verdicts == bytes(map(reference, items))
    return verdicts


def flipped(item: Item, bit: int) -> Item:
    changed = int.from_bytes(item.signature, "little") ^ (1 << bit)
    return replace(item, signature=changed.to_bytes(64, "little"))


def spelt(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


@st.composite
def some_items(draw: st.DrawFn) -> Item:
    messages = [b"", b"message", bytes(47), bytes(48), bytes(300)]
    item = good(draw(st.integers(0, KEYS - 1)), draw(st.sampled_from(messages)))
    kind = draw(st.sampled_from(["good", "good", "good", "bit", "key", "y", "half", "garbage"]))
    if kind == "bit":
        return flipped(item, draw(st.integers(0, 511)))
    if kind == "key":
        return replace(item, x=good(draw(st.integers(0, KEYS - 1))).x)
    if kind == "y":
        y = draw(st.sampled_from([0, 1, 2, 3, 4, P - 2, P - 1, P, P + 1, P + 3, 2**255 - 1]))
        return replace(item, x=spelt(y, draw(st.integers(0, 1))))
    if kind == "half":
        edge = draw(st.sampled_from([0, 1, L - 1, L, L + 1, P - 1, P, P + 1, 2**256 - 1]))
        half = edge.to_bytes(32, "little")
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
def test_agrees_with_one_bad_or_one_good_item_in_each_place(keys: int) -> None:
    row = [good(index % keys) for index in range(24)]
    for place in range(len(row)):
        for bad in (flipped(row[place], 300), replace(row[place], x=spelt(2))):
            bent = [*row[:place], bad, *row[place + 1 :]]
            assert check_same(bent) == bytes(index != place for index in range(len(row)))
        forged = [flipped(item, 17 + index) for index, item in enumerate(row)]
        forged[place] = row[place]
        assert check_same(forged) == bytes(index == place for index in range(len(row)))


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 63, 64, 65, 129])
def test_agrees_whatever_the_batch_size(count: int) -> None:
    for keys in (1, 12):
        row = [good(index % keys) for index in range(count)]
        assert check_same(row) == b"\1" * count
        row[-1] = flipped(row[-1], 5)
        assert check_same(row) == b"\1" * (count - 1) + b"\0"


def test_agrees_before_and_after_a_key_has_tables() -> None:
    item = good(15)
    stolen = replace(good(14), x=item.x)
    for uses in (1, 1, 5, 300, 300, 1):  # cold, a comb, and from 256 uses on a wide table
        row = [item] * uses + [stolen, flipped(item, 260)]
        assert check_same(row) == b"\1" * uses + b"\0\0"


@pytest.mark.parametrize("size", [0, 1, 46, 47, 48, 63, 64, 65, 174, 175, 176, 300, 5_000])
def test_agrees_on_messages_of_every_length_around_a_block(size: int) -> None:
    """SHA-512 has blocks of 128 octets; 64 stand before the message, and 17 behind it."""
    row = [good(index, bytes(size + index % 3)) for index in range(9)]
    assert check_same(row) == b"\1" * 9
    longer = [replace(item, message=item.message + b"\0") for item in row]
    assert check_same(longer) == bytes(9)


def test_finds_the_valid_ones_again_after_many_forgeries() -> None:
    """Forgeries use up the kernels' credit; what comes then takes another path."""
    forged = [flipped(good(index % 12), index % 500) for index in range(MOST_ITEMS)]
    assert check_same(forged) == bytes(MOST_ITEMS)
    mixed = [forged[index] if index % 3 else good(index % 12) for index in range(MOST_ITEMS)]
    assert check_same(mixed) == bytes(index % 3 == 0 for index in range(MOST_ITEMS))
    assert check_same([good(4)] * MOST_ITEMS) == b"\1" * MOST_ITEMS


def test_refuses_a_key_spelt_with_p_or_more_though_openssl_reads_it() -> None:
    """Its other spelling would be a second name of one key."""
    assert check_same([replace(good(0), x=spelt(P + 3, sign)) for sign in (0, 1)]) == b"\0\0"
