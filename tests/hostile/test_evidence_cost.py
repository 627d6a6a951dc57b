"""No evidence of a megabyte costs more than a second of CPU time and 64 MB, whatever it is.

The envelopes, and how they are measured, are those of ``tests.costly_evidence``.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import costly_evidence

CPU_S = 1.0
MEMORY_BYTES = 64_000_000
# What shows that a case got as far as it means to get.
DEEP = {
    "tpm2: events of one byte": "ak_not_bound_to_ek",
    "tpm2: SecureBoot in every event": "ak_not_bound_to_ek",
    "tpm2: large events": "ak_not_bound_to_ek",
    "tpm2: every bank": "ak_not_bound_to_ek",
    "tpm2: many extensions": "ak_not_bound_to_ek",
    "tpm2: many names and constraints": "ak_not_bound_to_ek",
    "tpm2: a giant key": "ek_chain_untrusted",
    "aws-nitro: CAs that all are each other's": "chain_untrusted",
    "app-attest: CAs that all are each other's": "chain_untrusted",
    "sev-snp: many extensions": "accepted",
    "tdx: long revocation lists": "accepted",
    "tdx: many TCB levels": "accepted",
    "tdx: many modules' levels": "accepted",
    "tdx: statements that nobody signed": "collateral_untrusted",
    "tdx: chains of many": "collateral_untrusted",
    "tdx: a long chain in the quote": "chain_untrusted",
    "sev-snp: the operator's long revocation lists": "accepted",
    "oidc: a long header": "accepted",
    "maa: many claims": "accepted",
}


@pytest.fixture(scope="module")
def costs() -> dict[str, dict[str, Any]]:
    """What each case took: measured one after the other, in processes that do nothing else."""
    run = subprocess.run(
        [sys.executable, "-m", costly_evidence.__name__],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


@pytest.mark.timeout(600)
def test_no_megabyte_costs_more_than_a_second_and_64_megabytes(
    costs: dict[str, dict[str, Any]],
) -> None:
    over = {
        name: cost
        for name, cost in costs.items()
        if cost["cpu_s"] > CPU_S or cost["grown_bytes"] > MEMORY_BYTES
    }
    assert over == {}


@pytest.mark.timeout(600)
def test_every_kind_was_tried_with_up_to_a_megabyte(costs: dict[str, dict[str, Any]]) -> None:
    assert max(cost["size_bytes"] for cost in costs.values()) <= costly_evidence.MEGABYTE
    for kind in costly_evidence.KINDS:
        sizes = [cost["size_bytes"] for name, cost in costs.items() if name.startswith(kind)]
        assert max(sizes) > 0.99 * costly_evidence.MEGABYTE


@pytest.mark.timeout(600)
def test_cases_reach_the_checks_that_they_are_for(costs: dict[str, dict[str, Any]]) -> None:
    reached = {name: costs[name]["outcome"].partition(":")[0] for name in DEEP}
    assert reached == DEEP
