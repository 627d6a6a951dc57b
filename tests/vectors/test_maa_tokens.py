"""Real Azure Attestation tokens, as the MANIFEST of the published vectors lists them."""

import json
from pathlib import Path
from typing import Any

import pytest

from keystead.appraisal.maa_keys import parse_maa_keys
from keystead.appraisal.verifier import appraise_saved
from keystead.codec import base64url
from keystead.codec.maa import parse_claims
from keystead.errors import EvidenceRejected, Malformed, Reason, Rejected
from keystead.evidence import maa as evidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.evidence.signed_token import parse_token
from keystead.model import AnchorClass, EvidenceKind, Freshness
from tests.manifest import Row
from tests.published_maa import (
    GOOD,
    INSTANCES,
    KEY_SET,
    LATER,
    POLICY_FILE,
    ROWS,
    TOKENS,
    named,
    policy,
    saved,
    text,
)

KEYLESS = [row for row in TOKENS if "parse-only" in row.expected]


def refusal(*arguments: Any, **named_arguments: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        saved(*arguments, **named_arguments)
    return refused.value.reason, refused.value.step


def with_payload(token: str, **changes: Any) -> str:
    header, payload, signature = token.split(".")
    claims = json.loads(base64url.decode(payload)) | changes
    return f"{header}.{base64url.encode(json.dumps(claims).encode())}.{signature}"


def with_header(token: str, **changes: Any) -> str:
    header, payload, signature = token.split(".")
    members = json.loads(base64url.decode(header)) | changes
    return f"{base64url.encode(json.dumps(members).encode())}.{payload}.{signature}"


def test_the_table_lists_every_file(vectors: Path) -> None:
    assert {row.file for row in ROWS} == {
        f"maa/{path.name}" for path in (vectors / "maa").iterdir()
    }
    assert (len(GOOD), len(KEYLESS), len(TOKENS), len(ROWS)) == (1, 1, 2, 4)


@pytest.mark.parametrize("row", TOKENS, ids=named)
def test_reads_every_token(row: Row) -> None:
    token = parse_token(text(row), max_bytes=evidence.MAX_TOKEN_BYTES)
    claims = parse_claims(token.claims)
    assert (claims.attestation_type, claims.tee_type) == ("azurevm", "sevsnpvm")
    assert claims.snp is not None and claims.snp.vmpl == 0 and not claims.snp.debuggable
    assert claims.secure_boot and claims.debug == () and claims.client_nonce
    assert row.time is not None and token.issued_at is not None and token.expires_at is not None
    assert token.issued_at < row.time < token.expires_at


@pytest.mark.parametrize("row", GOOD, ids=named)
def test_is_affirmed_at_its_time(vectors: Path, row: Row) -> None:
    asked = json.loads((vectors / "maa" / POLICY_FILE).read_text())
    assert row.time is not None
    result = saved(text(row), row.time, policy(vectors))
    assert result.anchor == INSTANCES[0] and result.anchor_class is AnchorClass.TEE
    assert (result.hardware, result.debug, result.boot_pinned) == (True, False, False)
    assert result.freshness is Freshness.BEARER and result.secure_boot is asked["secureboot"]
    assert result.measurements["launch"] == asked["launch_measurement"]
    assert result.claims["compliance"] == "azure-compliant-cvm" and result.claims["vmpl"] == 0


@pytest.mark.parametrize("row", GOOD, ids=named)
def test_is_refused_now_and_before_it_was_made(vectors: Path, row: Row) -> None:
    token = text(row)
    assert refusal(token, LATER, policy(vectors)) == (Reason.EXPIRED, 5)
    assert refusal(token, 1_765_826_648 - 60, policy(vectors)) == (Reason.NOT_YET_VALID, 5)


@pytest.mark.parametrize("row", KEYLESS, ids=named)
def test_is_refused_without_its_key(vectors: Path, row: Row) -> None:
    assert refusal(text(row), row.time, policy(vectors)) == (Reason.KEY_UNKNOWN, 3)


@pytest.mark.parametrize("row", GOOD, ids=named)
def test_saved_keys_count_where_the_policy_names_them(vectors: Path, row: Row) -> None:
    jwks = json.loads((vectors / "maa" / KEY_SET).read_text())
    (key,) = parse_maa_keys(jwks)
    named_there = policy(vectors, instance=f'saved_keys = ["{key.thumbprint}"]')
    assert row.time is not None
    assert saved(text(row), row.time, named_there, jwks=jwks).hardware
    found = refusal(text(row), row.time, policy(vectors), jwks=jwks)
    assert found == (Reason.KEY_UNKNOWN, 3)


@pytest.mark.parametrize("row", GOOD, ids=named)
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"policy_hashes": f'["{"A" * 43}"]'}, (Reason.CLAIM_NOT_ALLOWED, 9)),
        ({"compliance": '["azure-compliant-uvm"]'}, (Reason.CLAIM_NOT_ALLOWED, 9)),
        ({"claims": '{ "x-ms-azurevm-vmid" = ["another"] }'}, (Reason.CLAIM_NOT_ALLOWED, 9)),
        ({"measurements": f'["{"11" * 48}"]'}, (Reason.MEASUREMENT_MISMATCH, 13)),
        (
            {"minimum_versions": "{ boot_loader = 4, tee = 0, snp = 25, microcode = 219 }"},
            (Reason.TCB_REFUSED, 12),
        ),
        ({"max_token_age_s": "300"}, (Reason.EVIDENCE_TOO_OLD, 6)),
        ({"attestation_type": '"sevsnpvm"'}, (Reason.EVIDENCE_TYPE, 8)),
    ],
)
def test_is_refused_by_a_policy_that_asks_for_something_else(
    vectors: Path, row: Row, changes: dict[str, str], expected: tuple[Reason, int]
) -> None:
    assert refusal(text(row), row.time, policy(vectors, **changes)) == expected


