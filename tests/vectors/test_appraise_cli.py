"""Real evidence by hand: `keystead envelope` builds it, `keystead appraise` looks at it."""

import json
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keystead.cli import main
from keystead.cli.appraise import look as look_at
from keystead.model import EvidenceKind
from tests import published_app_attest as apple
from tests import published_azure as azure
from tests import published_maa as maa
from tests import published_nitro as nitro
from tests import published_snp as snp
from tests import published_tdx as tdx
from tests.manifest import ROOT, VECTORS, Row

NITRO_POLICY = 'id = "enclaves"\nversion = 1\n[aws-nitro.pcrs]\n0 = "any"\n'

Look = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="the published vectors are not here")


def rfc3339(seconds: int | None) -> str:
    assert seconds is not None
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.fixture
def look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Look:
    """Both commands, one after the other: (status, standard output, standard error)."""

    def command(build: list[str], policy: str, *arguments: str) -> tuple[int, str, str]:
        saved, rules = tmp_path / "saved.json", tmp_path / "policy.toml"
        rules.write_text(policy)
        assert main(["envelope", *build, "--out", str(saved)]) == 0
        status = main(["appraise", str(saved), "--policy", str(rules), *arguments])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return command


@pytest.fixture
def document(tmp_path: Path) -> Callable[[Row], list[str]]:
    """The arguments that build a Nitro envelope."""

    def command(row: Row) -> list[str]:
        path = tmp_path / "document.cbor"
        path.write_bytes(nitro.raw(row))
        return ["aws-nitro", "--document", str(path)]

    return command


@pytest.mark.parametrize("row", nitro.GOOD, ids=nitro.named)
def test_a_nitro_document_is_affirmed_at_its_time(
    row: Row, look: Look, document: Callable[[Row], list[str]]
) -> None:
    at = ("--at", rfc3339(row.time))
    status, out, err = look(document(row), NITRO_POLICY, *at)
    lines = out.partition("\n\n")[0].splitlines()
    # Nobody named a nonce to compare with, and the fifth step says so.
    assert [line[7:15].strip() for line in lines] == [
        *("passed",) * 4,
        *("no nonce", "passed", "passed"),
    ]
    assert (status, err) == (0, "") and nitro.field_of(row, "PCR0") in out
    status, out, _ = look(document(row), NITRO_POLICY, *at, "--json")
    told: Any = json.loads(out)
    assert (status, told["status"], told["step"], told["reason"]) == (0, "affirmed", None, None)
    assert (told["kind"], told["policy"], told["key"]) == ("aws-nitro", "enclaves@1", None)
    evidence = told["claims"]["keystead.evidence"]
    assert evidence["pcrs"]["sha384"]["0"] == nitro.field_of(row, "PCR0")
    assert (told["claims"]["freshness"], told["claims"]["hardware"]) == ("bearer", True)
    assert (told["verified_at"], told["claims"]["ear.status"]) == (row.time, "affirming")


@pytest.mark.parametrize("row", nitro.DOCUMENTS, ids=nitro.named)
def test_a_nitro_document_has_expired_since(
    row: Row, look: Look, document: Callable[[Row], list[str]]
) -> None:
    status, out, err = look(document(row), NITRO_POLICY)
    assert status == 1 and "    2  refused " in out and "chain_untrusted (step 2)" in err


@pytest.mark.parametrize("row", nitro.DEBUG, ids=nitro.named)
def test_an_enclave_in_debug_mode_is_refused(
    row: Row, look: Look, document: Callable[[Row], list[str]]
) -> None:
    status, out, _ = look(document(row), NITRO_POLICY, "--at", rfc3339(row.time), "--json")
    told = json.loads(out)
    assert (status, told["step"], told["reason"], told["claims"]) == (1, 6, "debug_mode", {})


@pytest.mark.parametrize("row", nitro.GOOD, ids=nitro.named)
def test_a_nitro_document_is_held_to_the_nonce_that_is_given(
    row: Row, look: Look, document: Callable[[Row], list[str]]
) -> None:
    at = ("--at", rfc3339(row.time))
    status, out, _ = look(document(row), NITRO_POLICY, *at, "--json", "--nonce", "00" * 32)
    told = json.loads(out)
    assert (status, told["step"], told["reason"]) == (1, 5, "nonce_mismatch")
    nonce = nitro.read(row).nonce
    if nonce:
        status, out, _ = look(document(row), NITRO_POLICY, *at, "--nonce", nonce.hex())
        assert status == 0 and "no nonce" not in out


@pytest.mark.parametrize("vector", snp.REPORTS, ids=lambda vector: vector.file)
def test_an_snp_report_is_affirmed_with_its_certificates(
    vector: snp.Vector, look: Look, tmp_path: Path
) -> None:
    report = tmp_path / "report.bin"
    report.write_bytes(vector.report)
    build = ["sev-snp", "--report", str(report)]
    for index, der in enumerate(vector.chain):
        (tmp_path / f"{index}.der").write_bytes(der)
        build += ["--certificate", str(tmp_path / f"{index}.der")]
    policy = f'id = "guests"\nversion = 1\n{vector.policy}'
    status, out, _ = look(build, policy, "--at", rfc3339(vector.row.time), "--json")
    told = json.loads(out)
    assert (status, told["status"], told["kind"]) == (0, "affirmed", "sev-snp")
    status, out, _ = look(build, policy, "--at", rfc3339(snp.LATER), "--json")
    assert (status, json.loads(out)["step"]) == (1, 2)


