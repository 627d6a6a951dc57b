"""RS256, PS256 and ES384 on Intel's library: the true one where it runs, a fake everywhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from keystead.jose.batch import capabilities

ROOT = Path(__file__).resolve().parents[2]
SUITES = [
    "tests/differential/test_signatures.py",
    "tests/differential/test_signatures_wycheproof.py",
]
ALGORITHMS = ("ES384", "RS256", "PS256")
# Loads the fake before anything else can load the true library: the first call decides.
WITH_FAKE = """
import sys
from pathlib import Path
from keystead._native import batch
batch.load_multi_buffer(bytes(Path(sys.argv[1])))
"""
PATHS = "from keystead.jose.batch import capabilities; c = capabilities();" + "".join(
    f"print(c['{name}'].path, c['{name}'].reason, c['{name}'].forced, sep='|');"
    for name in ALGORITHMS
)
PYTEST = "import pytest; raise SystemExit(pytest.main(sys.argv[2:]))"


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the fakes of libcrypto_mb.so (native/test/fakes)."""
    compiler = shutil.which("cc")
    if compiler is None or shutil.which("make") is None:
        pytest.skip("no C compiler or no make")
    folder = tmp_path_factory.mktemp("build")
    make = ["make", "-C", str(ROOT / "native"), f"BUILD={folder}", f"CC={compiler}", "fakes"]
    built = subprocess.run(make, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder / "fakes"


def run(script: str, *arguments: str, engine: str = "") -> "subprocess.CompletedProcess[str]":
    # PYTEST_ variables are inherited from a run under pytest-xdist, and speak of another process.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env=environment | {"KEYSTEAD_ENGINE": engine},
        capture_output=True,
        text=True,
        check=False,
    )


def paths(fake: Path, engine: str = "") -> list[list[str]]:
    answer = run(WITH_FAKE + PATHS, str(fake), engine=engine)
    assert answer.returncode == 0, answer.stderr
    return [line.split("|") for line in answer.stdout.splitlines()]


def check_suites(answer: "subprocess.CompletedProcess[str]") -> None:
    assert answer.returncode == 0, answer.stdout
    assert " passed" in answer.stdout


SELECTED = ["-q", "-p", "no:cacheprovider", *SUITES]


@pytest.mark.timeout(400)
def test_verdicts_on_a_fake_library_are_those_of_openssl(fakes: Path) -> None:
    check_suites(run(WITH_FAKE + PYTEST, str(fakes / "honest.so"), *SELECTED))


@pytest.mark.timeout(400)
def test_verdicts_on_the_true_library_are_those_of_openssl() -> None:
    found = capabilities()["RS256"]
    if found.path != "crypto_mb":
        pytest.skip(f"Intel's library does not run here: {found.reason}")
    check_suites(run("import sys;" + PYTEST, "", *SELECTED))


def test_a_library_that_loads_is_the_path(fakes: Path) -> None:
    taken = ["crypto_mb", "ipp-crypto is installed and runs on this CPU", "False"]
    assert paths(fakes / "honest.so") == [taken] * 3


@pytest.mark.parametrize(
    ("fake", "reason"),
    [
        ("inapplicable.so", "libcrypto_mb does not run on this CPU"),
        ("incomplete.so", "libcrypto_mb lacks a function"),
        ("yes_man.so", "libcrypto_mb fails its self-test"),
        ("absent.so", "libcrypto_mb cannot be read"),
    ],
)
def test_a_library_that_does_not_load_is_another_path_and_says_why(
    fakes: Path, fake: str, reason: str
) -> None:
    rsa = ["openssl", reason, "False"]
    assert paths(fakes / fake) == [["portable", reason, "False"], rsa, rsa]
    # Asked for by name, it is the same, and forced.
    assert paths(fakes / fake, "crypto_mb") == [["openssl", reason, "True"]] * 3


@pytest.mark.parametrize(
    ("engine", "path", "reason", "forced"),
    [
        ("openssl", "openssl", "KEYSTEAD_ENGINE=openssl", "True"),
        ("crypto_mb", "crypto_mb", "KEYSTEAD_ENGINE=crypto_mb", "True"),
        ("ifma", "crypto_mb", "ipp-crypto is installed and runs on this CPU", "False"),
    ],
)
def test_the_environment_forbids_or_forces_the_library(
    fakes: Path, engine: str, path: str, reason: str, forced: str
) -> None:
    assert paths(fakes / "honest.so", engine) == [[path, reason, forced]] * 3


def test_the_kernel_of_our_own_is_used_by_name_although_the_library_loads(fakes: Path) -> None:
    rsa = ["crypto_mb", "ipp-crypto is installed and runs on this CPU", "False"]
    es384 = ["portable", "KEYSTEAD_ENGINE=portable", "True"]
    assert paths(fakes / "honest.so", "portable") == [es384, rsa, rsa]
