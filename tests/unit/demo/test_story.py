"""What is told about a step, and that a check that does not hold ends it."""

from io import StringIO

import pytest
from rich.console import Console

from keystead.demo.failure import StepFailed
from keystead.demo.story import Story


def told(story_and_out: tuple[Story, StringIO]) -> list[str]:
    return story_and_out[1].getvalue().splitlines()


@pytest.fixture
def both() -> tuple[Story, StringIO]:
    out = StringIO()
    return Story(Console(file=out, width=200)), out


def test_checks_stand_below_their_step_which_is_timed(both: tuple[Story, StringIO]) -> None:
    story = both[0]
    with story.step("first_step", "does something"):
        story.check(True, "it holds")
        story.note("[bold]as it is[/bold]")
    head, *below = told(both)
    assert head.startswith("✓ first step  does something")
    assert below == ["    ✓ it holds", "    [bold]as it is[/bold]"]
    assert list(story.timings_ms) == ["first_step"]


def test_check_that_does_not_hold_ends_the_step(both: tuple[Story, StringIO]) -> None:
    story = both[0]
    with pytest.raises(StepFailed, match="it holds"), story.step("one", "tries"):
        story.check(False, "it holds")
        story.passed("never reached")
    assert told(both)[0].startswith("✗ one  tries")
    assert told(both)[1:] == ["    ✗ it holds"]
    assert story.timings_ms == {}
    assert story.current == "one"
