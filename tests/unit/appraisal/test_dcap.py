"""Steps 1 to 8 of ``tdx``, as its appraisal takes them."""

import dataclasses
from typing import Any

import pytest

from keystead.appraisal import tdx
from keystead.codec.tcb_info import TcbStatus
from keystead.errors import EvidenceRejected, Reason
from tests.device_chains import NOW
from tests.intel_builder import (
    OTHER_FMSPC,
    PCK_CA,
    ROOT,
    certificate,
    collateral,
    isv_level,
    level,
    module,
    pck,
    pck_chain,
    pck_extension,
    pem,
    qe_identity,
    revocation_list,
    root,
    tcb_info,
    text_time,
)
from tests.tdx_appraisals import GOOD, TD, appraised, refusal, told_of
from tests.tdx_builder import policy

# --- step 1 --------------------------------------------------------------------------------------


def test_refuses_a_chain_to_another_root() -> None:
    other = certificate(ROOT, ROOT, authority=True, serial=1, signer="Mallory")
    strange = pem(pck(), certificate(PCK_CA, ROOT, authority=True), other)
    assert told_of(chain=strange) == (Reason.CHAIN_UNTRUSTED, 1)
    assert told_of(chain=b"-----BEGIN") == (Reason.CHAIN_UNTRUSTED, 1)


def test_refuses_a_platform_that_intel_revoked() -> None:
    for name, issuer, serial in (("pck_crl", PCK_CA, 7), ("root_ca_crl", ROOT, 2)):
        revoked = {name: revocation_list(issuer, serials=[serial]).hex()}
        assert told_of(revoked) == (Reason.CERTIFICATE_REVOKED, 1)


def test_refuses_lists_that_are_not_in_force() -> None:
    for name, issuer in (("pck_crl", PCK_CA), ("root_ca_crl", ROOT)):
        old = {name: revocation_list(issuer, next_update=NOW - 1).hex()}
        assert told_of(old) == (Reason.COLLATERAL_EXPIRED, 1)
        forged = {name: revocation_list(issuer, signer="Mallory").hex()}
        assert told_of(forged) == (Reason.CHAIN_UNTRUSTED, 1)


# --- step 2 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["info", "identity"])
def test_refuses_a_statement_that_intel_did_not_sign(which: str) -> None:
    """The enclave's identity as well: it has a signature of its own that others forgot."""
    assert told_of({f"{which}_signer": "Mallory"}) == (Reason.COLLATERAL_UNTRUSTED, 2)
    assert told_of({f"{which}_signer": "PCK"}) == (Reason.COLLATERAL_UNTRUSTED, 2)
    name = {"info": "tcb_info", "identity": "qe_identity"}[which]
    for signature in ("00" * 64, "ff" * 64, collateral()[f"{name}_signature"][::-1]):
        changed = {f"{name}_signature": signature}
        assert told_of(changed) == (Reason.COLLATERAL_UNTRUSTED, 2)


@pytest.mark.parametrize("name", ["tcb_info", "qe_identity"])
def test_refuses_a_statement_that_was_changed(name: str) -> None:
    said = collateral()[name]
    for changed in (said.replace("OutOfDate", "UpToDate"), said + " ", said[:-1]):
        assert told_of({name: changed}) == (Reason.COLLATERAL_UNTRUSTED, 2)


@pytest.mark.parametrize("name", ["tcb_info_issuer_chain", "qe_identity_issuer_chain"])
def test_refuses_a_statement_by_a_chain_of_another_kind(name: str) -> None:
    strange = pem(certificate("Mallory", ROOT), root()).decode()
    for chain in (strange, pck_chain().decode(), "-----BEGIN"):
        assert told_of({name: chain}) == (Reason.COLLATERAL_UNTRUSTED, 2)


def test_refuses_statements_whose_signer_intel_revoked() -> None:
    revoked = {"root_ca_crl": revocation_list(ROOT, serials=[3]).hex()}
    assert told_of(revoked) == (Reason.CERTIFICATE_REVOKED, 2)


def test_refuses_statements_that_are_not_in_force() -> None:
    ended = {"nextUpdate": text_time(NOW - 1)}
    begins = {"issueDate": text_time(NOW + 1)}
    for window in (ended, begins):
        assert told_of({"info": tcb_info(**window)}) == (Reason.COLLATERAL_EXPIRED, 2)
        assert told_of({"identity": qe_identity(**window)}) == (Reason.COLLATERAL_EXPIRED, 2)
    both = {"issueDate": text_time(NOW), "nextUpdate": text_time(NOW)}
    made = collateral(info=tcb_info(**both), identity=qe_identity(**both))
    assert appraised(TD.evidence(collateral=made))


