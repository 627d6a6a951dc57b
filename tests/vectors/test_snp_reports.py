"""SEV-SNP reports of real chips, as the MANIFEST of the published vectors lists them."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from keystead.codec.certificate import parse_certificate
from keystead.codec.snp import REPORT_BYTES, Product, parse_report
from keystead.errors import EvidenceRejected, KeysteadError, Malformed, Reason
from keystead.model import AnchorClass, Freshness
from tests.published_snp import (
    ACI,
    COCO,
    DSTACK,
    GENOA,
    GSG,
    LATER,
    MILAN,
    PLAIN,
    REPORTS,
    ROWS,
    TAMPERED,
    VLEK,
    Vector,
    certificates,
    read,
    saved,
)

each_report = pytest.mark.parametrize("vector", REPORTS, ids=lambda vector: vector.file)
pytestmark = pytest.mark.skipif(not ROWS, reason="the published vectors are not here")


def refusal(vector: Vector, **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        saved(vector, **changes)
    return refused.value.reason, refused.value.step


def test_every_row_with_an_expected_result_is_here(vectors: Path) -> None:
    listed = {row.file for row in ROWS.values()}
    assert listed == {f"snp/{path.name}" for path in (vectors / "snp").iterdir()}
    expected = {row.file for row in ROWS.values() if row.expected}
    assert expected == {vector.file for vector in REPORTS} | set(TAMPERED)


@each_report
def test_is_affirmed_at_its_time(vector: Vector) -> None:
    result = saved(vector)
    product = "Genoa" if "Genoa" in vector.row.what else "Milan"
    assert (result.anchor, result.anchor_class) == (f"AMD ARK-{product}", AnchorClass.TEE)
    assert result.claims["product"] == product
    assert f"v{result.claims['report_version']}" in vector.row.what
    assert result.freshness is Freshness.BEARER
    assert (result.hardware, result.boot_pinned) == (True, False)


def test_debug_is_refused_unless_it_is_allowed_by_name() -> None:
    assert "DEBUG" in GSG.row.expected and read(GSG).policy == 0xB0000
    assert refusal(GSG, rules=PLAIN) == (Reason.DEBUG_MODE, 7)
    assert saved(GSG).debug
    assert not any(saved(vector).debug for vector in REPORTS if vector is not GSG)


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_certificate_is_refused(name: str) -> None:
    assert "not issued by ASK" in ROWS[name].expected
    chain = [*certificates(name), *certificates(MILAN)]
    assert refusal(COCO, chain=chain, now=ROWS[name].time) == (Reason.CHAIN_UNTRUSTED, 2)


def test_a_clouds_key_signs_at_the_level_that_asked() -> None:
    result = saved(VLEK)
    assert (result.claims["vmpl"], result.claims["signing_key"]) == (1, "vlek")
    assert "us-east-2" in result.claims["csp_id"] and "us-east-2" in VLEK.row.what
    assert read(VLEK).chip_id == bytes(64)
    assert refusal(VLEK, rules=PLAIN) == (Reason.VMPL_REFUSED, 8)


@pytest.mark.parametrize(
    ("vector", "text"),
    [
        (GSG, bytes([1, 2, 3, 4, 5])),
        (GENOA, b"hello-attestation"),
        (DSTACK, b"attest-test-fixture-2026"),
    ],
    ids=lambda each: getattr(each, "file", ""),
)
def test_report_data_is_what_the_table_says(vector: Vector, text: bytes) -> None:
    assert read(vector).report_data.startswith(text)
    assert saved(vector).claims["report_data"] == read(vector).report_data.hex()


def test_host_data_is_the_hash_of_what_the_host_started(vectors: Path) -> None:
    started = base64.b64decode((vectors / "snp/aci-uvm_security_policy.base64").read_bytes())
    digest = hashlib.sha256(started).hexdigest()
    assert (
        saved(ACI, rules=PLAIN + f'host_data = ["{digest}"]\n').measurements["host_data"] == digest
    )
    other = PLAIN + f'host_data = ["{"00" * 32}"]\n'
    assert refusal(ACI, rules=other) == (Reason.MEASUREMENT_MISMATCH, 10)
    assert read(DSTACK).host_data != bytes(32)


def test_the_measurement_is_the_one_that_the_cloud_published(vectors: Path) -> None:
    reference = (vectors / "snp/aci-body.uvm_reference_info.bin").read_bytes()
    _, _, after = reference.partition(b"x-ms-sevsnpvm-launchmeasurement")
    assert read(ACI).measurement.hex().encode() in after[:200]


@each_report
def test_is_affirmed_by_its_own_measurement_and_no_other(vector: Vector) -> None:
    own = vector.policy.replace('"any"', f'["{read(vector).measurement.hex()}"]', 1)
    assert saved(vector, rules=own).measurements["measurement"] == read(vector).measurement.hex()
    other = vector.policy.replace('"any"', f'["{"11" * 48}"]', 1)
    assert refusal(vector, rules=other) == (Reason.MEASUREMENT_MISMATCH, 9)


@each_report
def test_the_minimum_is_compared_with_the_reported_tcb(vector: Vector) -> None:
    result = saved(vector)
    tcb = {name: value for name, value in result.claims["tcb"].items() if name != "fmc"}
    for part in tcb:
        for difference in (0, 1):
            least = tcb | {part: tcb[part] + difference}
            table = "".join(f"{name} = {value}\n" for name, value in least.items())
            rules = vector.policy.replace('minimum_tcb = "any"\n', "")
            rules += f"[sev-snp.minimum_tcb.{result.claims['product']}]\n{table}"
            if difference:
                assert refusal(vector, rules=rules) == (Reason.TCB_REFUSED, 6)
            else:
                assert saved(vector, rules=rules).claims["tcb"] == result.claims["tcb"]


@each_report
def test_the_time_is_checked_to_the_second(vector: Vector) -> None:
    start, end = parse_certificate(vector.chain[0]).valid_from_to()
    assert saved(vector, now=start).verified_at == start
    assert saved(vector, now=end).verified_at == end
    for now in (start - 1, end + 1, LATER):
        assert refusal(vector, now=now) == (Reason.CHAIN_UNTRUSTED, 2)


def test_serial_numbers_of_zero_are_read() -> None:
    assert {parse_certificate(vector.chain[0]).serial for vector in REPORTS} == {0}


def regions() -> dict[str, tuple[int, set[tuple[Reason, int | None]]]]:
    """Parts of a report by name: where they are, and how a change may be refused."""
    signature: set[tuple[Reason, int | None]] = {(Reason.EVIDENCE_SIGNATURE, 3)}
    return {
        "guest svn": (0x04, signature),
        "policy": (0x0A, signature),
        "vmpl": (0x31, {(Reason.EVIDENCE_TYPE, 1)}),
        "algorithm": (0x34, {(Reason.EVIDENCE_TYPE, 1)}),
        "report data": (0x50, signature),
        "measurement": (0x90, signature),
        "host data": (0xC0, signature),
        "id key": (0xE0, signature),
        "reported TCB": (0x180, signature),
        "chip": (0x1A0, signature),
        "launch TCB": (0x1F0, signature),
        "reserved": (0x29F, signature),
        "r": (0x2A0, signature),
        "s": (0x2E8, signature),
    }


@pytest.mark.parametrize("part", regions())
@each_report
def test_a_change_is_refused_by_the_step_that_it_concerns(vector: Vector, part: str) -> None:
    at, allowed = regions()[part]
    data = vector.report
    bent = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
    assert refusal(vector, report=bent) in allowed


def test_every_flipped_byte_is_refused() -> None:
    data = DSTACK.report
    for at in range(0, REPORT_BYTES, 3):
        bent = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]
        with pytest.raises(KeysteadError):
            saved(DSTACK, report=bent)


@pytest.mark.parametrize("index", [0, 1])
@each_report
def test_every_flipped_byte_of_a_certificate_is_refused(vector: Vector, index: int) -> None:
    chain = vector.chain
    for at in range(0, len(chain[index]), 29):
        bent = list(chain)
        bent[index] = chain[index][:at] + bytes([chain[index][at] ^ 1]) + chain[index][at + 1 :]
        assert refusal(vector, chain=bent) == (Reason.CHAIN_UNTRUSTED, 2)


def test_cut_at_any_byte_it_is_malformed() -> None:
    data = GENOA.report
    for size in range(REPORT_BYTES):
        with pytest.raises(Malformed):
            parse_report(data[:size])


@each_report
def test_another_chips_certificate_is_refused(vector: Vector) -> None:
    for other in REPORTS:
        if other is not vector:
            told = refusal(vector, chain=other.chain, now=_together(vector, other))
            assert told in {(Reason.EVIDENCE_SIGNATURE, 3), (Reason.CHAIN_UNTRUSTED, 2)}


def _together(one: Vector, other: Vector) -> int:
    """A time at which the other's certificate is valid."""
    return parse_certificate(other.chain[0]).valid_from_to()[0] or one.row.time or 0


