"""Native JSON against the readable parser: of the same text the same values, or the same fault.

Texts are bent by ``Random``, of which Hypothesis chooses the seed: hundreds of them cost what one
does that Hypothesis draws piece by piece. An assertion shows the text that it fails on.
"""

import json
from decimal import Decimal
from math import inf, nextafter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.codec.json import encode, parse_object
from tests import native_codecs
from tests.native_codecs import MAX_JSON_BYTES, MAX_JSON_DEPTH, outcome
from tests.relying_tokens import KID, claims

SOME_CLAIMS = claims(cnf={"jkt": "A" * 43})
DOCUMENTS = [
    encode(SOME_CLAIMS),
    json.dumps(SOME_CLAIMS, indent=1).encode(),
    encode({"typ": "at+jwt", "alg": "ES256", "kid": KID}),
    encode({"jwk": {"kty": "EC", "crv": "P-256", "x": "B" * 43, "y": "C" * 43}, "iat": 1.5e9}),
    b'{"a\\u0062":[-0,1e5,-1.25E-7,{"x":null,"y":true,"z":false}],"\\ud83d\\ude00\\n\\"":"\x7f"}',
    '{"é":"日本","\U0001f600":[],"\x80":{}}'.encode(),
]
# Each seed is some hundred texts.
SEEDS = st.integers(0, 2**64 - 1)
some = settings(max_examples=50)


def check_json(text: bytes, max_depth: int = MAX_JSON_DEPTH) -> object:
    expected = outcome(lambda: parse_object(text, max_bytes=MAX_JSON_BYTES, max_depth=max_depth))
    found = native_codecs.parse_object(text, max_depth)
    # repr tells -0.0 from 0, 1 from 1.0 and True, and keeps the order of members.
    assert repr(found) == repr(expected), text
    return expected


