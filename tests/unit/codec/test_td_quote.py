import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec.td_quote import MAX_QUOTE_BYTES, parse_td_quote
from keystead.errors import Malformed, Reason
from tests.intel_builder import key
from tests.tdx_builder import MRTD, RTMRS, TEE_TCB_SVN, Td, qe_report

SAID = bytes(range(64))
TDS = (Td(), Td(version=5), Td(version=5, extended=True))
QUOTES = [td.quote(report_data=SAID) for td in TDS]
each_quote = pytest.mark.parametrize("quote", QUOTES, ids=["4", "5", "5 of TDX 1.5"])


@each_quote
def test_reads_a_quote(quote: bytes) -> None:
    found = parse_td_quote(quote)
    report = found.report
    assert (report.mrtd, report.rtmrs, report.report_data) == (MRTD, RTMRS, SAID)
    assert (report.tee_tcb_svn, report.mrseam) == (TEE_TCB_SVN, b"\x5b" * 48)
    assert (report.mrsignerseam, report.seam_attributes) == (bytes(48), bytes(8))
    assert (report.attributes, report.xfam) == (1 << 28, 0x602E7)
    named = (report.mrconfigid, report.mrowner, report.mrownerconfig)
    assert named == (b"\xc1" * 48, b"\xc2" * 48, b"\xc3" * 48)
    assert quote.startswith(found.signed)
    assert found.version == int.from_bytes(quote[:2], "little")


@each_quote
def test_reads_what_vouches_for_it(quote: bytes) -> None:
    found = parse_td_quote(quote)
    numbers = key("AK").public_key().public_numbers()
    assert int.from_bytes(found.attestation_key, "big") == numbers.x << 256 | numbers.y
    assert found.qe_auth_data == bytes(range(32))
    assert found.qe_report.raw == qe_report(found.qe_report.report_data)
    assert (found.qe_report.isv_prod_id, found.qe_report.isv_svn) == (2, 6)
    assert found.qe_report.misc_select == bytes(4)
    assert found.qe_report.attributes == b"\x15" + bytes(7) + b"\xe7" + bytes(7)
    assert found.pck_chain in {td.chain for td in TDS}
    assert (len(found.signature), len(found.qe_report_signature)) == (64, 64)


def test_tdx_1_5_says_two_things_more() -> None:
    older, _, newer = (parse_td_quote(quote).report for quote in QUOTES)
    assert (older.tee_tcb_svn_2, older.mrservicetd) == (None, None)
    assert newer.tee_tcb_svn_2 == bytes([7, 1, 3]) + bytes(13)
    assert newer.mrservicetd == bytes(48)


@each_quote
def test_zeros_may_follow_and_nothing_else(quote: bytes) -> None:
    assert parse_td_quote(quote + bytes(80)) == parse_td_quote(quote)
    with pytest.raises(Malformed):
        parse_td_quote(quote + bytes(80) + b"\x01")


@each_quote
def test_cut_at_any_byte_it_is_malformed(quote: bytes) -> None:
    for size in range(len(quote)):
        with pytest.raises(Malformed):
            parse_td_quote(quote[:size])


@pytest.mark.parametrize("version", [3, 4, 5])
def test_an_enclaves_quote_is_told_apart(version: int) -> None:
    quote = version.to_bytes(2, "little") + b"\x02\x00" + bytes(4) + QUOTES[0][8:]
    with pytest.raises(Malformed) as refused:
        parse_td_quote(quote)
    assert refused.value.reason is Reason.EVIDENCE_TYPE


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 5, 6, 7, 12, 27])
def test_refuses_a_quote_of_another_kind_or_maker(at: int) -> None:
    quote = bytearray(QUOTES[0])
    quote[at] ^= 0x20
    with pytest.raises(Malformed) as refused:
        parse_td_quote(bytes(quote))
    assert refused.value.reason is Reason.MALFORMED


@pytest.mark.parametrize("kind", [0, 1, 2, 4])
def test_refuses_a_body_whose_type_is_not_of_its_size(kind: int) -> None:
    quote = QUOTES[2]
    with pytest.raises(Malformed):
        parse_td_quote(quote[:48] + kind.to_bytes(2, "little") + quote[50:])


@pytest.mark.parametrize("wanted", [b"\x06\x00", b"\x05\x00"])
def test_refuses_other_certification_data(wanted: bytes) -> None:
    quote = QUOTES[0]
    start = 632 + 4 + 128
    at = start if wanted == b"\x06\x00" else start + 6 + 448 + 34
    assert quote[at : at + 2] == wanted
    for kind in (1, 2, 3, 4, 7):
        bent = quote[:at] + kind.to_bytes(2, "little") + quote[at + 2 :]
        with pytest.raises(Malformed):
            parse_td_quote(bent)


@pytest.mark.parametrize("at", [632, 632 + 4 + 130, 632 + 4 + 134 + 448, 632 + 4 + 134 + 448 + 36])
@pytest.mark.parametrize("change", [-1, 1, 1 << 14])
def test_refuses_sizes_that_leave_bytes_over_or_out(at: int, change: int) -> None:
    size = 2 if at == 632 + 4 + 134 + 448 else 4
    wrong = int.from_bytes(QUOTES[0][at : at + size], "little") + change
    bent = QUOTES[0][:at] + wrong.to_bytes(size, "little") + QUOTES[0][at + size :]
    with pytest.raises(Malformed):
        parse_td_quote(bent)


def test_refuses_a_quote_that_is_too_large() -> None:
    with pytest.raises(Malformed) as refused:
        parse_td_quote(QUOTES[0] + bytes(MAX_QUOTE_BYTES))
    assert refused.value.reason is Reason.TOO_LARGE


@given(
    data=st.binary(max_size=64), at=st.integers(0, len(QUOTES[2])), quote=st.sampled_from(QUOTES)
)
def test_nothing_but_malformed_comes_out(data: bytes, at: int, quote: bytes) -> None:
    for bent in (data, quote[:at] + data + quote[at + len(data) :]):
        with contextlib.suppress(Malformed):
            assert len(parse_td_quote(bent).report.report_data) == 64
