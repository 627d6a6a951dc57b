import hashlib

import pytest

from keystead.codec.hashes import HashAlgorithm
from keystead.errors import Malformed


@pytest.mark.parametrize("algorithm", HashAlgorithm)
def test_name_and_size_are_those_of_hashlib(algorithm: HashAlgorithm) -> None:
    assert hashlib.new(algorithm.digest_name).digest_size == algorithm.digest_size
    assert HashAlgorithm.from_name(algorithm.digest_name) is algorithm


@pytest.mark.parametrize("name", ["", "SHA256", "sha-256", "md5", "sm3_256"])
def test_rejects_a_name_that_is_not_spelled_like_the_algorithm(name: str) -> None:
    with pytest.raises(Malformed):
        HashAlgorithm.from_name(name)
