import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec.hcl import MAX_HCL_BYTES, HardwareReport, parse_hcl_report
from keystead.errors import Malformed, Reason
from tests.azure_builder import TDX, hcl_report, runtime_data, td_report
from tests.snp_builder import Guest, rsa_key

RUNTIME = runtime_data()
REPORT = Guest().report()
SAID = bytes(range(64))


def test_reads_a_report_of_amds_hardware() -> None:
    found = parse_hcl_report(hcl_report(REPORT, RUNTIME))
    numbers = rsa_key("vTPM AK").public_key().public_numbers()
    assert found.hardware is HardwareReport.SEV_SNP
    assert found.snp is not None and found.snp.raw == REPORT
    assert found.report_data == found.snp.report_data
    assert found.runtime_data == RUNTIME
    assert (found.ak.modulus, found.ak.exponent, found.ak.bits) == (numbers.n, numbers.e, 2_048)
    assert found.configuration == {"secure-boot": True, "vmUniqueId": "X"}


def test_reads_a_report_of_intels_hardware() -> None:
    found = parse_hcl_report(hcl_report(td_report(SAID), RUNTIME, kind=TDX, version=2))
    assert (found.hardware, found.snp) == (HardwareReport.TDX, None)
    assert found.report_data == SAID


def test_zeros_may_follow_and_nothing_else() -> None:
    for tail in (b"", bytes(7), bytes(254)):
        assert parse_hcl_report(hcl_report(REPORT, RUNTIME, tail=tail)).runtime_data == RUNTIME
    with pytest.raises(Malformed):
        parse_hcl_report(hcl_report(REPORT, RUNTIME, tail=b"\x00\x01"))


@pytest.mark.parametrize(
    "change",
    [
        {"magic": b"HCLB"},
        {"version": 0},
        {"version": 3},
        {"request": 1},
        {"status": 1},
        {"reserved": b"\x01" + bytes(11)},
        {"size": 5},
        {"data_size": 5},
        {"data_version": 2},
        {"kind": 3},
        {"kind": TDX},
        {"hash": 2},
        {"length": len(RUNTIME) - 1},
        {"length": 1 << 31},
        {"hardware": td_report(SAID).ljust(0x4A0, b"\x00")},
    ],
    ids=lambda change: str(change)[:30],
)
def test_refuses_another_form(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_hcl_report(hcl_report(REPORT, RUNTIME, **change))


def test_refuses_a_tdreport_of_another_form() -> None:
    report = td_report(SAID)
    for bent in (b"\x80" + report[1:], report + b"\x01"):
        with pytest.raises(Malformed):
            parse_hcl_report(hcl_report(bent, RUNTIME, kind=TDX))


KEY = {"kid": "HCLAkPub", "kty": "RSA", "n": "AQAB", "e": "AQAB"}


@pytest.mark.parametrize(
    "keys",
    [
        None,
        [],
        [KEY, KEY],
        [KEY | {"kid": "HCLEkPub"}],
        [KEY | {"kty": "EC"}],
        [{"kid": "HCLAkPub"}],
        [KEY | {"n": "*"}],
        [KEY | {"n": "A" * 700}],
        [KEY | {"e": "AQABAQAB"}],
        ["HCLAkPub"],
        [KEY | {"kid": "x"}] * 9,
    ],
    ids=lambda keys: str(keys)[:40],
)
def test_refuses_runtime_data_without_one_ak(keys: Any) -> None:
    with pytest.raises(Malformed):
        parse_hcl_report(hcl_report(REPORT, runtime_data(keys=keys)))


@pytest.mark.parametrize(
    "runtime", [b"", b"[]", b"{", b"{}", b'{"keys":[],"keys":[]}', b"[" * 5_000, b'"\xff"']
)
def test_refuses_runtime_data_that_are_no_object(runtime: bytes) -> None:
    with pytest.raises(Malformed):
        parse_hcl_report(hcl_report(REPORT, runtime))


def test_refuses_a_report_that_is_too_large() -> None:
    with pytest.raises(Malformed) as refused:
        parse_hcl_report(hcl_report(REPORT, RUNTIME, tail=bytes(MAX_HCL_BYTES)))
    assert refused.value.reason is Reason.TOO_LARGE


def test_configurations_of_other_shapes_are_left_out() -> None:
    strange: Any = {"a": 1, "b": None, "c": [True], "d": "x" * 65, "e" * 65: True, "f": False}
    for configuration, wanted in ((strange, {"f": False}), (None, {})):
        changes: Any = {"vm-configuration": configuration}
        found = parse_hcl_report(hcl_report(REPORT, runtime_data(**changes)))
        assert found.configuration == wanted


@given(data=st.binary(max_size=64), at=st.integers(0, 0x4D4), kind=st.sampled_from([2, TDX]))
def test_nothing_but_malformed_comes_out(data: bytes, at: int, kind: int) -> None:
    report = hcl_report(REPORT, RUNTIME, kind=kind)
    for bent in (data, report[:at] + data + report[at + len(data) :]):
        with contextlib.suppress(Malformed):
            assert parse_hcl_report(bent).raw == bent
