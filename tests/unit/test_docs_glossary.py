"""docs/glossary.md: every value of the model, one word once."""

from collections import Counter
from enum import StrEnum

import pytest

from keystead import model
from keystead.evidence.kinds import KINDS
from keystead.model import AuditAction
from tests.documents import code, read, rows

DOCUMENT = "glossary.md"
# What the column "of" calls each vocabulary.
VOCABULARIES = {
    "evidence kind": model.EvidenceKind,
    "protection": model.Protection,
    "anchor class": model.AnchorClass,
    "freshness": model.Freshness,
    "token profile": model.OidcProfile,
    "key purpose": model.KeyPurpose,
    "key state": model.KeyState,
    "signer tier": model.SignerTier,
}


def test_every_vocabulary_of_the_model_is_here_or_in_the_trail() -> None:
    found = {
        kind
        for kind in vars(model).values()
        if isinstance(kind, type) and issubclass(kind, StrEnum) and kind is not StrEnum
    }
    assert found == {*VOCABULARIES.values(), AuditAction}


@pytest.mark.parametrize("name", VOCABULARIES)
def test_every_value_has_one_row_and_no_other_has(name: str) -> None:
    listed = [code(row["value"]) for row in rows(DOCUMENT, "value", "of") if row["of"] == name]
    assert sorted(listed) == sorted(VOCABULARIES[name])


def test_a_kind_that_nothing_reads_is_said_to_be_a_name_only() -> None:
    kinds = [row for row in rows(DOCUMENT, "value", "of") if row["of"] == "evidence kind"]
    names_only = {code(row["value"]) for row in kinds if "name only" in row["means"]}
    assert names_only == {*model.EvidenceKind} - KINDS.keys()


def test_no_row_is_of_another_vocabulary() -> None:
    assert {row["of"] for row in rows(DOCUMENT, "value", "of")} == VOCABULARIES.keys()


def test_hardware_is_said_of_the_classes_that_are() -> None:
    for row in rows(DOCUMENT, "value", "of"):
        if row["of"] == "anchor class":
            hardware = model.AnchorClass(code(row["value"])).hardware
            assert f"`hardware` is {str(hardware).lower()}" in row["means"]


def test_a_word_stands_once() -> None:
    words = Counter(row["word"] for row in rows(DOCUMENT, "word", "means"))
    assert [word for word, count in words.items() if count > 1] == []


def test_words_that_stand_for_another_are_nobodys_own() -> None:
    table = rows(DOCUMENT, "word", "means", "not")
    words = {row["word"] for row in table}
    assert [row["not"] for row in table if row["not"] in words] == []
    assert "AIK" in read(DOCUMENT)
