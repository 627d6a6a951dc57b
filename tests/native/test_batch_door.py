"""The compiled door: nothing but exact bytes passes, and no input makes it do worse than refuse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead._native import batch

ES256 = batch.ALGORITHMS["ES256"]
KEY = (bytes(32), bytes(32))


class LyingBytes(bytes):
    def __len__(self) -> int:
        return 1_000_000


def verify(
    keys: object = (KEY,),
    key_of: object = (0,),
    messages: object = (b"m",),
    signatures: object = (bytes(64),),
    *,
    algorithm: int = ES256,
    threads: int = 1,
) -> bytes:
    return batch.verify_batch(algorithm, keys, key_of, messages, signatures, threads)  # type: ignore[arg-type]


def test_answers_one_byte_an_item() -> None:
    assert verify() == b"\0"


@pytest.mark.parametrize("wrong", [LyingBytes(64), bytearray(64), memoryview(b""), "", None, 0])
@pytest.mark.parametrize("place", ["messages", "signatures"])
def test_refuses_items_that_are_not_exactly_bytes(place: str, wrong: object) -> None:
    with pytest.raises(TypeError):
        verify(**{place: (wrong,)})  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, b"", (b"",), (b"", b"", b""), [b"", b""], (b"", None)])
def test_refuses_keys_that_are_not_pairs_of_bytes(wrong: object) -> None:
    with pytest.raises(TypeError):
        verify(keys=(wrong,))


@pytest.mark.parametrize("place", ["keys", "key_of", "messages", "signatures"])
@pytest.mark.parametrize("wrong", [None, [], b""])
def test_refuses_what_is_no_tuple(place: str, wrong: object) -> None:
    with pytest.raises(TypeError):
        verify(**{place: wrong})  # type: ignore[arg-type]


def test_refuses_unequal_lengths() -> None:
    for place in ("key_of", "messages", "signatures"):
        with pytest.raises(ValueError, match="equally many"):
            verify(**{place: ()})  # type: ignore[arg-type]


def test_refuses_an_index_without_a_key() -> None:
    for index in (1, 2**32 - 1):
        with pytest.raises(ValueError, match="bad argument"):
            verify(key_of=(index,))
    for index in (-1, 2**32, 2**80):
        with pytest.raises(OverflowError):
            verify(key_of=(index,))
    with pytest.raises(ValueError, match="bad argument"):
        verify(keys=())


def test_refuses_what_is_out_of_bounds() -> None:
    many = batch.MAX_BATCH + 1
    with pytest.raises(ValueError, match="more than"):
        verify(key_of=(0,) * many, messages=(b"",) * many, signatures=(b"",) * many)
    with pytest.raises(ValueError, match="more than"):
        verify(keys=(KEY,) * many)
    with pytest.raises(ValueError, match="too large"):
        verify(threads=batch.MAX_THREADS + 1)
    with pytest.raises(ValueError, match="bad argument"):
        verify(threads=0)
    for unknown in (0, 99):
        with pytest.raises(ValueError, match="bad argument"):
            verify(algorithm=unknown)
        with pytest.raises(ValueError, match="unknown"):
            batch.path_of(unknown)
        with pytest.raises(ValueError, match="unknown"):
            batch.path_reason_of(unknown)
        with pytest.raises(ValueError, match="unknown"):
            batch.path_forced_of(unknown)


PARAMETER = st.one_of(st.binary(max_size=80), st.binary(min_size=256, max_size=258))
SIGNATURE = st.one_of(
    st.binary(max_size=140), *(st.binary(min_size=n, max_size=n) for n in (64, 96, 132, 256))
)


@given(
    algorithm=st.sampled_from(sorted(batch.ALGORITHMS.values())),
    keys=st.lists(st.tuples(PARAMETER, PARAMETER), min_size=1, max_size=5),
    items=st.lists(st.tuples(st.integers(0, 4), st.binary(), SIGNATURE), max_size=12),
    threads=st.integers(1, 3),
)
def test_garbage_gets_one_verdict_each(
    algorithm: int,
    keys: list[tuple[bytes, bytes]],
    items: list[tuple[int, bytes, bytes]],
    threads: int,
) -> None:
    verdicts = verify(
        tuple(keys),
        tuple(index % len(keys) for index, _, _ in items),
        tuple(message for _, message, _ in items),
        tuple(signature for _, _, signature in items),
        algorithm=algorithm,
        threads=threads,
    )
    assert len(verdicts) == len(items)
    assert set(verdicts) <= {0, 1}
