"""What published event logs say of SecureBoot, read from digests alone."""

from pathlib import Path

import pytest

from keystead.appraisal.event_rules import secure_boot
from keystead.codec import eventlog
from keystead.codec.hashes import HashAlgorithm


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("rhel8-uefi.bin", True),
        ("cos-85-amd-sev.bin", True),
        ("ubuntu-2104-no-secure-boot.bin", False),
    ],
)
@pytest.mark.parametrize("bank", [HashAlgorithm.SHA256, HashAlgorithm.SHA384])
def test_every_bank_of_a_real_log_agrees(
    vectors: Path, name: str, state: bool, bank: HashAlgorithm
) -> None:
    log = eventlog.parse((vectors / "eventlog" / name).read_bytes())
    assert secure_boot(log, bank) is state
