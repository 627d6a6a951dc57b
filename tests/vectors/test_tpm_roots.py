"""Every vendor CA that was published: it loads, and chains to its root where both are present."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from OpenSSL import crypto

from keystead.appraisal.anchors import AnchorSet, load, load_anchors, pem_certificates
from keystead.appraisal.chain import verify_chain
from keystead.codec.certificate import name_text, parse_certificate
from keystead.errors import EvidenceRejected
from keystead.model import AnchorClass

# Inside the validity of every certificate that is there.
IN_TIME = int(datetime(2024, 6, 1, tzinfo=UTC).timestamp())
LONG_AGO = int(datetime(2004, 1, 1, tzinfo=UTC).timestamp())

# Their issuers are not among the published files.
ROOT_ABSENT = {
    "Aliyun TPM EKMF CA",
    "Nationz TPM Manufacturing CA 001",
    "STM TPM ECC Root CA 01",
    "STM TPM ECC Intermediate CA 01",
    "IFX TPM EK Root CA",
}


@pytest.fixture(scope="module")
def vendor_cas() -> Path:
    folder = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "tpm-roots"
    if not folder.is_dir():
        pytest.skip("the folder of published vectors, ../shared/vectors, is not here")
    return folder


@pytest.fixture(scope="module")
def anchors(vendor_cas: Path) -> AnchorSet:
    return load_anchors(vendor_cas, anchor_class=AnchorClass.TPM)


def common_name(der: bytes) -> str:
    text = name_text(parse_certificate(der).subject)
    return text.partition("CN=")[2].partition(", ")[0]


def test_every_file_loads_whatever_other_parsers_say(vendor_cas: Path) -> None:
    files = sorted(vendor_cas.glob("*.pem"))
    assert len(files) >= 50
    for file in files:
        (der,) = pem_certificates(file.read_bytes())
        parsed = parse_certificate(der)
        assert parsed.is_ca() is True, file.name
        assert parsed.version == 3, file.name
        assert load(der).get_pubkey().bits() >= 256, file.name


def test_roots_are_anchors_and_the_rest_are_not(anchors: AnchorSet) -> None:
    names = {common_name(anchor.der) for anchor in anchors.anchors}
    assert names >= {
        "GlobalSign Trusted Platform Module Root CA",
        "Infineon OPTIGA(TM) ECC Root CA",
        "Infineon OPTIGA(TM) RSA Root CA",
        "Nuvoton TPM Root CA 2111",
        "NTC TPM EK Root CA 02",
    }
    assert len(anchors.anchors) == 11 and len(anchors.intermediates) >= 30


def test_every_intermediate_verifies_to_its_root_where_both_are_present(
    anchors: AnchorSet,
) -> None:
    verified, absent = set(), set()
    for der in anchors.intermediates:
        name = common_name(der)
        try:
            anchor = verify_chain(der, intermediates=(), anchors=anchors, now=IN_TIME)
            verified.add(name)
            assert anchor.anchor_class is AnchorClass.TPM
        except EvidenceRejected:
            absent.add(name)
        with pytest.raises(EvidenceRejected):
            verify_chain(der, intermediates=(), anchors=anchors, now=LONG_AGO)
    assert len(verified) >= 16
    assert {name for name in absent if not name.startswith("IFX TPM EK Intermediate")} == (
        ROOT_ABSENT
    )


def test_a_bent_intermediate_verifies_to_nothing(anchors: AnchorSet) -> None:
    der = next(each for each in anchors.intermediates if "OPTIGA" in common_name(each))
    for at in range(4, len(der), 97):
        bent = der[:at] + bytes([der[at] ^ 1]) + der[at + 1 :]
        with pytest.raises(EvidenceRejected):
            verify_chain(bent, intermediates=(), anchors=anchors, now=IN_TIME)


def test_cloud_ca_verifies_to_its_root(vectors: Path) -> None:
    anchors = load_anchors(vectors / "tpm", anchor_class=AnchorClass.VIRTUAL_TPM)
    (intermediate,) = anchors.intermediates
    anchor = verify_chain(intermediate, intermediates=(), anchors=anchors, now=IN_TIME)
    assert anchor.anchor_class is AnchorClass.VIRTUAL_TPM
    assert crypto.load_certificate(crypto.FILETYPE_ASN1, anchor.der)
