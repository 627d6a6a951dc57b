"""Evidence of kind ``tdx`` appraised against the tests' own rules, and what is refused of it."""

from typing import Any

import pytest

from keystead.appraisal import tdx
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.tdx import TdxEvidence
from tests.device_chains import NOW
from tests.intel_builder import collateral
from tests.tdx_builder import MRTD, NONCE, Td, policy

TD, NEWER = Td(), Td(version=5, extended=True)
GOOD = TD.quote()
PINNED = {"mrtd": frozenset({MRTD})}


def appraised(
    evidence: TdxEvidence | None = None, rules: AppraisalPolicy | None = None, **changes: Any
) -> AttestationResult:
    arguments: dict[str, Any] = {"policy": rules or policy(), "nonce": NONCE, "now": NOW}
    found = evidence or TD.evidence(quote=GOOD)
    return tdx.conclude(tdx.appraise(found, **(arguments | changes)))


def refusal(*given: Any, **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        appraised(*given, **changes)
    return refused.value.reason, refused.value.step


def told_of(
    collaterals: dict[str, Any] | None = None, rules: AppraisalPolicy | None = None, **quote: Any
) -> tuple[Reason, int | None]:
    """What is said of evidence whose quote or collateral is another."""
    made = TD.evidence(quote=TD.quote(**quote), collateral=collateral(**(collaterals or {})))
    return refusal(made, rules)
