"""``keystead serve --dev`` as a process: one folder, one line, a clean end."""

import json
import signal
from pathlib import Path

import httpx
import pytest

from keystead.dev import DevSettings, free_ports, prepare
from tests.demo_processes import Run, running


def serve(state: Path) -> list[str]:
    return ["serve", "--dev", "--json", "--state", str(state)]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A folder on ports that nobody has now, so that test runs do not meet."""
    http_port, grpc_port = free_ports(0, 0)
    folder = tmp_path / "state"
    prepare(folder, DevSettings(http_port=http_port, grpc_port=grpc_port))
    return folder


def addresses(run: Run) -> dict:
    return json.loads(run.read_until("\n"))


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=20)


def test_says_where_it_is_and_ends_cleanly(state: Path) -> None:
    with running(serve(state)) as run:
        said = addresses(run)
        assert said.keys() == {"http", "grpc", "admin", "state"}
        assert Path(said["state"]) == state
        assert Path(said["admin"]).is_socket()
        health = get(f"{said['http']}/healthz")
        assert (health.status_code, health.json()["hardware"]) == (200, "ok")
        metadata = get(f"{said['http']}/.well-known/oauth-authorization-server").json()
        assert metadata["issuer"] == said["http"]
        run.process.send_signal(signal.SIGTERM)
        out, err = run.communicate()
        assert (run.process.returncode, out) == (0, "")
        assert "EMULATED HARDWARE" in err
        assert run.nothing_is_left()


def test_second_start_has_the_same_keys_and_issuer(state: Path) -> None:
    def keys_and_issuer() -> tuple[dict, str]:
        with running(serve(state)) as run:
            url = addresses(run)["http"]
            keys = get(f"{url}/jwks").json()
            run.process.send_signal(signal.SIGTERM)
            run.communicate()
            assert run.process.returncode == 0
            return keys, url

    first = keys_and_issuer()
    assert first[0]["keys"]
    assert keys_and_issuer() == first


def test_new_folder_gets_all_that_it_needs(tmp_path: Path) -> None:
    state = tmp_path / "new"
    with running(serve(state)) as run:
        said = addresses(run)
        assert get(f"{said['http']}/jwks").json()["keys"]
        made = {path.name for path in state.iterdir()}
    assert made >= {"keystead.toml", "appraisal.toml", "delegation.cedar", "operator.credential"}
    assert (state / "operator.credential").stat().st_mode & 0o077 == 0
    assert state.stat().st_mode & 0o077 == 0


def test_unknown_entry_is_named_with_status_2(state: Path) -> None:
    file = state / "keystead.toml"
    file.write_text(file.read_text().replace("[storage]", "[storage]\nfloder = 1"))
    with running(serve(state)) as run:
        out, _ = run.communicate()
        assert run.process.returncode == 2
        assert json.loads(out)["error"] == "configuration_invalid"
        assert "floder" in json.loads(out)["detail"]
        assert run.nothing_is_left()


def test_folder_that_others_may_enter_is_refused(state: Path) -> None:
    state.chmod(0o755)
    with running(serve(state)) as run:
        out, _ = run.communicate()
        assert run.process.returncode == 2
        assert json.loads(out)["error"] == "permissions_too_open"
