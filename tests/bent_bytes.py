"""Good bytes, bent at random: a strategy of hypothesis."""

from hypothesis import strategies as st

# What lengths, counts, tags and types are changed to.
EXTREMES = [
    *(bytes(size) for size in (1, 2, 4, 8)),
    *(b"\xff" * size for size in (1, 2, 4, 8)),
    *(b"\x7f" + b"\xff" * size for size in (1, 3, 7)),
    *(b"\x80" + bytes(size) for size in (0, 1, 3, 7)),
    *(bytes(size) + b"\x80" for size in (1, 3, 7)),
    *(bytes([major << 5 | 27]) + b"\xff" * 8 for major in range(8)),
    *(bytes([major << 5 | 31]) for major in range(8)),
    *(b"\x84" + b"\xff" * 4, b"\x30\x80", b"\x00\x00", b"[" * 64, b"9" * 64),
]


@st.composite
def bent(draw: st.DrawFn, good: bytes) -> bytes:
    """One to three changes: a flip, something put in or taken out, a chunk twice, an extreme."""
    data = good
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        size = draw(st.integers(1, 40))
        head, chunk, tail = data[:at], data[at : at + size], data[at + size :]
        change = draw(st.sampled_from(["flip", "insert", "delete", "double", "move", "extreme"]))
        if change == "flip":
            mask = draw(st.integers(1, 255))
            data = head + bytes(each ^ mask for each in chunk[:1]) + chunk[1:] + tail
        elif change == "insert":
            data = head + draw(st.binary(min_size=1, max_size=16)) + chunk + tail
        elif change == "delete":
            data = head + tail
        elif change == "double":
            data = head + chunk * draw(st.integers(2, 5)) + tail
        elif change == "move":
            data = head + tail + chunk
        else:
            put = draw(st.sampled_from(EXTREMES))
            data = head + put + data[at + len(put) :]
    return data
