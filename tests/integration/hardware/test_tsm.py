"""The real file operations of Linux on configfs-tsm's files, which are faked through FUSE."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from keystead.agent.collectors.collateral import Collateral
from keystead.agent.collectors.sev_snp import SevSnpCollector
from keystead.agent.collectors.tdx import TdxCollector
from keystead.codec import base64url
from keystead.codec.td_quote import quoted_report_data
from keystead.errors import Malformed, Reason, Refused, Unavailable
from keystead.hardware.tsm import MAX_BLOB_BYTES, Configfs, TsmReport, TsmReports
from tests.azure_builder import td_quote
from tests.evidence_builder import Host
from tests.fake_devices import ASK, VCEK, FakeTsm, certificate_table
from tests.fuse_device import mounted
from tests.fuse_tsm import TsmFolder
from tests.snp_builder import ISSUER, NONCE, Guest, ask, named_key

KEY = Host.make().jwk
DATA = bytes(range(64))
TABLE = certificate_table((VCEK, Guest().leaf()), (ASK, ask()))


def report(data: bytes) -> bytes:
    return Guest().report(report_data=data)


@contextmanager
def kernel(folder: Path, **changes: Any) -> Iterator[tuple[TsmReports, FakeTsm]]:
    fake = FakeTsm(**({"outblob": report, "auxblob": TABLE} | changes))
    with mounted(folder / "report", TsmFolder(fake)):
        yield TsmReports(Configfs(folder / "report")), fake
    assert fake.folders == set()


def test_makes_reads_and_removes_a_report(tmp_path: Path) -> None:
    with kernel(tmp_path) as (reports, fake):
        assert reports.there
        made = reports.report(DATA, provider="sev_guest", privlevel=1)
    assert made.outblob[0x50:0x90] == DATA
    assert made.auxblob == TABLE
    assert fake.written == [("privlevel", b"1"), ("inblob", DATA)]


def test_asks_again_where_somebody_else_wrote(tmp_path: Path) -> None:
    with kernel(tmp_path, others=2) as (reports, fake):
        reports.report(DATA, provider="sev_guest")
    assert fake.written == [("inblob", DATA)] * 3


def test_reads_no_blob_without_end(tmp_path: Path) -> None:
    endless = {"outblob": bytes(MAX_BLOB_BYTES * 2)}
    with kernel(tmp_path, replaced=endless) as (reports, _), pytest.raises(Malformed) as caught:
        reports.report(DATA, provider="sev_guest")
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("file", "number", "kind"),
    [
        ("", errno.ENXIO, Unavailable),
        ("inblob", errno.EINVAL, Refused),
        ("outblob", errno.EIO, Refused),
        ("outblob", errno.ETIMEDOUT, Unavailable),
    ],
)
def test_says_what_failed(tmp_path: Path, file: str, number: int, kind: type[Exception]) -> None:
    with kernel(tmp_path, fails={file: number}) as (reports, _), pytest.raises(kind):
        reports.report(DATA, provider="sev_guest")


def test_the_faked_files_are_as_strict_as_the_kernels(tmp_path: Path) -> None:
    with kernel(tmp_path):
        folder = tmp_path / "report" / "one"
        folder.mkdir()
        for name, flags in (("inblob", os.O_RDWR), ("outblob", os.O_RDWR), ("inblob", os.O_RDONLY)):
            with pytest.raises(PermissionError):
                os.open(folder / name, flags)
        folder.rmdir()


def test_a_guests_evidence_comes_of_it(tmp_path: Path) -> None:
    with kernel(tmp_path) as (reports, fake):
        collector = SevSnpCollector(reports=reports)
        found = collector.collect(key=KEY, issuer=ISSUER, nonce=NONCE)
    assert fake.written == [("inblob", named_key(KEY))]
    assert base64url.decode(str(found["report"]))[0x50:0x90] == named_key(KEY)


def test_a_tds_evidence_comes_of_it(tmp_path: Path) -> None:
    (tmp_path / "collateral.json").write_text("{}")
    collateral = Collateral(location=str(tmp_path / "collateral.json"))
    with kernel(tmp_path, outblob=td_quote, auxblob=None, provider="tdx_guest\n") as (
        reports,
        fake,
    ):
        assert reports.report(DATA, provider="tdx_guest") == TsmReport(
            outblob=td_quote(DATA), auxblob=b""
        )
        collector = TdxCollector(reports=reports, collateral=collateral)
        found = collector.collect(key=KEY, issuer=ISSUER, nonce=NONCE)
    assert quoted_report_data(base64url.decode(str(found["quote"]))) == fake.written[-1][1]
