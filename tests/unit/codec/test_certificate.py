import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec.certificate import (
    KEY_AGREEMENT,
    MAX_CERTIFICATE_BYTES,
    SUBJECT_ALT_NAME,
    name_text,
    parse_certificate,
)
from keystead.errors import Malformed, Reason
from tests.evidence_builder import (
    TCG_KP_EK_CERTIFICATE,
    certificate,
    ek_certificate,
    intermediate,
    private_key,
    root,
)

KEY = private_key("p256", "leaf")
LEAF = ek_certificate("p256", KEY)


def test_sees_what_cryptography_sees() -> None:
    for der in (LEAF, root(), intermediate()):
        ours, theirs = parse_certificate(der), x509.load_der_x509_certificate(der)
        assert ours.version == theirs.version.value + 1
        assert ours.signature_algorithm == theirs.signature_algorithm_oid.dotted_string
        assert ours.issuer == theirs.issuer.public_bytes()
        assert ours.subject == theirs.subject.public_bytes()
        assert {oid: each.critical for oid, each in ours.extensions.items()} == {
            each.oid.dotted_string: each.critical for each in theirs.extensions
        }
        assert ours.raw == der


def test_reads_the_extensions_of_a_profile() -> None:
    found = parse_certificate(LEAF)
    assert found.is_ca() is False
    assert found.key_usage() == {KEY_AGREEMENT}
    assert found.extended_key_usage() == {TCG_KP_EK_CERTIFICATE}
    assert found.extensions[SUBJECT_ALT_NAME].critical
    assert parse_certificate(root()).is_ca() is True


def test_absent_extensions_are_none() -> None:
    bare = parse_certificate(certificate("x", KEY, issuer="x", issuer_key=KEY, extensions=[]))
    assert (bare.is_ca(), bare.key_usage(), bare.extended_key_usage()) == (None, None, None)


def test_names_are_for_people() -> None:
    assert name_text(parse_certificate(root()).subject) == "CN=root"
    assert name_text(parse_certificate(LEAF).subject) == ""
    odd = certificate("a\x07b\u202e", KEY, issuer="x", issuer_key=KEY, extensions=[])
    assert name_text(parse_certificate(odd).subject) == "CN=a\ufffdb\ufffd"


def test_rejects_every_truncation_and_trailing_bytes() -> None:
    for length in range(len(LEAF)):
        with pytest.raises(Malformed):
            parse_certificate(LEAF[:length])
    with pytest.raises(Malformed):
        parse_certificate(LEAF + b"\0")


def test_rejects_a_certificate_over_the_bound() -> None:
    with pytest.raises(Malformed) as refused:
        parse_certificate(bytes(MAX_CERTIFICATE_BYTES + 1))
    assert refused.value.reason is Reason.TOO_LARGE


def test_rejects_two_signature_algorithms() -> None:
    sha256, sha384 = (bytes.fromhex(f"06082a8648ce3d04030{last}") for last in (2, 3))
    assert LEAF.count(sha256) == 2
    with pytest.raises(Malformed):
        parse_certificate(LEAF.replace(sha256, sha384, 1))


@given(st.integers(0, len(LEAF) - 1), st.integers(1, 255))
def test_leaks_nothing_but_malformed(place: int, flip: int) -> None:
    bent = bytearray(LEAF)
    bent[place] ^= flip
    try:
        found = parse_certificate(bytes(bent))
        found.is_ca(), found.key_usage(), found.extended_key_usage()
        name_text(found.subject)
    except Malformed:
        pass
