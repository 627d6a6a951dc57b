from typing import Any

import pytest

from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import status, trustworthiness
from keystead.appraisal.tdx_policy import TdLogRules
from keystead.codec.hashes import HashAlgorithm
from keystead.errors import Reason
from keystead.evidence.tdx import TdxEvidence
from keystead.model import AnchorClass, EvidenceKind, Freshness
from tests.device_chains import NOW
from tests.tdx_appraisals import NEWER, PINNED, TD, appraised, refusal
from tests.tdx_builder import MRTD, RTMRS, Td, policy, td_log


@pytest.mark.parametrize("td", [TD, Td(version=5), NEWER], ids=["4", "5", "1.5"])
def test_affirms_a_genuine_quote(td: Td) -> None:
    result = appraised(td.evidence())
    assert (result.kind, result.policy) == (EvidenceKind.TDX, "test@3")
    assert (result.anchor_class, result.hardware) == (AnchorClass.TEE, True)
    assert (result.freshness, result.verified_at) == (Freshness.CHALLENGED, NOW)
    assert result.measurements["mrtd"] == MRTD.hex()
    assert result.measurements["rtmr3"] == RTMRS[3].hex()
    assert (result.boot_pinned, result.debug) == (False, False)


def test_the_result_says_what_the_evidence_said() -> None:
    claims = appraised(NEWER.evidence()).claims
    assert claims == {
        "quote_version": 5,
        "fmspc": "b0c06f000000",
        "tcb_status": "UpToDate",
        "module_tcb_status": "UpToDate",
        "qe_tcb_status": "UpToDate",
        "advisories": [],
        "tcb_evaluation": 17,
        "tee_tcb_svn": "060103" + "00" * 13,
        "tee_tcb_svn_2": "070103" + "00" * 13,
        "td_attributes": "0x10000000",
        "xfam": "0x602e7",
        "sept_ve_disable": True,
        "migratable": False,
        "mrservicetd": "00" * 48,
        "report_data": "00" * 64,
    }


def test_saved_evidence_is_a_bearers() -> None:
    assert appraised(nonce=None).freshness is Freshness.BEARER


def test_an_emulated_anchor_never_looks_like_hardware() -> None:
    result = appraised(rules=policy(anchor_class=AnchorClass.EMULATED))
    assert not result.hardware
    assert status(trustworthiness(result)).value == "warning"


def test_a_policy_without_the_kind_refuses_it() -> None:
    assert refusal(rules=AppraisalPolicy(id="x", version=1)) == (Reason.KIND_UNSUPPORTED, None)


# --- steps 9 to 11 -------------------------------------------------------------------------------


@pytest.mark.parametrize("bit", range(8))
def test_refuses_a_td_under_debug_unless_the_policy_allows_it(bit: int) -> None:
    made = Td(attributes=1 << 28 | 1 << bit).evidence()
    assert refusal(made) == (Reason.DEBUG_MODE, 9)
    result = appraised(made, policy(allow_debug=True, values=PINNED, whole_image=True))
    assert (result.debug, result.boot_pinned) == (True, False)


def test_refuses_a_td_that_may_be_moved_unless_the_policy_allows_it() -> None:
    moving = Td(attributes=1 << 28 | 1 << 29).evidence()
    served = NEWER.evidence(mrservicetd=bytes(47) + b"\x01")
    for made in (moving, served):
        assert refusal(made) == (Reason.MIGRATION_ALLOWED, 9)
        result = appraised(made, policy(allow_migration=True, values=PINNED, whole_image=True))
        assert (result.claims["migratable"], result.boot_pinned) == (True, False)


def test_other_attributes_are_recorded() -> None:
    claims = appraised(Td(attributes=1 << 30 | 1 << 63).evidence()).claims
    assert claims["td_attributes"] == "0x8000000040000000"
    assert claims["sept_ve_disable"] is False


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("mrtd", 10),
        ("rtmr0", 10),
        ("rtmr1", 10),
        ("rtmr2", 10),
        ("rtmr3", 10),
        ("mrconfigid", 11),
        ("mrowner", 11),
        ("mrownerconfig", 11),
        ("mrseam", 11),
        ("mrsignerseam", 11),
    ],
)
def test_refuses_a_value_that_the_policy_does_not_name(name: str, step: int) -> None:
    value = bytes.fromhex(appraised().measurements[name])
    known = {name: frozenset({value, b"\x77" * 48})}
    assert appraised(rules=policy(values=known)).measurements[name] == value.hex()
    other = {name: frozenset({b"\x77" * 48})}
    assert refusal(rules=policy(values=other)) == (Reason.MEASUREMENT_MISMATCH, step)


def test_the_image_is_pinned_where_the_policy_says_so() -> None:
    assert appraised(rules=policy(values=PINNED, whole_image=True)).boot_pinned
    assert not appraised(rules=policy(values=PINNED)).boot_pinned


# --- step 12 -------------------------------------------------------------------------------------


EVENTS = ((1, b"firmware"), (2, b"kernel"), (2, b"initrd"), (3, b"runtime"))
LOG, REGISTERS = td_log(EVENTS)


def logged(log: bytes | None = LOG, **changes: bytes) -> TdxEvidence:
    said = {f"rtmr{at}": value for at, value in enumerate(REGISTERS)}
    return TD.evidence(event_log=log, **(said | changes))


def log_rules(**changes: Any) -> AppraisalPolicy:
    return policy(event_log=TdLogRules(**changes))


def test_a_log_explains_the_registers() -> None:
    result = appraised(logged())
    assert result.claims["event_log_events"] == len(EVENTS) + 1
    assert REGISTERS[3] == bytes(48)


def test_a_log_is_there_where_the_policy_wants_one() -> None:
    assert refusal(logged(None), log_rules(required=True)) == (Reason.EVENT_LOG_MISSING, 12)
    assert appraised(logged(), log_rules(required=True))
    assert "event_log_events" not in appraised(logged(None)).claims


@pytest.mark.parametrize("at", range(4))
def test_refuses_a_log_that_does_not_explain_a_register(at: int) -> None:
    made = logged(**{f"rtmr{at}": b"\x01" * 48})
    assert refusal(made) == (Reason.EVENT_LOG_MISMATCH, 12)
    others = frozenset(range(4)) - {at}
    assert appraised(made, log_rules(rtmrs=others))
    assert refusal(made, log_rules(rtmrs=frozenset({at}))) == (Reason.EVENT_LOG_MISMATCH, 12)


@pytest.mark.parametrize(
    "events",
    [EVENTS[:-1], EVENTS[::-1], (*EVENTS, (1, b"more"))],
    ids=["left out", "another order", "added"],
)
def test_refuses_a_log_of_other_events(events: Any) -> None:
    assert refusal(logged(td_log(events)[0])) == (Reason.EVENT_LOG_MISMATCH, 12)


@pytest.mark.parametrize("register", [0, 5, 23])
def test_refuses_events_of_registers_that_no_td_has(register: int) -> None:
    log, _ = td_log((*EVENTS, (register, b"more")))
    assert refusal(logged(log)) == (Reason.EVENT_LOG_MISMATCH, 12)


def test_refuses_a_log_of_another_bank() -> None:
    log, _ = td_log(EVENTS, bank=HashAlgorithm.SHA256)
    assert refusal(logged(log)) == (Reason.EVENT_LOG_MISMATCH, 12)


def test_results_are_tied_to_what_was_signed() -> None:
    one, other = appraised(), appraised(TD.evidence(report_data=b"\x01" * 64))
    assert one.attester == appraised().attester != other.attester
