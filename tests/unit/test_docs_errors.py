"""docs/errors.md against the reasons, the classes that carry them, and the table of codes."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from keystead import errors
from keystead.errors import KeysteadError, Reason
from keystead.evidence.key_proof import KeyProofRejected
from keystead.server.status import BY_REASON
from tests.documents import ROOT, Row, blocks, code, codes, rows

DOCUMENT = "errors.md"
SOURCE = ROOT / "src" / "keystead"
CLASSES = {
    name: found
    for name, found in {**vars(errors), "KeyProofRejected": KeyProofRejected}.items()
    if isinstance(found, type) and issubclass(found, KeysteadError)
}
NOBODY = "nobody"
# The two that define every reason and its codes.
ELSEWHERE = {SOURCE / "errors.py", SOURCE / "server" / "status.py"}


def reasons() -> dict[Reason, Row]:
    return {Reason(code(row["reason"])): row for row in rows(DOCUMENT, "reason", "raised as")}


ROWS = reasons()


def trees() -> list[ast.Module]:
    paths = [path for path in SOURCE.rglob("*.py") if "_pb2" not in path.name]
    return [ast.parse(path.read_text()) for path in paths if path not in ELSEWHERE]


TREES = trees()


def reason_named(node: ast.expr) -> Reason | None:
    match node:
        case ast.Attribute(value=ast.Name(id="Reason"), attr=name) if name in Reason.__members__:
            return Reason[name]
    return None


def raised() -> dict[Reason, set[str]]:
    """Which classes the sources make with which reason, where both stand in one call."""
    found: dict[Reason, set[str]] = defaultdict(set)
    for tree in TREES:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                reason = reason_named(node.args[0])
                if reason is not None and node.func.id in CLASSES:
                    found[reason].add(node.func.id)
    return found


RAISED = raised()


def used() -> set[Reason]:
    named = {
        reason_named(node)
        for tree in TREES
        for node in ast.walk(tree)
        if isinstance(node, ast.expr)
    }
    return {reason for reason in named if reason is not None}


def test_every_reason_has_one_row_and_no_other_has() -> None:
    listed = [code(row["reason"]) for row in rows(DOCUMENT, "reason", "raised as")]
    assert sorted(listed) == sorted(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_row_names_the_classes_that_carry_its_reason(reason: Reason) -> None:
    told = set(codes(ROWS[reason]["raised as"]))
    assert told <= CLASSES.keys()
    assert RAISED[reason] <= told


def test_a_reason_is_nobodys_exactly_if_no_source_names_it() -> None:
    told = {reason for reason, row in ROWS.items() if row["raised as"] == NOBODY}
    assert told == set(Reason) - used()


def test_a_row_says_what_it_means_and_what_to_do() -> None:
    for row in ROWS.values():
        assert len(row["what it means"]) > 10 and len(row["who acts, and how"]) > 3, row


def test_a_row_has_the_codes_of_the_table() -> None:
    told = {
        reason: (code(row["gRPC"]), int(row["HTTP"]), code(row["OAuth"]))
        for reason, row in ROWS.items()
    }
    assert told == {
        reason: (status.grpc, status.http, status.oauth) for reason, status in BY_REASON.items()
    }


def test_every_class_has_a_row() -> None:
    listed = {code(row["class"]) for row in rows(DOCUMENT, "class")}
    assert listed == CLASSES.keys() - {"KeyProofRejected"}


def test_the_example_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    program, printed = blocks(DOCUMENT, "python")[0], blocks(DOCUMENT, "text")[0]
    exec(compile(program, str(Path(DOCUMENT)), "exec"), {})
    assert capsys.readouterr().out == printed
