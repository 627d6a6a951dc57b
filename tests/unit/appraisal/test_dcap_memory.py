from typing import Any

import pytest

from keystead.appraisal import dcap, tdx
from keystead.appraisal.dcap_memory import DcapMemory, Statements
from keystead.appraisal.policy import AppraisalPolicy
from keystead.errors import EvidenceRejected
from keystead.evidence.tdx import TdxEvidence
from tests.device_chains import DAY_S, NOW
from tests.intel_builder import anchors, collateral, pck, pck_chain
from tests.tdx_builder import Td, policy

COLLATERAL = collateral()
HOST, OTHER = (Td(chain=pck_chain(pck(serial=serial))) for serial in (7, 8))


class Counted:
    """How often paths were built and statements verified."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = {"pck_path": 0, "signer_path": 0}
        for name in self.asked:
            monkeypatch.setattr(dcap, name, self._counting(name, getattr(dcap, name)))

    def _counting(self, name: str, build: Any) -> Any:
        def counting(*arguments: Any, **named: Any) -> Any:
            self.asked[name] += 1
            return build(*arguments, **named)

        return counting


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    return Counted(monkeypatch).asked


def evidence(td: Td, **changes: bytes) -> TdxEvidence:
    return td.evidence(collateral=COLLATERAL, **changes)


def appraise(given: TdxEvidence, chosen: AppraisalPolicy, now: int = NOW) -> tdx.TdxAppraisal:
    return tdx.appraise(given, policy=chosen, nonce=None, now=now)


def test_a_hosts_next_quote_brings_nothing_new(counted: dict[str, int]) -> None:
    chosen = policy()
    for report_data in (b"\x01" * 64, b"\x02" * 64):
        found = appraise(evidence(HOST, report_data=report_data), chosen)
        assert found.appraised.quote.report.report_data == report_data
    assert counted == {"pck_path": 1, "signer_path": 1}


def test_another_host_of_the_family_brings_its_own_certificate(counted: dict[str, int]) -> None:
    chosen = policy()
    for td in (HOST, OTHER, HOST):
        appraise(evidence(td), chosen)
    assert counted == {"pck_path": 2, "signer_path": 1}


def test_a_refusal_is_not_remembered(counted: dict[str, int]) -> None:
    chosen = policy()
    for _ in range(2):
        with pytest.raises(EvidenceRejected):
            appraise(evidence(HOST), chosen, NOW + 2 * DAY_S)
    assert counted == {"pck_path": 2, "signer_path": 0}
    assert appraise(evidence(HOST), chosen).appraised.anchor


def test_statements_are_as_old_as_the_older_and_hold_at_both_ends() -> None:
    memory = DcapMemory(anchors())
    given = evidence(HOST).collateral
    found = dcap.check_statements(given, anchors().anchors[0], memory, NOW, step=2)
    assert isinstance(found, Statements)
    assert found.evaluation == 17
    assert (found.not_before, found.not_after) == (NOW - DAY_S, NOW + DAY_S)
    assert found.holds_at(NOW - DAY_S) and found.holds_at(NOW + DAY_S)
    assert not found.holds_at(NOW - DAY_S - 1) and not found.holds_at(NOW + DAY_S + 1)
