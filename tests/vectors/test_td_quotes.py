"""TDX quotes of real platforms, as the MANIFEST of the published vectors lists them.

Two came with their collateral, one finds what it needs in other files. For the others there is no
TCB info of their platform's family, or no certificate of its signer in force at its time: their
verdict is a refusal at that step, and what can be seen of the later steps is called by itself.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificates

from keystead.appraisal import dcap, tdx
from keystead.appraisal.dcap_memory import Statements
from keystead.appraisal.intel_chain import signer_path, verify_p256
from keystead.appraisal.tdx_policy import CODE, TdLogRules
from keystead.codec import eventlog
from keystead.codec.dcap_collateral import parse_collateral
from keystead.codec.tcb_info import parse_qe_identity, parse_tcb_info
from keystead.codec.td_quote import parse_td_quote
from keystead.errors import EvidenceRejected, KeysteadError, Malformed, Reason
from keystead.model import AnchorClass, Freshness
from tests.published_tdx import (
    COCO,
    ENCLAVE,
    GOOGLE,
    JUNE_2023,
    LATER,
    LIVE,
    MARCH_2026,
    NAMES,
    OUTDATED,
    PHALA,
    QUOTES,
    ROWS,
    exact,
    googles,
    own_collateral,
    piece,
    pieces,
    policy,
    quote_of,
    raw,
    rules,
    saved,
    signed,
    time_of,
)

pytestmark = pytest.mark.skipif(not ROWS, reason="the published vectors are not here")
each_quote = pytest.mark.parametrize("name", QUOTES)


def refusal(*given: Any, **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        saved(*given, **changes)
    return refused.value.reason, refused.value.step


def test_every_quote_of_the_folder_is_here(vectors: Path) -> None:
    listed = {f"tdx/{path.name}" for path in (vectors / "tdx").iterdir()}
    assert listed == set(ROWS)
    assert {row.file for row in ROWS.values() if row.expected} == {*QUOTES, ENCLAVE}


def test_phalas_is_up_to_date_at_its_time() -> None:
    result = saved(raw(PHALA), own_collateral(PHALA), now=time_of(PHALA))
    assert "dcap-qvl UpToDate" in ROWS[PHALA].expected
    assert (result.anchor, result.hardware) == ("Intel SGX Root CA", True)
    assert (result.anchor_class, result.freshness) == (AnchorClass.TEE, Freshness.BEARER)
    claims = result.claims
    assert {claims[name] for name in claims if name.endswith("tcb_status")} == {"UpToDate"}
    assert (claims["fmspc"], claims["tcb_evaluation"]) == ("b0c06f000000", 17)
    assert (claims["quote_version"], claims["advisories"]) == (4, [])
    assert result.measurements["mrtd"].startswith("91eb2b44d141d4ec")


def test_phalas_is_refused_since_intel_has_said_more() -> None:
    assert "expired 2025-07-21 => reject" in ROWS[PHALA].expected
    assert refusal(raw(PHALA), own_collateral(PHALA), now=LATER) == (Reason.COLLATERAL_EXPIRED, 1)


def test_phalas_is_refused_with_newer_collateral_of_another_family() -> None:
    told = refusal(raw(PHALA), pieces(), now=MARCH_2026)
    assert told == (Reason.ENDORSEMENT_MISMATCH, 3)


def test_the_outdated_one_is_below_every_level() -> None:
    collateral, now = own_collateral(OUTDATED), time_of(OUTDATED)
    assert 'REJECT "No matching TCB level found"' in ROWS[OUTDATED].expected
    assert refusal(raw(OUTDATED), collateral, now=now) == (Reason.TCB_REFUSED, 7)
    loose = policy('tcb_statuses = ["UpToDate", "OutOfDate"]\nadvisories = "any"\n')
    assert refusal(raw(OUTDATED), collateral, now=now, by=loose) == (Reason.TCB_REFUSED, 7)


def test_cocos_platform_is_below_every_level_of_its_family() -> None:
    """Steps 1 to 6 pass, for a quote of version 5 and TDX 1.5, with collateral of other files."""
    told = refusal(raw(COCO), pieces(), now=MARCH_2026)
    assert told == (Reason.TCB_REFUSED, 7)
    assert refusal(raw(COCO), pieces(), now=time_of(COCO)) == (Reason.COLLATERAL_EXPIRED, 1)
    with pytest.raises(EvidenceRejected) as refused:
        tdx.check_attributes(quote_of(COCO).report, rules())
    assert refused.value.reason is Reason.MIGRATION_ALLOWED  # A service TD is bound to it.


def test_the_live_one_is_of_a_family_without_tcb_info_here() -> None:
    """Steps 1 and 2 pass: its certificate is younger than the collateral that lies here."""
    assert "PCK newer than the bundled collateral" in ROWS[LIVE].expected
    assert refusal(raw(LIVE), pieces(), now=MARCH_2026) == (Reason.CHAIN_UNTRUSTED, 1)
    april = 1_775_500_000
    assert refusal(raw(LIVE), pieces(), now=april) == (Reason.ENDORSEMENT_MISMATCH, 3)
    old = own_collateral(PHALA)
    assert refusal(raw(LIVE), old, now=time_of(LIVE)) == (Reason.COLLATERAL_EXPIRED, 1)


def test_googles_lacks_its_signers_certificate() -> None:
    """Step 1 passes; the certificate of the key that signed is younger than what it signed."""
    assert refusal(raw(GOOGLE), googles(), now=JUNE_2023) == (Reason.COLLATERAL_UNTRUSTED, 2)
    collateral = parse_collateral(googles())
    path = dcap.check_pck_chain(quote_of(GOOGLE), collateral, rules().memory, JUNE_2023, step=1)
    signer = signer_path(
        collateral.tcb_info_issuer_chain,
        root_crl=piece("ars-root_ca_crl.der"),
        anchor=path.anchor,
        at=MARCH_2026,
    )
    verify_p256(signer.point, collateral.tcb_info_signature, collateral.tcb_info)
    verify_p256(signer.point, collateral.qe_identity_signature, collateral.qe_identity)
    said = Statements(
        tcb_info=parse_tcb_info(collateral.tcb_info),
        qe_identity=parse_qe_identity(collateral.qe_identity),
        not_before=signer.not_before,
        not_after=signer.not_after,
    )
    dcap.check_subject(said, path.tcb, step=3)
    dcap.check_quoting_enclave(quote_of(GOOGLE), said.qe_identity, step=5)
    with pytest.raises(EvidenceRejected) as refused:
        dcap.check_standing(quote_of(GOOGLE), path.tcb, said, step=7)
    assert (refused.value.reason, refused.value.step) == (Reason.TCB_REFUSED, 7)


@each_quote
def test_the_signatures_of_every_quote_hold(name: str) -> None:
    """Steps 4 and 6, under a path whose revocation lists are left to the steps that have some."""
    assert "quote sig, QE sig, AK binding" in ROWS[name].expected
    quote = quote_of(name)
    key = load_pem_x509_certificates(quote.pck_chain)[0].public_key()
    assert isinstance(key, EllipticCurvePublicKey)
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    dcap.check_attestation_key(quote, point, step=4)
    dcap.check_quote_signature(quote, step=6)
    identity = parse_qe_identity(signed("ars-td_qe_identity.json", "enclaveIdentity")[0].encode())
    dcap.check_quoting_enclave(quote, identity, step=5)


def test_an_enclaves_quote_is_no_tds() -> None:
    assert "SGX v3" in ROWS[ENCLAVE].expected
    collateral = json.loads(piece("phala-sgx_quote_collateral.json"))
    with pytest.raises(Malformed) as refused:
        saved(ROWS[ENCLAVE].read(), collateral, now=time_of(ENCLAVE))
    assert refused.value.reason is Reason.EVIDENCE_TYPE


def test_an_enclaves_collateral_is_no_tds() -> None:
    collateral = json.loads(piece("phala-sgx_quote_collateral.json"))
    told = refusal(raw(PHALA), collateral, now=time_of(PHALA))
    assert told == (Reason.CHAIN_UNTRUSTED, 1)  # The revocation list of another CA.
    mixed = own_collateral(PHALA) | {
        name: collateral[name] for name in collateral if name.startswith("tcb_info")
    }
    told = refusal(raw(PHALA), mixed, now=time_of(ENCLAVE))
    assert told == (Reason.COLLATERAL_UNTRUSTED, 2)


@each_quote
def test_a_quote_without_collateral_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        saved(raw(name), {}, now=MARCH_2026)


def test_a_line_of_text_after_a_quote_is_refused() -> None:
    with pytest.raises(Malformed):
        parse_td_quote(ROWS[GOOGLE].read())


@each_quote
def test_cut_at_any_byte_it_is_malformed(name: str) -> None:
    data = exact(name)
    assert parse_td_quote(data) == quote_of(name)
    for size in range(len(data)):
        with pytest.raises(Malformed):
            parse_td_quote(data[:size])


def test_is_affirmed_by_its_own_values_and_no_other() -> None:
    collateral, now = own_collateral(PHALA), time_of(PHALA)
    found = saved(raw(PHALA), collateral, now=now).measurements
    known = {name: f'["{found[name]}"]' for name in NAMES}
    assert saved(raw(PHALA), collateral, now=now, by=policy("whole_image = true\n", **known))
    for name in NAMES:
        other = policy(**{**known, name: f'["{"77" * 48}"]'})
        told = refusal(raw(PHALA), collateral, now=now, by=other)
        assert told == (Reason.MEASUREMENT_MISMATCH, 10 if name in CODE else 11)


def test_every_flipped_byte_is_refused() -> None:
    data, collateral, now = exact(PHALA), own_collateral(PHALA), time_of(PHALA)
    known = policy()
    steps = set()
    for at in range(0, len(data), 13):
        bent = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(KeysteadError) as refused:
            saved(bent, collateral, now=now, by=known)
        steps.add(refused.value.step)
    assert {None, 1, 4, 6} <= steps


# --- the event log -------------------------------------------------------------------------------


def test_the_live_log_explains_the_registers_of_its_boot() -> None:
    """It stops where the kernel begins, which extends RTMR2 with what no firmware logged."""
    log = eventlog.parse(piece("ars-tdx_ccel_live.bin"))
    report = quote_of(LIVE).report
    assert len(log.events) == 21
    boot = TdLogRules(required=True, rtmrs=frozenset({0, 1, 3}))
    tdx.check_event_log(log, report, boot)
    with pytest.raises(EvidenceRejected) as refused:
        tdx.check_event_log(log, report, TdLogRules(required=True))
    assert (refused.value.reason, refused.value.step) == (Reason.EVENT_LOG_MISMATCH, 12)
    assert refused.value.detail == "RTMR2"
    with pytest.raises(EvidenceRejected):
        tdx.check_event_log(log, quote_of(PHALA).report, boot)


def test_a_log_of_another_boot_is_refused() -> None:
    log = piece("ars-tdx_ccel_live.bin")
    told = refusal(raw(PHALA), own_collateral(PHALA), now=time_of(PHALA), log=log)
    assert told == (Reason.EVENT_LOG_MISMATCH, 12)


def test_the_live_report_is_of_the_live_quote() -> None:
    """A TDREPORT's own fields, in their own order, are what its quote says."""
    report = quote_of(LIVE).report
    data = piece("ars-tdx_tdreport_live.bin")
    assert report.mrtd in data and report.rtmrs[0] in data and report.mrseam in data
