"""A key in memory signs as JOSE wants it, and shows nothing of itself."""

import pytest

from keystead.errors import TokenRejected
from keystead.hardware.memory_key import MemoryKey
from keystead.jose.jwk import parse_public
from keystead.jose.jws import assemble, parse_compact, signing_input, verify_compact


def test_signs_what_its_public_key_verifies() -> None:
    key = MemoryKey.make()
    message = signing_input({"alg": "ES256"}, {"sub": "a"})
    signed = parse_compact(assemble(message, key.sign(message)))
    assert verify_compact(signed, key=parse_public(dict(key.members))) == b'{"sub":"a"}'
    with pytest.raises(TokenRejected):
        verify_compact(signed, key=parse_public(dict(MemoryKey.make().members)))


def test_signatures_keep_their_length() -> None:
    key = MemoryKey.make()
    assert {len(key.sign(bytes([n]))) for n in range(64)} == {64}


def test_shows_only_what_is_public() -> None:
    key = MemoryKey.make()
    assert set(key.members) == {"kty", "crv", "x", "y"}
    assert repr(key) == "MemoryKey(…)"
