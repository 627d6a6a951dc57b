"""The repository as a whole: nothing of anybody's machine in it, and files that can be read."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .imports import ROOT, SOURCE

README_LINES = 150
SOURCE_LINES = 600


def tracked_files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    names = [name.decode() for name in run.stdout.split(b"\0") if name]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


# Written in pieces, so that this file does not contain what it looks for.
MACHINE_PATHS = re.compile(r"(?:^|[^\w.])/(?:" + "|".join(["work", "farm", "root"]) + r")/")
REGISTRIES = re.compile(
    r"|".join(
        re.escape(".".join(parts))
        for parts in [
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("npmjs", "org"),
            ("deb", "debian", "org"),
        ]
    )
    + r"|index-"
    + r"url|\"resolved\": *\"http"
)


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, REGISTRIES], ids=["paths", "registries"])
def test_no_tracked_file_names_a_machine(pattern: re.Pattern[str]) -> None:
    found = []
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {hit.group()}" for hit in pattern.finditer(text)]
    assert found == []


def test_readme_fits_a_sitting() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= README_LINES


def test_source_files_answer_one_question_each() -> None:
    endings = {".py", ".pyx", ".pxd", ".pyi"}
    long = {}
    for path in SOURCE.rglob("*"):
        if path.suffix not in endings or (SOURCE / "keystead" / "protocol") in path.parents:
            continue
        if (count := len(path.read_text().splitlines())) > SOURCE_LINES:
            long[str(path.relative_to(ROOT))] = count
    assert long == {}
