"""docs/audit-log.md against the actions, the fields, the checks and the bounds."""

import ast
from pathlib import Path

import pytest

from keystead.audit import HashChain, aggregate, checkpoints, events, log
from keystead.model import AuditAction, AuditEvent
from keystead.service.identity import Identities
from keystead.storage.sqlite.store import SqliteStore
from keystead.storage.sqlite.writer import PRUNE_MARGIN_S
from tests.documents import ROOT, blocks, code, codes, read, rows

DOCUMENT = "audit-log.md"
SOURCE = ROOT / "src" / "keystead"
WRITERS = sorted([*(SOURCE / "service").rglob("*.py"), *(SOURCE / "app").rglob("*.py")])
ROWS = {code(row["action"]): row for row in rows(DOCUMENT, "action", "when")}


def written() -> set[str]:
    """The actions that the service makes events of."""
    found = set()
    for path in WRITERS:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(value=ast.Name(id="AuditAction"), attr=name):
                    found.add(AuditAction[name].value)
    return found | {AuditAction.REFUSALS_AGGREGATED.value}  # audit/aggregate.py


def test_every_action_has_one_row_and_no_other_has() -> None:
    listed = [code(row["action"]) for row in rows(DOCUMENT, "action", "when")]
    assert sorted(listed) == sorted(AuditAction)


def test_an_action_that_nothing_writes_is_said_to_be_written_never() -> None:
    never = {action for action, row in ROWS.items() if row["when"].startswith("never")}
    assert never == set(AuditAction) - written()


def test_every_field_has_a_row() -> None:
    listed = [name for row in rows(DOCUMENT, "field") for name in codes(row["field"])]
    assert sorted(listed) == sorted(AuditEvent.__dataclass_fields__)


def test_rows_fill_fields_that_there_are() -> None:
    for row in ROWS.values():
        names = set(codes(row["filled, beside `at`"])) - set(AuditAction)
        assert names <= AuditEvent.__dataclass_fields__.keys(), row


def test_members_of_detail_stand_in_the_code_that_writes_them() -> None:
    sources = "".join(path.read_text() for path in WRITERS)
    for action, row in ROWS.items():
        for name in set(codes(row["`detail`"])) - set(AuditAction) - {"total"}:
            assert f'"{name}"' in sources, f"{action}: {name}"


def test_the_example_of_the_chain_holds() -> None:
    program, reading = blocks(DOCUMENT, "python")
    exec(compile(program, DOCUMENT, "exec"), {})
    exec(compile(reading, DOCUMENT, "exec"), {})


async def test_the_program_for_old_folders_reads_one(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    path = tmp_path / "state" / "keystead.sqlite3"
    store = SqliteStore.open(path, chain=HashChain())
    happened = AuditEvent(action=AuditAction.SERVICE_STARTED, at=1_800_000_000)
    await store.apply((), events=[happened, happened])
    await store.close()
    names: dict[str, object] = {}
    exec(compile(blocks(DOCUMENT, "python")[1], DOCUMENT, "exec"), names)
    events_of = names["events_of"]
    assert callable(events_of)
    assert events_of(path) == 2


def test_checkpoints_have_the_members_of_the_table() -> None:
    table = rows(DOCUMENT, "part", "member")
    claims = {code(row["member"]) for row in table if row["part"] == "claims"}
    assert claims == checkpoints._CLAIMS
    header = {name for row in table if row["part"] == "header" for name in codes(row["member"])}
    assert header == {"typ", "alg", "kid"}
    assert checkpoints.CHECKPOINT_TYPE in read(DOCUMENT)


@pytest.mark.parametrize(
    ("number", "function"),
    [
        (1, log.check_signatures),
        (2, log.check_order),
        (3, log.check_witness),
        (4, log.check_counter),
    ],
)
def test_the_checks_have_the_numbers_of_the_code(number: int, function: object) -> None:
    assert f"\n{number}. " in read(DOCUMENT).split("## What `verify` finds")[1]
    assert str(function.__doc__).startswith(f"Step {number}.")


def test_the_bounds_are_those_of_the_code() -> None:
    text = " ".join(read(DOCUMENT).split())
    assert f"fields at {events.MAX_FIELD_CHARS:,} characters" in text
    assert f"members of `detail` at {events.MAX_DETAIL_CHARS}" in text
    assert f"at most {aggregate.MAX_KINDS} kinds" in text
    assert PRUNE_MARGIN_S == 300 and "five minutes after their end" in text


def test_there_is_no_command_that_removes_events() -> None:
    for path in (SOURCE / "storage").rglob("*.py"):
        assert "DELETE FROM events" not in path.read_text()
    assert not any("event" in name for name in vars(Identities) if name.startswith("remove"))
