"""Structures that cloud TPMs made, from the published vectors."""

import base64
import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from keystead.codec import base64url
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    KeyType,
    ObjectAttributes,
    PcrSelection,
    RsaSignature,
    Scheme,
    jwk_members,
    parse_attest,
    parse_signature,
    parse_tpmt_public,
    pcr_composite_digest,
)


def test_quote_of_a_cloud_tpm(vectors: Path) -> None:
    evidence = json.loads((vectors / "tpm" / "coco-tpm_evidence.json").read_text())
    quote = evidence["tpm_quote"]
    attest = parse_attest(base64.b64decode(quote["message"]))
    values = {
        HashAlgorithm.SHA256: {
            index: bytes.fromhex(value) for index, value in enumerate(quote["pcrs"])
        }
    }
    assert attest.quote is not None
    assert attest.quote.selection == PcrSelection.of({HashAlgorithm.SHA256: range(24)})
    digest = pcr_composite_digest(attest.quote.selection, values, algorithm=HashAlgorithm.SHA256)
    assert attest.quote.pcr_digest == digest
    signature = parse_signature(base64.b64decode(quote["signature"]))
    assert isinstance(signature, RsaSignature)
    key = load_der_public_key(base64.b64decode(evidence["ak_public"]))
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature.value, attest.raw, padding.PKCS1v15(), hashes.SHA256())


def test_attestation_key_and_quote_of_a_shielded_vm(vectors: Path) -> None:
    dump = json.loads((vectors / "tpm" / "ga-windows_gcp_shielded_vm.json").read_text())
    area = parse_tpmt_public(base64.b64decode(dump["AK"]["Public"]))
    assert area.type is KeyType.RSA
    assert (area.scheme, area.scheme_hash) == (Scheme.RSASSA, HashAlgorithm.SHA1)
    assert area.has(ObjectAttributes.RESTRICTED | ObjectAttributes.SIGN)
    assert not area.has(ObjectAttributes.DECRYPT)
    attest = parse_attest(base64.b64decode(dump["Quote"]["Quote"]))
    assert attest.quote is not None
    assert attest.extra_data == b""
    signature = parse_signature(base64.b64decode(dump["Quote"]["Signature"]))
    assert isinstance(signature, RsaSignature)
    members = jwk_members(area)
    numbers = rsa.RSAPublicNumbers(
        int.from_bytes(base64url.decode(members["e"]), "big"),
        int.from_bytes(base64url.decode(members["n"]), "big"),
    )
    digest = hashlib.sha1(attest.raw).digest()
    recovered = numbers.public_key().recover_data_from_signature(
        signature.value, padding.PKCS1v15(), hashes.SHA1()
    )
    assert recovered == digest
