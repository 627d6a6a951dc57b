"""The native engine against the readable Python: the same inputs, the same verdicts."""

from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.codec import base64url
from keystead.codec.json import JSON
from keystead.errors import KeysteadError
from keystead.jose import algorithms, jwk
from keystead.jose.batch import verify_signatures
from tests.jose_keys import private_key, public_jwk, signature

ALGORITHMS = sorted(algorithms.DEFAULT_ALGORITHMS)
MESSAGE = b"eyJhbGciOiJFUzI1NiJ9.e30"
ORDER = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "EdDSA": 2**252 + 27742317777372353535851937790883648493,
}
ED25519_PRIME = 2**255 - 19


@dataclass(frozen=True)
class Item:
    key: dict[str, JSON]
    message: bytes
    signature: bytes


def good(algorithm: str, name: str) -> Item:
    signed = signature(algorithm, private_key(algorithm, name), MESSAGE)
    return Item(public_jwk(algorithm, name).to_dict(), MESSAGE, signed)


GOOD = {(algorithm, name): good(algorithm, name) for algorithm in ALGORITHMS for name in "ab"}


def reference(algorithm: str, item: Item) -> int:
    try:
        key = jwk.parse_public(item.key)
        algorithms.verify(algorithm, key, item.message, item.signature)
    except KeysteadError:
        return 0
    return 1


def check_same(algorithm: str, items: list[Item], *, threads: int = 1) -> bytes:
    verdicts = verify_signatures(
        algorithm,
        [item.key for item in items],
        [item.message for item in items],
        [item.signature for item in items],
        threads=threads,
    )
    assert verdicts == bytes(reference(algorithm, item) for item in items)
    return verdicts


JSON_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2**64),
    st.text(max_size=70),
    st.text("ABCDwxyz0189-_", min_size=42, max_size=44),
    st.lists(st.sampled_from(["verify", "sign", "", "x"]), max_size=3),
    st.sampled_from(["EC", "OKP", "RSA", "P-256", "P-384", "Ed25519", "sig", "enc", *ALGORITHMS]),
)
MEMBERS = ["kty", "crv", "x", "y", "n", "e", "d", "k", "kid", "alg", "use", "key_ops", "x5c"]


@st.composite
def items(draw: st.DrawFn, algorithm: str) -> Item:
    """A good item, usually with one thing changed in its key, message or signature."""
    source = draw(st.sampled_from([algorithm] * 9 + ALGORITHMS))
    item = GOOD[source, draw(st.sampled_from("ab"))]
    kind = draw(st.sampled_from(["none", "member", "lost", "message", "bit", "length", "half"]))
    signed = item.signature
    if kind == "member":
        name = draw(st.sampled_from(MEMBERS))
        return replace(item, key={**item.key, name: draw(JSON_VALUES)})
    if kind == "lost":
        lost = draw(st.sampled_from(sorted(item.key)))
        return replace(item, key={name: value for name, value in item.key.items() if name != lost})
    if kind == "message":
        return replace(item, message=draw(st.binary(max_size=200)))
    if kind == "bit":
        at = draw(st.integers(0, len(signed) * 8 - 1))
        flipped = int.from_bytes(signed, "big") ^ (1 << at)
        return replace(item, signature=flipped.to_bytes(len(signed), "big"))
    if kind == "length":
        return replace(
            item, signature=draw(st.sampled_from([signed[:-1], signed[1:], b"\0" + signed]))
        )
    if kind == "half":
        half = len(signed) // 2
        special = draw(st.sampled_from([bytes(half), b"\xff" * half, bytes(half - 1) + b"\1"]))
        return replace(
            item,
            signature=draw(st.sampled_from([special + signed[half:], signed[:half] + special])),
        )
    return item


@settings(max_examples=400)
@given(data=st.data(), algorithm=st.sampled_from(ALGORITHMS), threads=st.integers(1, 2))
def test_agrees_on_bent_items(data: st.DataObject, algorithm: str, threads: int) -> None:
    check_same(
        algorithm, data.draw(st.lists(items(algorithm), min_size=1, max_size=8)), threads=threads
    )


