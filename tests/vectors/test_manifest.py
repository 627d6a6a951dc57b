"""Every row of the published vectors' own table that has an expected result comes to it."""

from pathlib import Path

import pytest

from tests.manifest import Row, all_rows
from tests.manifest_demands import Demand, verdict_on
from tests.manifest_documents import DOCUMENTS
from tests.manifest_machines import MACHINES
from tests.manifest_tdx import TDX_ROWS
from tests.manifest_tpms import LOGS, QUOTES, WRAPPED

DEMANDS: dict[str, Demand] = DOCUMENTS | MACHINES | QUOTES | LOGS | WRAPPED | TDX_ROWS
EXPECTED = {row.file: row for row in all_rows() if row.expected}

NEIGHBOURS = [
    pytest.param(row, name, id=f"{row.file}: {name}")
    for row in EXPECTED.values()
    if row.file in DEMANDS
    for name in DEMANDS[row.file].neighbours
]


def demand_of(row: Row) -> Demand:
    assert row.file in DEMANDS, f"a new vector nobody looked at: {row.file}: {row.expected}"
    return DEMANDS[row.file]


@pytest.mark.parametrize("row", EXPECTED.values(), ids=EXPECTED)
def test_a_row_comes_to_what_the_table_expects(row: Row) -> None:
    demand = demand_of(row)
    for words in demand.says:
        assert words in row.expected
    result, verdict = verdict_on(demand.judge, row)
    assert verdict == demand.verdict
    demand.facts(row, result)


@pytest.mark.parametrize(("row", "name"), NEIGHBOURS)
def test_a_neighbour_with_one_thing_wrong_is_refused(row: Row, name: str) -> None:
    judge, verdict = demand_of(row).neighbours[name]
    assert verdict is not None
    assert verdict_on(judge, row)[1] == verdict


def test_a_row_that_nobody_looked_at_fails() -> None:
    new = Row(file="nitro/new.cbor", what="", time=None, expected="sig+chain OK")
    with pytest.raises(AssertionError, match="nobody looked at: nitro/new"):
        demand_of(new)


def test_nothing_is_demanded_of_rows_that_are_not_there(vectors: Path) -> None:
    assert set(DEMANDS) <= set(EXPECTED)
    assert all(demand.neighbours for demand in DEMANDS.values())


def test_every_listed_file_is_there_as_it_was(vectors: Path) -> None:
    for row in all_rows():
        assert row.is_unchanged(), row.file
