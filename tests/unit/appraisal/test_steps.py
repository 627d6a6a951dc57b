"""The lists of steps in the code and in the documentation are one list."""

import re
from pathlib import Path

import pytest

from keystead.appraisal import policy, tpm2
from keystead.binding import binder, issuer_proof
from keystead.binding import tpm2 as certification
from keystead.errors import Reason

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
        ("The key", (certification, binder), 27),
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
