"""Key sets whose keys are certificates."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from keystead.appraisal.maa_keys import parse_maa_keys
from keystead.codec import json
from keystead.errors import Malformed, Reason, TokenRejected
from tests.jose_keys import private_key, public_jwk

KEY = public_jwk("RS256", "platform", kid="k1")


def certificate(algorithm: str = "RS256", name: str = "platform") -> str:
    key: Any = private_key(algorithm, name)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "attest.example")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .sign(key, SHA256())
    )
    return base64.b64encode(made.public_bytes(Encoding.DER)).decode()


def entry(**changes: Any) -> dict[str, Any]:
    """A key as an instance publishes it."""
    members = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k1", "x5c": [certificate()]}
    return {name: value for name, value in {**members, **changes}.items() if value is not ...}


def test_reads_keys_that_are_certificates() -> None:
    keys = parse_maa_keys(json.encode({"keys": [entry()]}))
    (key,) = keys
    assert (key.thumbprint, key.kid, key.alg) == (KEY.thumbprint, "k1", "RS256")


def test_reads_keys_that_are_written_out() -> None:
    keys = parse_maa_keys({"keys": [KEY.to_dict(), entry(**KEY.members, kid="k2")]})
    assert {key.kid for key in keys} == {"k1", "k2"}
    assert {key.thumbprint for key in keys} == {KEY.thumbprint}


@pytest.mark.parametrize(
    "changes",
    [
        {"x5c": ["AAAA"]},
        {"x5c": ["not base64"]},
        {"x5c": [certificate("ES256")]},
        {"x5c": []},
        {"x5c": [certificate()[:-8]]},
        {"use": "enc"},
        dict(public_jwk("RS256", "thief").members),
    ],
    ids=["no certificate", "no base64", "curve", "empty", "cut off", "encryption", "another key"],
)
def test_skips_keys_of_no_use(changes: dict[str, Any]) -> None:
    keys = parse_maa_keys({"keys": [entry(**changes), KEY.to_dict() | {"kid": "k2"}]})
    assert [key.kid for key in keys] == ["k2"] and keys.skipped == 1


def test_refuses_what_is_no_key_set() -> None:
    with pytest.raises(Malformed):
        parse_maa_keys(b'{"keys": 1}')
    with pytest.raises(Malformed):
        parse_maa_keys({"keys": [entry(), entry()]})
    with pytest.raises(TokenRejected) as refused:
        parse_maa_keys({"keys": [entry(d="AQ")]})
    assert refused.value.reason is Reason.PRIVATE_KEY_MEMBER
