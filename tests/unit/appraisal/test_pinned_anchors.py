import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keystead.appraisal.anchors import Anchor, pem_certificates
from keystead.appraisal.pinned_anchors import PINNED
from keystead.codec.certificate import KEY_CERT_SIGN, parse_certificate
from keystead.model import AnchorClass, EvidenceKind

ANCHORS = {anchor.name: anchor for anchors in PINNED.values() for anchor in anchors}
# What the makers publish beside their roots.
FINGERPRINTS = {
    "AWS Nitro Enclaves Root G1": (
        "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
    ),
    "AMD ARK-Milan": "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
    "AMD ARK-Genoa": "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
    "AMD ARK-Turin": "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
    "Intel SGX Root CA": "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
    "Apple App Attestation Root CA": (
        "1cb9823ba28ba6ad2d33a006941de2ae4f513ef1d4e831b9f7e0fa7b6242c932"
    ),
}


def test_each_is_the_root_with_the_published_fingerprint() -> None:
    assert {name: anchor.sha256.hex() for name, anchor in ANCHORS.items()} == FINGERPRINTS


@pytest.mark.parametrize("anchor", ANCHORS.values(), ids=ANCHORS)
def test_stands_as_a_ca_of_hardware_that_signs_certificates(anchor: Anchor) -> None:
    assert anchor.anchor_class is AnchorClass.TEE
    found = parse_certificate(anchor.der)
    assert found.is_ca() and set(found.key_usage() or ()) == {KEY_CERT_SIGN, 6}
    assert found.issuer == found.subject and found.version == 3


@pytest.mark.parametrize("anchor", ANCHORS.values(), ids=ANCHORS)
def test_its_own_signature_is_empty(anchor: Anchor) -> None:
    loaded = x509.load_der_x509_certificate(anchor.der)
    assert loaded.signature == b""
    with pytest.raises((InvalidSignature, TypeError, ValueError)):
        loaded.verify_directly_issued_by(loaded)


@pytest.mark.parametrize("anchor", ANCHORS.values(), ids=ANCHORS)
def test_has_the_facts_of_the_published_certificate(anchor: Anchor, vectors: Path) -> None:
    published = {
        hashlib.sha256(der).digest(): x509.load_der_x509_certificate(der)
        for file in (vectors / "roots").iterdir()
        for der in pem_certificates(file.read_bytes())
    }
    root, made = published[anchor.sha256], x509.load_der_x509_certificate(anchor.der)
    assert made.subject.public_bytes() == root.subject.public_bytes()
    assert _spki(made) == _spki(root)
    assert made.not_valid_before_utc == root.not_valid_before_utc
    assert made.not_valid_after_utc == root.not_valid_after_utc


def _spki(certificate: x509.Certificate) -> bytes:
    key = certificate.public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_kinds_without_a_root_of_their_own_have_no_row() -> None:
    assert PINNED.keys() == {
        EvidenceKind.AWS_NITRO,
        EvidenceKind.SEV_SNP,
        EvidenceKind.TDX,
        EvidenceKind.APP_ATTEST,
    }
