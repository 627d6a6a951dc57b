"""The C core's own tests, built with warnings as errors and run under the sanitizers."""

import re
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


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the core is built: the tests and the fuzz targets share its objects."""
    if COMPILER is None or shutil.which("make") is None:
        pytest.skip("no C compiler or no make")
    return tmp_path_factory.mktemp("native")


def make(build: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-C", str(NATIVE), f"BUILD={build}", f"CC={COMPILER}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.timeout(600)  # It builds the core first: two minutes alone, more on a crowded machine.
@pytest.mark.parametrize(
    ("target", "flag", "tests"),
    [("asan-ubsan", "address,undefined", []), ("tsan", "thread", ["threads"])],
)
def test_core_passes_its_tests_sanitized(
    target: str, flag: str, tests: list[str], build: Path, tmp_path: Path
) -> None:
    if not sanitizes(flag, tmp_path):
        pytest.skip(f"this compiler or kernel lacks -fsanitize={flag}")
    built = make(build, target)
    assert built.returncode == 0, built.stderr
    run = subprocess.run(
        [str(build / target / "test"), *tests], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, "ok\n"), run.stderr


@pytest.mark.timeout(600)
def test_fuzz_targets_find_nothing_at_once(build: Path, tmp_path: Path) -> None:
    """A second of each, under the sanitizers; `make fuzz` is the search."""
    if not sanitizes("address,undefined", tmp_path):
        pytest.skip("this compiler or kernel lacks -fsanitize=address,undefined")
    run = make(build, "fuzz-short", "FUZZ_SECONDS=1")
    assert run.returncode == 0, run.stderr[-4_000:]
    targets = sorted(path.stem for path in NATIVE.glob("fuzz/*.c"))
    ran = [line for line in run.stdout.splitlines() if line.startswith("fuzz_")]
    assert ran == targets
    assert all(int(count) > 10 for count in re.findall(r"(\d+) inputs", run.stdout))
