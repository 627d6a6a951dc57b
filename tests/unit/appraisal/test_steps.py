"""The lists of steps in the code and in the documentation are one list."""

import re
from pathlib import Path

import pytest
from msgspec import Struct

from keystead.appraisal import (
    app_attest,
    app_attest_assertion,
    aws_nitro,
    azure_cvm,
    policy,
    sev_snp,
    tdx,
    tpm2,
)
from keystead.appraisal.app_attest_policy import AppAttestTable
from keystead.appraisal.aws_nitro_policy import NitroTable
from keystead.appraisal.azure_cvm_policy import AzureCvmTable
from keystead.appraisal.sev_snp_policy import SnpTable
from keystead.appraisal.tdx_policy import TdxTable
from keystead.binding import app_attest as key_of_app_attest
from keystead.binding import aws_nitro as key_of_nitro
from keystead.binding import azure_cvm as key_of_azure
from keystead.binding import binder, issuer_proof
from keystead.binding import sev_snp as key_of_snp
from keystead.binding import tdx as key_of_td
from keystead.binding import tpm2 as certification
from keystead.errors import Reason
from keystead.identity.entries import IDENTIFYING
from keystead.model import EvidenceKind

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "docs" / "evidence" / "tpm2.md").read_text()
ROW = re.compile(r"^\| (\d+) \| .* \| ((?:`\w+`(?:, )?)+) \|$", re.MULTILINE)
STEP = re.compile(r"^ ?(\d+)\. ", re.MULTILINE)


def section(title: str) -> str:
    return DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def documented(title: str) -> list[int]:
    return [int(number) for number, _ in ROW.findall(section(title))]


def listed(*modules: object) -> list[int]:
    return [int(number) for module in modules for number in STEP.findall(module.__doc__ or "")]


@pytest.mark.parametrize(
    ("title", "modules", "last"),
    [
        ("The appraisal", (tpm2,), 15),
        ("The key", (certification,), 23),
        ("An issuer's own keys", (issuer_proof,), 12),
    ],
)
def test_code_and_documentation_number_the_same_steps(
    title: str, modules: tuple[object, ...], last: int
) -> None:
    steps = documented(title)
    assert steps == listed(*modules)
    assert steps == list(range(steps[0], last + 1))


def test_the_documentation_names_reasons_that_exist() -> None:
    reasons = {reason.value for reason in Reason}
    named = {each for _, cell in ROW.findall(DOCUMENT) for each in re.findall(r"`(\w+)`", cell)}
    assert named <= reasons and len(named) > 25


def test_the_documentation_has_a_row_for_every_policy_entry() -> None:
    table = section("The policy")
    for struct, prefix in (
        (policy._Tpm2Table, "tpm2."),
        (policy._EventLogTable, "tpm2.event_log."),
    ):
        for name in struct.__struct_fields__:
            assert f"`{prefix}{name}" in table, name


# --- one document after the other, kind by kind --------------------------------------------------


@pytest.mark.parametrize(
    ("document", "title", "module", "first", "last"),
    [
        ("aws-nitro", "The appraisal", aws_nitro, 1, 7),
        ("aws-nitro", "The key", key_of_nitro, 8, 9),
        ("app-attest", "The appraisal", app_attest, 1, 8),
        ("app-attest", "The key", key_of_app_attest, 9, 10),
        ("app-attest", "Assertions", app_attest_assertion, 15, 17),
        ("sev-snp", "The appraisal", sev_snp, 1, 11),
        ("sev-snp", "The key", key_of_snp, 12, 13),
        ("tdx", "The appraisal", tdx, 1, 12),
        ("tdx", "The key", key_of_td, 13, 14),
        ("azure-cvm", "The appraisal", azure_cvm, 1, 20),
        ("azure-cvm", "The key", key_of_azure, 21, 29),
    ],
)
def test_every_kind_numbers_its_steps_as_its_document_does(
    document: str, title: str, module: object, first: int, last: int
) -> None:
    text = (ROOT / "docs" / "evidence" / f"{document}.md").read_text()
    part = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    steps = [int(number) for number, _ in ROW.findall(part)]
    assert steps == listed(module) == list(range(first, last + 1))
    named = {each for _, cell in ROW.findall(part) for each in re.findall(r"`(\w+)`", cell)}
    assert named <= {reason.value for reason in Reason}


@pytest.mark.parametrize("kind", binder.FIRST_STEP)
def test_every_kind_ends_with_the_steps_of_its_entry(kind: EvidenceKind) -> None:
    text = (ROOT / "docs" / "evidence" / f"{kind.value}.md").read_text()
    part = text.partition("\n## The entry\n")[2].partition("\n## ")[0]
    first = binder.FIRST_STEP[kind]
    numbers = [int(number) for number, _ in ROW.findall(part)]
    assert numbers == list(range(first, first + 4))
    before = text.partition("\n## The entry\n")[0]
    assert max(int(number) for number, _ in ROW.findall(before)) == first - 1
    for name in IDENTIFYING.get(kind, ()):
        assert f"`{name}`" in part


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("aws-nitro", NitroTable),
        ("app-attest", AppAttestTable),
        ("sev-snp", SnpTable),
        ("tdx", TdxTable),
        ("azure-cvm", AzureCvmTable),
    ],
)
def test_every_policy_entry_of_a_kind_has_a_row(kind: str, table: type[Struct]) -> None:
    text = (ROOT / "docs" / "evidence" / f"{kind}.md").read_text()
    for name in table.__struct_fields__:
        assert f"| `{kind}.{name}" in text, name
