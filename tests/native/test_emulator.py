"""The bare machine of native/emulator: a program that ends well passes, and every other end fails.

`make -C native emulate` runs the kernels on it, for minutes; here the machine itself is tested.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[2] / "native"
TOOLS = ["cc", "make", "bochs", "grub-mkrescue", "xorriso", "mformat"]
SECONDS = 60
LINK = ["-O2", "-static", "-no-pie", "-Wl,-Ttext-segment=0x8000000"]

# 52 bits of a product in each lane, of registers that the host must have allowed.
IFMA = """
#include <immintrin.h>
#include <stdio.h>
int main(void) {
    long long words[8];
    __m512i a = _mm512_set1_epi64(1LL << 51), sum = _mm512_set1_epi64(7);
    _mm512_storeu_si512(words, _mm512_madd52hi_epu64(sum, a, a));
    printf("%lld %lld\\n", words[0], words[7]);
    return words[0] == 7 + (1LL << 50) && words[7] == words[0] ? 0 : 1;
}
"""
FAILING = "int main(void) { return 3; }"
FAULTING = "int main(void) { return *(volatile int *)0; }"
ENDLESS = "int main(void) { for (;;) {} }"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or not Path("/usr/lib/grub/i386-pc").is_dir():
        pytest.skip(f"no emulator here: {', '.join(missing) or 'grub-pc-bin'} missing")
    build = tmp_path_factory.mktemp("emulator")
    command = ["make", "-C", str(NATIVE), f"BUILD={build}", str(build / "emulator/host")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return build / "emulator/host"


def emulate(
    host: Path, source: str, folder: Path, *, flags: tuple[str, ...] = (), seconds: int = SECONDS
) -> subprocess.CompletedProcess[str]:
    (folder / "program.c").write_text(source)
    program = folder / "program"
    compile_it = ["cc", *LINK, *flags, str(folder / "program.c"), "-o", str(program)]
    subprocess.run(compile_it, check=True)
    run = [str(NATIVE / "emulator/run.sh"), str(host), str(program), str(seconds)]
    return subprocess.run(run, capture_output=True, text=True, check=False)


def test_a_program_runs_instructions_of_avx_512(host: Path, tmp_path: Path) -> None:
    run = emulate(host, IFMA, tmp_path, flags=("-mavx512f", "-mavx512ifma"))
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{7 + 2**50} {7 + 2**50}\n" in run.stdout


def test_a_failing_program_fails_the_run(host: Path, tmp_path: Path) -> None:
    run = emulate(host, FAILING, tmp_path)
    assert run.returncode == 1
    assert run.stdout.endswith("program: exit 0x0000000000000003\n")


def test_an_exception_fails_the_run_and_is_told(host: Path, tmp_path: Path) -> None:
    run = emulate(host, FAULTING, tmp_path)
    assert run.returncode == 1
    assert "host: exception 0x000000000000000e" in run.stdout
    assert "cr2 0x0000000000000000\n" in run.stdout


def test_a_program_without_end_fails_the_run(host: Path, tmp_path: Path) -> None:
    run = emulate(host, ENDLESS, tmp_path, seconds=8)
    assert run.returncode == 1
    assert "no end after 8 seconds" in run.stderr


def test_a_file_that_is_no_program_is_refused(host: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes(bytes(4096))
    run = [str(NATIVE / "emulator/run.sh"), str(host), str(text), str(SECONDS)]
    refused = subprocess.run(run, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "host: the program is no ELF file" in refused.stdout
