import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec.certificate import Extension, parse_certificate
from keystead.codec.snp import (
    REPORT_BYTES,
    Product,
    SigningKey,
    TcbVersion,
    parse_endorsement,
    parse_report,
    parse_tcb,
)
from keystead.errors import Malformed
from tests.snp_builder import CHIP_ID, MEASUREMENT, TCB, Guest, raw_extensions, raw_tcb

OID = "1.3.6.1.4.1.3704.1."


def extensions(values: dict[str, bytes]) -> dict[str, Extension]:
    return {name: Extension(critical=False, value=value) for name, value in values.items()}


def changed(at: int, octets: bytes, *, guest: Guest | None = None) -> bytes:
    data = (guest or Guest()).report()
    return data[:at] + octets + data[at + len(octets) :]


@pytest.mark.parametrize("version", [2, 3, 5])
def test_reads_every_field(version: int) -> None:
    guest = Guest(version=version)
    data = guest.report(policy=(0xB0000).to_bytes(8, "little"), vmpl=b"\x02\0\0\0")
    report = parse_report(data)
    assert (report.version, report.guest_svn, report.policy, report.vmpl) == (
        version,
        7,
        0xB0000,
        2,
    )
    assert (report.signature_algorithm, report.platform_info) == (1, 0x25)
    assert report.signing_key is SigningKey.VCEK
    assert (report.measurement, report.host_data) == (MEASUREMENT, b"\x48" * 32)
    assert (report.id_key_digest, report.author_key_digest) == (b"\x49" * 48, b"\x41" * 48)
    assert (report.report_id, report.chip_id) == (b"\x52" * 32, CHIP_ID)
    assert {report.current_tcb, report.reported_tcb, report.committed_tcb, report.launch_tcb} == {
        raw_tcb("Milan", TCB)
    }
    assert report.product is (None if version == 2 else Product.MILAN)
    assert report.raw == data and report.signed == data[:0x2A0]
    assert report.r == int.from_bytes(data[0x2A0:0x2D0], "little")
    assert report.s == int.from_bytes(data[0x2E8:0x318], "little")


def test_fields_stand_where_the_specification_puts_them() -> None:
    marks = {"report_data": 0x50, "measurement": 0x90, "host_data": 0xC0, "chip_id": 0x1A0}
    for name, at in marks.items():
        report = parse_report(changed(at, b"\xaa"))
        assert getattr(report, name)[0] == 0xAA, name
    for name, at in {"reported_tcb": 0x180, "committed_tcb": 0x1E0, "launch_tcb": 0x1F0}.items():
        assert getattr(parse_report(changed(at, b"\xbb")), name)[0] == 0xBB, name


@pytest.mark.parametrize(
    ("family", "model", "product"),
    [
        (0x19, 0x01, Product.MILAN),
        (0x19, 0x11, Product.GENOA),
        (0x19, 0xA0, Product.GENOA),
        (0x1A, 0x02, Product.TURIN),
        (0x1A, 0x11, Product.TURIN),
    ],
)
def test_knows_processors_by_family_and_model(family: int, model: int, product: Product) -> None:
    assert parse_report(changed(0x188, bytes([family, model]))).product is product


@pytest.mark.parametrize("cpuid", [b"\x17\x31", b"\x19\x50", b"\x1a\x50", b"\x00\x00"])
def test_refuses_a_processor_that_nobody_knows(cpuid: bytes) -> None:
    with pytest.raises(Malformed):
        parse_report(changed(0x188, cpuid))


@pytest.mark.parametrize("version", [0, 1, 4, 6, 0x02000000])
def test_refuses_another_version(version: int) -> None:
    with pytest.raises(Malformed, match="malformed"):
        parse_report(changed(0, version.to_bytes(4, "little")))


def test_refuses_a_report_of_another_size() -> None:
    data = Guest().report()
    for size in (*range(0, REPORT_BYTES, 7), REPORT_BYTES - 1):
        with pytest.raises(Malformed):
            parse_report(data[:size])
    with pytest.raises(Malformed):
        parse_report(data + b"\x00")


@pytest.mark.parametrize("at", [0x2A0 + 48, 0x2A0 + 71, 0x2E8 + 48, 0x330, REPORT_BYTES - 1])
def test_refuses_anything_around_the_signature(at: int) -> None:
    with pytest.raises(Malformed):
        parse_report(changed(at, b"\x01"))


@pytest.mark.parametrize(("flags", "key"), [(0, 0), (1, 0), (4, 1), (7, 1), (0x1C, 7)])
def test_reads_which_key_signed(flags: int, key: int) -> None:
    assert parse_report(changed(0x48, flags.to_bytes(4, "little"))).signing_key is SigningKey(key)


def test_refuses_a_signing_key_that_nobody_knows() -> None:
    with pytest.raises(Malformed):
        parse_report(changed(0x48, b"\x08"))


