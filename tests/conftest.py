"""What every test may use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Software TPMs: swtpm, tpm_device and their like.
pytest_plugins = ["keystead.testing.plugin"]

ROOT = Path(__file__).resolve().parent.parent

# Shared machines stall for a second now and then; pytest-timeout catches real hangs.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The published vectors that stand beside the repository; the test is skipped without them."""
    folder = ROOT.parent / "shared" / "vectors"
    if not folder.is_dir():
        pytest.skip("the folder of published vectors, ../shared/vectors, is not here")
    return folder


MAX_ID_CHARS = 48


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes and long texts are named by their argument: many are made from random keys, and every
    worker has to collect the same names."""
    if isinstance(val, bytes) or (isinstance(val, str) and len(val) > MAX_ID_CHARS):
        return argname
    return None


# Files that take a minute or more by few tests: begun last, they would end long after the others.
LONG = ("tests/native/test_core.py", "tests/integration/", "tests/native/", "tests/hostile/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the order within a file stays."""

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(ROOT).as_posix()
        return next((i for i, start in enumerate(LONG) if path.startswith(start)), len(LONG))

    items.sort(key=place)
