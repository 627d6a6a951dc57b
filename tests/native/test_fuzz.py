"""A few seconds of every fuzz target; `make fuzz` gives them longer."""

import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[2] / "native"


@pytest.mark.timeout(400)
def test_fuzzers_find_nothing_at_once(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make")
    make = ["make", "-C", str(NATIVE), f"BUILD={tmp_path}", "FUZZ_SECONDS=4", "fuzz"]
    run = subprocess.run(make, capture_output=True, text=True, check=False)
    if "SKIPPED" in run.stdout:
        pytest.skip(run.stdout.strip())
    assert run.returncode == 0, run.stderr[-4_000:]
    assert "stat::number_of_executed_units" in run.stderr
