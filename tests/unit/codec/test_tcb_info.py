import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec.dcap_collateral import MAX_SIGNED_CHARS
from keystead.codec.tcb_info import TcbStatus, parse_qe_identity, parse_tcb_info
from keystead.errors import Malformed, Reason
from tests.device_chains import DAY_S, NOW
from tests.intel_builder import FMSPC, SVNS, isv_level, level, module, qe_identity, tcb_info


def test_reads_tcb_info() -> None:
    found = parse_tcb_info(tcb_info())
    assert (found.not_before, found.not_after) == (NOW - DAY_S, NOW + DAY_S)
    assert (found.fmspc.hex(), found.pce_id, found.evaluation) == (FMSPC, bytes(2), 17)
    best, worse = found.levels
    assert (best.svns, best.pce_svn, best.tdx_svns[:3]) == (SVNS, 11, (5, 0, 2))
    assert (best.status, best.advisories) == (TcbStatus.UP_TO_DATE, ())
    assert (worse.status, worse.advisories) == (TcbStatus.OUT_OF_DATE, ("INTEL-SA-00837",))
    assert set(found.modules) == {1, 3} and found.module.levels == ()
    assert [each.isv_svn for each in found.modules[1].levels] == [4, 2]


def test_reads_tcb_info_from_before_modules_had_names() -> None:
    assert parse_tcb_info(tcb_info(tdxModuleIdentities=None)).modules == {}


def test_reads_a_quoting_enclaves_identity() -> None:
    found = parse_qe_identity(qe_identity())
    assert (found.not_before, found.not_after) == (NOW - DAY_S, NOW + DAY_S)
    assert (found.isv_prod_id, found.evaluation) == (2, 18)
    assert found.mrsigner == b"\xdc" * 32
    assert (found.attributes[0], found.attributes_mask[0]) == (0x11, 0xFB)
    assert [each.status for each in found.levels] == [TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE]


@pytest.mark.parametrize("status", list(TcbStatus))
def test_reads_every_status(status: TcbStatus) -> None:
    assert parse_tcb_info(tcb_info(tcbLevels=[level(status.value)])).levels[0].status is status


BAD_INFO: list[dict[str, Any]] = [
    {"id": "SGX"},
    {"id": None},
    {"version": 2},
    {"version": 4},
    {"version": "3"},
    {"issueDate": "2026-01-01"},
    {"issueDate": "2026-13-01T00:00:00Z"},
    {"nextUpdate": None},
    {"nextUpdate": 5},
    {"fmspc": "00" * 5},
    {"fmspc": "0g" * 6},
    {"fmspc": "00 00 00 00 "},
    {"pceId": None},
    {"tcbEvaluationDataNumber": -1},
    {"tcbEvaluationDataNumber": "17"},
    {"tdxModule": None},
    {"tdxModule": module("", mrsigner="00")},
    {"tdxModuleIdentities": [module("TDX_1")]},
    {"tdxModuleIdentities": [module("TDX_zz")]},
    {"tdxModuleIdentities": [module("SGX_01")]},
    {"tdxModuleIdentities": [module(tcbLevels="x")]},
    {"tdxModuleIdentities": {}},
    {"tcbLevels": None},
    {"tcbLevels": [level()] * 257},
    {"tcbLevels": [level("Fine")]},
    {"tcbLevels": [level(svns=(1,) * 15)]},
    {"tcbLevels": [level(tdx_svns=(1,) * 17)]},
    {"tcbLevels": [level(svns=(256,) * 16)]},
    {"tcbLevels": [level(pce_svn=-1)]},
    {"tcbLevels": [level("UpToDate", "X" * 65)]},
]
BAD_IDENTITY: list[dict[str, Any]] = [
    {"id": "QE"},
    {"version": 1},
    {"miscselect": "00"},
    {"miscselectMask": None},
    {"attributes": "00" * 15},
    {"attributesMask": "zz" * 16},
    {"mrsigner": "00" * 31},
    {"isvprodid": 65_536},
    {"isvprodid": True},
    {"tcbLevels": [isv_level(-1)]},
    {"tcbLevels": [isv_level(1, "Old")]},
    {"tcbLevels": None},
    {"nextUpdate": None},
    {"tcbEvaluationDataNumber": None},
]


@pytest.mark.parametrize("change", BAD_INFO, ids=lambda change: str(change)[:50])
def test_refuses_tcb_info_of_another_form(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_tcb_info(tcb_info(**change))


@pytest.mark.parametrize("change", BAD_IDENTITY, ids=lambda change: str(change)[:50])
def test_refuses_an_identity_of_another_form(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_qe_identity(qe_identity(**change))


def test_one_is_not_the_other() -> None:
    with pytest.raises(Malformed):
        parse_tcb_info(qe_identity())
    with pytest.raises(Malformed):
        parse_qe_identity(tcb_info())


def test_refuses_a_member_twice_and_what_is_too_large() -> None:
    twice = tcb_info().replace(b'"version":3', b'"version":3,"fmspc":"000000000000"')
    with pytest.raises(Malformed) as refused:
        parse_tcb_info(twice)
    assert refused.value.reason is Reason.DUPLICATE_MEMBER
    with pytest.raises(Malformed) as refused:
        parse_tcb_info(tcb_info(more="x" * MAX_SIGNED_CHARS))
    assert refused.value.reason is Reason.TOO_LARGE


@given(data=st.binary(max_size=16), at=st.integers(0, len(tcb_info())))
def test_nothing_but_malformed_comes_out(data: bytes, at: int) -> None:
    for parse, good in ((parse_tcb_info, tcb_info()), (parse_qe_identity, qe_identity())):
        with contextlib.suppress(Malformed):
            parse(good[:at] + data + good[at + len(data) :])
