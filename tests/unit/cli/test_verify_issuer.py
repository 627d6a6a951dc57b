"""``keystead verify-issuer``: wrong use, and issuers that are not there. The proof itself is tested
where it is made (``tests/unit/service/test_issuer_proof.py``) and checked (``unit/binding``)."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from keystead.cli import main
from tests.evidence_builder import root


@pytest.fixture
def roots(tmp_path: Path) -> str:

    pem = load_der_x509_certificate(root()).public_bytes(Encoding.PEM)
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots" / "root.pem").write_bytes(pem)
    return str(tmp_path / "roots")


@pytest.mark.parametrize(
    "issuer",
    ["https://[::1", "http://issuer.example", "ftp://issuer.example", "https://i.example:99999"],
)
def test_an_issuer_that_is_no_https_url_is_wrong_use(
    issuer: str, roots: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify-issuer", issuer, "--roots", roots]) == 2
    assert "configuration_invalid" in capsys.readouterr().err


def test_an_issuer_that_is_away_is_not_proved(
    roots: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify-issuer", "http://127.0.0.1:1", "--roots", roots, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"] == "keys_unavailable"


def test_a_folder_without_a_root_is_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify-issuer", "https://i.example", "--roots", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
