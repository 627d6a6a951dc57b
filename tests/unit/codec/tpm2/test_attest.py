import hashlib

import pytest

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection, parse_attest
from keystead.errors import Malformed, Reason
from tests import tpm2_structures as made

NAME = made.number(made.SHA256, 2) + hashlib.sha256(b"name").digest()
QUALIFIED = made.number(made.SHA256, 2) + hashlib.sha256(b"qualified").digest()
CERTIFY_BODY = made.sized(NAME) + made.sized(QUALIFIED)


def certification(body: bytes = CERTIFY_BODY) -> bytes:
    return made.attest(kind=made.ST_CERTIFY, body=body)


def test_reads_a_quote() -> None:
    raw = made.attest()
    attest = parse_attest(raw)
    assert attest.raw == raw
    assert (attest.magic, attest.type) == (made.GENERATED, made.ST_QUOTE)
    assert attest.extra_data == bytes([7] * 32)
    assert attest.qualified_signer == made.number(made.SHA256, 2) + bytes(32)
    assert (attest.clock, attest.reset_count, attest.restart_count) == (123456, 5, 6)
    assert attest.safe is True
    assert attest.firmware_version == 0x2019102300163636
    assert attest.certify is None
    assert attest.quote is not None
    assert attest.quote.selection == PcrSelection.of({HashAlgorithm.SHA256: range(8)})
    assert attest.quote.pcr_digest == hashlib.sha256(b"pcrs").digest()


def test_reads_a_certification() -> None:
    attest = parse_attest(certification())
    assert attest.quote is None
    assert attest.certify is not None
    assert attest.certify.name == NAME
    assert attest.certify.qualified_name == QUALIFIED


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(made.attest(magic=0xFF544348), id="magic"),
        pytest.param(made.attest(kind=0x8019), id="a time attestation"),
        pytest.param(made.attest(kind=made.ST_CERTIFY), id="a quote that says certify"),
        pytest.param(made.attest(body=CERTIFY_BODY), id="a certification that says quote"),
        pytest.param(made.attest(safe=2), id="a third kind of boolean"),
        pytest.param(made.attest() + b"\0", id="a byte too many"),
        pytest.param(
            made.attest(body=made.pcr_selection([(0x12, b"\1\0\0")]) + made.sized(bytes(32))),
            id="an unknown bank",
        ),
    ],
)
def test_rejects_an_attestation_with_one_wrong_field(raw: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_attest(raw)
    assert caught.value.reason in (Reason.MALFORMED, Reason.TOO_LARGE)


@pytest.mark.parametrize("raw", [made.attest(), certification()], ids=["quote", "certify"])
def test_rejects_every_truncation(raw: bytes) -> None:
    for length in range(len(raw)):
        with pytest.raises(Malformed):
            parse_attest(raw[:length])


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(made.attest(extra_data=bytes(67)), id="extra data"),
        pytest.param(made.attest(signer=bytes(67)), id="signer"),
        pytest.param(
            made.attest(body=made.pcr_selection() + made.sized(bytes(65))), id="PCR digest"
        ),
        pytest.param(made.attest() + bytes(1024), id="whole attestation"),
    ],
)
def test_rejects_what_is_over_a_bound(raw: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_attest(raw)
    assert caught.value.reason is Reason.TOO_LARGE
