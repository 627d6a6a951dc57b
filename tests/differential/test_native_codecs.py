"""Native base64url and URLs against the readable ones: the same result, or the same fault."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.codec import base64url
from keystead.jose.htu import normalise_htu
from tests import native_codecs
from tests.native_codecs import MAX_URL_CHARS, outcome

# --- base64url ------------------------------------------------------------------------------------


def check_base64url(text: bytes) -> object:
    expected = outcome(lambda: base64url.decode(text))
    assert native_codecs.base64url_decode(text) == expected, text
    return expected


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_base64url_agrees_on_good_texts(data: bytes) -> None:
    text = base64url.encode(data)
    assert native_codecs.base64url_encode(data) == text
    assert check_base64url(text.encode()) == data


@settings(max_examples=300)
@given(st.text("AQgw-_+/= \nz9\x00\u0141", max_size=150))
def test_base64url_agrees_on_strange_texts(text: str) -> None:
    check_base64url(text.encode())


def test_base64url_agrees_on_one_other_character() -> None:
    """Each of 256 at each place of texts that end in each way, within a block and behind it."""
    for size in (2, 3, 4, 35, 66):
        text = base64url.encode(bytes(range(150, 150 + size * 3 // 4))).encode()
        assert len(text) == size
        for at in range(size):
            for value in range(256):
                check_base64url(text[:at] + bytes([value]) + text[at + 1 :])


def test_base64url_agrees_on_two_other_characters() -> None:
    for first in range(256):
        for second in range(256):
            check_base64url(bytes([first, second]))
            check_base64url(b"A" * 31 + bytes([first, second]) + b"AA")


# --- URLs -----------------------------------------------------------------------------------------


def check_url(url: str) -> object:
    expected = outcome(lambda: normalise_htu(url))
    assert native_codecs.normalise_htu(url.encode("utf-8", "surrogatepass")) == expected, url
    return expected


URLS = [
    "https://api.example/orders",
    "https://API.example:443/a/./b/../c%7e%2fd?x=/?#y",
    "HTTP://[2001:DB8::1]:8080",
    "http://a:080/..//%2e%2E/./x/.",
]
PIECES = [
    *("/", ":", ".", "..", "/./", "/../", "//", "?", "#", "@", "[", "]", "\\", " ", "\n", "\0"),
    *("%", "%2", "%2e", "%2F", "%41", "%zz", "%E9", "%25", ":0", ":65536", ":000443", ":80"),
    *("http", "https://", "ftp://", "A", "z", "~", "!$&'()*+,;=", "\u00e9", "\u212a", "\ud800"),
]


def bent(random: Random) -> str:
    url = random.choice(URLS)
    for _ in range(random.randint(0, 4)):
        at = random.randint(0, len(url))
        url = url[:at] + random.choice(PIECES) + url[at + random.choice([0, 0, 1, 3]) :]
    return url


@settings(max_examples=50)
@given(st.integers(0, 2**64 - 1))
def test_urls_agree(seed: int) -> None:
    """Hypothesis chooses the seed only, so that there are hundreds of URLs to one drawing."""
    random = Random(seed)
    for _ in range(200):
        check_url(bent(random))
        path = "".join(random.choices(PIECES, k=random.randint(0, 20)))
        check_url("https://a/" + path)
        check_url("https://a" + path)


@pytest.mark.parametrize("url", URLS)
def test_urls_agree_on_one_other_character(url: str) -> None:
    for at in range(len(url) + 1):
        check_url(url[:at])
        for value in range(256):
            check_url(url[:at] + chr(value) + url[at:])
            check_url(url[:at] + chr(value) + url[at + 1 :])


@pytest.mark.parametrize("character", ["a", "/", "/..", "%41", "%e9", "\u00e9", "\ud800", "\0"])
def test_urls_agree_on_sizes(character: str) -> None:
    make: list[Callable[[int], str]] = [
        lambda size: ("https://a/" + character * size)[:size],
        lambda size: (character * size)[:size],
    ]
    for size in range(MAX_URL_CHARS - 5, MAX_URL_CHARS + 5):
        for each in make:
            check_url(each(size))
