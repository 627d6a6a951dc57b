from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.appraisal.path import Untrusted
from keystead.appraisal.revocation_lists import (
    MAX_LIST_BYTES,
    Revoked,
    load_revocation_list,
    parse_revocation_list,
)
from keystead.errors import ConfigurationError, Reason
from tests.device_chains import NOW
from tests.snp_builder import _name, _time, revocation_list, rsa_key

KEY = rsa_key("ARK-Test").public_key()


def test_says_from_when_to_when_a_certificate_is_not_revoked() -> None:
    found = parse_revocation_list(revocation_list(serials=[9]))
    assert found.check(8, key=KEY) == (NOW - 3_600, NOW + 3_600)
    assert found.issuer == _name("ARK-Test").public_bytes()


def test_names_a_revoked_certificate() -> None:
    with pytest.raises(Revoked):
        parse_revocation_list(revocation_list(serials=[9])).check(9, key=KEY)


def test_is_believed_of_the_key_that_signed_it_alone() -> None:
    with pytest.raises(Untrusted):
        parse_revocation_list(revocation_list()).check(9, key=rsa_key("other").public_key())


def test_is_read_from_der_and_pem(tmp_path: Path) -> None:
    der = revocation_list(serials=[9])
    pem = x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)
    for name, data in (("list.crl", der), ("list.pem", pem)):
        file = tmp_path / name
        file.write_bytes(data)
        assert load_revocation_list(file).next_update == NOW + 3_600


@pytest.mark.parametrize(
    "data", [b"", b"\x30\x00", revocation_list()[:-1], bytes(MAX_LIST_BYTES + 1)]
)
def test_a_file_that_is_no_list_is_named(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "list.crl"
    file.write_bytes(data)
    with pytest.raises(ConfigurationError, match="configuration_invalid") as refused:
        load_revocation_list(file)
    assert str(file) in refused.value.detail


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_revocation_list(tmp_path / "none.crl")
    assert refused.value.reason is Reason.CONFIGURATION_INVALID
    assert "none.crl" in refused.value.detail


def test_a_partial_list_is_refused() -> None:
    """A delta names only what changed, so that it clears nobody."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(_name("ARK-Test"))
        .last_update(_time(NOW))
        .next_update(_time(NOW + 60))
        .add_extension(x509.DeltaCRLIndicator(1), critical=True)
    )
    data = builder.sign(rsa_key("ARK-Test"), SHA384()).public_bytes(Encoding.DER)
    with pytest.raises(ValueError, match="critical"):
        parse_revocation_list(data)
