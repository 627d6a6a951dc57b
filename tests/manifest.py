"""The published vectors' own table: what each file is, when it verifies and what it must yield."""

import csv
import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT.parent / "shared" / "vectors"


@dataclass(frozen=True)
class Row:
    """One row; ``time`` is Unix seconds, None where the row names none."""

    file: str
    what: str
    time: int | None
    expected: str
    sha256: str = ""

    def read(self) -> bytes:
        """The file's bytes."""
        return (VECTORS / self.file).read_bytes()

    def is_unchanged(self) -> bool:
        """Whether the file is the one that was listed."""
        return hashlib.sha256(self.read()).hexdigest() == self.sha256


def manifest_rows(folder: str) -> list[Row]:
    """The rows of one folder, in order; none where the vectors are not here."""
    return [row for row in all_rows() if row.file.startswith(folder + "/")]


def all_rows() -> list[Row]:
    """Every row, in order; none where the vectors are not here."""
    table = VECTORS / "MANIFEST.tsv"
    if not table.is_file():
        return []
    with table.open(newline="") as stream:
        return [
            Row(
                file=row["file"],
                what=row["what"],
                time=_unix(row["verification_time"]),
                expected=row["expected"],
                sha256=row["sha256"],
            )
            for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


def _unix(text: str) -> int | None:
    return int(datetime.fromisoformat(text).timestamp()) if text else None