def test_agrees_whatever_the_algorithm_and_the_key() -> None:
    everything = list(GOOD.values())
    for algorithm in ALGORITHMS:
        verdicts = check_same(algorithm, everything)
        # Two keys; EdDSA and Ed25519 are one algorithm.
        assert sum(verdicts) == (4 if algorithm.startswith("Ed") else 2)


def test_agrees_in_every_position() -> None:
    """A bad item among sixteen good ones, at each place."""
    item, other = GOOD["ES256", "a"], GOOD["ES256", "b"]
    bad = replace(item, signature=other.signature)
    for place in range(17):
        row = [item if index % 2 else other for index in range(17)]
        row[place] = bad
        verdicts = check_same("ES256", row)
        assert verdicts == bytes(index != place for index in range(17))


def test_agrees_on_scalars_at_the_edge_of_the_order() -> None:
    item = GOOD["ES256", "a"]
    n = ORDER["ES256"]
    r, s = int.from_bytes(item.signature[:32], "big"), int.from_bytes(item.signature[32:], "big")
    edges = [0, 1, n - 1, n, n + 1, 2**256 - 1]
    pairs = [(r, s), (r, n - s), *((edge, s) for edge in edges), *((r, edge) for edge in edges)]
    row = [replace(item, signature=a.to_bytes(32, "big") + b.to_bytes(32, "big")) for a, b in pairs]
    # ECDSA accepts −s as well as s.
    assert check_same("ES256", row) == b"\1\1" + bytes(len(row) - 2)


def test_agrees_on_ed25519_scalars_above_the_order() -> None:
    item = GOOD["EdDSA", "a"]
    s = int.from_bytes(item.signature[32:], "little")
    raised = [s + factor * ORDER["EdDSA"] for factor in range(8)]
    row = [
        replace(item, signature=item.signature[:32] + value.to_bytes(32, "little"))
        for value in raised
    ]
    assert check_same("EdDSA", row) == b"\1" + bytes(7)


def test_agrees_on_ed25519_keys_of_small_order() -> None:
    """With A and R the neutral point and S = 0, any message would verify."""
    neutral = (1).to_bytes(32, "little")
    signed = neutral + bytes(32)
    row = []
    for y in (0, 1, ED25519_PRIME - 1, ED25519_PRIME, ED25519_PRIME + 1):
        for sign in (0, 1 << 255):
            x = base64url.encode((y | sign).to_bytes(32, "little"))
            row.append(Item({"kty": "OKP", "crv": "Ed25519", "x": x}, MESSAGE, signed))
    assert check_same("EdDSA", row) == bytes(len(row))


def test_agrees_on_the_bounds_of_rsa() -> None:
    """Signatures that are good, under keys that may be too small or have too small an exponent."""
    row = []
    for bits, exponent in ((1024, 65_537), (2048, 3), (2048, 65_537), (2056, 65_537)):
        key = rsa.generate_private_key(public_exponent=exponent, key_size=bits)
        n, e = (
            base64url.encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))
            for value in (key.public_key().public_numbers().n, exponent)
        )
        public: dict[str, JSON] = {"kty": "RSA", "n": n, "e": e}
        row.append(Item(public, MESSAGE, signature("RS256", key, MESSAGE)))
    assert check_same("RS256", row) == b"\0\0\1\1"


def test_agrees_on_coordinates_with_another_spelling() -> None:
    item = GOOD["ES256", "a"]
    x = base64url.decode(str(item.key["x"]))
    spellings = [b"\0" + x, x[1:], x + b"\0"]
    row = [replace(item, key={**item.key, "x": base64url.encode(other)}) for other in spellings]
    row += [replace(item, key={**item.key, "x": str(item.key["x"]) + "="})]
    assert check_same("ES256", row) == bytes(4)
