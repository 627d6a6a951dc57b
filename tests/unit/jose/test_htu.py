import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.errors import Malformed, Reason
from keystead.jose.htu import MAX_URL_CHARS, normalise_htu

SAME = {
    "https://api.example/": [
        "https://api.example",
        "HTTPS://API.EXAMPLE/",
        "https://api.example:443/",
        "https://api.example:/",
        "https://api.example:00443",
        "https://api.example/?a=b",
        "https://api.example?a=b",
        "https://api.example/#top",
        "https://api.example/.",
        "https://api.example/../..",
        "https://api.example/a/..",
        "https://api.example/%2E/",
    ],
    "https://api.example/a/b": [
        "https://api.example/a/./b",
        "https://api.example/a/c/../b",
        "https://api.example/../a/b",
        "https://api.example/%61/b",
        "https://api.example/a/c/%2e%2E/b?x#y",
    ],
    "https://api.example/a%2Fb": ["https://api.example/a%2fb"],
    "https://api.example/a%20b": ["https://api.example/%61%20%62"],
    "https://api.example/a//b/": ["https://api.example/a//b/.", "https://api.example/a//b/c/.."],
    "http://[2001:db8::1]:8080/x": ["http://[2001:DB8::1]:8080/x"],
    "http://127.0.0.1/": ["http://127.0.0.1:80"],
    "https://api.example:80/": ["https://api.example:80"],
}


@pytest.mark.parametrize("normal", SAME)
def test_spellings_of_one_url_are_equal(normal: str) -> None:
    assert normalise_htu(normal) == normal
    for url in SAME[normal]:
        assert normalise_htu(url) == normal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://api.example/a", "https://api.example/A"),
        ("https://api.example/a", "https://api.example/a/"),
        ("https://api.example/a/b", "https://api.example/a//b"),
        ("https://api.example/a/b", "https://api.example/a%2Fb"),
        ("https://api.example/%61", "https://api.example/%2561"),
        ("https://api.example/", "http://api.example/"),
        ("https://api.example/", "https://api.example:8443/"),
        ("https://api.example/", "https://api.example./"),
        ("https://api.example/a", "https://api.example/a;v=1"),
    ],
)
def test_different_urls_stay_different(one: str, other: str) -> None:
    assert normalise_htu(one) != normalise_htu(other)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/token",
        "//api.example/",
        "api.example/token",
        "https:/api.example",
        "https:///token",
        "https://",
        "https://user@api.example/",
        "https://user:secret@api.example/",
        "https://api.example@evil.example/",
        "ftp://api.example/",
        "javascript://api.example/",
        "https://api.example:0/",
        "https://api.example:65536/",
        "https://api.example:-1/",
        "https://api.example:٤٤٣/",
        "https://api.example:443443/",
        "https://api%2Eexample/",
        "https://bücher.example/",
        "https://api.example/ü",
        "https://api.example/a b",
        "https://api.example/%",
        "https://api.example/%4",
        "https://api.example/%zz",
        "https://api.example\\a",
        "https://api.example/\0",
        "https://api.example/\n",
        "https://api.example/\t",
        " https://api.example/",
        "https://api.example/ ",
        "https://[::1/",
        "https://[::1]x/",
        "https://[api]/",
        "https://api.example/<a>",
        "https://api.example/#a#b",
    ],
)
def test_rejects_what_is_no_absolute_web_url(url: str) -> None:
    with pytest.raises(Malformed) as caught:
        normalise_htu(url)
    assert caught.value.reason is Reason.MALFORMED


def test_length_is_bounded() -> None:
    start = "https://api.example/"
    longest = start + "a" * (MAX_URL_CHARS - len(start))
    assert normalise_htu(longest) == longest
    with pytest.raises(Malformed) as caught:
        normalise_htu(longest + "a")
    assert caught.value.reason is Reason.TOO_LARGE


@given(st.text(alphabet="aA0/.%2eEfF:?#@[]~-_ \0ü", max_size=30))
def test_normalising_twice_changes_nothing(rest: str) -> None:
    try:
        once = normalise_htu(f"https://h{rest}")
    except Malformed:
        return
    assert normalise_htu(once) == once
    assert "/../" not in once
    assert "?" not in once