def test_turin_shifts_the_parts_of_a_tcb() -> None:
    wanted = TcbVersion(boot_loader=2, tee=3, snp=4, microcode=8)
    assert parse_tcb(bytes([2, 3, 0, 0, 0, 0, 4, 8]), Product.MILAN) == wanted
    assert parse_tcb(bytes([2, 3, 0, 0, 0, 0, 4, 8]), Product.GENOA) == wanted
    assert parse_tcb(bytes([1, 2, 3, 4, 0, 0, 0, 8]), Product.TURIN) == TcbVersion(
        boot_loader=2, tee=3, snp=4, microcode=8, fmc=1
    )


@pytest.mark.parametrize(
    ("data", "product"),
    [
        (bytes([2, 3, 1, 0, 0, 0, 4, 8]), Product.MILAN),
        (bytes([1, 2, 3, 4, 0, 0, 1, 8]), Product.TURIN),
        (bytes(7), Product.GENOA),
        (bytes(9), Product.GENOA),
    ],
)
def test_refuses_a_tcb_of_another_shape(data: bytes, product: Product) -> None:
    with pytest.raises(Malformed):
        parse_tcb(data, product)


@pytest.mark.parametrize("part", ["boot_loader", "tee", "snp", "microcode", "fmc"])
def test_a_tcb_is_compared_part_by_part(part: str) -> None:
    least = {"boot_loader": 1, "tee": 1, "snp": 1, "microcode": 1, "fmc": 1}
    minimum = TcbVersion(**least)
    assert TcbVersion(**least).at_least(minimum)
    rest = dict.fromkeys(least, 9)
    assert not TcbVersion(**rest | {part: 0}).at_least(minimum)


@pytest.mark.parametrize("product", ["Milan-B0", "Milan", "Genoa-B1", "Siena", "Bergamo-A1"])
def test_reads_what_a_chips_certificate_says(product: str) -> None:
    found = parse_endorsement(extensions(raw_extensions(product=product)))
    line = Product.MILAN if "Milan" in product else Product.GENOA
    assert (found.product, found.hwid, found.csp_id) == (line, CHIP_ID, None)
    assert found.tcb == TcbVersion(**TCB)
    assert found.signing_key is SigningKey.VCEK


def test_reads_what_a_clouds_certificate_says() -> None:
    found = parse_endorsement(extensions(raw_extensions(hwid=None, csp_id="CN=cloud.example")))
    assert (found.hwid, found.csp_id) == (None, "CN=cloud.example")
    assert found.signing_key is SigningKey.VLEK


def test_a_turin_chip_has_a_short_identifier_and_an_fmc() -> None:
    guest = Guest(product="Turin")
    found = parse_endorsement(parse_certificate(guest.leaf()).extensions)
    assert (found.product, found.hwid, found.tcb.fmc) == (Product.TURIN, bytes(range(8)), 1)


WRONG: list[dict[str, bytes]] = [
    {"2": b"\x16\x05Naple"},
    {"2": b"\x0c\x05Milan"},
    {"2": b"\x16\x85Milan"},
    {"2": b"\x16\x02M\xe9"},
    {"3.1": b"\x02\x02\x01\x00"},
    {"3.1": b"\x02\x01\x80"},
    {"3.1": b"\x02\x02\x00\x04"},
    {"3.1": b"\x02\x00"},
    {"3.1": b"\x04\x01\x04"},
    {"3.1": b"\x02\x01\x04\x00"},
    {"3.4": b"\x02\x01\x01"},
    {"4": bytes(63)},
    {"4": b""},
    {"5": b"\x16\x01c"},
]


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_refuses_an_extension_of_another_form(change: dict[str, bytes]) -> None:
    values = raw_extensions() | {OID + name: value for name, value in change.items()}
    with pytest.raises(Malformed):
        parse_endorsement(extensions(values))


@pytest.mark.parametrize("missing", ["2", "3.1", "3.2", "3.3", "3.8", "4"])
def test_refuses_a_certificate_without_an_extension(missing: str) -> None:
    values = raw_extensions()
    del values[OID + missing]
    with pytest.raises(Malformed):
        parse_endorsement(extensions(values))


@given(data=st.binary(min_size=REPORT_BYTES, max_size=REPORT_BYTES) | st.binary(max_size=64))
def test_nothing_but_malformed_comes_out_of_a_report(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert parse_report(data).raw == data


@given(
    names=st.lists(st.sampled_from(sorted(raw_extensions())), max_size=3),
    value=st.binary(max_size=80),
)
def test_nothing_but_malformed_comes_out_of_a_certificate(names: list[str], value: bytes) -> None:
    values: dict[str, Any] = raw_extensions() | dict.fromkeys(names, value)
    with contextlib.suppress(Malformed):
        assert parse_endorsement(extensions(values)).product in Product