@pytest.mark.parametrize("row", [row for row in apple.ROWS if row.file.endswith(".json")])
def test_an_app_attestation_is_affirmed_by_the_id_that_apple_spells(
    row: Row, look: Look, tmp_path: Path
) -> None:
    members = json.loads(row.read())
    for name in ("attestation", "challenge"):
        (tmp_path / name).write_bytes(apple.plain(members[name]))
    build = ["app-attest", "--attestation-object", str(tmp_path / "attestation")]
    build += ["--client-data", str(tmp_path / "challenge"), "--key-id", members["keyId"]]
    policy = f'id = "a"\nversion = 1\n[app-attest]\napps = ["{apple.app_id(row)}"]\n'
    policy += 'environment = "development"\n'
    status, out, _ = look(build, policy, "--at", rfc3339(row.time), "--json")
    assert (status, json.loads(out)["status"]) == (0, "affirmed")


@pytest.mark.parametrize("row", maa.GOOD, ids=maa.named)
def test_a_token_of_azures_is_affirmed_by_the_policys_keys(
    row: Row, tmp_path: Path, vectors: Path
) -> None:
    token, saved = tmp_path / "token.jwt", tmp_path / "saved.json"
    token.write_text(maa.text(row) + "\n")
    assert main(["envelope", "maa", "--token", str(token), "--out", str(saved)]) == 0
    assert row.time is not None
    told = look_at(saved.read_bytes(), policy=maa.policy(vectors), nonce=None, now=row.time)
    assert (told.status, told.kind) == ("affirmed", EvidenceKind.MAA)


@pytest.mark.parametrize("name", azure.BUNDLES)
def test_an_azure_machine_is_affirmed_from_its_parts(name: str, tmp_path: Path) -> None:
    machine, saved = azure.machine(name), tmp_path / "saved.json"
    pcrs = {"sha256": {str(index): value.hex() for index, value in machine.pcrs.items()}}
    parts = {
        "--hcl-report": machine.hcl,
        "--quote-attest": machine.message,
        "--quote-signature": azure.rsassa(machine.signature),
        "--pcrs": json.dumps(pcrs).encode(),
    }
    certificates = [("--certificate", der) for der in machine.certificates]
    build = ["envelope", "azure-cvm", "--out", str(saved)]
    for index, (flag, data) in enumerate([*parts.items(), *certificates]):
        (tmp_path / str(index)).write_bytes(data)
        build += [flag, str(tmp_path / str(index))]
    assert main(build) == 0
    now = azure.ROWS[name].time
    assert now is not None
    told = look_at(saved.read_bytes(), policy=azure.policy(), nonce=None, now=now)
    assert (told.status, told.kind) == ("affirmed", EvidenceKind.AZURE_CVM)


@pytest.fixture
def td(tmp_path: Path) -> Callable[[str], list[str]]:
    """The arguments that build an envelope of a TD quote and its own collateral."""

    def command(name: str) -> list[str]:
        quote, collateral = tmp_path / "quote.bin", tmp_path / "collateral.json"
        quote.write_bytes(tdx.raw(name))
        collateral.write_text(json.dumps(tdx.own_collateral(name)))
        return ["tdx", "--quote", str(quote), "--collateral", str(collateral)]

    return command


def test_the_documents_example_affirms_a_td_quote(
    look: Look, td: Callable[[str], list[str]]
) -> None:
    text = (ROOT / "docs" / "evidence" / "tdx.md").read_text()
    policy = text.partition("with `tds.toml`:\n\n")[2].partition("\n\nKeystead")[0]
    assert "--at 2025-06-20T10:16:03Z" in text
    at = ("--at", rfc3339(tdx.time_of(tdx.PHALA)))
    status, out, err = look(td(tdx.PHALA), textwrap.dedent(policy), *at)
    lines = out.partition("\n\n")[0].splitlines()
    assert [line[7:15].strip() for line in lines] == ["passed"] * 12
    assert (status, err) == (0, "") and "91eb2b44d141d4ece09f0c75c2c53d24" in out
    status, out, err = look(td(tdx.PHALA), textwrap.dedent(policy))
    assert status == 1 and "collateral_expired (step 1)" in err


def test_a_td_quote_is_held_to_no_nonce_by_hand(look: Look, td: Callable[[str], list[str]]) -> None:
    at = ("--at", rfc3339(tdx.time_of(tdx.PHALA)), "--nonce", "00" * 32)
    status, _, err = look(td(tdx.PHALA), NITRO_POLICY, *at)
    assert status == 2 and "this tdx evidence shows no challenge" in err


def test_a_platform_below_every_level_is_refused(
    look: Look, td: Callable[[str], list[str]]
) -> None:
    text = (ROOT / "docs" / "evidence" / "tdx.md").read_text()
    policy = text.partition("with `tds.toml`:\n\n")[2].partition("\n\nKeystead")[0]
    at = ("--at", rfc3339(tdx.time_of(tdx.OUTDATED)), "--json")
    status, out, _ = look(td(tdx.OUTDATED), textwrap.dedent(policy), *at)
    told = json.loads(out)
    assert (status, told["step"], told["reason"], told["claims"]) == (1, 7, "tcb_refused", {})
