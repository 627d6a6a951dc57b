"""Every path of ES256, ES384 and EdDSA, forced by the environment, on Wycheproof and on the
differential tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITES = [
    "tests/differential/test_ecdsa.py",
    "tests/differential/test_eddsa.py",
    "tests/differential/test_signatures.py",
    "tests/differential/test_signatures_wycheproof.py",
]
PATH_OF = (
    "from keystead.jose.batch import capabilities;"
    "found = [capabilities()[name] for name in ('ES256', 'EdDSA')];"
    "(it,) = {(it.path, it.reason, it.forced) for it in found}; print(*it, sep='|')"
)


def run(*arguments: str, engine: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "KEYSTEAD_ENGINE": engine}
    # Inherited from a run under pytest-xdist, where they speak of another process.
    environment = {k: v for k, v in environment.items() if not k.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def path_taken(engine: str) -> list[str]:
    answer = run("-c", PATH_OF, engine=engine)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip().split("|")


@pytest.mark.parametrize("engine", ["openssl", "portable", "ifma"])
def test_verdicts_do_not_depend_on_the_path(engine: str) -> None:
    if path_taken(engine)[0] != engine:
        pytest.skip(f"this CPU does not run the path {engine}")
    suites = run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("-k", "es256 or es384 or eddsa or ed25519"),
        *SUITES,
        engine=engine,
    )
    assert suites.returncode == 0, suites.stdout
    assert " passed" in suites.stdout


def test_names_the_path_that_was_forced() -> None:
    assert path_taken("openssl") == ["openssl", "KEYSTEAD_ENGINE=openssl", "True"]
    assert path_taken("portable") == ["portable", "KEYSTEAD_ENGINE=portable", "True"]


def test_es384_has_a_portable_kernel_and_no_other() -> None:
    script = (
        "from keystead.jose.batch import capabilities; it = capabilities()['ES384'];"
        "print(it.path, it.reason, it.forced, sep='|')"
    )
    taken = run("-c", script, engine="portable").stdout.strip()
    assert taken == "portable|KEYSTEAD_ENGINE=portable|True"
    path, _, forced = run("-c", script, engine="ifma").stdout.strip().split("|")
    assert path in {"crypto_mb", "portable"} and forced == "False"


def test_a_kernel_that_this_cpu_cannot_run_is_openssl_and_says_so() -> None:
    path, reason, forced = path_taken("ifma")
    assert forced == "True"
    if path != "ifma":
        assert (path, reason) == ("openssl", "KEYSTEAD_ENGINE=ifma does not run on this CPU")


@pytest.mark.parametrize(
    ("engine", "forced"),
    [
        ("openssl", {"ES256", "Ed25519", "EdDSA", "ES384", "RS256", "PS256"}),
        ("portable", {"ES256", "ES384", "Ed25519", "EdDSA"}),
        ("ifma", {"ES256", "Ed25519", "EdDSA"}),
        ("crypto_mb", {"ES384", "RS256", "PS256"}),
    ],
)
def test_a_name_forces_the_algorithms_that_have_such_a_path(engine: str, forced: set[str]) -> None:
    script = (
        "from keystead.jose.batch import capabilities;"
        "print(*(it.name for it in capabilities().values() if it.forced))"
    )
    assert set(run("-c", script, engine=engine).stdout.split()) == forced


@pytest.mark.parametrize("name", ["abacus", "IFMA", "openssl ", "ifma,portable"])
def test_a_path_that_does_not_exist_is_an_error_that_says_what_to_do(name: str) -> None:
    answer = run("-c", PATH_OF, engine=name)
    assert answer.returncode == 1 and answer.stdout == ""
    assert "ConfigurationError" in answer.stderr
    assert "KEYSTEAD_ENGINE is openssl, portable, ifma or crypto_mb; unset it" in answer.stderr


def test_the_command_does_not_run_on_a_path_that_does_not_exist() -> None:
    for options in (["--explain"], ["--jwks", "j", "--issuer", "i", "--audience", "a", "-"]):
        answer = run("-m", "keystead", "verify", *options, engine="abacus")
        assert answer.returncode == 2 and answer.stdout == ""
        assert "unset it and the CPU decides" in answer.stderr


def test_signatures_are_openssls_to_verify_where_the_path_does_not_exist() -> None:
    script = (
        "from keystead._native import batch; number = batch.ALGORITHMS['ES256'];"
        "print(batch.path_of(number), batch.path_reason_of(number), sep='|')"
    )
    answer = run("-c", script, engine="abacus")
    assert answer.stdout.strip() == "openssl|KEYSTEAD_ENGINE names no path"


def test_without_the_variable_the_cpu_decides() -> None:
    path, reason, forced = path_taken("")
    assert path in {"ifma", "portable"}
    assert "CPU" in reason and forced == "False"
