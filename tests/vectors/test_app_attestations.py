"""App Attest objects of real devices, as the MANIFEST of the published vectors lists them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystead.appraisal import app_attest
from keystead.appraisal.app_attest_assertion import verify_assertion
from keystead.codec.app_attest import parse_assertion, parse_attestation
from keystead.errors import EvidenceRejected, KeysteadError, Malformed, Reason
from keystead.model import AnchorClass, Freshness
from tests.manifest import Row
from tests.published_app_attest import (
    ROWS,
    app_id,
    appraised,
    assertion,
    documents,
    evidence,
    policy,
)

WITH_ASSERTION = [row for row in ROWS if "assertion" in row.what]


def named(row: Row) -> str:
    return row.file


def refusal(row: Row, **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        appraised(row, **changes)
    return refused.value.reason, refused.value.step


def test_the_table_lists_every_file(vectors: Path) -> None:
    listed = {row.file for row in ROWS}
    assert listed == {f"appattest/{path.name}" for path in (vectors / "appattest").iterdir()}
    assert (len(ROWS), len(WITH_ASSERTION)) == (5, 4)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_is_affirmed_at_its_time(row: Row) -> None:
    assert row.expected.startswith("OK")
    found = appraised(row)
    assert (found.app_id, found.environment) == (app_id(row), "development")
    result = app_attest.conclude(found)
    assert (result.anchor, result.anchor_class) == (
        "Apple App Attestation Root CA",
        AnchorClass.TEE,
    )
    assert result.freshness is Freshness.BEARER and result.claims["app_id"] == app_id(row)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_development_key_is_not_for_production(row: Row) -> None:
    rules = policy(app_id(row), environment="production")
    assert refusal(row, policy=rules) == (Reason.ENVIRONMENT_MISMATCH, 7)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_each_bad_neighbour_is_refused_by_its_step(row: Row) -> None:
    good = evidence(row)
    other = evidence(ROWS[(ROWS.index(row) + 1) % len(ROWS)])
    attestation, credential = good.attestation, good.attestation.auth_data.credential
    assert credential is not None

    def bent(**changes: Any) -> dict[str, Any]:
        return {"evidence": {"attestation": replace(attestation, **changes)}}

    risen = replace(attestation.auth_data, counter=1)
    foreign = replace(attestation.auth_data, credential=replace(credential, point=bytes(65)))
    renamed = replace(
        attestation.auth_data, credential=replace(credential, credential_id=bytes(32))
    )
    assert refusal(row, **bent(format="packed")) == (Reason.EVIDENCE_TYPE, 1)
    assert refusal(row, **bent(x5c=attestation.x5c[:1])) == (Reason.CHAIN_UNTRUSTED, 2)
    assert refusal(row, now=2_000_000_000) == (Reason.CHAIN_UNTRUSTED, 2)
    assert refusal(row, now=1_500_000_000) == (Reason.CHAIN_UNTRUSTED, 2)
    for changes in (
        {"evidence": {"client_data": good.client_data + b"x"}},
        bent(x5c=other.attestation.x5c),
    ):
        told = refusal(row, **({"now": row.time} | changes))
        assert told in ((Reason.NONCE_MISMATCH, 3), (Reason.CHAIN_UNTRUSTED, 2))
    for changes in (
        {"evidence": {"key_id": other.key_id}},
        bent(auth_data=foreign),
        bent(auth_data=renamed),
    ):
        assert refusal(row, **changes) == (Reason.KEY_MISMATCH, 4)
    rules = policy("TEAM123456.com.example")
    assert refusal(row, policy=rules) == (Reason.APP_MISMATCH, 5)
    assert refusal(row, **bent(auth_data=risen)) == (Reason.COUNTER_NOT_RISING, 6)
    assert refusal(row, nonce=bytes(32)) == (Reason.NONCE_MISMATCH, 8)


def test_every_flipped_byte_is_refused_or_in_the_receipt(vectors: Path) -> None:
    row = ROWS[0]
    good = evidence(row)
    raw, rules = good.attestation.raw, policy(app_id(row))
    receipt = raw.index(good.attestation.receipt)
    for at in [*range(0, receipt, 3), *range(receipt + len(good.attestation.receipt), len(raw))]:
        bent = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(KeysteadError):
            found = replace(good, attestation=parse_attestation(bent))
            app_attest.appraise(found, policy=rules, nonce=None, now=row.time or 0)


def test_cut_at_any_byte_it_is_malformed(vectors: Path) -> None:
    raw = evidence(ROWS[0]).attestation.raw
    for size in range(len(raw)):
        with pytest.raises(Malformed):
            parse_attestation(raw[:size])


# --- assertions ---------------------------------------------------------------------------------


def assertion_refusal(row: Row, **changes: Any) -> tuple[Reason, int | None]:
    data, good = assertion(row)
    with pytest.raises(EvidenceRejected) as refused:
        verify_assertion(changes.pop("data", data), **(good | changes))
    return refused.value.reason, refused.value.step


@pytest.mark.parametrize("row", WITH_ASSERTION, ids=named)
def test_an_assertion_of_the_attested_key_verifies(row: Row) -> None:
    data, good = assertion(row)
    found = verify_assertion(data, **good)
    assert found.counter == int(documents(row)["assertion"]["counter"]) == 1
    assert (found.key_id, found.app_id) == (evidence(row).key_id, app_id(row))
    assert "assertion sig OK ctr 1" in row.expected


@pytest.mark.parametrize("row", WITH_ASSERTION, ids=named)
def test_an_assertion_with_one_thing_wrong_is_refused(row: Row) -> None:
    other = next(each for each in WITH_ASSERTION if each != row)
    told = assertion_refusal(row, app_id="TEAM123456.com.example")
    assert told == (Reason.APP_MISMATCH, 15)
    for changes in (
        {"client_data": b"other"},
        {"key": appraised(other).key},
        {"data": assertion(other)[0]},
    ):
        assert assertion_refusal(row, **changes) == (Reason.EVIDENCE_SIGNATURE, 16)
    for last in (1, 2, 1 << 31):
        assert assertion_refusal(row, last_counter=last) == (Reason.COUNTER_NOT_RISING, 17)


def test_every_changed_or_missing_byte_of_an_assertion_is_refused(vectors: Path) -> None:
    data, good = assertion(WITH_ASSERTION[0])
    for at in range(len(data)):
        with pytest.raises(KeysteadError):
            verify_assertion(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], **good)
        with pytest.raises(Malformed):
            parse_assertion(data[:at])
