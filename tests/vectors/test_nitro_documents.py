"""Attestation documents of real enclaves, as the MANIFEST of the published vectors lists them."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from keystead.appraisal import aws_nitro
from keystead.appraisal.result import ear_claims
from keystead.codec.certificate import parse_certificate
from keystead.codec.nitro import DocumentType, parse_document
from keystead.errors import EvidenceRejected, KeysteadError, Malformed, Reason
from keystead.model import AnchorClass, EvidenceKind, Freshness
from tests.manifest import Row
from tests.published_nitro import (
    DEBUG,
    DEBUG_TOO,
    DOCUMENTS,
    GOOD,
    LATER,
    ROWS,
    field_of,
    named,
    policy,
    raw,
    read,
    saved,
)


def refusal(document: bytes, **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        saved(document, **changes)
    return refused.value.reason, refused.value.step


def test_the_table_lists_every_file(vectors: Path) -> None:
    listed = {row.file for row in ROWS}
    assert listed == {f"nitro/{path.name}" for path in (vectors / "nitro").iterdir()}
    assert (len(GOOD), len(DEBUG), len(ROWS)) == (3, 2, 6)


@pytest.mark.parametrize("row", DOCUMENTS, ids=named)
def test_reads_the_fields_that_the_table_names(row: Row) -> None:
    document = read(row)
    assert document.type is DocumentType.ENCLAVE and document.made_at == row.time
    for name in ("public_key", "user_data", "nonce"):
        value = getattr(document, name)
        expected = field_of(row, name)
        assert expected == "null" if value is None else value.hex().startswith(expected)
        size = re.search(rf"{name}=\w+\.*\((\d+)B\)", row.expected)
        assert size is None or len(value) == int(size[1])


@pytest.mark.parametrize("row", GOOD, ids=named)
def test_is_affirmed_at_its_time(row: Row) -> None:
    result = saved(raw(row), now=row.time)
    assert result.pcrs["sha384"][0] == field_of(row, "PCR0")
    assert (result.anchor, result.anchor_class) == ("AWS Nitro Enclaves Root G1", AnchorClass.TEE)
    assert result.freshness is Freshness.BEARER
    assert (result.hardware, result.boot_pinned, result.debug) == (True, False, False)


@pytest.mark.parametrize("row", GOOD, ids=named)
def test_is_affirmed_by_its_own_measurement_and_no_other(row: Row) -> None:
    pinned = f'[aws-nitro.pcrs]\n0 = ["{field_of(row, "PCR0")}"]'
    assert saved(raw(row), policy=policy(pinned), now=row.time).boot_pinned
    other = f'[aws-nitro.pcrs]\n0 = ["{"11" * 48}"]'
    told = refusal(raw(row), policy=policy(other), now=row.time)
    assert told == (Reason.PCR_VALUE_MISMATCH, 7)


@pytest.mark.parametrize("row", DEBUG, ids=named)
def test_debug_mode_is_refused_and_allowed_by_name_alone(row: Row) -> None:
    assert refusal(raw(row), now=row.time) == (Reason.DEBUG_MODE, 6)
    result = saved(raw(row), policy=policy(DEBUG_TOO), now=row.time)
    assert (result.debug, result.boot_pinned, result.hardware) == (True, False, True)
    claims: Any = ear_claims(
        result, issuer="https://issuer.example", key=None, nonce=None, now=LATER, expires_at=LATER
    )
    submodule = claims["submods"]["aws-nitro"]
    assert submodule["ear.status"] == "warning"
    assert submodule["ear.trustworthiness-vector"] == {"hardware": 2, "configuration": 32}


@pytest.mark.parametrize("row", DOCUMENTS, ids=named)
def test_has_expired_since(row: Row) -> None:
    assert refusal(raw(row), policy=policy(DEBUG_TOO)) == (Reason.CHAIN_UNTRUSTED, 2)


@pytest.mark.parametrize("row", DOCUMENTS, ids=named)
def test_the_time_is_checked_to_the_second(row: Row) -> None:
    rules = policy(DEBUG_TOO)
    assert row.time is not None
    for now in (row.time - 60, row.time, row.time + 300):
        assert saved(raw(row), policy=rules, now=now).verified_at == now
    told = refusal(raw(row), policy=rules, now=row.time - 61)
    assert told == (Reason.EVIDENCE_IN_FUTURE, 4)
    told = refusal(raw(row), policy=rules, now=row.time + 301)
    assert told == (Reason.EVIDENCE_TOO_OLD, 4)


@pytest.mark.parametrize("row", DOCUMENTS, ids=named)
def test_what_was_believed_before_does_not_outlive_its_certificate(row: Row) -> None:
    rules = policy(DEBUG_TOO)
    saved(raw(row), policy=rules, now=row.time)
    assert rules.aws_nitro is not None and len(rules.aws_nitro.chains) == 1
    assert refusal(raw(row), policy=rules) == (Reason.CHAIN_UNTRUSTED, 2)
    assert saved(raw(row), policy=rules, now=row.time).kind is EvidenceKind.AWS_NITRO


@pytest.mark.parametrize("row", DOCUMENTS, ids=named)
def test_the_frame_around_a_document_is_no_part_of_it(row: Row) -> None:
    for data in (raw(row) + b"\x00", b"\x00" + raw(row), row.read() + b"\x00"):
        with pytest.raises(Malformed):
            parse_document(data)


@pytest.mark.parametrize("row", DOCUMENTS, ids=named)
def test_tagged_is_the_same_document(row: Row) -> None:
    tagged = b"\xd2" + raw(row)
    assert saved(tagged, policy=policy(DEBUG_TOO), now=row.time).anchor_class is AnchorClass.TEE


def test_cut_at_any_byte_it_is_malformed(vectors: Path) -> None:
    data = raw(GOOD[0])
    for size in range(len(data)):
        with pytest.raises(Malformed):
            parse_document(data[:size])


def regions(row: Row) -> dict[str, tuple[bytes, set[tuple[Reason, int | None]]]]:
    """Each part of a document by name: its bytes, and how a change in it may be refused."""
    document = read(row)
    signature: set[tuple[Reason, int | None]] = {(Reason.EVIDENCE_SIGNATURE, 3)}
    chain: set[tuple[Reason, int | None]] = {(Reason.CHAIN_UNTRUSTED, 2)}
    parts = {
        "signature": (document.sign1.signature, signature),
        "module_id": (document.module_id.encode(), signature),
        "PCR 0": (document.pcrs[0], signature),
        "PCR 4": (document.pcrs[4], signature),
        "user_data": (document.user_data or b"", signature),
        "leaf's key": (parse_certificate(document.certificate).spki, chain),
        "leaf's names": (parse_certificate(document.certificate).issuer, chain),
        "leaf's signature": (document.certificate[-90:], chain),
        "root": (document.cabundle[0], chain),
    }
    for index, der in enumerate(document.cabundle[1:]):
        parts[f"CA {index}"] = (der[-90:], chain)
    return parts


PARTS = (
    *("signature", "module_id", "PCR 0", "PCR 4", "user_data"),
    *("leaf's key", "leaf's names", "leaf's signature", "root", "CA 0", "CA 1", "CA 2"),
)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("row", GOOD, ids=named)
def test_a_change_is_refused_by_the_step_that_it_concerns(row: Row, part: str) -> None:
    data = raw(row)
    found, allowed = regions(row)[part]
    start = data.index(found)
    for at in {start, start + len(found) // 2, start + len(found) - 1}:
        bent = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            told = refusal(bent, now=row.time)
        except Malformed:
            continue
        assert told in allowed, at


def test_every_flipped_byte_is_refused(vectors: Path) -> None:
    row = GOOD[0]
    data, rules = raw(row), policy()
    for at in range(0, len(data), 3):
        bent = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]
        with pytest.raises(KeysteadError):
            saved(bent, policy=rules, now=row.time)


def test_the_table_names_what_user_data_is_for(vectors: Path) -> None:
    """Upstream's own binding: an enclave's document names the key of its TLS certificate."""
    row = next(row for row in ROWS if row.what.startswith("TLS certificate"))
    document = read(next(each for each in DEBUG if each.file == "nitro/ev-ga.b64"))
    assert document.user_data == parse_certificate(row.read()).spki
    assert row.expected == "binding fixture"


def test_an_enclaves_document_is_not_nitrotpms(vectors: Path) -> None:
    rules = policy('[aws-nitro]\ndocument = "nitrotpm"\n[aws-nitro.pcrs]\n4 = "any"\n7 = "any"')
    row = GOOD[0]
    assert refusal(raw(row), policy=rules, now=row.time) == (Reason.EVIDENCE_TYPE, 1)


def test_the_result_is_tied_to_the_bytes(vectors: Path) -> None:
    result = saved(raw(GOOD[0]), now=GOOD[0].time)
    assert result.attester == hashlib.sha256(raw(GOOD[0])).digest()
    assert aws_nitro.document_id(read(GOOD[0])) == result.attester
