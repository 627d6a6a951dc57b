"""Refusals are read from the real answer, and compared with what is expected."""

from io import StringIO

import pytest
from rich.console import Console

from keystead.demo.failure import StepFailed
from keystead.demo.story import Story
from keystead.demo.web import Answer, Refusal, refused, told
from keystead.errors import Malformed

EXPECTED = {"status": 401, "error": "invalid_token", "reason": "key_binding_mismatch"}


def story() -> Story:
    return Story(Console(file=StringIO()))


@pytest.mark.parametrize("name", ["reason", "error_description"])
def test_refusal_is_what_was_answered(name: str) -> None:
    body = {"error": "invalid_token", name: "key_binding_mismatch"}
    found = refused(story(), "theft", Answer(status=401, body=body), **EXPECTED)
    assert found == Refusal(attempt="theft", **EXPECTED)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=200, body={}),
        Answer(status=400, body={"error": "invalid_token", "reason": "key_binding_mismatch"}),
        Answer(status=401, body={"error": "invalid_request", "reason": "key_binding_mismatch"}),
        Answer(status=401, body={"error": "invalid_token", "reason": "expired"}),
    ],
)
def test_any_other_answer_fails_the_step(answer: Answer) -> None:
    with pytest.raises(StepFailed):
        refused(story(), "theft", answer, **EXPECTED)


def test_answer_that_the_host_passes_on_has_status_and_body() -> None:
    assert told({"status": 200, "body": {"a": 1}}) == Answer(status=200, body={"a": 1})
    with pytest.raises(Malformed):
        told({"status": 200})
