from typing import Any

import pytest

from keystead.codec import cbor
from keystead.codec.cose import ES384, parse_sign1
from keystead.errors import Malformed

PROTECTED = bytes.fromhex("a1013822")
SIGNATURE = b"\x05" * 96


def encoded(*parts: Any) -> bytes:
    return cbor.encode(list(parts))


GOOD = encoded(PROTECTED, {}, b"payload", SIGNATURE)


@pytest.mark.parametrize("data", [GOOD, b"\xd2" + GOOD], ids=["untagged", "tagged"])
def test_reads_what_was_signed(data: bytes) -> None:
    found = parse_sign1(data, max_bytes=200)
    assert (found.algorithm, found.payload, found.signature) == (ES384, b"payload", SIGNATURE)
    assert found.signed == bytes.fromhex("846a5369676e61747572653144a10138224047") + (b"payload")


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("three parts", encoded(PROTECTED, {}, b"payload")),
        ("five parts", encoded(PROTECTED, {}, b"payload", SIGNATURE, b"")),
        ("a map", cbor.encode({1: 2})),
        ("an unprotected header", encoded(PROTECTED, {4: b"kid"}, b"payload", SIGNATURE)),
        ("a detached payload", encoded(PROTECTED, {}, None, SIGNATURE)),
        ("an empty payload", encoded(PROTECTED, {}, b"", SIGNATURE)),
        ("no protected header", encoded(b"", {}, b"payload", SIGNATURE)),
        ("a second header", encoded(bytes.fromhex("a20138220241ff"), {}, b"payload", SIGNATURE)),
        ("no algorithm", encoded(b"\xa0", {}, b"payload", SIGNATURE)),
        ("an algorithm by name", encoded(cbor.encode({1: "ES384"}), {}, b"payload", SIGNATURE)),
        ("an algorithm beyond any", encoded(cbor.encode({1: 1 << 40}), {}, b"payload", SIGNATURE)),
        ("a header that is not CBOR", encoded(b"\xff", {}, b"payload", SIGNATURE)),
        ("text for a signature", encoded(PROTECTED, {}, b"payload", "signature")),
        ("a long signature", encoded(PROTECTED, {}, b"payload", b"\x05" * 133)),
        ("another tag", b"\xd1" + GOOD),
        ("the tag twice", b"\xd2\xd2" + GOOD),
        ("the tag in two bytes", b"\xd8\x12" + GOOD),
        ("an indefinite array", b"\x9f" + GOOD[1:] + b"\xff"),
        ("bytes left over", GOOD + b"\x00"),
        ("too many bytes", encoded(PROTECTED, {}, bytes(200), SIGNATURE)),
    ],
)
def test_refuses(what: str, data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_sign1(data, max_bytes=200)


def test_cut_anywhere_it_is_malformed() -> None:
    for size in range(len(GOOD)):
        with pytest.raises(Malformed):
            parse_sign1(GOOD[:size], max_bytes=200)