def test_refuses_signed_statements_about_something_else() -> None:
    """TCB info for SGX enclaves has no word on TDX; so has the identity of their enclave."""
    for changes in (
        {"info": tcb_info(id="SGX")},
        {"identity": qe_identity(id="QE")},
        {"info": qe_identity()},
        {"identity": tcb_info()},
        {"info": b"{}"},
        {"identity": b"x"},
    ):
        assert told_of(changes) == (Reason.COLLATERAL_UNTRUSTED, 2)


# --- steps 3 to 6 --------------------------------------------------------------------------------


def test_refuses_tcb_info_of_another_family() -> None:
    for changes in ({"fmspc": OTHER_FMSPC}, {"pceId": "0001"}):
        other = {"info": tcb_info(**changes)}
        assert told_of(other) == (Reason.ENDORSEMENT_MISMATCH, 3)


def test_refuses_an_enclaves_report_by_another_key() -> None:
    assert told_of(qe_signer="Mallory") == (Reason.EVIDENCE_SIGNATURE, 4)


@pytest.mark.parametrize("data", [bytes(64), b"\x01" * 64])
def test_refuses_an_enclave_that_names_another_key(data: bytes) -> None:
    assert told_of(qe={"report_data": data}) == (Reason.ENDORSEMENT_MISMATCH, 4)


@pytest.mark.parametrize(
    "field",
    [
        {"mrsigner": bytes(32)},
        {"isv_prod_id": b"\x01\x00"},
        {"misc_select": b"\x01\0\0\0"},
        {"attributes": b"\x05" + bytes(15)},
        {"attributes": b"\x13" + bytes(15)},
    ],
    ids=["signer", "product", "misc", "attributes", "debug"],
)
def test_refuses_an_enclave_that_is_not_intels(field: dict[str, bytes]) -> None:
    assert told_of(qe=field) == (Reason.ENDORSEMENT_MISMATCH, 5)


def test_a_debug_enclave_is_refused_whatever_the_mask_says() -> None:
    blind = {"identity": qe_identity(attributesMask="00" * 16)}
    debug = {"attributes": b"\x13" + bytes(15)}
    assert told_of(blind, qe=debug) == (Reason.ENDORSEMENT_MISMATCH, 5)
    made = collateral(identity=qe_identity(attributesMask="00" * 16))
    assert appraised(TD.evidence(quote=TD.quote(qe={"attributes": bytes(16)}), collateral=made))


def test_refuses_a_quote_by_another_key() -> None:
    assert told_of(signer="Mallory") == (Reason.EVIDENCE_SIGNATURE, 6)


def test_refuses_an_attestation_key_that_is_no_point() -> None:
    found = TD.evidence(quote=GOOD)
    report = dataclasses.replace(found.quote, attestation_key=b"\x01" * 64)
    with pytest.raises(EvidenceRejected) as refused:
        tdx.dcap.check_quote_signature(report, step=6)
    assert (refused.value.reason, refused.value.step) == (Reason.EVIDENCE_SIGNATURE, 6)


# --- steps 7 and 8 -------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(16))
def test_a_platform_has_to_reach_a_level_in_every_part(at: int) -> None:
    more = tuple(255 if place == at else 0 for place in range(16))
    info = tcb_info(tcbLevels=[level(svns=more)])
    assert told_of({"info": info}) == (Reason.TCB_REFUSED, 7)
    info = tcb_info(tcbLevels=[level(tdx_svns=more)])
    if at < 2:  # The module's own, which has a list of its own.
        assert appraised(TD.evidence(collateral=collateral(info=info)))
    else:
        assert told_of({"info": info}) == (Reason.TCB_REFUSED, 7)


def test_a_platform_has_to_reach_the_certifying_enclaves_version() -> None:
    info = tcb_info(tcbLevels=[level(pce_svn=12)])
    assert told_of({"info": info}) == (Reason.TCB_REFUSED, 7)
    older = TD.quote(chain=pck_chain(pck(pck_extension(pce_svn=5))))
    assert refusal(TD.evidence(quote=older)) == (Reason.TCB_REFUSED, 8)


def test_the_levels_are_tried_in_their_order() -> None:
    first = tcb_info(tcbLevels=[level("OutOfDate", "INTEL-SA-00837", pce_svn=5), level()])
    loose = policy(tcb_statuses=frozenset({TcbStatus.OUT_OF_DATE}))
    assert told_of({"info": first}, loose) == (Reason.TCB_REFUSED, 8)


def test_modules_before_version_1_are_of_the_platforms_level() -> None:
    quote = {"tee_tcb_svn": bytes([3, 0, 4]) + bytes(13)}
    info = tcb_info(tcbLevels=[level(tdx_svns=(4, *(0,) * 15))])
    assert told_of({"info": info}, **quote) == (Reason.TCB_REFUSED, 7)
    info = tcb_info(tcbLevels=[level(tdx_svns=(3, *(0,) * 15))], tdxModuleIdentities=None)
    made = TD.evidence(quote=TD.quote(**quote), collateral=collateral(info=info))
    result = appraised(made)
    assert "module_tcb_status" not in result.claims