PIECES = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"1", b"-", b"+", b".", b"e", b"E+1"),
    *(b" ", b"\t", b"\n", b"\r", b"\v", b"\xc2\xa0", b"\xef\xbb\xbf", b"//", b"'"),
    *(b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity", b"nul"),
    *(b'\\"', b"\\\\", b"\\/", b"\\b", b"\\u0000", b"\\u0061", b"\\uD7fF", b"\\u12", b"\\x41"),
    *(b"\\ud800", b"\\udc00", b"\\ud83d\\ude00", b"\\ud800\\u0041", b"\\ud800\\", b"\\udbff\\u"),
    *(b"\xc3\xa9", b"\xe2\x82\xac", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5"),
    *(b"9223372036854775807", b"-9223372036854775808", b"12345678901234567890123", b"1e400"),
    *(b'{"a":1,"a":2}', b'"iss":1,', b'"\\u0069ss":1,', b"[" * 17, b"]" * 9, b'{"":' * 8),
]


def bent(random: Random) -> bytes:
    """A real document with one to four changes."""
    text = random.choice(DOCUMENTS)
    for _ in range(random.randint(1, 4)):
        start, other = random.randint(0, len(text)), random.randint(0, len(text))
        copied = text[min(start, other) : max(start, other)]
        piece = random.choice([random.choice(PIECES), random.randbytes(1), copied, b""])
        text = text[:start] + piece + text[start + random.choice([0, 0, 1, 2, 9]) :]
    return text[: random.choice([MAX_JSON_BYTES] * 9 + [len(text) // 2])]


@some
@given(SEEDS)
def test_agrees_on_bent_documents(seed: int) -> None:
    random = Random(seed)
    for _ in range(200):
        check_json(bent(random))


@some
@given(SEEDS, st.integers(0, MAX_JSON_DEPTH))
def test_agrees_on_pieces(seed: int, max_depth: int) -> None:
    random = Random(seed)
    for _ in range(50):
        text = b"".join(random.choices(PIECES, k=random.randint(0, 25)))
        check_json(text, max_depth)
        check_json(b'{"a":' + text + b"}", max_depth)
        check_json(b'{"a":"' + text + b'"}', max_depth)


def some_text(random: Random) -> str:
    ranges = [(0, 0x7F), (0x20, 0x7E), (0x61, 0x63), (0x80, 0xD7FF), (0xE000, 0x10FFFF)]
    least, most = random.choice(ranges)
    return "".join(chr(random.randint(least, most)) for _ in range(random.choice([1, 2, 9, 40])))


def some_value(random: Random, depth: int) -> object:
    kind = random.randint(0, 5 if depth > 0 else 3)
    if kind == 0:
        return random.choice([None, True, False, "", [], {}, 2**63 - 1, 2**63, -(2**63), -0.0])
    if kind == 1:
        return random.randint(-(10**9), 10**9)
    if kind == 2:
        return random.uniform(-1, 1) * 10.0 ** random.randint(-320, 307)
    if kind == 3:
        return some_text(random)
    if kind == 4:
        return [some_value(random, depth - 1) for _ in range(random.randint(0, 4))]
    return some_object(random, depth - 1)


def some_object(random: Random, depth: int) -> dict[str, object]:
    size = random.choice([0, 1, 5, 40])
    return {some_text(random): some_value(random, depth) for _ in range(size)}


@some
@given(SEEDS)
def test_agrees_on_good_documents(seed: int) -> None:
    random = Random(seed)
    for depth in range(3):
        value = some_object(random, depth)
        for ascii_only in (True, False):
            text = json.dumps(value, ensure_ascii=ascii_only, indent=random.choice([None, 1]))
            check_json(text.encode()[:MAX_JSON_BYTES])


def some_number(random: Random) -> str:
    def digits(most: int) -> str:
        return "".join(random.choices("0123456789", k=random.randint(1, most)))

    whole = random.choice(["0", str(int(digits(19))), str(int(digits(40)))])
    fraction = random.choice(["", "." + digits(5), "." + digits(40)])
    exponent = random.choice(["", f"e{random.randint(-400, 330)}", "E+" + digits(3)])
    return random.choice(["", "-"]) + whole + fraction + exponent


def halfway(random: Random) -> str:
    """A number in the middle of two doubles, as far as its digits reach; or how one is written."""
    near = random.uniform(1, 2) * 2.0 ** random.choice([random.randint(-1070, 1020), 52, 60, -5])
    middle = (Decimal(near) + Decimal(nextafter(near, inf))) / 2
    digits = random.choice([16, 17, 18, 19, 20, 21, 40])
    return random.choice([f"{middle:.{digits}e}", f"{near:.{digits}e}", repr(near)])


@some
@given(SEEDS)
def test_agrees_on_numbers(seed: int) -> None:
    random = Random(seed)
    for _ in range(200):
        for number in (some_number(random), halfway(random)):
            check_json(b'{"a":%s}' % number.encode())


@pytest.mark.parametrize(
    "number",
    [
        *("9007199254740993.0", "9007199254740992.9", "9007199254740993.1", "1e23", "8.5e22"),
        *("2.2250738585072011e-308", "2.2250738585072014e-308", "4.9e-324", "1e-323"),
        *("2.4703282292062327208e-324", "2.4703282292062328e-324", "1e-325", "0e-400", "0e400"),
        *("1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308", "1e309"),
        *("0e99999999999999999999", "1e99999999999999999999", "1e-99999999999999999999"),
        *("1" * 62 + ".0", "1" * 63 + ".0", "1" * 65, "0." + "0" * 62, "0." + "0" * 63),
        *("0." + "0" * 30 + "1e31", "1" + "0" * 30 + "e-30", "1" + "0" * 40 + "1e-41"),
    ],
)
def test_agrees_on_numbers_at_an_edge(number: str) -> None:
    for text in (number, "-" + number, number + "0", number.replace("e", "E+")):
        check_json(b'{"a":%s}' % text.encode())


@some
@given(SEEDS)
def test_agrees_on_many_names(seed: int) -> None:
    random = Random(seed)
    for size in (5, 20, 31, 32, 33, 34, 90):
        lengths = random.choice([[1, 2, 3], [5, 7, 9]])
        names = ["".join(random.choices("abcdé", k=random.choice(lengths))) for _ in range(size)]
        members = ",".join(f"{json.dumps(name, ensure_ascii=size % 2 > 0)}:0" for name in names)
        check_json(f"{{{members}}}".encode())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_agrees_on_documents_cut_and_changed_anywhere(document: bytes) -> None:
    assert isinstance(check_json(document), dict)
    for at in range(len(document)):
        check_json(document[:at])
        check_json(document[at:])
        check_json(document[:at] + document[at + 1 :])
        for other in (b'"', b"\\", b"{", b"]", b"\x00", b"\x1f", b"\x7f", b"\xff", b"0", b" "):
            check_json(document[:at] + other + document[at + 1 :])
            check_json(document[:at] + other + document[at:])


def test_agrees_on_every_character_in_every_place() -> None:
    for value in range(256):
        for text in (b'{"a":"%b"}', b'{"a":"\\%b"}', b'{"a":%b}', b"{%b}", b'{"a":1%b}', b"%b{}"):
            check_json(text % bytes([value]))
            check_json(text % (bytes([value]) + b"0000"))


def test_agrees_on_all_of_utf8_that_has_two_bytes_or_ends_early() -> None:
    for first in range(0x80, 0x100):
        for second in range(0x100):
            for rest in (b"", b"\x80", b"\x80\x80", b"\xbf\xbf\xbf"):
                check_json(b'{"":"%b"}' % (bytes([first, second]) + rest))


def test_agrees_on_size_and_depth() -> None:
    for size in (MAX_JSON_BYTES - 1, MAX_JSON_BYTES, MAX_JSON_BYTES + 1):
        check_json(b"{}".ljust(size))
        check_json(b"{}".ljust(size, b"\xff"))
    for depth in range(20):
        check_json(b'{"a":' * depth + b"1" + b"}" * depth)
        check_json(b'{"a":%s}' % (b"[" * depth + b"]" * depth))
