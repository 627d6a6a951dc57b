from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.appraisal.anchors import from_der, load_anchors, merge
from keystead.errors import ConfigurationError, Malformed, Reason
from keystead.model import AnchorClass
from tests.evidence_builder import intermediate, root


def pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def test_reads_a_bundle_with_text_between(tmp_path: Path) -> None:
    file = tmp_path / "bundle.pem"
    file.write_bytes(b"the root\n" + pem(root()) + b"\nand its CA\n" + pem(intermediate()))
    found = load_anchors(file, anchor_class=AnchorClass.TPM)
    assert [anchor.der for anchor in found.anchors] == [root()]
    assert found.intermediates == (intermediate(),)
    assert found.classes == {AnchorClass.TPM}


def test_reads_a_folder_and_der_files_and_skips_other_names(tmp_path: Path) -> None:
    (tmp_path / "one.pem").write_bytes(pem(root()))
    (tmp_path / "two.CRT").write_bytes(root("stranger"))
    (tmp_path / "README").write_text("not a certificate")
    found = load_anchors(tmp_path, anchor_class=AnchorClass.EMULATED)
    assert {anchor.der for anchor in found.anchors} == {root(), root("stranger")}


def test_one_certificate_twice_is_one_anchor(tmp_path: Path) -> None:
    (tmp_path / "one.pem").write_bytes(pem(root()) * 2)
    assert len(load_anchors(tmp_path, anchor_class=AnchorClass.TPM).anchors) == 1


@pytest.mark.parametrize(
    "content", [b"", b"hello", pem(root())[:-40], pem(root()).replace(b"MII", b"AAA", 1)]
)
def test_names_the_file_that_is_no_certificate(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pem").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"bad\.pem"):
        load_anchors(tmp_path, anchor_class=AnchorClass.TPM)


def test_wants_a_root(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(pem(intermediate()))
    with pytest.raises(ConfigurationError, match="no self-signed root"):
        load_anchors(tmp_path, anchor_class=AnchorClass.TPM)
    with pytest.raises(ConfigurationError):
        load_anchors(tmp_path / "absent", anchor_class=AnchorClass.TPM)


def test_a_self_issued_certificate_with_a_bad_signature_is_no_root() -> None:
    bent = root()[:-1] + bytes([root()[-1] ^ 1])
    assert from_der([bent], anchor_class=AnchorClass.TPM).anchors == ()


def test_rejects_bytes_that_are_no_certificate() -> None:
    with pytest.raises(Malformed):
        from_der([b"\x30\x03\x02\x01\x00"], anchor_class=AnchorClass.TPM)


def test_one_root_has_one_class() -> None:
    sets = [from_der([root()], anchor_class=each) for each in (AnchorClass.TPM, AnchorClass.TPM)]
    assert len(merge(sets).anchors) == 1
    sets.append(from_der([root()], anchor_class=AnchorClass.EMULATED))
    with pytest.raises(ConfigurationError) as refused:
        merge(sets)
    assert refused.value.reason is Reason.CONFIGURATION_INVALID
