import errno
from pathlib import Path
from typing import Any

import pytest

from keystead.agent.collectors.sev_snp import SevSnpCollector
from keystead.appraisal import sev_snp as appraisal
from keystead.binding import sev_snp as binding
from keystead.codec import base64url
from keystead.codec import pem as pem_codec
from keystead.errors import Malformed, Reason, Refused, Unavailable
from keystead.evidence import sev_snp as evidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.hardware.sev_guest import SevGuest
from keystead.hardware.tsm import Configfs, TsmReports
from keystead.model import EvidenceKind
from tests.device_chains import NOW
from tests.evidence_builder import Host
from tests.fake_devices import ARK, ASK, VCEK, VLEK, FakeSevGuest, FakeTsm, certificate_table
from tests.snp_builder import ISSUER, NONCE, Guest, ask, ca, named_key
from tests.unit.codec.test_pem import pem

KEY = Host.make().jwk
GUEST = Guest()
LEAF = GUEST.leaf()
TABLE = certificate_table((VCEK, LEAF), (ASK, ask()))
NO_DEVICE = Path("/nonexistent/sev-guest")


def report(data: bytes, **guest: Any) -> bytes:
    return Guest(**guest).report(report_data=data)


def tsm(**changes: Any) -> FakeTsm:
    return FakeTsm(**({"outblob": report, "auxblob": TABLE} | changes))


