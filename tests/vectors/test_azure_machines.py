"""Azure confidential virtual machines, as the MANIFEST of the published vectors lists them."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from keystead.appraisal import azure_cvm, dcap, sev_snp, tpm2
from keystead.appraisal.verifier import appraise_saved
from keystead.codec import base64url
from keystead.codec.hcl import HardwareReport, parse_hcl_report
from keystead.codec.snp import parse_report
from keystead.codec.td_quote import parse_td_quote
from keystead.codec.tpm2 import parse_attest, parse_signature
from keystead.errors import EvidenceRejected, KeysteadError, Malformed, Reason
from keystead.evidence import azure_cvm as evidence
from keystead.evidence import sev_snp as snp_evidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.evidence.tpm2 import SignedAttest
from keystead.model import EvidenceKind, Freshness
from tests import published_tdx as intel
from tests.published_azure import (
    BUNDLES,
    EMPTY_NONCE,
    ROWS,
    SHA256,
    SNP_REPORTS,
    TD_BUNDLE,
    TD_QUOTE,
    TD_REPORTS,
    TPM_QUOTE,
    Machine,
    bincode,
    hcl,
    machine,
    pem,
    policy,
    rsassa,
    saved,
    td_policy,
)

# What Microsoft signs its paravisors' identity with: one key a generation.
ID_KEY = (
    "942fd93ebde6ea7a96efadeafc60f1c6b3d10e703b1dafd7"
    "555b92f7f3d32d0e006767648cba5b102af3d65756af4177"
)

pytestmark = pytest.mark.skipif(not ROWS, reason="the published vectors are not here")


def refusal(name: str, made: Machine | None = None, **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        saved(name, made, **changes)
    return refused.value.reason, refused.value.step


def test_every_row_with_an_expected_result_is_here(vectors: Path) -> None:
    listed = {f"azure/{path.name}" for path in (vectors / "azure").iterdir()}
    assert listed == set(ROWS)
    expected = {row.file for row in ROWS.values() if row.expected}
    assert expected == {*BUNDLES, TD_BUNDLE, *SNP_REPORTS, *TD_REPORTS, TD_QUOTE, TPM_QUOTE}


@pytest.mark.parametrize("name", BUNDLES)
def test_all_links_hold_at_its_time(name: str) -> None:
    result = saved(name)
    assert "all links verified" in ROWS[name].expected
    assert (result.anchor, result.hardware) == ("AMD ARK-Milan", True)
    assert result.freshness is Freshness.BEARER
    assert result.pcrs["sha256"] == {
        index: value.hex() for index, value in machine(name).pcrs.items()
    }
    assert result.claims["vm_configuration"]["secure-boot"] is True
    assert result.clock is not None
    wanted = b"" if name in EMPTY_NONCE else b"challenge"
    assert ("EMPTY nonce" in ROWS[name].expected) is (wanted == b"")
    assert result.claims["extra_data"] == wanted.hex()


@pytest.mark.parametrize("name", BUNDLES)
def test_is_affirmed_by_its_own_values_and_no_other(name: str) -> None:
    made = machine(name)
    pinned = policy(f'id_key_digests = ["{ID_KEY}"]\n', values=made.pcrs)
    result = saved(name, policy=pinned)
    assert result.boot_pinned and result.claims["paravisor_pinned"] is True
    other = policy(values=made.pcrs | {4: bytes(32)})
    assert refusal(name, policy=other) == (Reason.PCR_VALUE_MISMATCH, 20)
    stranger = policy(f'id_key_digests = ["{"00" * 48}"]\n')
    assert refusal(name, policy=stranger) == (Reason.MEASUREMENT_MISMATCH, 12)


@pytest.mark.parametrize("name", BUNDLES)
def test_another_machines_parts_are_refused(name: str) -> None:
    made = machine(name)
    other = machine(BUNDLES[2] if name != BUNDLES[2] else BUNDLES[0])
    swapped = replace(made, certificates=other.certificates)
    assert refusal(name, swapped) == (Reason.EVIDENCE_SIGNATURE, 4)
    swapped = replace(made, message=other.message, signature=other.signature, pcrs=other.pcrs)
    assert refusal(name, swapped) == (Reason.QUOTE_SIGNATURE, 15)
    assert refusal(name, replace(made, pcrs=other.pcrs)) == (Reason.PCR_DIGEST_MISMATCH, 19)


@pytest.mark.parametrize("name", BUNDLES)
def test_changed_runtime_data_are_refused(name: str) -> None:
    made = machine(name)
    at = made.hcl.index(b'"secure-boot":true') + len(b'"secure-boot":')
    bent = made.hcl[:at] + b"null" + made.hcl[at + 4 :]
    assert refusal(name, replace(made, hcl=bent)) == (Reason.RUNTIME_DATA_MISMATCH, 13)
    report_data = bytearray(made.hcl)
    report_data[0x70] ^= 1
    told = refusal(name, replace(made, hcl=bytes(report_data)))
    assert told == (Reason.EVIDENCE_SIGNATURE, 4)


@pytest.mark.parametrize("name", BUNDLES)
def test_values_for_other_pcrs_are_refused(name: str) -> None:
    made = machine(name)
    fewer = {index: value for index, value in made.pcrs.items() if index}
    assert refusal(name, replace(made, pcrs=fewer)) == (Reason.PCR_SELECTION, 18)


@pytest.mark.parametrize("member", ["quote", "pcrs"])
def test_a_bundle_without_a_quote_is_refused(member: str) -> None:
    assert refusal(BUNDLES[0], **{member: None}) == (Reason.EVIDENCE_MEMBER_MISSING, 1)


@pytest.mark.parametrize("name", BUNDLES)
def test_every_flipped_byte_is_refused(name: str) -> None:
    made, rules = machine(name), policy()
    length = 0x4D4 + len(parse_hcl_report(made.hcl).runtime_data)
    for at in range(0, length, 17):
        bent = made.hcl[:at] + bytes([made.hcl[at] ^ 1]) + made.hcl[at + 1 :]
        with pytest.raises(KeysteadError):
            saved(name, replace(made, hcl=bent), policy=rules)


def test_cut_at_any_byte_it_is_malformed() -> None:
    data = machine(BUNDLES[0]).hcl
    end = 0x4D4 + len(parse_hcl_report(data).runtime_data)
    for size in range(end):
        with pytest.raises(Malformed):
            parse_hcl_report(data[:size])
    assert parse_hcl_report(data[:end]).ak == parse_hcl_report(data).ak
    with pytest.raises(Malformed):
        parse_hcl_report(data + b"\x01")


def test_a_report_alone_holds_to_its_key(vectors: Path) -> None:
    """An HCL report without a quote: the hardware's part, and what it is about."""
    name = "azure/coco-azsnp-hcl.bin"
    found = hcl(name)
    assert found.snp is not None and found.hardware is HardwareReport.SEV_SNP
    azure_cvm.check_runtime_data(found)
    azure_cvm.check_ak(found)
    rules = policy().azure_cvm
    assert rules is not None and rules.sev_snp is not None
    chain = pem("azure/coco-azsnp-vcek.pem")
    now = ROWS[name].time
    assert now is not None
    appraised = sev_snp.appraise_report(
        found.snp, chain, rules=rules.sev_snp, now=now, first_step=2
    )
    assert appraised.anchor.name == "AMD ARK-Milan"