@pytest.mark.parametrize(
    "modules",
    [
        None,
        [],
        [module("TDX_03")],
        [module("TDX_01", isv_level(7))],
        [module("TDX_01", tcbLevels=[])],
    ],
    ids=["none", "empty", "another", "newer", "no level"],
)
def test_refuses_a_module_that_intel_does_not_know(modules: Any) -> None:
    info = tcb_info(tdxModuleIdentities=modules)
    assert told_of({"info": info}) == (Reason.TCB_REFUSED, 7)


@pytest.mark.parametrize(
    "change",
    [{"mrsigner": "01" * 48}, {"attributes": "01" + "00" * 7}],
    ids=["signer", "attributes"],
)
def test_refuses_a_module_of_another_signer_or_kind(change: dict[str, str]) -> None:
    info = tcb_info(tdxModuleIdentities=[module(**change)])
    assert told_of({"info": info}) == (Reason.ENDORSEMENT_MISMATCH, 7)
    old = {"tee_tcb_svn": bytes([6, 0, 3]) + bytes(13)}
    info = tcb_info(tdxModule=module("", **change))
    assert told_of({"info": info}, **old) == (Reason.ENDORSEMENT_MISMATCH, 7)


def test_a_modules_attributes_outside_of_the_mask_are_zero() -> None:
    blind = {"info": tcb_info(tdxModuleIdentities=[module(attributesMask="00" * 8)])}
    told = told_of(blind, seam_attributes=b"\x01" + bytes(7))
    assert told == (Reason.ENDORSEMENT_MISMATCH, 7)
    assert told_of(mrsignerseam=b"\x01" * 48) == (Reason.ENDORSEMENT_MISMATCH, 7)


def test_refuses_an_enclave_below_every_level() -> None:
    old = {"identity": qe_identity(tcbLevels=[isv_level(7)])}
    assert told_of(old) == (Reason.TCB_REFUSED, 7)


STANDINGS = {
    "platform": lambda *said: {"info": tcb_info(tcbLevels=[level(*said)])},
    "module": lambda *said: {
        "info": tcb_info(tdxModuleIdentities=[module("TDX_01", isv_level(1, *said))])
    },
    "enclave": lambda *said: {"identity": qe_identity(tcbLevels=[isv_level(1, *said)])},
}
each_part = pytest.mark.parametrize("part", STANDINGS)


@each_part
def test_refuses_what_intel_revoked_whatever_the_policy_allows(part: str) -> None:
    loose = policy(tcb_statuses=frozenset(TcbStatus), advisories=None)
    assert told_of(STANDINGS[part]("Revoked"), loose) == (Reason.TCB_REFUSED, 7)


@each_part
def test_revoked_is_said_of_what_was_signed_alone(part: str) -> None:
    """No status is an answer before every signature is: forgeries are told to be forgeries."""
    revoked = STANDINGS[part]("Revoked")
    assert told_of(revoked, signer="Mallory") == (Reason.EVIDENCE_SIGNATURE, 6)
    assert told_of(revoked, qe_signer="Mallory") == (Reason.EVIDENCE_SIGNATURE, 4)


@each_part
@pytest.mark.parametrize("said", [each.value for each in TcbStatus][1:-1])
def test_refuses_a_status_that_the_policy_does_not_allow(part: str, said: str) -> None:
    made = STANDINGS[part](said)
    assert told_of(made) == (Reason.TCB_REFUSED, 8)
    allowed = policy(tcb_statuses=frozenset({TcbStatus.UP_TO_DATE, TcbStatus(said)}))
    result = appraised(TD.evidence(collateral=collateral(**made)), allowed)
    assert said in result.claims.values()


@each_part
def test_refuses_an_advisory_that_the_policy_does_not_name(part: str) -> None:
    made = STANDINGS[part]("UpToDate", "INTEL-SA-00960", "INTEL-SA-00586")
    assert told_of(made) == (Reason.TCB_REFUSED, 8)
    one = policy(advisories=frozenset({"INTEL-SA-00960"}))
    assert told_of(made, one) == (Reason.TCB_REFUSED, 8)
    both = policy(advisories=frozenset({"INTEL-SA-00960", "INTEL-SA-00586", "INTEL-SA-00001"}))
    for rules in (both, policy(advisories=None)):
        result = appraised(TD.evidence(collateral=collateral(**made)), rules)
        assert result.claims["advisories"] == ["INTEL-SA-00586", "INTEL-SA-00960"]


def test_refuses_an_evaluation_that_is_older_than_the_policys() -> None:
    assert refusal(rules=policy(minimum_tcb_evaluation=18)) == (Reason.TCB_REFUSED, 8)
    assert appraised(rules=policy(minimum_tcb_evaluation=17)).claims["tcb_evaluation"] == 17
    older = {"identity": qe_identity(tcbEvaluationDataNumber=16)}
    assert told_of(older, policy(minimum_tcb_evaluation=17)) == (Reason.TCB_REFUSED, 8)
