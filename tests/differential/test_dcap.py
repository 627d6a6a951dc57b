"""Our DCAP checks against another implementation of them, on the same quotes and collateral.

The peer is stricter about a TD's attributes, and has no say for it: it wants SEPT_VE_DISABLE and
allows no debug. So what is compared here are TDs with the attributes that both let in, under every
status and advisory; and where both refuse, why, by the peer's own words.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dcap_qvl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.appraisal import tdx
from keystead.appraisal.anchors import AnchorSet
from keystead.appraisal.dcap_memory import DcapMemory
from keystead.appraisal.pinned_anchors import INTEL_SGX
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.tdx_policy import TdxPolicy
from keystead.codec.tcb_info import TcbStatus
from keystead.codec.td_quote import TdQuote, parse_td_quote
from keystead.errors import EvidenceRejected
from keystead.evidence.tdx import TdxEvidence
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
from tests.manifest import manifest_rows
from tests.tdx_builder import Td, policy

TD, NEWER = Td(), Td(version=5, extended=True)
ROOT_DER = root().public_bytes(Encoding.DER)
ANYTHING = policy(tcb_statuses=frozenset(TcbStatus), advisories=None)

PEERS_NAMES = {
    "mrtd": "mr_td",
    **{f"rtmr{at}": f"rt_mr{at}" for at in range(4)},
    "mrconfigid": "mr_config_id",
    "mrowner": "mr_owner",
    "mrownerconfig": "mr_owner_config",
    "mrseam": "mr_seam",
    "mrsignerseam": "mr_signer_seam",
}

Members = dict[str, Any]


def theirs(quote: bytes, members: Members, now: int = NOW) -> Members:
    """The peer's claims; ValueError where it refuses."""
    verifier = dcap_qvl.QuoteVerifier(ROOT_DER)
    given = dcap_qvl.QuoteCollateralV3.from_json(json.dumps(members))
    wanted = dcap_qvl.QuotePolicy.claims_only(now)
    found: Members = json.loads(verifier.verify_with_policy(quote, given, now, wanted).to_json())
    return found


def ours(quote: bytes, members: Members, now: int = NOW) -> tdx.AppraisedQuote:
    evidence: TdxEvidence = TD.evidence(quote=quote, collateral=members)
    return tdx.appraise(evidence, policy=ANYTHING, nonce=None, now=now).appraised


def compare(quote: bytes, members: Members, now: int = NOW) -> None:
    """Both affirm, and say the same."""
    found, other = ours(quote, members, now), theirs(quote, members, now)
    standing = found.standing
    assert other["qe"]["tcb_level"]["tcbStatus"] == standing.qe
    if standing.module is TcbStatus.UP_TO_DATE:  # The peer's level has the module's in it.
        assert other["platform"]["tcb_level"]["tcbStatus"] == standing.platform
    best = other["tcb"]["status"] == TcbStatus.UP_TO_DATE
    assert best == (standing.statuses == {TcbStatus.UP_TO_DATE})
    assert sorted(other["tcb"]["advisory_ids"]) == list(standing.advisories)
    assert other["tcb"]["eval_data_number"] == found.evaluation
    assert bytes(other["platform"]["pck"]["fmspc"]) == found.fmspc
    same_report(found.quote, other["report"])


def same_report(quote: TdQuote, said: Members) -> None:
    body = said.get("TD10") or said["TD15"]
    base = body.get("base", body)
    for name, value in tdx.registers(quote.report).items():
        assert base[PEERS_NAMES[name]] == value.hex(), name
    assert base["report_data"] == quote.report.report_data.hex()
    assert base["tee_tcb_svn"] == quote.report.tee_tcb_svn.hex()
    assert int.from_bytes(bytes.fromhex(base["td_attributes"]), "little") == quote.report.attributes


@pytest.mark.parametrize("td", [TD, Td(version=5), NEWER], ids=["4", "5", "1.5"])
def test_both_affirm_a_genuine_quote(td: Td) -> None:
    compare(td.quote(), collateral())


STATUSES = [each.value for each in TcbStatus][:-1]


