"""The administration socket's folder."""

import os
import socket
import stat
from pathlib import Path

import pytest

from keystead.errors import ConfigurationError, Reason
from keystead.server.admin_folder import check_admin_folder, check_admin_socket, owner_only


def make_folder(path: Path, mode: int) -> Path:
    folder = path / "admin"
    folder.mkdir()
    folder.chmod(mode)
    return folder


def refusal(path: Path) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        check_admin_folder(path)
    return caught.value


def test_accepts_a_folder_of_its_owner_alone(tmp_path: Path) -> None:
    check_admin_folder(make_folder(tmp_path, 0o700) / "keystead.sock")


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o750, 0o755, 0o770, 0o777, 0o704])
def test_refuses_a_folder_that_others_may_enter(tmp_path: Path, mode: int) -> None:
    error = refusal(make_folder(tmp_path, mode) / "keystead.sock")
    assert error.reason is Reason.PERMISSIONS_TOO_OPEN
    assert f"{mode:04o}" in error.detail
    assert "expected 0700" in error.detail


def test_refuses_a_symbolic_link_to_a_good_folder(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, 0o700)
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert refusal(link / "keystead.sock").reason is Reason.PERMISSIONS_TOO_OPEN


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_refuses_a_folder_of_another_user(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, 0o700)
    os.chown(folder, 12345, 12345)
    assert refusal(folder / "keystead.sock").reason is Reason.PERMISSIONS_TOO_OPEN


def test_names_a_folder_that_is_missing(tmp_path: Path) -> None:
    error = refusal(tmp_path / "nowhere" / "keystead.sock")
    assert error.reason is Reason.CONFIGURATION_INVALID
    assert "nowhere" in error.detail


def test_refuses_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, 0o700)
    error = refusal(folder / ("x" * 120))
    assert error.reason is Reason.CONFIGURATION_INVALID
    assert "107" in error.detail


def test_a_socket_made_inside_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    before = os.umask(0)
    try:
        with owner_only(), socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    check_admin_socket(path)


@pytest.mark.parametrize("mode", [0o660, 0o666, 0o602])
def test_refuses_a_socket_that_others_may_open(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    path.chmod(mode)
    with pytest.raises(ConfigurationError) as caught:
        check_admin_socket(path)
    assert caught.value.reason is Reason.PERMISSIONS_TOO_OPEN
