import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from keystead.audit import HashChain
from keystead.errors import ConfigurationError, Reason
from keystead.storage import SqliteStore
from keystead.storage.sqlite.files import WriterLock, check_folder, make_private_file
from tests.store_samples import event


def refused(reason: Reason, path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SqliteStore.open(path, chain=HashChain())
    assert caught.value.reason is reason
    assert str(path.parent) in caught.value.detail


async def test_every_file_of_the_store_is_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    old = os.umask(0)
    try:
        store = SqliteStore.open(tmp_path / "keystead.db", chain=HashChain())
        await store.apply((), events=())
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    await store.close()
    assert set(modes) == {
        "keystead.db",
        "keystead.db-shm",
        "keystead.db-wal",
        "keystead.db.lock",
    }
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o500])
def test_accepts_a_folder_that_only_its_owner_writes(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    check_folder(tmp_path)


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o720, 0o702, 0o1777])
def test_rejects_a_folder_that_others_may_write(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    refused(Reason.PERMISSIONS_TOO_OPEN, tmp_path / "keystead.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["keystead.db", "keystead.db.lock"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_rejects_files_that_others_may_open(tmp_path: Path, name: str, mode: int) -> None:
    (tmp_path / name).touch()
    (tmp_path / name).chmod(mode)
    refused(Reason.PERMISSIONS_TOO_OPEN, tmp_path / "keystead.db")


def test_rejects_a_folder_of_another_user(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(tmp_path, 65_534, 65_534)
    refused(Reason.PERMISSIONS_TOO_OPEN, tmp_path / "keystead.db")


def test_names_a_folder_that_is_not_there(tmp_path: Path) -> None:
    refused(Reason.CONFIGURATION_INVALID, tmp_path / "missing" / "keystead.db")


def test_follows_no_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch(0o600)
    (tmp_path / "keystead.db").symlink_to("elsewhere")
    refused(Reason.CONFIGURATION_INVALID, tmp_path / "keystead.db")


def test_keeps_what_a_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "file"
    make_private_file(path)
    path.write_bytes(b"kept")
    make_private_file(path)
    assert path.read_bytes() == b"kept"


async def test_a_second_store_on_the_same_file_is_refused_and_harms_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "keystead.db"
    store = SqliteStore.open(path, chain=HashChain())
    refused(Reason.CONFIGURATION_INVALID, path)
    await store.apply((), events=())
    await store.close()
    again = SqliteStore.open(path, chain=HashChain())
    await again.close()


async def test_a_second_process_on_the_same_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keystead.db"
    store = SqliteStore.open(path, chain=HashChain())
    script = (
        "import sys; from pathlib import Path\n"
        "from keystead.audit import HashChain\n"
        "from keystead.storage import SqliteStore\n"
        "SqliteStore.open(Path(sys.argv[1]), chain=HashChain())\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    await store.close()
    assert other.returncode == 1
    assert "is in use by another running service" in other.stderr


async def test_a_closed_store_is_one_whole_file(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "keystead.db", chain=HashChain())
    await store.apply((), events=[event()])
    await store.close()
    assert {path.name for path in tmp_path.iterdir()} == {"keystead.db", "keystead.db.lock"}


def test_a_released_lock_can_be_taken(tmp_path: Path) -> None:
    WriterLock(tmp_path / "file").release()
    WriterLock(tmp_path / "file").release()