@pytest.mark.parametrize("platform", STATUSES)
@pytest.mark.parametrize("enclave", ["UpToDate", "OutOfDate"])
def test_both_find_the_same_status_and_advisories(platform: str, enclave: str) -> None:
    info = tcb_info(tcbLevels=[level(platform, "INTEL-SA-00001")])
    identity = qe_identity(tcbLevels=[isv_level(1, enclave, "INTEL-SA-00002")])
    compare(TD.quote(), collateral(info=info, identity=identity))


@pytest.mark.parametrize("said", ["UpToDate", "OutOfDate"])
def test_both_find_the_modules_status(said: str) -> None:
    info = tcb_info(tdxModuleIdentities=[module("TDX_01", isv_level(1, said, "INTEL-SA-00003"))])
    compare(TD.quote(), collateral(info=info))


def test_both_take_the_first_level_that_is_reached() -> None:
    lower = [level(pce_svn=12), level("OutOfDate", "INTEL-SA-00837", pce_svn=11)]
    compare(TD.quote(), collateral(info=tcb_info(tcbLevels=lower)))


def test_both_affirm_up_to_the_end_of_the_collateral() -> None:
    """But for its last second, which the peer leaves out."""
    for inside in (NOW - 86_400, NOW + 86_399):
        compare(TD.quote(), collateral(), inside)
    for outside in (NOW - 86_401, NOW + 86_401):
        refused_by_both(TD.quote(), collateral(), outside)


def refused_by_both(quote: bytes, members: Members, now: int = NOW) -> tuple[int | None, str]:
    with pytest.raises(EvidenceRejected) as refused:
        ours(quote, members, now)
    with pytest.raises(ValueError) as other:
        theirs(quote, members, now)
    return refused.value.step, str(other.value)


def info_of(**changes: Any) -> Callable[[], tuple[bytes, Members]]:
    return lambda: (TD.quote(), collateral(info=tcb_info(**changes)))


def identity_of(**changes: Any) -> Callable[[], tuple[bytes, Members]]:
    return lambda: (TD.quote(), collateral(identity=qe_identity(**changes)))


def quote_of(**changes: Any) -> Callable[[], tuple[bytes, Members]]:
    return lambda: (TD.quote(**changes), collateral())


def members_of(**changes: Any) -> Callable[[], tuple[bytes, Members]]:
    return lambda: (TD.quote(), collateral(**changes))


def platform_of(**changes: Any) -> Callable[[], tuple[bytes, Members]]:
    return lambda: (TD.quote(chain=pck_chain(pck(pck_extension(**changes)))), collateral())


def strange_ca() -> x509.Certificate:
    return certificate(PCK_CA, ROOT, authority=True, signer="Mallory")


