"""The demo's first check: the issuer's TPM and the host's are two."""

from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from keystead.demo import enrolment
from keystead.demo.failure import StepFailed
from keystead.demo.kinds import KINDS
from keystead.demo.story import Story

ROW = {
    "kid": "k",
    "purpose": "token",
    "proved": True,
    "protection": "non-exportable",
    "hardware": False,
    "ek": "service",
}


class Scene(SimpleNamespace):
    """The parts that the step uses; ``answer`` is what `keystead verify-issuer` says."""

    def keystead(self, *arguments: str) -> dict:
        assert arguments == ("verify-issuer", "http://issuer", "--roots", "roots.pem")
        return self.answer


def scene(*rows: dict, host_ek: str = "host", proved: bool = True) -> Scene:
    return Scene(
        story=Story(Console(file=StringIO())),
        stage=SimpleNamespace(
            issuer="http://issuer",
            issuer_roots=Path("roots.pem"),
            host=SimpleNamespace(said={"ek": host_ek}),
        ),
        answer={"issuer": "http://issuer", "proved": proved, "keys": list(rows)},
    )


def test_answers_the_ek_that_was_proved() -> None:
    assert enrolment.prove_issuer(scene(ROW, ROW), KINDS["tpm2"]) == "service"


def test_without_a_tpm_at_the_host_there_is_nothing_to_compare() -> None:
    alone = scene(ROW, host_ek="service")
    assert enrolment.prove_issuer(alone, KINDS["oidc"]) == "service"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (scene(ROW, host_ek="service"), "another TPM"),
        (scene(ROW, {**ROW, "ek": "third"}), "service's EK"),
        (scene(ROW, {**ROW, "protection": "none"}), "certified each key"),
        (scene(ROW, {**ROW, "hardware": True}), "hardware: false"),
        (scene({**ROW, "proved": False}, proved=False), "all proved"),
    ],
)
def test_fails_unless_every_key_is_in_one_other_tpm(wrong: Scene, why: str) -> None:
    with pytest.raises(StepFailed, match=why):
        enrolment.prove_issuer(wrong, KINDS["tpm2"])
