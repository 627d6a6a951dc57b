"""What ``keystead verify`` reads: every line once, in order, and no more of one than its bound."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keystead.cli import verify_lines
from keystead.cli.verify_lines import (
    MAX_BATCH_BYTES,
    MAX_BATCH_LINES,
    MAX_REQUEST_BYTES,
    Lines,
    batches,
    open_input,
    parse_request,
    parse_token,
)
from keystead.errors import Malformed, Reason
from keystead.relying import MAX_TOKEN_BYTES

REQUEST = {"token": "a.b.c", "proof": "d.e.f", "method": "GET", "url": "https://api.example/o"}


def lines(data: bytes, *, max_bytes: int = 8) -> list[bytes | None]:
    return list(Lines(io.BytesIO(data), name="-", max_bytes=max_bytes))


def encoded(**changes: object) -> bytes:
    return json.dumps({**REQUEST, **changes}).encode()


def refusal(parse: Callable[[], object]) -> Malformed:
    with pytest.raises(Malformed) as refused:
        parse()
    return refused.value


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\nb", [b"a", b"b"]),
        (b"\n\na\n\n", [b"", b"", b"a", b""]),
        (b"\r\n", [b""]),
        (b"a\r\r\n", [b"a\r"]),
        (b"a\rb\n", [b"a\rb"]),
        (b" a \n", [b" a "]),
        (b"\xff\x00\xfe\n\x80", [b"\xff\x00\xfe", b"\x80"]),
    ],
)
def test_every_line_is_an_item(data: bytes, found: list[bytes]) -> None:
    assert lines(data) == found


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("length", range(1, 24))
def test_a_line_over_the_bound_is_none_and_its_neighbours_are_whole(
    length: int, end: bytes
) -> None:
    long = b"x" * length
    seen = long if length <= 8 else None
    assert lines(long + end) == [seen]
    assert lines(b"a\n" + long + (end or b"\n") + b"b") == [b"a", seen, b"b"]


class Endless(io.RawIOBase):
    """A line of 64 MiB, then a short one; notes how much is asked for at once."""

    def __init__(self) -> None:
        self.left = 64 << 20
        self.most = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        assert size is not None and size > 0
        self.most = max(self.most, size)
        if self.left <= 0:
            self.left, tail = -1, (b"\n" if self.left == 0 else b"")
            return tail
        taken = min(size, self.left)
        self.left -= taken
        return b"x" * taken


def test_a_huge_line_is_skipped_without_being_held() -> None:
    file = Endless()
    reader = Lines(file, name="-", max_bytes=100)  # type: ignore[arg-type]
    assert list(reader) == [None]
    assert file.most == 1 << 16
    assert reader.bytes_read == (64 << 20) + 1


def test_a_file_that_cannot_be_read_on_is_wrong_use() -> None:
    class Broken(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    error = refusal(lambda: list(Lines(Broken(), name="tokens", max_bytes=8)))
    assert error.reason is Reason.PARAMETER_INVALID and "Input/output error" in error.detail


def test_a_batch_ends_at_its_number_of_lines() -> None:
    found = list(batches(b"x" for _ in range(2 * MAX_BATCH_LINES + 1)))
    assert [len(batch) for batch in found] == [MAX_BATCH_LINES, MAX_BATCH_LINES, 1]
    assert list(batches([])) == []


def test_a_batch_of_long_lines_ends_at_its_bytes() -> None:
    def long_lines() -> Iterator[bytes]:
        for _ in range(1_000):
            yield b"x" * MAX_REQUEST_BYTES

    sizes = [sum(len(line or b"") for line in batch) for batch in batches(long_lines())]
    assert max(sizes) <= MAX_BATCH_BYTES + MAX_REQUEST_BYTES
    assert sum(sizes) == 1_000 * MAX_REQUEST_BYTES


def test_lines_that_were_skipped_count_as_lines_of_a_batch() -> None:
    found = list(batches(None for _ in range(MAX_BATCH_LINES + 1)))
    assert [len(batch) for batch in found] == [MAX_BATCH_LINES, 1]


def test_a_token_is_its_line_and_what_is_not_ascii_stays_so() -> None:
    assert parse_token(b"a.b.c") == "a.b.c"
    for line in (b"\xff", "é".encode(), b"\x80."):
        assert not parse_token(line).isascii()


def test_a_token_over_the_bound_is_too_large_at_the_first_step() -> None:
    error = refusal(lambda: parse_token(None))
    assert (error.reason, error.step) == (Reason.TOO_LARGE, 1)
    assert str(MAX_TOKEN_BYTES) in error.detail


def test_a_request_is_its_members() -> None:
    sent = parse_request(encoded())
    assert (sent.token, sent.method, sent.url) == ("a.b.c", "GET", "https://api.example/o")
    assert sent.proof == ("d.e.f",)
    assert parse_request(encoded(proof=["d", "e"])).proof == ("d", "e")
    without = {name: value for name, value in REQUEST.items() if name != "proof"}
    assert parse_request(json.dumps(without).encode()).proof is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (None, Reason.TOO_LARGE),
        (b"", Reason.MALFORMED),
        (b"a.b.c", Reason.MALFORMED),
        (b"[]", Reason.MALFORMED),
        (b"\xff", Reason.MALFORMED),
        (b"\x00", Reason.MALFORMED),
        (encoded()[:-1], Reason.MALFORMED),
        (encoded() + b"{}", Reason.MALFORMED),
        (encoded(htu="https://api.example/o"), Reason.MALFORMED),
        (encoded(url=7), Reason.MALFORMED),
        (encoded(token=None), Reason.MALFORMED),
        (encoded(proof=None), Reason.MALFORMED),
        (encoded(proof=[7]), Reason.MALFORMED),
        (encoded(method=""), Reason.MALFORMED),
        (encoded(method="GET\x1b"), Reason.MALFORMED),
        (b'{"token":"a","token":"b","method":"GET","url":"u"}', Reason.DUPLICATE_MEMBER),
        (encoded(proof=[["d"]]), Reason.TOO_LARGE),
        *(
            (json.dumps({n: v for n, v in REQUEST.items() if n != gone}).encode(), Reason.MALFORMED)
            for gone in ("token", "method", "url")
        ),
    ],
)
def test_refuses_what_is_no_request(line: bytes | None, reason: Reason) -> None:
    error = refusal(lambda: parse_request(line))
    assert (error.reason, error.step) == (reason, None)


def test_what_is_wrong_with_a_token_of_a_request_is_for_the_verifier_to_say() -> None:
    assert len(parse_request(encoded(token="x" * (MAX_TOKEN_BYTES + 1))).token) > MAX_TOKEN_BYTES


def test_a_file_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    for name in (tmp_path / "absent", tmp_path):
        error = refusal(lambda name=name: open_input(str(name)))  # type: ignore[misc]
        assert error.reason is Reason.PARAMETER_INVALID


def test_the_bounds_are_those_that_the_guide_tells() -> None:
    guide = Path(verify_lines.__file__).parents[3] / "docs" / "relying-party.md"
    text = " ".join(guide.read_text().split())
    assert f"up to {MAX_BATCH_LINES:,} lines or {MAX_BATCH_BYTES >> 20} MiB" in text
