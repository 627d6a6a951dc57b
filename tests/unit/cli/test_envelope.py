"""``keystead envelope``: raw files in, an envelope out, and nothing that no parser would take."""

import base64
import importlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keystead.cli import main
from keystead.cli.envelope import MEMBERS
from keystead.codec import base64url
from keystead.evidence import kinds
from keystead.evidence.envelope import parse_envelope
from keystead.model import EvidenceKind
from tests.evidence_builder import NONCE, Host
from tests.nitro_builder import Enclave

Run = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def build(capsys: pytest.CaptureFixture[str]) -> Run:
    """``keystead envelope …``: (status, standard output, standard error)."""

    def command(*arguments: str) -> tuple[int, bytes, str]:
        status = main(["envelope", *arguments])
        shown = capsys.readouterr()
        return status, shown.out.encode(), shown.err

    return command


def files(folder: Path, members: dict[str, Any], prefix: str = "") -> Sequence[str]:
    """Each member of evidence in a file of its own, as options."""
    options: list[str] = []
    for name, value in members.items():
        flag = f"--{prefix}{name.replace('_', '-')}"
        if isinstance(value, dict) and name != "pcrs":
            options += files(folder, value, f"{name}-")
            continue
        values = value if isinstance(value, list) else [value]
        for index, each in enumerate(values):
            path = folder / f"{prefix}{name}.{index}"
            path.write_bytes(
                json.dumps(each).encode() if name == "pcrs" else base64url.decode(each)
            )
            options += [flag, str(path)]
    return options


def test_builds_tpm_evidence_from_its_structures(build: Run, tmp_path: Path) -> None:
    members = Host.make().members()
    status, out, _ = build("tpm2", *files(tmp_path, dict(members)), "--nonce", NONCE.hex())
    assert status == 0
    submission = parse_envelope(out)
    assert submission.kind is EvidenceKind.TPM2 and submission.nonce == NONCE
    assert submission.evidence == members


def test_reads_standard_input_and_writes_a_file(
    build: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = Enclave().document()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(document)))
    out = tmp_path / "envelope.json"
    assert build("aws-nitro", "--document", "-", "--out", str(out)) == (0, b"", "")
    submission = parse_envelope(out.read_bytes())
    assert submission.evidence == {"document": base64url.encode(document)}


def test_carries_the_key_to_bind(build: Run, tmp_path: Path) -> None:
    raw, jwk = tmp_path / "document", tmp_path / "key.json"
    raw.write_bytes(Enclave().document())
    host = Host.make()
    jwk.write_text(json.dumps(dict(host.jwk.members)))
    status, out, _ = build("aws-nitro", "--document", str(raw), "--key", str(jwk))
    assert status == 0 and parse_envelope(out).key == host.jwk


def test_a_file_that_its_parser_refuses_makes_no_envelope(build: Run, tmp_path: Path) -> None:
    raw = tmp_path / "document"
    raw.write_bytes(Enclave().document()[:-1])
    status, out, err = build("aws-nitro", "--document", str(raw))
    assert (status, out) == (2, b"") and "malformed" in err
    status, out, _ = build("tpm2", "--quote-attest", str(raw))  # a signature is missing
    assert (status, out) == (2, b"")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--document", "{raw}", "--document", "{raw}"), "parameter_repeated: --document"),
        (("--document", "{raw}", "--nonce", "00"), "--nonce: not 32 bytes"),
        (("--document", "{raw}", "--nonce", "zz"), "--nonce: not 32 bytes"),
        (("--document", "{raw}.absent"), "absent: No such file"),
        (("--document", "{raw}", "--out", "{raw}/below"), "below: Not a directory"),
    ],
)
def test_wrong_use_is_said(
    arguments: tuple[str, ...], said: str, build: Run, tmp_path: Path
) -> None:
    raw = tmp_path / "document"
    raw.write_bytes(Enclave().document())
    status, out, err = build("aws-nitro", *(each.format(raw=raw) for each in arguments))
    assert (status, out) == (2, b"") and said in err


@pytest.mark.parametrize("text", ["zz", "s/13*", "é"])
def test_a_key_id_is_hex_or_base64(text: str, build: Run, tmp_path: Path) -> None:
    raw = tmp_path / "object"
    raw.write_bytes(b"\x00")
    arguments = ("--attestation-object", str(raw), "--key-id", text, "--client-data", str(raw))
    status, _, err = build("app-attest", *arguments)
    assert status == 2 and ("--key-id" in err or "key_id" in err)


def test_both_spellings_of_a_key_id_are_one() -> None:
    member = next(each for each in MEMBERS[EvidenceKind.APP_ATTEST] if each.place == "key_id")
    raw = bytes(range(32))
    assert member.read([raw.hex().encode()]) == member.read([base64.b64encode(raw)])
    assert member.read([raw.hex().encode()]) == base64url.encode(raw)


@pytest.mark.parametrize("kind", list(EvidenceKind))
def test_has_an_option_for_every_member_that_a_parser_takes(kind: EvidenceKind) -> None:
    places = {member.place.partition(".")[0] for member in MEMBERS[kind]}
    flags = [member.flag for member in MEMBERS[kind]]
    assert places and len(flags) == len(set(flags))
    if kind not in kinds.KINDS:
        return
    module = importlib.import_module(f"keystead.evidence.{kind.value.replace('-', '_')}")
    known = module._MEMBERS
    assert places == (set().union(*known.values()) if isinstance(known, dict) else known)
