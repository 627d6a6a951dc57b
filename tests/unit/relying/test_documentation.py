"""The guide for relying parties: its first example runs, its list is the verifier's."""

import re
from pathlib import Path

import pytest

import keystead
from keystead.relying.steps import Step
from keystead.relying.verifier import Verifier
from tests.relying_tokens import NOW, jwks, request

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "relying-party.md").read_text()


def numbered(text: str) -> list[str]:
    """The items of the numbered list in ``text``, each as one line without mark-up."""
    items = re.findall(r"^ *\d+\. (.*(?:\n {3,}(?! *\d+\.).+)*)", text, re.MULTILINE)
    return [re.sub(r"\s+", " ", item.replace("`", "")) for item in items]


def test_the_first_example_runs() -> None:
    example = GUIDE.split("```python\n", 1)[1].split("```", 1)[0]
    sent = request()
    names = {
        "issuer_jwks": jwks(),
        "access_token": sent.token,
        "dpop_header": sent.proof,
        "now": NOW,
    }
    exec(compile(example, "docs/relying-party.md", "exec"), names)
    agent = "spiffe://example.org/agent/mail"
    assert names["answer"] == f"user-7 lets {agent} do orders:read orders:list"


def test_the_guide_lists_the_checks_of_the_verifier() -> None:
    ours, theirs = numbered(Verifier.__doc__ or ""), numbered(GUIDE)
    assert len(ours) == len(Step) == 20
    assert ours == theirs


@pytest.mark.parametrize("name", keystead.__all__)
def test_what_is_listed_is_there(name: str) -> None:
    assert getattr(keystead, name).__doc__
