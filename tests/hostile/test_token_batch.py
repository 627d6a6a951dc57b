"""No token or proof costs a batch much more than its signature does, and no batch much memory.

The batches, and how they are measured, are those of ``tests.costly_tokens``.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import costly_tokens

# Beyond what a good request takes; most batches take a tenth of it.
MORE_ITEM_US = 1_000
# 4,096 tokens and proofs of 8 KiB, decoded, and what is known of each: 71 MB were seen.
MEMORY_BYTES = 120_000_000
# What shows that a batch got as far as it means to get.
PROOF_READ = {"proof_replayed@21", "token_hash_mismatch@12"}
OUTCOMES = {
    "token: a kid each": {"key_unknown@4"},
    "proof: off its curve": {"key_unsuitable@6"},
}


@pytest.fixture(scope="module")
def costs() -> dict[str, dict[str, Any]]:
    """What each batch took: measured one after the other, in processes that do nothing else."""
    run = subprocess.run(
        [sys.executable, "-m", costly_tokens.__name__],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


@pytest.mark.timeout(300)
def test_no_item_costs_much_more_than_a_good_one(costs: dict[str, dict[str, Any]]) -> None:
    most_us = costs["good"]["item_us"] + MORE_ITEM_US
    assert {name: cost for name, cost in costs.items() if cost["item_us"] > most_us} == {}


@pytest.mark.timeout(300)
def test_no_batch_takes_more_than_120_megabytes(costs: dict[str, dict[str, Any]]) -> None:
    largest = costs["the largest batch"]
    assert largest["token_bytes"] > 7_900
    assert largest["proof_bytes"] > 8_000
    assert {name: cost for name, cost in costs.items() if cost["grown_bytes"] > MEMORY_BYTES} == {}


@pytest.mark.timeout(300)
def test_batches_reach_the_checks_that_they_are_for(costs: dict[str, dict[str, Any]]) -> None:
    for name, cost in costs.items():
        assert cost["outcome"] in OUTCOMES.get(name, PROOF_READ), name
