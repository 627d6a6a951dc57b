"""``keystead appraise``: what it says of saved evidence, and with which status."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keystead.appraisal.verifier import SAVED, SAVED_TOKENS
from keystead.cli import main
from keystead.cli.appraise import (
    MAX_NONCE_BYTES,
    Verdict,
    look,
    parse_nonce,
    steps_of,
)
from keystead.errors import EvidenceRejected, KeysteadError, Malformed, Reason
from keystead.evidence.aws_nitro import encode
from keystead.evidence.envelope import encode_envelope
from keystead.evidence.kinds import KINDS
from keystead.model import EvidenceKind, Freshness
from tests.device_chains import NOW as NITRO_NOW
from tests.evidence_builder import NONCE, NOW, Host, appraisal_policy, document
from tests.nitro_builder import NONCE as NITRO_NONCE
from tests.nitro_builder import Enclave

POLICY = 'id = "test"\nversion = 3\n[aws-nitro.pcrs]\n0 = "any"\n'
MEMBERS = {"kind", "status", "step", "reason", "claims", "key", "policy", "verified_at"}


def envelope(kind: EvidenceKind, **evidence: Any) -> bytes:
    return encode_envelope(kind=kind, evidence=evidence)


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return str(path)


@pytest.fixture
def appraise(
    policy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """``keystead appraise -`` of the given bytes: (status, standard output, standard error)."""

    def command(data: bytes, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        status = main(["appraise", "-", "--policy", policy, *arguments])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return command


def test_saved_tpm_evidence_passes_all_but_the_link_to_its_ek() -> None:
    told = look(document(Host.make()), policy=appraisal_policy(), nonce=NONCE, now=NOW)
    assert (told.status, told.exit_status, told.challenged) == ("refused", 1, True)
    assert told.error is not None
    assert (told.error.reason, told.error.step) == (Reason.AK_NOT_BOUND_TO_EK, 15)


def test_evidence_for_another_nonce_is_refused() -> None:
    data = document(Host.make())
    told = look(data, policy=appraisal_policy(), nonce=bytes(32), now=NOW)
    assert told.error is not None and told.error.reason is Reason.NONCE_MISMATCH
    outer = json.loads(data)
    outer.pop("nonce", None)
    told = look(json.dumps(outer).encode(), policy=appraisal_policy(), nonce=bytes(32), now=NOW)
    assert told.error is not None
    assert (told.error.reason, told.error.step) == (Reason.NONCE_MISMATCH, 8)


def test_what_passes_every_step_is_affirmed_and_called_a_bearers() -> None:
    enclave = Enclave()
    data = envelope(EvidenceKind.AWS_NITRO, **encode(document=enclave.document()))
    for nonce, challenged in ((None, False), (NITRO_NONCE, True)):
        told = look(data, policy=enclave.policy(), nonce=nonce, now=NITRO_NOW)
        assert (told.status, told.exit_status, told.challenged) == ("affirmed", 0, challenged)
        assert told.result is not None and told.result.freshness is Freshness.BEARER
    told = look(data, policy=enclave.policy(), nonce=bytes(32), now=NITRO_NOW)
    assert told.error is not None
    assert (told.error.reason, told.error.step) == (Reason.NONCE_MISMATCH, 5)


@pytest.mark.parametrize("kind", [EvidenceKind.SEV_SNP, EvidenceKind.AZURE_CVM])
def test_a_nonce_that_no_step_would_compare_is_wrong_use(
    kind: EvidenceKind, appraise: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, err = appraise(envelope(kind), "--nonce", "00" * 32)
    assert (status, out) == (2, "") and "shows no challenge" in err


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", envelope(EvidenceKind.AWS_NITRO)])
def test_what_does_not_parse_is_malformed(
    data: bytes, appraise: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, _ = appraise(data, "--json")
    told = json.loads(out)
    assert status == 2 and told.keys() == MEMBERS
    assert (told["status"], told["reason"], told["claims"]) == ("malformed", "malformed", {})


def test_a_document_of_another_root_is_refused_by_the_step_that_says_so(
    appraise: Callable[..., tuple[int, str, str]],
) -> None:
    data = envelope(EvidenceKind.AWS_NITRO, **encode(document=Enclave().document()))
    status, out, _ = appraise(data, "--json", "--at", "2026-07-01T00:00:00Z")
    told = json.loads(out)
    assert status == 1 and told.keys() == MEMBERS
    assert (told["kind"], told["status"]) == ("aws-nitro", "refused")
    assert (told["step"], told["reason"]) == (2, "chain_untrusted")
    assert (told["policy"], told["key"], told["verified_at"]) == ("test@3", None, 1_782_864_000)
    status, out, err = appraise(data, "--at", "2026-07-01T00:00:00Z")
    marks = [line.split()[:2] for line in out.partition("\n\n")[0].splitlines()]
    assert marks == [["1", "passed"], ["2", "refused"], *([str(n), "-"] for n in range(3, 8))]
    assert status == 1 and "chain_untrusted (step 2)" in err


def test_a_kind_that_nothing_appraises_is_refused(
    appraise: Callable[..., tuple[int, str, str]],
) -> None:
    unknown = b'{"keystead_evidence": 1, "kind": "seal", "evidence": {}}'
    others = [envelope(each) for each in set(EvidenceKind) - set(SAVED) - set(SAVED_TOKENS)]
    for data in (unknown, document(Host.make()), *others):
        status, out, _ = appraise(data, "--json")
        told = json.loads(out)
        assert (status, told["status"]) == (1, "refused")
        assert (told["reason"], told["step"]) == ("kind_unsupported", None)


def test_says_how_tpm_evidence_could_be_affirmed(
    appraise: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = EvidenceRejected(Reason.AK_NOT_BOUND_TO_EK, step=15)

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("keystead.cli.appraise.appraise_saved", refuse)
    status, out, err = appraise(document(Host.make()))
    assert status == 1 and "   15  refused " in out and "an AK certificate" in err


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_with_a_parser_lists_its_steps_without_a_gap(kind: EvidenceKind) -> None:
    steps = steps_of(kind)
    assert steps[0].first == 1 and len(steps) > 5
    assert [step.first for step in steps[1:]] == [step.last + 1 for step in steps[:-1]]
    assert all(step.title and "\n" not in step.title for step in steps)


@pytest.mark.parametrize("text", ["", "0", "zz", "00" * (MAX_NONCE_BYTES + 1)])
def test_refuses_what_is_no_nonce(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_nonce(text)
    assert refused.value.reason is Reason.PARAMETER_INVALID
    assert parse_nonce("00ff") == b"\x00\xff"


def test_a_missing_file_or_policy_is_wrong_use(
    tmp_path: Path, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = str(tmp_path / "absent")
    assert main(["appraise", absent, "--policy", policy]) == 2
    assert main(["appraise", "-", "--policy", absent]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EvidenceRejected(Reason.QUOTE_TYPE, step=7), "refused"),
        (Malformed(Reason.KIND_UNSUPPORTED), "refused"),
        (Malformed(Reason.TOO_LARGE), "malformed"),
    ],
)
def test_tells_a_refusal_from_what_cannot_be_read(error: KeysteadError, status: str) -> None:
    assert Verdict(kind=None, challenged=False, result=None, error=error).status == status
