"""One installation for each test: a real store, a TPM of software keys, a clock that stands."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service_parts import Installation, installation


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "state") as made:
        made.tpm.commands.clear()  # what the start asked for is not what a test asks for
        yield made
