import pytest

from keystead.codec.sgx_report import SGX_REPORT_BYTES, parse_sgx_report
from keystead.errors import Malformed
from tests.intel_builder import QE_SIGNER
from tests.tdx_builder import qe_report

REPORT = qe_report(bytes(range(64)))


def test_reads_what_identities_are_about() -> None:
    found = parse_sgx_report(REPORT)
    assert (found.mrsigner, found.isv_prod_id, found.isv_svn) == (QE_SIGNER, 2, 6)
    assert found.misc_select == bytes(4)
    assert found.attributes[0] == 0x15 and found.attributes[8] == 0xE7
    assert (found.report_data, found.raw) == (bytes(range(64)), REPORT)


def test_is_of_exactly_one_size() -> None:
    assert len(REPORT) == SGX_REPORT_BYTES
    for data in (REPORT[:-1], REPORT + b"\x00", b""):
        with pytest.raises(Malformed):
            parse_sgx_report(data)
