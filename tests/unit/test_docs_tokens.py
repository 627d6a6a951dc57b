"""docs/evidence/oidc.md and maa.md against the steps, the policy's entries, profiles, parsers."""

import ast
import re
from collections.abc import Iterator
from types import ModuleType

import pytest

from keystead.appraisal import maa, oidc
from keystead.appraisal.maa_policy import MaaInstanceTable, MaaTable
from keystead.appraisal.oidc_policy import OidcIssuerTable, OidcTable
from keystead.appraisal.oidc_profiles import PROFILES
from keystead.binding import maa as maa_binding
from keystead.binding import oidc as oidc_binding
from keystead.binding.binder import FIRST_STEP
from keystead.errors import Reason
from keystead.identity.claim_paths import PARSERS
from keystead.model import EvidenceKind, OidcProfile
from tests.documents import ROOT, codes, rows

KINDS = {
    "oidc": (oidc, oidc_binding, 11),
    "maa": (maa, maa_binding, 16),
}


def numbered(module: ModuleType) -> list[int]:
    return [int(each) for each in re.findall(r"^ ?(\d+)\. ", module.__doc__ or "", re.MULTILINE)]


def steps(kind: str) -> Iterator[tuple[int, set[str]]]:
    for row in rows(f"evidence/{kind}.md", "step"):
        yield int(row["step"]), set(codes(row["refused with"]))


@pytest.mark.parametrize("kind", KINDS)
def test_steps_have_the_numbers_of_the_code(kind: str) -> None:
    appraisal, binding, last = KINDS[kind]
    assert numbered(appraisal) + numbered(binding) == list(range(1, last + 1))
    assert FIRST_STEP[EvidenceKind(kind)] == last + 1
    assert [number for number, _ in steps(kind)] == list(range(1, last + 5))


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_refused_with_the_reasons_of_the_code(kind: str) -> None:
    appraisal, binding, _ = KINDS[kind]
    told = dict(steps(kind))
    assert set().union(*told.values()) <= set(Reason)
    for module in (appraisal, binding):
        for call in ast.walk(ast.parse((ROOT / (module.__file__ or "")).read_text())):
            match call:
                case ast.Call(
                    args=[ast.Attribute(value=ast.Name(id="Reason"), attr=name), *_],
                    keywords=[ast.keyword(arg="step", value=ast.Constant(value=int(step)))],
                ):
                    assert Reason[name] in told[step]


@pytest.mark.parametrize(
    ("kind", "tables"),
    [
        ("oidc", {"oidc.": OidcTable, "oidc.issuers[].": OidcIssuerTable}),
        ("maa", {"maa.": MaaTable, "maa.instances[].": MaaInstanceTable}),
    ],
)
def test_every_entry_of_the_policy_has_a_row(kind: str, tables: dict[str, type]) -> None:
    fields = {
        f"{path}{name}"
        for path, table in tables.items()
        for name in table.__struct_encode_fields__  # type: ignore[attr-defined]
    }
    expected = fields - {"oidc.issuers", "oidc.issuers[].rules", "maa.instances"}
    if kind == "oidc":
        expected.add("oidc.issuers[].rules[]")
    told = [codes(row["entry"])[0] for row in rows(f"evidence/{kind}.md", "entry")]
    assert sorted(told) == sorted(expected)


def test_profiles_are_those_of_the_code() -> None:
    told = {
        codes(row["profile"])[0]: row for row in rows("evidence/oidc.md", "profile", "written out")
    }
    assert told.keys() == set(OidcProfile)
    for profile, rules in PROFILES.items():
        row = told[profile]
        assert set(codes(row["written out"])) == rules.written
        named = set(codes(row["values for one of"]))
        assert named == (rules.identity or set())
        assert ("platform's" in row["audience"]) is not rules.caller_chooses_audience


def test_parts_are_those_of_the_code() -> None:
    told: dict[tuple[str, str], set[str]] = {}
    for row in rows("evidence/oidc.md", "profile", "claim"):
        parts = {each for each in codes(row["parts"]) if each not in ("heads", "tags")}
        for profile in codes(row["profile"]):
            for claim in codes(row["claim"]):
                told[profile, claim] = parts
    assert told == {
        (profile, claim): set(parser.parts)
        for profile, parsers in PARSERS.items()
        for claim, parser in parsers.items()
    }