def test_kins_report_came_with_another_chips_certificate(vectors: Path) -> None:
    found = hcl("azure/kin-hcl-snp.bin")
    assert "ANOTHER chip" in ROWS["azure/kin-hcl-snp.bin"].expected
    assert found.snp is not None
    azure_cvm.check_runtime_data(found)
    rules = policy().azure_cvm
    assert rules is not None and rules.sev_snp is not None
    with pytest.raises(EvidenceRejected) as refused:
        sev_snp.appraise_report(
            found.snp,
            pem("azure/kin-vcek-certs.pem"),
            rules=rules.sev_snp,
            now=1_704_067_200,
            first_step=2,
        )
    assert (refused.value.reason, refused.value.step) == (Reason.EVIDENCE_SIGNATURE, 4)


def test_kins_quote_is_signed_by_kins_key(vectors: Path) -> None:
    signature, message, values = bincode(ROWS[TPM_QUOTE].read())
    key = load_pem_public_key((vectors / "azure/kin-akpub.pem").read_bytes())
    assert isinstance(key, RSAPublicKey)
    signed = SignedAttest(
        attest=parse_attest(message), signature=parse_signature(rsassa(signature))
    )
    azure_cvm.check_quote_signature(key, signed)
    info = tpm2.check_quote_type(signed)
    tpm2.check_composite(info, {SHA256: values}, algorithm=SHA256, step=19)
    assert tpm2.check_nonce(signed, b"challenge") == b"challenge"
    assert '"challenge"' in ROWS[TPM_QUOTE].expected
    with pytest.raises(EvidenceRejected):
        tpm2.check_composite(info, {SHA256: values | {0: bytes(32)}}, algorithm=SHA256, step=19)
    with pytest.raises(EvidenceRejected):
        azure_cvm.check_quote_signature(azure_cvm.check_ak(hcl("azure/kin-hcl-snp.bin")), signed)