@pytest.mark.parametrize("row", GOOD, ids=named)
def test_no_claim_can_be_changed(vectors: Path, row: Row) -> None:
    token, at, rules = text(row), row.time, policy(vectors)
    signature = (Reason.SIGNATURE_INVALID, 4)
    claims = json.loads(base64url.decode(token.split(".")[1]))
    assert refusal(with_payload(token, exp=LATER * 2), at, rules) == signature
    assert refusal(with_payload(token, secureboot=False), at, rules) == signature
    runtime = claims["x-ms-runtime"] | {"client-payload": {"nonce": "AAAA"}}
    assert refusal(with_payload(token, **{"x-ms-runtime": runtime}), at, rules) == signature
    assert refusal(with_header(token, kid="x"), at, rules) == (Reason.KEY_UNKNOWN, 3)
    other = (Reason.ISSUER_MISMATCH, 1)
    assert refusal(with_header(token, jku="https://evil.example/certs"), at, rules) == other
    assert refusal(with_payload(token, iss=INSTANCES[1]), at, rules) == other
    refused = (Reason.ALGORITHM_NOT_ALLOWED, 2)
    assert refusal(with_header(token, alg="PS256"), at, rules) == refused


@pytest.mark.parametrize("row", GOOD, ids=named)
def test_every_byte_of_the_signature_counts(vectors: Path, row: Row) -> None:
    token, at, rules = text(row), row.time, policy(vectors)
    head, _, signature = token.rpartition(".")
    raw = base64url.decode(signature)
    for index in range(0, len(raw), 17):
        bent = raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]
        found = refusal(f"{head}.{base64url.encode(bent)}", at, rules)
        assert found == (Reason.SIGNATURE_INVALID, 4)


@pytest.mark.parametrize("row", GOOD, ids=named)
def test_nonce_of_somebody_elses_choice_answers_no_challenge(vectors: Path, row: Row) -> None:
    found = refusal(text(row), row.time, policy(vectors), nonce=b"\x4e" * 32)
    assert found == (Reason.NONCE_MISMATCH, 7)


@pytest.mark.parametrize("row", TOKENS, ids=named)
def test_token_that_was_cut_off_is_malformed(row: Row) -> None:
    token = text(row)
    for end in range(0, len(token), 7):
        with pytest.raises(Malformed):
            parse_claims(parse_token(token[:end], max_bytes=evidence.MAX_TOKEN_BYTES).claims)


@pytest.mark.parametrize("row", GOOD, ids=named)
@pytest.mark.parametrize("kind", [kind for kind in EvidenceKind if kind is not EvidenceKind.MAA])
def test_another_kinds_envelope_takes_no_such_token(
    vectors: Path, row: Row, kind: EvidenceKind
) -> None:
    envelope = encode_envelope(kind=kind, evidence=evidence.encode(token=text(row)))
    with pytest.raises((Malformed, Rejected)):
        appraise_saved(parse_envelope(envelope), policy=policy(vectors), now=row.time or 0)
