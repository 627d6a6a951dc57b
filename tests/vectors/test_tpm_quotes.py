"""Quotes of real TPMs, as three other projects published them."""

import binascii
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystead.appraisal import tpm2 as appraisal
from keystead.appraisal.tpm_keys import verify_attest
from keystead.codec import eventlog
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    Scheme,
    parse_attest,
    pcr_composite_digest,
)
from keystead.errors import EvidenceRejected, KeysteadError, Reason
from keystead.evidence.tpm2 import SignedAttest
from tests.evidence_builder import rules
from tests.published_tpm import SHA256, coco, gce, plain

# --- coco-tpm_evidence.json: "sig OK; no AK cert in the fixture" ----------------------------------


def test_the_published_signature_and_digest_are_right(vectors: Path) -> None:
    area, signed, values = coco(vectors)
    appraisal.check_quote_signature(area, signed)
    quote = appraisal.check_quote_type(signed)
    assert quote.selection.as_mapping() == {SHA256: tuple(range(24))}
    appraisal.check_pcr_digest(area, quote, {SHA256: values})
    appraisal.check_nonce(signed, signed.attest.extra_data)


def test_the_published_quote_with_one_value_changed_is_refused(vectors: Path) -> None:
    area, signed, values = coco(vectors)
    quote = appraisal.check_quote_type(signed)
    with pytest.raises(EvidenceRejected) as refused:
        appraisal.check_pcr_digest(area, quote, {SHA256: values | {3: b"\x01" * 32}})
    assert refused.value.reason is Reason.PCR_DIGEST_MISMATCH
    with pytest.raises(EvidenceRejected) as refused:
        appraisal.check_nonce(signed, bytes(32))
    assert refused.value.reason is Reason.NONCE_MISMATCH


def test_a_quote_of_all_pcrs_is_not_the_one_that_was_asked_for(vectors: Path) -> None:
    _, signed, values = coco(vectors)
    quote = appraisal.check_quote_type(signed)
    with pytest.raises(EvidenceRejected) as refused:
        appraisal.check_selection(quote, {SHA256: values}, rules().required_pcrs)
    assert refused.value.reason is Reason.PCR_SELECTION


def test_every_flipped_byte_of_the_published_quote_is_refused(vectors: Path) -> None:
    area, signed, _ = coco(vectors)
    raw = signed.attest.raw
    for at in range(len(raw)):
        bent = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(KeysteadError):
            made = replace(signed, attest=parse_attest(bent))
            appraisal.check_quote_signature(area, made)


# --- ga-windows_gcp_shielded_vm.json: "Nonce empty; SHA-1 bank => reject by policy" ---------------


def test_a_quote_of_the_sha1_bank_is_refused(vectors: Path) -> None:
    found: Any = json.loads((vectors / "tpm" / "ga-windows_gcp_shielded_vm.json").read_bytes())
    platform = found["Quote"] if "Quote" in found else found["quote"]
    attest = parse_attest(plain(platform["Quote"]))
    assert attest.quote is not None
    assert HashAlgorithm.SHA1 in attest.quote.selection.as_mapping()
    assert attest.extra_data == b""
    with pytest.raises(EvidenceRejected) as refused:
        appraisal.check_selection(attest.quote, {}, rules().required_pcrs)
    assert refused.value.reason is Reason.PCR_BANK_WEAK


# --- gtt-gce-cos85-no-nonce.pb: "3 sigs + PCR digests OK; empty nonce" ----------------------------


def test_three_banks_of_one_cloud_tpm_verify(vectors: Path) -> None:
    area, quotes, _ = gce(vectors)
    appraisal.check_ak_attributes(area)
    assert [bank for _, _, bank, _ in quotes] == [
        HashAlgorithm.SHA1,
        SHA256,
        HashAlgorithm.SHA384,
    ]
    for attest, signature, bank, values in quotes:
        verify_attest(area, attest=attest.raw, signature=signature)
        assert attest.quote is not None and area.scheme_hash is not None
        digest = pcr_composite_digest(
            attest.quote.selection, {bank: values}, algorithm=area.scheme_hash
        )
        assert digest == attest.quote.pcr_digest
        assert attest.extra_data == b""


def test_the_cloud_tpms_empty_nonce_answers_no_challenge(vectors: Path) -> None:
    _, quotes, _ = gce(vectors)
    for attest, signature, _, _ in quotes:
        signed = SignedAttest(attest=attest, signature=signature)
        with pytest.raises(EvidenceRejected) as refused:
            appraisal.check_nonce(signed, bytes(32))
        assert refused.value.reason is Reason.NONCE_MISMATCH


def test_the_cloud_tpms_event_log_explains_its_quotes(vectors: Path) -> None:
    _, quotes, log = gce(vectors)
    found = eventlog.parse(log)
    for _, _, bank, values in quotes:
        if bank in found.digest_sizes:
            replayed = eventlog.replay(found, bank)
            touched = {at for at in replayed if at in values and at < 8}
            assert touched
            for at in touched:
                assert replayed[at] == values[at], binascii.hexlify(values[at])


def test_the_ak_of_the_cloud_tpm_has_its_own_scheme(vectors: Path) -> None:
    area, quotes, _ = gce(vectors)
    assert area.scheme in (Scheme.ECDSA, Scheme.RSASSA)
    assert {each[1].hash for each in quotes} == {area.scheme_hash}
