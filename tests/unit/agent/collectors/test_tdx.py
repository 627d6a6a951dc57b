import errno
import json
from pathlib import Path
from typing import Any

import pytest

from keystead.agent.collectors.collateral import Collateral
from keystead.agent.collectors.tdx import TdxCollector
from keystead.binding.binding_hash import binding_hash, padded
from keystead.codec import base64url, eventlog
from keystead.codec.td_quote import quoted_report_data
from keystead.errors import Malformed, Refused, Unavailable
from keystead.hardware.tsm import TsmReports
from keystead.model import EvidenceKind
from tests.azure_builder import td_quote
from tests.evidence_builder import Host
from tests.fake_devices import FakeTsm
from tests.snp_builder import ISSUER, NONCE

KEY = Host.make().jwk
NAMED = padded(binding_hash(EvidenceKind.TDX, issuer=ISSUER, nonce=NONCE, key=KEY))
COLLATERAL = {"tcb_info": "…", "root_ca_crl": "00"}


def tsm(**changes: Any) -> FakeTsm:
    return FakeTsm(**({"outblob": td_quote, "provider": "tdx_guest\n"} | changes))


@pytest.fixture
def collateral(tmp_path: Path) -> Collateral:
    file = tmp_path / "collateral.json"
    file.write_text(json.dumps(COLLATERAL))
    return Collateral(location=str(file))


def collect(fake: FakeTsm, collateral: Collateral, **arguments: Any) -> dict[str, Any]:
    collector = TdxCollector(collateral=collateral, reports=TsmReports(fake), **arguments)
    return dict(collector.collect(key=KEY, issuer=ISSUER, nonce=NONCE))


def test_the_quote_names_the_key(collateral: Collateral) -> None:
    fake = tsm()
    found = collect(fake, collateral)
    assert fake.written == [("inblob", NAMED)]
    assert quoted_report_data(base64url.decode(found["quote"])) == NAMED
    assert found == {"quote": base64url.encode(td_quote(NAMED)), "collateral": COLLATERAL}


def test_the_event_log_comes_along_where_it_is_wanted(
    tmp_path: Path, collateral: Collateral
) -> None:
    log = tmp_path / "CCEL"
    log.write_bytes(b"log")
    assert collect(tsm(), collateral, event_log=log)["event_log"] == base64url.encode(b"log")
    log.write_bytes(bytes(eventlog.MAX_LOG_BYTES + 1))
    with pytest.raises(Malformed):
        collect(tsm(), collateral, event_log=log)
    with pytest.raises(Unavailable):
        collect(tsm(), collateral, event_log=tmp_path / "missing")


@pytest.mark.parametrize(
    "wrong", [b"", td_quote(NAMED)[:-1], td_quote(NAMED) + b"\x01", td_quote(NAMED, version=3)]
)
def test_what_is_no_quote_is_malformed(collateral: Collateral, wrong: bytes) -> None:
    with pytest.raises(Malformed):
        collect(tsm(outblob=lambda _: wrong), collateral)


def test_what_the_hardware_says_is_passed_on(collateral: Collateral) -> None:
    with pytest.raises(Refused):
        collect(tsm(provider="sev_guest"), collateral)
    with pytest.raises(Refused):
        collect(tsm(fails={"outblob": errno.EIO}), collateral)
    with pytest.raises(Unavailable):
        collect(tsm(fails={"outblob": errno.ETIMEDOUT}), collateral)


@pytest.mark.parametrize(
    "file", ["ars-tdx_quote_live.bin", "phala-tdx_quote.bin", "coco-quote5.bin"]
)
def test_takes_real_quotes_as_they_come(vectors: Path, collateral: Collateral, file: str) -> None:
    quote = (vectors / "tdx" / file).read_bytes()
    found = collect(tsm(outblob=lambda _: quote), collateral)
    assert found["quote"] == base64url.encode(quote)


def test_takes_a_real_log_and_real_collateral(vectors: Path) -> None:
    place = vectors / "tdx" / "phala-tdx_quote_collateral.json"
    log = vectors / "tdx" / "ars-tdx_ccel_live.bin"
    found = collect(tsm(), Collateral(location=str(place)), event_log=log)
    assert found["collateral"] == json.loads(place.read_text())
    assert found["event_log"] == base64url.encode(log.read_bytes())
