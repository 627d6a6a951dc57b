"""What verify_signatures promises its callers; the verdicts themselves: tests/differential."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from keystead._native import batch as native
from keystead.codec import base64url
from keystead.codec.json import JSON
from keystead.errors import Reason, TokenRejected
from keystead.jose import algorithms
from keystead.jose.batch import (
    MAX_BATCH,
    MAX_THREADS,
    Key,
    capabilities,
    verify_es256_by_point,
    verify_signature,
    verify_signatures,
)
from tests.jose_keys import private_key, public_jwk, signature

MESSAGE = b"eyJhbGciOiJFUzI1NiJ9.e30"
ALGORITHMS = sorted(algorithms.DEFAULT_ALGORITHMS)


def signed(algorithm: str, name: str = "holder", message: bytes = MESSAGE) -> bytes:
    return signature(algorithm, private_key(algorithm, name), message)


def bare(algorithm: str = "ES256", name: str = "holder") -> dict[str, JSON]:
    return public_jwk(algorithm, name).to_dict()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_accepts_good_signatures_under_one_key(algorithm: str) -> None:
    signatures = [signed(algorithm)] * 3
    assert verify_signatures(algorithm, bare(algorithm), [MESSAGE] * 3, signatures) == b"\1\1\1"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_tells_every_item_by_itself(algorithm: str) -> None:
    good = signed(algorithm)
    spoilt = good[:-1] + bytes([good[-1] ^ 1])
    cases = [
        (bare(algorithm), MESSAGE, good, 1),
        (bare(algorithm), MESSAGE, spoilt, 0),
        (bare(algorithm), MESSAGE + b".", good, 0),
        (bare(algorithm), MESSAGE, good[:-1], 0),
        (bare(algorithm), MESSAGE, good + b"\0", 0),
        (bare(algorithm), MESSAGE, b"", 0),
        (bare(algorithm, "another"), MESSAGE, good, 0),
        (bare(algorithm, "another"), MESSAGE, signed(algorithm, "another"), 1),
        ({}, MESSAGE, good, 0),
        (public_jwk(algorithm), MESSAGE, good, 1),
    ]
    for threads in (1, 3):
        keys, messages, signatures, expected = zip(*(cases * 9), strict=True)
        verdicts = verify_signatures(algorithm, keys, messages, signatures, threads=threads)
        assert verdicts == bytes(expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_good_signature_is_accepted(algorithm: str) -> None:
    verify_signature(algorithm, public_jwk(algorithm), MESSAGE, signed(algorithm))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_bad_signature_is_rejected_as_the_readable_python_does(algorithm: str) -> None:
    key, good = public_jwk(algorithm), signed(algorithm)
    unsuitable = public_jwk("RS256" if algorithm != "RS256" else "ES256")
    for holder, message, signed_by in (
        (key, MESSAGE + b".", good),
        (key, MESSAGE, good[:-1] + bytes([good[-1] ^ 1])),
        (key, MESSAGE, good[:-1]),
        (key, MESSAGE, b""),
        (public_jwk(algorithm, "another"), MESSAGE, good),
        (replace(key, use="enc"), MESSAGE, good),
        (replace(key, alg="none"), MESSAGE, good),
        *([(unsuitable, MESSAGE, good)] if unsuitable.kty != key.kty else []),
    ):
        with pytest.raises(TokenRejected) as expected:
            algorithms.verify(algorithm, holder, message, signed_by)
        with pytest.raises(TokenRejected) as caught:
            verify_signature(algorithm, holder, message, signed_by)
        assert (caught.value.reason, caught.value.detail) == (
            expected.value.reason,
            expected.value.detail,
        )


def test_one_es384_signature_is_the_engines_where_its_own_kernel_verifies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def verify(*_: object) -> None:
        raise AssertionError("this was to be the engine's")

    if capabilities()["ES384"].path != "portable":
        pytest.skip("another path gains nothing by a single signature")
    monkeypatch.setattr(algorithms, "verify", verify)
    verify_signature("ES384", public_jwk("ES384"), MESSAGE, signed("ES384"))
    with pytest.raises(TokenRejected):
        verify_signature("ES384", public_jwk("ES384"), MESSAGE + b".", signed("ES384"))


def test_an_empty_batch_has_no_verdicts() -> None:
    assert verify_signatures("ES256", bare(), [], []) == b""
    assert verify_signatures("ES256", [], [], []) == b""


def test_rejects_unknown_algorithm() -> None:
    for name in ("none", "HS256", "es256", "ES256K", ""):
        with pytest.raises(TokenRejected) as refused:
            verify_signatures(name, bare(), [MESSAGE], [signed("ES256")])
        assert refused.value.reason is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "OKP"},
        {"crv": "P-384"},
        {"x": 7},
        {"x": None},
        {"x": "AA"},
        {"x": "A" * 100},
        {"y": "!" * 43},
        {"d": "AA"},
        {"use": "enc"},
        {"alg": "ES384"},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"kid": ""},
    ],
)
def test_unsuitable_key_makes_its_own_item_invalid(change: Mapping[str, JSON]) -> None:
    unsuitable = {**bare(), **change}
    keys = [bare(), unsuitable, bare()]
    assert verify_signatures("ES256", keys, [MESSAGE] * 3, [signed("ES256")] * 3) == b"\1\0\1"


def test_accepts_keys_with_metadata() -> None:
    jwk = bare() | {
        "kid": "2024-1",
        "alg": "ES256",
        "use": "sig",
        "key_ops": ["verify"],
        "x5t": "-",
    }
    assert verify_signatures("ES256", jwk, [MESSAGE], [signed("ES256")]) == b"\1"


class Text(str):
    """Equal to a string, and not exactly one."""

    __slots__ = ()


class Other(dict[str, JSON]):
    """A mapping that is a dict, and not exactly one."""


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_reads_a_key_from_any_kind_of_mapping(algorithm: str) -> None:
    good, jwk = signed(algorithm), bare(algorithm)
    kinds: tuple[Any, ...] = (
        MappingProxyType(jwk),
        Other(jwk),
        {Text(name): value for name, value in jwk.items()},
        {name: Text(value) for name, value in jwk.items()},
    )
    for same in kinds:
        for keys in (same, [same]):
            assert verify_signatures(algorithm, keys, [MESSAGE], [good]) == b"\1"
            assert verify_signatures(algorithm, keys, [MESSAGE + b"."], [good]) == b"\0"


@pytest.mark.parametrize("algorithm", sorted(set(ALGORITHMS) - {"RS256", "PS256"}))
def test_reads_a_bare_point_as_the_readable_parser_does(algorithm: str) -> None:
    key = public_jwk(algorithm)
    number = native.ALGORITHMS["Ed25519" if algorithm == "EdDSA" else algorithm]
    kty, crv = key.kty, str(key.crv)
    octets = [base64url.decode(key.members[name]) for name in ("x", "y") if name in key.members]
    members = dict(key.members)
    assert native.bare_point(number, kty, crv, members) == (*octets, b"")[:2]
    for change in ({"kid": "1"}, {"d": "AA"}, {"x": 7}, {"x": "\u00e9"}, {"kty": None}):
        assert native.bare_point(number, kty, crv, members | change) is None
    for name in members:
        assert native.bare_point(number, kty, crv, without(members, name)) is None
    for change in ({"kty": "RSA"}, {"crv": "P-192"}, {"x": ""}, {"x": "AA"}):
        assert native.bare_point(number, kty, crv, members | change) == (b"", b"")


def without(members: Mapping[str, str], name: str) -> dict[str, JSON]:
    return {other: value for other, value in members.items() if other != name}


def test_a_key_that_changes_while_it_is_read_is_none() -> None:
    class Clears:
        """Looked up as `crv`, it empties the mapping that it stands in."""

        def __eq__(self, other: object) -> bool:
            jwk.clear()
            return False

        def __hash__(self) -> int:
            return hash("crv")

    jwk: dict[Any, JSON] = {name: value for name, value in bare().items() if name != "crv"}
    jwk[Clears()] = "P-256"
    assert verify_signatures("ES256", [jwk], [MESSAGE], [signed("ES256")]) == b"\0"


def test_builds_equal_keys_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    verify_batch = native.verify_batch

    def counting(algorithm: int, table: tuple[tuple[bytes, bytes], ...], *rest: Any) -> bytes:
        seen.append(len(table))
        return verify_batch(algorithm, table, *rest)

    monkeypatch.setattr(native, "verify_batch", counting)
    keys: list[Key] = [bare(), bare(), public_jwk(), bare(name="another")]
    verify_signatures("ES256", keys, [MESSAGE] * 4, [signed("ES256")] * 4)
    assert seen == [2]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("HS256", {}, [], []), TokenRejected, "the engine has ES256, .*EdDSA"),
        (("ES256", bare(), ["m"], [b"s"]), TypeError, r"messages\[0\] is bytes, not str"),
        (
            ("ES256", bare(), [b"m"] * 2, [b"s", "s"]),
            TypeError,
            r"signatures\[1\] is bytes, not str",
        ),
        (("ES256", bare(), b"m", [b"s"]), TypeError, "messages is a sequence"),
        (("ES256", bare(), [b"m"], "s"), TypeError, "signatures is a sequence"),
        (("ES256", bare(), [b"m"], []), ValueError, "1 messages and 0 signatures"),
        (("ES256", [bare()] * 3, [b"m"], [b"s"]), ValueError, "1 messages and 3 keys"),
        (
            ("ES256", "{}", [b"m"], [b"s"]),
            TypeError,
            "keys is a JWK .* not str",
        ),
        (("ES256", 5, [b"m"], [b"s"]), TypeError, "keys is a JWK .* not int"),
    ],
)
def test_wrong_use_says_what_was_wrong(
    arguments: tuple[Any, ...], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        verify_signatures(*arguments)


@pytest.mark.parametrize("threads", [0, -1, MAX_THREADS + 1, 1.5, True, None])
def test_refuses_thread_counts_out_of_range(threads: Any) -> None:
    with pytest.raises(ValueError, match="threads"):
        verify_signatures("ES256", bare(), [MESSAGE], [signed("ES256")], threads=threads)


def test_refuses_more_than_the_largest_batch() -> None:
    empty = [b""] * (MAX_BATCH + 1)
    with pytest.raises(ValueError, match="more than"):
        verify_signatures("ES256", bare(), empty, empty)


@pytest.mark.parametrize("wrong", ["text", bytearray(b"x"), memoryview(b"x"), None, 7])
def test_refuses_items_that_are_not_bytes(wrong: object) -> None:
    good = signed("ES256")
    with pytest.raises(TypeError):
        verify_signatures("ES256", bare(), [wrong], [good])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        verify_signatures("ES256", bare(), [MESSAGE], [wrong])  # type: ignore[list-item]


@pytest.mark.parametrize("wrong", ["", b"", bytearray(), memoryview(b"")])
def test_refuses_bytes_where_a_sequence_of_bytes_is_meant(wrong: object) -> None:
    with pytest.raises(TypeError):
        verify_signatures("ES256", bare(), wrong, [])  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["text", b"bytes", None, 7, [bare()]])
def test_refuses_keys_that_are_no_mappings(wrong: object) -> None:
    with pytest.raises(TypeError):
        verify_signatures("ES256", [wrong], [MESSAGE], [signed("ES256")])  # type: ignore[list-item]


def test_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    good = signed("ES256")
    assert (
        verify_signatures("ES256", bare(), [MESSAGE] * 200, [good] * 200, threads=4) == b"\1" * 200
    )
    assert threading.active_count() == before


def test_other_python_threads_run_meanwhile() -> None:
    count = 400
    good = signed("ES384")
    done = threading.Event()
    ticks = 0

    def work() -> None:
        verify_signatures("ES384", bare("ES384"), [MESSAGE] * count, [good] * count)
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    while not done.wait(0.001):
        ticks += 1
    worker.join()
    assert ticks > 3  # with the GIL held throughout, there would be one at most


def test_capabilities_name_a_path_for_every_algorithm() -> None:
    found = capabilities()
    assert found.keys() == algorithms.DEFAULT_ALGORITHMS
    assert [capability.name for capability in found.values()] == list(found)
    for name in ("ES256", "Ed25519", "EdDSA"):
        assert found[name].path in {"ifma", "portable", "openssl"}
    assert found["ES384"].path in {"crypto_mb", "portable", "openssl"}
    for name in ("RS256", "PS256"):
        assert found[name].path in {"crypto_mb", "openssl"}
    assert found["ES512"].path == "openssl"
    assert found["EdDSA"].path == found["Ed25519"].path
    assert all(capability.reason for capability in found.values())


def test_verifies_es256_by_a_point_that_never_was_a_jwk() -> None:
    point = (base64url.decode(bare()["x"]), base64url.decode(bare()["y"]))  # type: ignore[arg-type]
    verify_es256_by_point(point, MESSAGE, signed("ES256"))
    off_curve = (point[0], bytes(31) + b"\1")
    for key, message, made in (
        (point, MESSAGE + b".", signed("ES256")),
        (point, MESSAGE, signed("ES256")[:-1]),
        (point, MESSAGE, signed("ES256", "another")),
        ((point[0], point[1][:-1]), MESSAGE, signed("ES256")),
        (off_curve, MESSAGE, signed("ES256")),
    ):
        with pytest.raises(TokenRejected) as refused:
            verify_es256_by_point(key, message, made)
        assert refused.value.reason is Reason.SIGNATURE_INVALID
