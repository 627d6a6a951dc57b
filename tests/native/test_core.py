"""The C core's own tests, built with warnings as errors and run under the sanitizers."""

import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[2] / "native"
COMPILER = shutil.which("cc")
PROBE = "int main(void) { return 0; }\n"


def sanitizes(flag: str, folder: Path) -> bool:
    """The compiler knows the sanitizer, and a program built with it starts on this kernel."""
    source, program = folder / "probe.c", folder / "probe"
    source.write_text(PROBE)
    build = [str(COMPILER), f"-fsanitize={flag}", str(source), "-o", str(program)]
    return all(
        subprocess.run(command, capture_output=True, check=False).returncode == 0
        for command in (build, [str(program)])
    )


@pytest.mark.timeout(600)  # It builds the core first: two minutes alone, more on a crowded machine.
@pytest.mark.parametrize(
    ("target", "flag"), [("asan-ubsan", "address,undefined"), ("tsan", "thread")]
)
def test_core_passes_its_tests_sanitized(target: str, flag: str, tmp_path: Path) -> None:
    if COMPILER is None or shutil.which("make") is None:
        pytest.skip("no C compiler or no make")
    if not sanitizes(flag, tmp_path):
        pytest.skip(f"this compiler or kernel lacks -fsanitize={flag}")
    make = ["make", "-C", str(NATIVE), f"BUILD={tmp_path}", f"CC={COMPILER}", target]
    built = subprocess.run(make, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    run = subprocess.run(
        [str(tmp_path / target / "test")], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, "ok\n"), run.stderr
