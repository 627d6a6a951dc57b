"""The software TPM itself: its files, its process, its certificates."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keystead.errors import ConfigurationError, Unavailable
from keystead.hardware.tpm2 import Tpm2Device
from keystead.testing.swtpm import Swtpm, SwtpmCa


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_copies_are_the_same_tpm_and_templates_are_not(
    swtpm_template: Path, swtpm: Swtpm, other_swtpm: Swtpm
) -> None:
    with Swtpm.copy_of(swtpm_template) as copy:
        publics = []
        for tpm in (swtpm, copy, other_swtpm):
            with Tpm2Device(tpm.tcti) as device:
                publics.append((await device.endorsement()).public)
    assert publics[0] == publics[1] != publics[2]


def test_close_ends_the_process_and_deletes_what_is_temporary(swtpm_template: Path) -> None:
    with Swtpm.copy_of(swtpm_template) as tpm:
        pid, folder = tpm.pid, tpm.state_folder
        assert pid is not None
        assert alive(pid)
    assert not alive(pid)
    assert not folder.exists()
    assert tpm.pid is None


def test_a_given_folder_stays(swtpm_template: Path, tmp_path: Path) -> None:
    with Swtpm.copy_of(swtpm_template, tmp_path / "state"):
        pass
    assert (tmp_path / "state" / "tpm2-00.permall").exists()


def test_only_the_owner_may_use_the_sockets_and_the_state(swtpm: Swtpm) -> None:
    path = Path(swtpm.tcti.removeprefix("swtpm:path="))
    for each in (path, path.with_name("tpm.sock.ctrl"), swtpm.state_folder / "tpm2-00.permall"):
        assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0, each
    assert stat.S_IMODE(swtpm.state_folder.stat().st_mode) == 0o700


async def test_a_long_path_is_no_obstacle(swtpm_template: Path, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 6)
    with Swtpm.copy_of(swtpm_template, deep) as tpm, Tpm2Device(tpm.tcti) as device:
        assert (await device.properties()).emulated
        sockets = Path(tpm.tcti.removeprefix("swtpm:path=")).parent
        assert sockets != deep
    assert not sockets.exists()


def test_a_paused_tpm_can_be_stopped(swtpm_template: Path) -> None:
    with Swtpm.copy_of(swtpm_template) as tpm:
        pid = tpm.pid
        tpm.pause()
        before = time.monotonic()
    assert time.monotonic() - before < 4
    assert pid is not None
    assert not alive(pid)


def test_says_why_it_did_not_start(tmp_path: Path) -> None:
    (tmp_path / "tpm2-00.permall").write_bytes(b"not a state")
    tpm = Swtpm(tmp_path)
    with pytest.raises(Unavailable, match="swtpm did not start"):
        tpm.start()
    tpm.close()


def test_a_new_authority_has_no_certificates_yet(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="first EK certificate"):
        _ = SwtpmCa(tmp_path / "ca").root_certificate_pem


def test_the_authority_keeps_its_key_to_itself(swtpm_ca: SwtpmCa, swtpm_template: Path) -> None:
    assert stat.S_IMODE(swtpm_ca.folder.stat().st_mode) & 0o077 == 0
    assert b"BEGIN CERTIFICATE" in swtpm_ca.root_certificate_pem


PARENT = """
import os, sys
from pathlib import Path
from keystead.testing.swtpm import Swtpm
tpm = Swtpm(Path(sys.argv[1]))
tpm.start()
print(tpm.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_dies_with_a_parent_that_was_killed(swtpm_template: Path, tmp_path: Path) -> None:
    with Swtpm.copy_of(swtpm_template, tmp_path / "state"):
        pass
    command = [sys.executable, "-c", PARENT, str(tmp_path / "state")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    pid = int(run.stdout)
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(pid)
    assert os.getpid() != pid
