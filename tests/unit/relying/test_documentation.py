"""The guide for relying parties: its first example runs, its list is the verifier's."""

import argparse
import json
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

import keystead
from keystead.cli import main, verify
from keystead.cli.output import time_text
from keystead.errors import Reason
from keystead.jose import batch, jws
from keystead.relying import MAX_BATCH
from keystead.relying.steps import Step
from keystead.relying.verifier import Verifier
from tests.jose_keys import public_jwk
from tests.relying_tokens import (
    NOW,
    URL,
    jwks,
    proof,
    request,
    residency,
    spoilt,
    token,
    verifier,
)

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


def example(text: str, begins: str) -> str:
    """The Python block of ``text`` that has ``begins`` in its first lines."""
    blocks = [block.split("```", 1)[0] for block in text.split("```python\n")[1:]]
    (found,) = [block for block in blocks if begins in block[:80]]
    return found


def run(text: str, **names: object) -> dict[str, Any]:
    exec(compile(text, "documentation", "exec"), names)
    return names


def test_the_first_example_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    text = example((ROOT / "README.md").read_text(), "import time")
    text = text.replace('"https://issuer.example/jwks"', "issuer_jwks")
    monkeypatch.setattr(time, "time", lambda: NOW + 0.5)
    key = {"jkt": public_jwk(name="holder").thumbprint}
    access_token = token(cnf={**key, "residency": residency(hardware=True)})
    names = {"issuer_jwks": jwks(), "access_token": access_token, "url": URL}
    found = run(text, dpop_proof=proof(access_token), **names)["token"]
    assert found.residency.protection == "non-exportable"


def test_the_example_of_many_requests_runs() -> None:
    late = token(iat=NOW - 300, exp=NOW - 100)
    received = [(sent, proof(sent), URL) for sent in (token(), late)]
    found = run(
        example(GUIDE, "from keystead import RequestToVerify"),
        received=received,
        verifier=verifier(),
        now=NOW,
    )
    assert found["answers"] == ["user-7", Reason.EXPIRED]


def test_the_example_of_signatures_alone_runs() -> None:
    tokens = [token(), spoilt(token()), token()]
    parsed = [jws.parse_compact(sent) for sent in tokens]
    found = run(
        example(GUIDE, "from keystead.jose.batch import"),
        issuer_key=public_jwk(name="issuer").to_dict(),
        signing_inputs=[each.signing_input for each in parsed],
        signatures=[each.signature for each in parsed],
    )
    assert (found["verdicts"], found["bad"]) == (b"\1\0\1", [1])
    assert f"{batch.MAX_BATCH:,} items a call" in GUIDE.replace("\n", " ")
    assert f"at most {MAX_BATCH:,} items" in GUIDE.replace("\n", " ")


def test_the_guide_lists_the_checks_of_the_verifier() -> None:
    ours, theirs = numbered(Verifier.__doc__ or ""), numbered(GUIDE)
    assert len(ours) == len(Step) == 21
    assert ours == theirs


@pytest.mark.parametrize("name", keystead.__all__)
def test_what_is_listed_is_there(name: str) -> None:
    assert getattr(keystead, name).__doc__


SHELL = GUIDE.split("## Many at once, from the shell\n", 1)[1].split("\n## ", 1)[0]


def shown(number: int) -> tuple[list[str], list[str]]:
    """The arguments of an example of the shell, and the lines that it answers."""
    block = SHELL.split("    $ keystead ", 2)[number].split("\n\n", 1)[0]
    command, answer = re.split(r"(?<!\\)\n", block, maxsplit=1)
    return shlex.split(command.replace("\\\n", " ")), [x.strip() for x in answer.splitlines()]


def test_the_examples_of_the_shell_answer_what_the_guide_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("issuer.jwks.json").write_text(json.dumps(jwks()))
    late = token(iat=NOW - 300, exp=NOW - 100)
    Path("tokens.txt").write_text("\n".join([token(), token(), late, spoilt(token())]))
    arguments, answer = shown(1)
    assert main([*arguments, "--at", time_text(NOW)]) == 1
    said = capsys.readouterr()
    verdicts = [*said.out.splitlines(), *said.err.splitlines()]
    assert without_times(verdicts) == without_times(answer)

    members = [*(proof_of(token(jti="token-4"), htu) for htu in (URL, URL + "/8"))]
    Path("requests.jsonl").write_text("\n".join([*members, members[0]]))
    arguments, answer = shown(2)
    assert main([*arguments, "--at", time_text(NOW)]) == 1
    assert without_times(capsys.readouterr().out.splitlines()) == without_times(answer)


def proof_of(access_token: str, htu: str) -> str:
    made = proof(access_token, htu=htu)
    return json.dumps({"token": access_token, "proof": made, "method": "GET", "url": URL})


def without_times(lines: list[str]) -> list[str]:
    """The same with all that a run's speed decides left out."""
    rate = re.compile(r'in [\d.]+ s, [\d,]+ a second|"seconds": [\d.]+, "per_second": \d+')
    return [rate.sub("…", line) for line in lines]


def test_the_guide_names_every_option_of_the_command() -> None:
    parser = argparse.ArgumentParser()
    verify.add_arguments(parser)
    options = {name for action in parser._actions for name in action.option_strings}
    table = SHELL.split("| option | what |", 1)[1]
    assert set(re.findall(r"--[a-z][a-z-]+", table)) == options - {"-h", "--help"}