@each_report
def test_the_frame_around_a_report_is_no_part_of_it(vector: Vector) -> None:
    for data in (vector.report + b"\x00", b"\x00" + vector.report, vector.report[1:]):
        with pytest.raises(Malformed):
            parse_report(data)


def test_processors_name_themselves_from_version_3_on() -> None:
    named = {vector.file: read(vector).product for vector in REPORTS}
    assert named[COCO.file] is None and named[GSG.file] is None and named[ACI.file] is None
    assert named[VLEK.file] is Product.MILAN and named[GENOA.file] is Product.GENOA


def test_the_saved_bundle_is_of_the_same_chip(vectors: Path) -> None:
    """Upstream's JSON form of one Genoa guest: the same VCEK certified another time."""
    bundle = json.loads((vectors / "snp/ars-genoa-evidence.json").read_bytes())["evidence"]
    report = base64.b64decode(bundle["attestation_report"])
    vcek = base64.b64decode(bundle["cert_chain"]["vcek"])
    assert vcek != GENOA.chain[0]
    assert parse_certificate(vcek).spki == parse_certificate(GENOA.chain[0]).spki
    for leaf in (vcek, GENOA.chain[0]):
        now = parse_certificate(vcek).valid_from_to()[0] + 1_000_000
        result = saved(GENOA, report=report, chain=[leaf, *GENOA.chain[1:]], now=now)
        assert result.claims["report_version"] == 5
