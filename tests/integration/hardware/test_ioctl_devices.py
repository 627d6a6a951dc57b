"""The real ioctl of Linux, answered through FUSE by devices that are none."""

import errno
from pathlib import Path

import pytest

from keystead.agent.collectors.aws_nitro import AwsNitroCollector
from keystead.codec.nitro import parse_document
from keystead.errors import Malformed, Refused, Unavailable
from keystead.evidence import aws_nitro
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.hardware.nsm import NsmDevice
from keystead.hardware.sev_guest import SevGuest
from keystead.model import EvidenceKind
from tests.evidence_builder import Host
from tests.fake_devices import FakeNsm, FakeSevGuest
from tests.fuse_device import IoctlFile, mounted
from tests.nitro_builder import NONCE
from tests.snp_builder import Guest

KEY = Host.make().jwk
DATA = bytes(range(64))


def test_the_nsm_answers_with_a_document(tmp_path: Path) -> None:
    path = tmp_path / "nsm"
    with mounted(path, IoctlFile(FakeNsm())):
        collector = AwsNitroCollector(nsm=NsmDevice(path))
        collected = collector.collect(key=KEY, issuer="https://issuer.example", nonce=NONCE)
    made = encode_envelope(kind=EvidenceKind.AWS_NITRO, evidence=collected)
    found = aws_nitro.parse(parse_envelope(made)).document
    assert (found.nonce, found.public_key) == (NONCE, KEY.spki)


def test_the_nsm_fills_its_whole_buffer(tmp_path: Path) -> None:
    path = tmp_path / "nsm"
    with mounted(path, IoctlFile(FakeNsm(answer=bytes(0x3000)))), pytest.raises(Malformed):
        NsmDevice(path).attestation(nonce=NONCE)


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EINVAL, Refused), (errno.ETIMEDOUT, Unavailable)]
)
def test_an_error_of_the_driver_comes_through(
    tmp_path: Path, number: int, kind: type[Exception]
) -> None:
    path = tmp_path / "nsm"
    with (
        mounted(path, IoctlFile(FakeNsm(error=number))),
        pytest.raises(kind, match=errno.errorcode[number]),
    ):
        NsmDevice(path).attestation(nonce=NONCE)


def test_the_guest_device_answers_with_report_and_table(tmp_path: Path) -> None:
    path = tmp_path / "sev-guest"
    fake = FakeSevGuest(lambda data: Guest().report(report_data=data), table=b"table")
    with mounted(path, IoctlFile(fake)):
        report, table = SevGuest(path).extended_report(DATA, vmpl=1)
    assert report[0x50:0x90] == DATA
    assert table == b"table".ljust(0x4000, b"\x00")
    assert fake.asked == [(DATA, 1)]


def test_documents_differ_from_call_to_call(tmp_path: Path) -> None:
    path = tmp_path / "nsm"
    with mounted(path, IoctlFile(FakeNsm())):
        nsm = NsmDevice(path)
        nonces = [parse_document(nsm.attestation(nonce=each)).nonce for each in (b"a", b"b")]
    assert nonces == [b"a", b"b"]