def collect(fake: FakeTsm | None = None, **arguments: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {"reports": TsmReports(fake or tsm()), "device": SevGuest(NO_DEVICE)}
    collector = SevSnpCollector(**(wanted | arguments))
    return dict(collector.collect(key=KEY, issuer=ISSUER, nonce=NONCE))


def by_device(fake: FakeSevGuest, **arguments: Any) -> dict[str, Any]:
    device = SevGuest(Path("/dev/null"), ioctl=fake)
    return collect(tsm(there=False, fails={"": errno.ENOENT}), device=device, **arguments)


def certificates(collected: dict[str, Any]) -> list[bytes]:
    return [base64url.decode(each) for each in collected["certificates"]]


def check_binds(collected: dict[str, Any]) -> None:
    envelope = encode_envelope(kind=EvidenceKind.SEV_SNP, evidence=collected, nonce=NONCE, key=KEY)
    found = evidence.parse(parse_envelope(envelope))
    made = appraisal.appraise(found, policy=GUEST.policy(), nonce=NONCE, now=NOW)
    result = appraisal.conclude(made)
    assert binding.bind_key(found, result, key=KEY, issuer=ISSUER, nonce=NONCE).key == KEY


def test_what_is_collected_is_appraised_and_binds_the_key() -> None:
    fake = tsm()
    check_binds(collect(fake))
    assert fake.written == [("inblob", named_key(KEY))]


def test_the_older_device_gives_the_same() -> None:
    fake = FakeSevGuest(report, table=TABLE)
    check_binds(by_device(fake))
    assert fake.asked == [(named_key(KEY), 0)]


def test_the_newer_files_come_first() -> None:
    fake = FakeSevGuest(report, table=TABLE)
    collect(tsm(), device=SevGuest(Path("/dev/null"), ioctl=fake))
    assert fake.asked == []


def test_asks_from_the_level_that_is_wanted() -> None:
    files, device = tsm(), FakeSevGuest(report, table=TABLE)
    collect(files, vmpl=1)
    by_device(device, vmpl=1)
    assert files.written[0] == ("privlevel", b"1")
    assert device.asked == [(named_key(KEY), 1)]


def test_sends_the_root_along_where_the_host_has_it() -> None:
    root = ca("ARK-Test")
    table = certificate_table((ARK, root), (ASK, ask()), (VCEK, LEAF))
    assert certificates(collect(tsm(auxblob=table))) == [LEAF, ask(), root]


def test_a_vlek_comes_from_its_own_entry() -> None:
    vlek = Guest(vlek=True).leaf()
    table = certificate_table((VCEK, LEAF), (VLEK, vlek), (ASK, ask()))
    found = collect(tsm(auxblob=table, outblob=lambda data: report(data, vlek=True)))
    assert certificates(found) == [vlek, ask()]


@pytest.mark.parametrize(
    "table",
    [
        None,
        b"",
        bytes(0x1000),
        certificate_table((VCEK, LEAF)),
        certificate_table((ASK, ask())),
        certificate_table((VLEK, LEAF), (ASK, ask())),
    ],
)
def test_a_file_has_what_the_host_does_not_give(tmp_path: Path, table: bytes | None) -> None:
    file = tmp_path / "chain.pem"
    file.write_bytes(pem(LEAF) + pem(ask()))
    check_binds(collect(tsm(auxblob=table), certificates=file))


def test_says_where_the_certificates_are_to_be_had() -> None:
    with pytest.raises(Unavailable) as caught:
        collect(tsm(auxblob=b""))
    assert caught.value.reason is Reason.HARDWARE_UNAVAILABLE
    chip = GUEST.chip_id.hex()
    query = "blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219"
    assert f"/vcek/v1/Milan/{chip}?{query} and" in caught.value.detail
    assert "/vcek/v1/Milan/cert_chain" in caught.value.detail


def test_says_it_for_turin_and_for_what_does_not_name_itself() -> None:
    with pytest.raises(Unavailable, match=r"Turin/0001020304050607\?fmcSPL=01&blSPL=04&"):
        collect(tsm(auxblob=b"", outblob=lambda data: report(data, product="Turin")))
    with pytest.raises(Unavailable, match=r"the cloud's to give, and .*/vlek/v1/Milan/cert_chain"):
        collect(tsm(auxblob=b"", outblob=lambda data: report(data, vlek=True)))
    with pytest.raises(Unavailable, match="by processor line"):
        collect(tsm(auxblob=b"", outblob=lambda data: report(data, version=2)))


def test_a_file_adds_the_ca_where_the_host_gives_the_key_alone(tmp_path: Path) -> None:
    """The host's is the newer one: it follows the firmware, and the CA's stays for years."""
    file = tmp_path / "ca.pem"
    for content in (pem(ask()), pem(LEAF) + pem(ask())):
        file.write_bytes(content)
        found = collect(tsm(auxblob=certificate_table((VCEK, LEAF))), certificates=file)
        assert certificates(found) == [LEAF, ask()]
    file.write_bytes(pem(GUEST.leaf()) + pem(ask()) + pem(ca("ARK-Test")))
    with pytest.raises(Malformed):
        collect(tsm(auxblob=certificate_table((VCEK, LEAF))), certificates=file)


def test_a_file_that_is_wrong_is_malformed(tmp_path: Path) -> None:
    file = tmp_path / "chain.pem"
    for content in (b"", b"nothing", pem(LEAF) * 4, bytes(1_000_000)):
        file.write_bytes(content)
        with pytest.raises(Malformed):
            collect(tsm(auxblob=b""), certificates=file)
    with pytest.raises(Unavailable, match="missing: No such file"):
        collect(tsm(auxblob=b""), certificates=tmp_path / "missing")


@pytest.mark.parametrize(
    "wrong", [b"", bytes(0x4A0), Guest().report()[:-1], Guest().report() + b"\x00", bytes(40_000)]
)
def test_what_is_no_report_is_malformed(wrong: bytes) -> None:
    with pytest.raises(Malformed):
        collect(tsm(outblob=lambda _: wrong))


def test_a_table_that_is_wrong_is_malformed() -> None:
    with pytest.raises(Malformed):
        collect(tsm(auxblob=TABLE[:-1]))
    with pytest.raises(Malformed):
        by_device(FakeSevGuest(report, table=b"\x01"))


def test_what_the_hardware_says_is_passed_on() -> None:
    with pytest.raises(Refused):
        collect(tsm(fails={"outblob": errno.EIO}))
    with pytest.raises(Refused):
        collect(tsm(provider="tdx_guest"))
    with pytest.raises(Refused):
        by_device(FakeSevGuest(report, error=errno.EIO, firmware=5))


def test_a_machine_of_another_kind_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="is this such a machine"):
        collect(reports=TsmReports(Configfs(tmp_path / "missing")))


@pytest.mark.parametrize(
    ("body", "leaf", "entry", "chain"),
    [
        ("gsg-report.bin", "gsg-vcek.der", VCEK, "amd-ask_ark_milan.pem"),
        ("coco-report.bin", "coco-vcek.der", VCEK, "amd-ask_ark_milan.pem"),
        ("coco-vlek-report.bin", "coco-vlek.der", VLEK, "amd-asvk_ark_milan.pem"),
        ("ars-genoa-v5-report.bin", "ars-genoa-vcek.der", VCEK, "amd-ask_ark_genoa.pem"),
    ],
)
def test_takes_real_reports_and_certificates(
    vectors: Path, body: str, leaf: str, entry: str, chain: str
) -> None:
    real = (vectors / "snp" / body).read_bytes()
    first = (vectors / "snp" / leaf).read_bytes()
    issuer, root = pem_codec.certificates((vectors / "roots" / chain).read_bytes())
    table = certificate_table((entry, first), (ASK, issuer), (ARK, root))
    found = collect(tsm(outblob=lambda _: real, auxblob=table))
    assert certificates(found) == [first, issuer, root]
    evidence.parse(parse_envelope(encode_envelope(kind=EvidenceKind.SEV_SNP, evidence=found)))