# Our step, and a word of the peer's.
REFUSED: dict[str, tuple[Callable[[], tuple[bytes, Members]], int, str]] = {
    "another root": (quote_of(chain=pem(pck(), strange_ca(), root())), 1, "chain"),
    "a forged leaf": (quote_of(chain=pck_chain(pck(signer="Mallory"))), 1, "chain"),
    "an old leaf": (quote_of(chain=pck_chain(pck(not_after=NOW - 1))), 1, "chain"),
    "a revoked leaf": (members_of(pck_crl=revocation_list(PCK_CA, serials=[7]).hex()), 1, "chain"),
    "a revoked CA": (members_of(root_ca_crl=revocation_list(ROOT, serials=[2]).hex()), 1, "chain"),
    "a forged list": (members_of(pck_crl=revocation_list(PCK_CA, signer="M").hex()), 1, "chain"),
    "an old list": (
        members_of(pck_crl=revocation_list(PCK_CA, next_update=NOW - 1).hex()),
        1,
        "chain",
    ),
    "forged TCB info": (members_of(info_signer="M"), 2, "tcb_info"),
    "old TCB info": (info_of(nextUpdate=text_time(NOW - 1)), 2, "expired"),
    "TCB info to come": (info_of(issueDate=text_time(NOW + 1)), 2, "future"),
    "TCB info for enclaves": (info_of(id="SGX"), 2, "non-TDX"),
    "a forged identity": (members_of(identity_signer="M"), 2, "qe_identity"),
    "an old identity": (identity_of(nextUpdate=text_time(NOW - 1)), 2, "expired"),
    "another enclave's identity": (identity_of(id="QE"), 2, "QE Identity id"),
    "another family": (info_of(fmspc=OTHER_FMSPC), 3, "Fmspc"),
    "an enclave by another key": (quote_of(qe_signer="M"), 4, "qe_report"),
    "an enclave of another key": (quote_of(qe={"report_data": bytes(64)}), 4, "hash"),
    "another signer's enclave": (quote_of(qe={"mrsigner": bytes(32)}), 5, "MRSIGNER"),
    "another product": (quote_of(qe={"isv_prod_id": b"\1\0"}), 5, "ISVPRODID"),
    "another MISCSELECT": (quote_of(qe={"misc_select": b"\1\0\0\0"}), 5, "MISCSELECT"),
    "other attributes": (quote_of(qe={"attributes": b"\x05" + bytes(15)}), 5, "ATTRIBUTES"),
    "a debug enclave": (quote_of(qe={"attributes": b"\x13" + bytes(15)}), 5, "QE report"),
    "a quote by another key": (quote_of(signer="M"), 6, "signature"),
    "no level": (info_of(tcbLevels=[level(pce_svn=12)]), 7, "No matching"),
    "no level for the platform": (platform_of(svns=(1,) * 16), 7, "No matching"),
    "no such module": (info_of(tdxModuleIdentities=[module("TDX_03")]), 7, "module"),
    "an old module": (info_of(tdxModuleIdentities=[module("TDX_01", isv_level(7))]), 7, "module"),
    "another module": (quote_of(mrsignerseam=b"\1" * 48), 7, "module identity"),
    "an old enclave": (identity_of(tcbLevels=[isv_level(7)]), 7, "ISVSVN"),
    "a revoked platform": (info_of(tcbLevels=[level("Revoked")]), 7, "Revoked"),
    "a revoked enclave": (identity_of(tcbLevels=[isv_level(1, "Revoked")]), 7, "Revoked"),
    "a TD under debug": (quote_of(td_attributes=b"\1\0\0\x10\0\0\0\0"), 9, "Debug"),
    "a TD that may be moved": (quote_of(td_attributes=b"\0\0\0\x30\0\0\0\0"), 9, "migration"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_both_refuse(name: str) -> None:
    make, step, word = REFUSED[name]
    told = refused_by_both(*make())
    assert (told[0], word in told[1]) == (step, True), told


def test_the_peer_lets_no_td_in_that_may_see_ve_exceptions() -> None:
    """Why it is a peer and no part of us: clouds' own TDs have no SEPT_VE_DISABLE."""
    quote = TD.quote(td_attributes=bytes(8))
    assert ours(quote, collateral()).debug is False
    with pytest.raises(ValueError, match="SEPT_VE_DISABLE"):
        theirs(quote, collateral())


ROWS = {row.file: row for row in manifest_rows("tdx")}
PHALA = "tdx/phala-tdx_quote"


@pytest.mark.skipif(not ROWS, reason="the published vectors are not here")
def test_both_affirm_a_real_quote() -> None:
    quote = ROWS[f"{PHALA}.bin"].read()
    members = json.loads(ROWS[f"{PHALA}_collateral.json"].read())
    now = ROWS[f"{PHALA}.bin"].time
    assert now is not None
    rules = ANYTHING.tdx
    assert rules is not None
    intel = intels(rules)
    evidence = TD.evidence(quote=quote, collateral=members)
    found = tdx.appraise(evidence, policy=intel, nonce=None, now=now).appraised
    given = dcap_qvl.QuoteCollateralV3.from_json(json.dumps(members))
    wanted = dcap_qvl.QuotePolicy.claims_only(now)
    verifier = dcap_qvl.QuoteVerifier()
    other = json.loads(verifier.verify_with_policy(quote, given, now, wanted).to_json())
    assert other["tcb"]["status"] == found.standing.platform == TcbStatus.UP_TO_DATE
    same_report(parse_td_quote(quote), other["report"])


def intels(rules: TdxPolicy) -> AppraisalPolicy:
    """The same rules, with Intel's root."""
    pinned = replace(rules, memory=DcapMemory(AnchorSet(anchors=(INTEL_SGX,))))
    return AppraisalPolicy(id="test", version=1, tdx=pinned)
