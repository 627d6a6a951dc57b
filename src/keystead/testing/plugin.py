"""Pytest fixtures: software TPMs and devices on them.

    pytest_plugins = ["keystead.testing.plugin"]

    async def test_signs(tpm_device): ...

Tests that ask for a TPM are skipped, visibly, where swtpm is not installed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.hardware.tpm2 import Tpm2Device
from keystead.testing.swtpm import Swtpm, SwtpmCa, make_template


@pytest.fixture(scope="session")
def swtpm_ca(tmp_path_factory: pytest.TempPathFactory) -> SwtpmCa:
    """The authority that certifies every software TPM of this session."""
    if shutil.which("swtpm") is None or shutil.which("swtpm_setup") is None:
        pytest.skip("swtpm is not installed")
    return SwtpmCa(tmp_path_factory.mktemp("swtpm-ca"))


@pytest.fixture(scope="session")
def swtpm_template(tmp_path_factory: pytest.TempPathFactory, swtpm_ca: SwtpmCa) -> Path:
    """The state of one TPM; every copy of it is the same TPM."""
    return make_template(tmp_path_factory.mktemp("swtpm-one"), ca=swtpm_ca)


@pytest.fixture(scope="session")
def other_swtpm_template(tmp_path_factory: pytest.TempPathFactory, swtpm_ca: SwtpmCa) -> Path:
    """The state of another TPM, with other seeds."""
    return make_template(tmp_path_factory.mktemp("swtpm-two"), ca=swtpm_ca)


@pytest.fixture
def swtpm(swtpm_template: Path) -> Iterator[Swtpm]:
    """A running software TPM, new for this test."""
    with Swtpm.copy_of(swtpm_template) as tpm:
        yield tpm


@pytest.fixture
def other_swtpm(other_swtpm_template: Path) -> Iterator[Swtpm]:
    """A second running TPM, never the same as ``swtpm``."""
    with Swtpm.copy_of(other_swtpm_template) as tpm:
        yield tpm


@pytest.fixture
def tpm_device(swtpm: Swtpm) -> Iterator[Tpm2Device]:
    """A device on ``swtpm``."""
    with Tpm2Device(swtpm.tcti) as device:
        yield device


@pytest.fixture
def other_tpm_device(other_swtpm: Swtpm) -> Iterator[Tpm2Device]:
    """A device on ``other_swtpm``."""
    with Tpm2Device(other_swtpm.tcti) as device:
        yield device
