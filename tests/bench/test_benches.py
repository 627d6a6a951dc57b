"""What all benches owe, and the means that they share."""

import random
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from bench import token_stages, tokens
from bench.__main__ import BENCHES, main
from bench.interleaved import measured
from bench.peer import Environment, Peers, own
from bench.progress import each_round
from bench.token_stages import Part, Stopwatch
from tests.documents import DOCS, ROOT


@pytest.mark.parametrize("name", BENCHES)
def test_bench_asks_one_question_and_is_documented(name: str) -> None:
    module = import_module(f"bench.{name}")
    assert module.question.endswith("?")
    assert callable(module.run)
    stem = "appraise_*" if name.startswith("appraise_") else name
    assert f"`{stem}.py`" in (DOCS / "benchmarks.md").read_text()


def test_unknown_bench_is_named_in_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["verify_nothing"])
    assert caught.value.code == 2
    assert "no bench is called verify_nothing" in capsys.readouterr().err


def test_rounds_are_interleaved() -> None:
    order: list[str] = []

    def runner(name: str) -> float:
        order.append(name)
        return float(len(order))

    rates = measured({"a": lambda: runner("a"), "b": lambda: runner("b")}, rounds=2)
    assert order == ["a", "b", "a", "b"]
    assert rates == {"a": [1, 3], "b": [2, 4]}


def test_slow_rounds_say_how_far_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1_000, 20))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    assert list(each_round(3)) == [0, 1, 2]
    assert "round 2 of 3, about" in capsys.readouterr().err


def test_quick_rounds_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(each_round(3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


# --- tokens and who verifies them ----------------------------------------------------------------


def test_tokens_are_as_long_as_keysteads() -> None:
    issuer = tokens.Issuer.make("ES256", random.Random(1))
    made = issuer.tokens(["A" * 43] * 2, random.Random(1)).tokens
    assert made[0] != made[1]
    assert {len(token) for token in made} == {len(made[0])}
    assert 800 <= len(made[0]) <= 1_100


def test_bent_tokens_and_requests_are_refused() -> None:
    chance = random.Random(1)
    issuer = tokens.Issuer.make("ES256", chance)
    made = tokens.requests(issuer, tokens.agents(2, chance), chance)
    assert all(issuer.verifier().verify_request_batch(made.items, now=issuer.now).ok)
    bent = tokens.bent_requests(made)
    assert not any(issuer.verifier().verify_request_batch(bent, now=issuer.now).ok)
    wrong = [item["token"].decode() for item in issuer.bent(made.items[0].token, chance)]
    assert not any(issuer.verifier().verify_batch(wrong, now=issuer.now).ok)


def test_own_verifier_runs_in_another_process() -> None:
    chance = random.Random(1)
    issuer = tokens.Issuer.make("ES256", chance)
    made = issuer.tokens(["A" * 43] * 4, chance).tokens
    items, bent = [issuer.item(token) for token in made], issuer.bent(made[0], chance)
    with Peers(own("portable")) as peers:
        found = peers.runners("keystead_portable", verifier="", items=items, bent=bent)
        assert found["keystead_portable"]() > 0
        assert peers.runners("worse", verifier="", items=items, bent=items[:1]) == {}
    assert peers.missing == {"worse": "accepts bent tokens"}


def test_peer_that_cannot_be_installed_is_missing() -> None:
    nowhere = Environment(command=["false"], install=lambda: "not installed: no registry")
    with Peers(nowhere) as peers:
        assert peers.runners("a peer", verifier="", items=[], bent=[]) == {}
    assert peers.missing == {"a peer": "not installed: no registry"}


def test_peer_that_dies_is_missing() -> None:
    dead = Environment(command=[sys.executable, "-c", ""], install=lambda: "")
    with Peers(dead) as peers:
        assert peers.runners("a peer", verifier="", items=[], bent=[]) == {}
    assert peers.missing == {"a peer": "the process ended"}


# --- stages --------------------------------------------------------------------------------------


def test_inner_call_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 13.0, 20.0])
    monkeypatch.setattr(token_stages, "clock", lambda: next(clock))
    watch = Stopwatch()
    inner = watch._timed("inner", lambda: None)
    watch._timed("outer", inner)()
    assert watch.seconds == {"inner": 3.0, "outer": 17.0}


def test_part_that_is_not_there_is_not_measured() -> None:
    for where in ("keystead.nowhere:f", "keystead.relying.batch:f", "keystead.relying.batch:C.f"):
        with Stopwatch().on(Part(stage="?", where=where)):
            pass


def test_every_stage_is_of_the_product_as_it_is() -> None:
    issuer = tokens.Issuer.make("ES256", random.Random(1))
    made = issuer.tokens(["A" * 43] * 32, random.Random(1)).tokens
    found = token_stages.measure(issuer, made, rounds=1)
    stages = found["stages_us"]
    assert isinstance(stages, dict)
    assert {"find_key", "signature", "claims", "result", "the_rest"} <= set(stages)


# --- micro-benchmarks ----------------------------------------------------------------------------


def collected(*arguments: str, folder: Path) -> str:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_micro_benchmarks_are_collected_when_they_are_asked_for() -> None:
    assert "test_verify_request" in collected("bench/", folder=ROOT)


def test_micro_benchmarks_are_no_tests(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getini("testpaths") == ["tests"]