@pytest.mark.parametrize("name", TD_REPORTS)
def test_a_tdreport_is_about_its_runtime_data(name: str) -> None:
    found = hcl(name)
    assert (found.hardware, found.snp) == (HardwareReport.TDX, None)
    assert "TDREPORT.reportdata==sha256(var data)" in ROWS[name].expected
    azure_cvm.check_runtime_data(found)
    assert found.report_data[:32] == hashlib.sha256(found.runtime_data).digest()
    assert azure_cvm.check_ak(found).key_size == 2_048


def test_the_tds_quote_is_of_the_same_report(vectors: Path) -> None:
    quote = ROWS[TD_QUOTE].read()
    found = parse_td_quote(quote)
    assert found.report.report_data == hcl("azure/coco-aztdx-hcl.bin").report_data
    assert machine(TD_BUNDLE).td_quote == quote
    assert "sig OK; report_data matches" in ROWS[TD_QUOTE].expected
    assert found.report.attributes == 0


def test_a_tds_links_hold_from_the_platforms_key_to_the_vtpms_quote() -> None:
    """Steps 2 and 3, 5 to 7, and 13 to 19; there is no TCB info of its platform's family here."""
    made = machine(TD_BUNDLE)
    found = evidence.parse(made.submission())
    assert found.td is not None and found.quote is not None and found.pcrs is not None
    assert "quote.reportdata==TDREPORT.reportdata==sha256(runtime json)" in (
        ROWS[TD_BUNDLE].expected
    )
    quote, memory, at = found.td.quote, intel.rules().memory, intel.MARCH_2026
    path = dcap.check_pck_chain(quote, found.td.collateral, memory, at, step=2)
    said = dcap.check_statements(found.td.collateral, path.anchor, memory, at, step=3)
    dcap.check_attestation_key(quote, path.point, step=5)
    dcap.check_quoting_enclave(quote, said.qe_identity, step=6)
    dcap.check_quote_signature(quote, step=7)
    azure_cvm.check_runtime_data(found.hcl)
    azure_cvm.check_same_report(found)
    azure_cvm.check_quote_signature(azure_cvm.check_ak(found.hcl), found.quote)
    info = tpm2.check_quote_type(found.quote)
    tpm2.check_composite(info, found.pcrs, algorithm=SHA256, step=19)


def test_a_td_without_tcb_info_of_its_family_is_refused() -> None:
    made = machine(TD_BUNDLE)
    assert refusal(TD_BUNDLE, made) == (Reason.KIND_UNSUPPORTED, 1)
    told = refusal(TD_BUNDLE, made, policy=td_policy(), now=intel.MARCH_2026)
    assert told == (Reason.ENDORSEMENT_MISMATCH, 4)
    told = refusal(TD_BUNDLE, made, policy=td_policy())
    assert told == (Reason.COLLATERAL_EXPIRED, 2)


@pytest.mark.parametrize(
    "change", [{"td_quote": None}, {"collateral": None}, {"td_quote": "AA"}, {"certificates": []}]
)
def test_a_td_comes_with_its_own_members(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        evidence.parse(machine(TD_BUNDLE).submission(**change))


@pytest.mark.parametrize("change", [{"certificates": None}, {"collateral": {}}, {"td_quote": "AA"}])
def test_a_guest_of_amds_comes_with_its_own_members(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        evidence.parse(machine(BUNDLES[0]).submission(**change))


def test_the_report_inside_is_no_evidence_of_another_kind() -> None:
    """As ``sev-snp`` it is a true report, but names no key of a challenge's."""
    made = machine(BUNDLES[1])
    report = parse_report(made.hcl[0x20 : 0x20 + 1_184])
    as_snp = snp_evidence.encode(report=report.raw, certificates=made.certificates)
    envelope = encode_envelope(kind=EvidenceKind.SEV_SNP, evidence=as_snp)
    rules = policy()
    told = pytest.raises(EvidenceRejected)
    with told as refused:
        appraise_saved(parse_envelope(envelope), policy=rules, now=1_772_323_200)
    assert refused.value.reason is Reason.KIND_UNSUPPORTED
    wrong = encode_envelope(kind=EvidenceKind.AZURE_CVM, evidence=as_snp)
    with pytest.raises(Malformed):
        appraise_saved(parse_envelope(wrong), policy=rules, now=1_772_323_200)


def test_named_keys_are_of_2048_bits() -> None:
    keys = [hcl(name).ak for name in (*SNP_REPORTS, *TD_REPORTS)]
    assert {(key.bits, key.exponent) for key in keys} == {(2_048, 65_537)}
    assert base64url.encode(hcl(SNP_REPORTS[1]).ak.modulus.to_bytes(256, "big")).startswith("tYVB")
