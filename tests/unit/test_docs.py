"""What all documents owe: links that lead somewhere, files, threads and numbers that are there."""

import re

import pytest

from keystead.app.background import KEY_ROTATION_LOOK_S
from keystead.cli import COMMANDS
from keystead.delegation.grants import MAX_GRANT_TTL_S
from keystead.hardware.tpm2.connection import KEY_SLOTS
from keystead.issuance.signing_keys import RETIRED_PUBLISHED_S
from keystead.jose.dpop import DEFAULT_MAX_AGE_S
from keystead.model import (
    KeyPurpose,
)
from keystead.operations import (
    Operation,
)
from keystead.server.limits import ATTEST_IDLE_S, STREAM_SHARE, Limits
from keystead.service.attestation import MAX_APPRAISALS_AT_ONCE
from keystead.storage.sqlite.writer import MAX_BATCH_UNITS
from tests.architecture.test_layers import MAY_IMPORT
from tests.documents import DOCS, ROOT, codes, read, rows

SOURCE = ROOT / "src" / "keystead"
MINE = [
    "architecture.md",
    "audit-log.md",
    "configuration.md",
    "errors.md",
    "glossary.md",
    "threat-model.md",
]
_LINK = re.compile(r"\]\(([^)#\s]+)\)")
_FILE = re.compile(r"`?((?:[a-z0-9_]+/)+[a-z0-9_.]*\.(?:pyx|py|md|txt|proto))`?")
_COMMAND = re.compile(r"keystead ([a-z-]+)(?: ([a-z]+))?")


def joined(name: str) -> str:
    return " ".join(read(name).split())


@pytest.mark.parametrize("name", MINE)
def test_links_lead_somewhere(name: str) -> None:
    targets = [t for t in _LINK.findall(read(name)) if "://" not in t]
    assert targets
    assert [t for t in targets if not (DOCS / name).parent.joinpath(t).exists()] == []


@pytest.mark.parametrize("name", MINE)
def test_files_that_are_named_exist(name: str) -> None:
    places = (ROOT, SOURCE, DOCS)
    named = [n for n in _FILE.findall(read(name)) if not n.startswith(("etc/", "var/"))]
    assert [n for n in named if not any((place / n).exists() for place in places)] == []


@pytest.mark.parametrize("name", MINE)
def test_commands_that_are_named_exist(name: str) -> None:
    indented = "\n".join(
        [line for line in read(name).splitlines() if line.startswith("    keystead ")]
        + [piece for piece in codes(read(name).replace("```", "")) if piece.startswith("keystead ")]
    )
    named = {command for command, _ in _COMMAND.findall(indented)}
    assert named <= COMMANDS.keys() | {"audit"}


def test_every_folder_stands_in_one_layer() -> None:
    layered = [name for row in rows("architecture.md", "layer") for name in codes(row["folders"])]
    # Single files that are no folder of their own, and the public names.
    assert sorted(layered) == sorted(MAY_IMPORT.keys() - {"", "__main__"})


def test_every_operation_has_a_row() -> None:
    listed = [
        name for row in rows("architecture.md", "operation") for name in codes(row["operation"])
    ]
    assert sorted(listed) == sorted(kind.__name__ for kind in Operation.__args__)


def test_threads_are_called_what_the_table_says() -> None:
    sources = "".join(path.read_text() for path in SOURCE.rglob("*.py"))
    named = [name for row in rows("architecture.md", "thread") for name in codes(row["thread"])]
    assert named == ["keystead-tpm2", "keystead-store", "keystead-lists"]
    assert [name for name in named if f'"{name}"' not in sources] == []


def test_numbers_of_the_architecture_are_the_codes() -> None:
    text = joined("architecture.md")
    assert f"up to {MAX_BATCH_UNITS} units share one commit" in text
    assert f"key rotation every {KEY_ROTATION_LOOK_S} s" in text
    assert MAX_APPRAISALS_AT_ONCE == 4 and "appraisals, four at a time" in text
    assert KEY_SLOTS == 2 and "the SRK and two keys loaded" in text


def test_numbers_of_the_threat_model_are_the_codes() -> None:
    text = joined("threat-model.md")
    assert f"get {Limits().issuer_proofs_per_minute} proofs a minute" in text
    assert MAX_GRANT_TTL_S == 30 * 86_400 and "thirty days at most" in text
    assert STREAM_SHARE == 4 and "a quarter of the streams" in text
    assert f"for {ATTEST_IDLE_S:.0f} s a message" in text
    assert RETIRED_PUBLISHED_S[KeyPurpose.TOKEN] == 3_600 and "an hour after" in text
    assert DEFAULT_MAX_AGE_S == 60


def test_the_bus_is_spoken_to_as_the_threat_model_says() -> None:
    """Passwords and policies, no HMAC: the day that changes, the document has to."""
    frames = (SOURCE / "hardware" / "tpm2" / "frames.py").read_text()
    assert "RS_PASSWORD" in frames
    sessions = (SOURCE / "hardware" / "tpm2" / "pcr_commands.py").read_text()
    assert "unsalted, unbound" in sessions and "no HMAC sessions" in joined("threat-model.md")


def test_there_is_no_status_list_as_the_threat_model_says() -> None:
    claims = (SOURCE / "issuance" / "claims.py").read_text()
    assert '"status"' not in claims and "publishes no status list yet" in joined("threat-model.md")


def test_every_document_starts_with_something_to_look_at() -> None:
    for name in MINE:
        head = "\n".join(read(name).splitlines()[:14])
        assert "```" in head or "\n    " in head or "\n> " in head, name


def test_the_changelog_names_every_command() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert [name for name in COMMANDS if f"`{name}`" not in text] == []
