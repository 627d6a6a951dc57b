import pytest

from keystead.ports import Entropy
from keystead.system import SystemEntropy


def test_gives_as_many_bytes_as_asked_and_never_the_same() -> None:
    entropy: Entropy = SystemEntropy()
    tokens = {entropy.token(32) for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert {len(token) for token in tokens} == {32}


@pytest.mark.parametrize("size_bytes", [0, -1])
def test_gives_no_empty_token(size_bytes: int) -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        SystemEntropy().token(size_bytes)
