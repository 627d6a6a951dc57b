"""Targets: met or missed by the data, with the reason that they give."""

from collections import Counter
from itertools import groupby

import pytest

from bench.__main__ import BENCHES
from bench.figures import figure
from bench.results import Document
from bench.targets import TARGETS, Judged, Outcome, judge
from tests.bench_results import document, memory, run, tokens
from tests.documents import ROOT


def judged(made: Document, what: str) -> Judged:
    return next(each for each in judge(made) if each.target.what == what)


def test_every_target_is_of_a_bench_and_of_one_figure() -> None:
    assert {target.bench for target in TARGETS} <= set(BENCHES)
    assert max(Counter((target.bench, target.path) for target in TARGETS).values()) == 1


def test_targets_are_in_the_unit_of_their_figure() -> None:
    made = document({"verify_tokens": tokens(), "idle_memory": memory(90)})
    measured = [each for each in judge(made) if each.figure is not None]
    assert len(measured) == 2
    assert all(each.figure and each.figure.unit == each.target.unit for each in measured)


def test_targets_of_a_group_stand_together() -> None:
    groups = [group for group, _ in groupby(TARGETS, key=lambda target: target.group)]
    assert len(groups) == len(set(groups))


def test_rate_below_its_demand_is_missed_and_the_path_says_why() -> None:
    found = judged(document(), "ES256, to OpenSSL")
    assert found.outcome is Outcome.MISSED
    assert found.figure is not None
    assert found.figure.median == 2
    assert found.why == (
        "set for the path “ifma”; ES256 takes “portable” here: this CPU has no AVX-512 IFMA"
    )


def test_miss_on_the_path_that_it_was_set_for_has_no_excuse() -> None:
    found = judged(document(path="ifma"), "ES256, to OpenSSL")
    assert (found.outcome, found.why) == (Outcome.MISSED, "the data give no reason")


def test_an_algorithm_is_held_to_the_fastest_path_that_it_has() -> None:
    fastest = {(each.algorithm, each.meant_for) for each in TARGETS if each.meant_for}
    assert fastest == {
        ("ES256", "ifma"),
        ("EdDSA", "ifma"),
        ("RS256", "crypto_mb"),
        ("ES384", "crypto_mb"),
    }


def test_notes_name_sections_that_there_are() -> None:
    headings = [
        line.lstrip("# ")
        for line in (ROOT / "docs" / "benchmarks.md").read_text().splitlines()
        if line.startswith("## ")
    ]
    notes = {each.note for each in TARGETS if each.note}
    named = {note.removeprefix("docs/benchmarks.md, “").removesuffix("”") for note in notes}
    assert len(named) == len(notes) and named <= set(headings)


def test_rate_at_its_demand_is_met() -> None:
    made = document({"verify_tokens": tokens(60_000, peer=5_000)})
    assert judged(made, "ES256, to OpenSSL").outcome is Outcome.MET


def test_memory_above_its_demand_is_missed() -> None:
    what = "memory of an idle service, resident"
    assert judged(document({"idle_memory": memory(149)}), what).outcome is Outcome.MET
    assert judged(document({"idle_memory": memory(151)}), what).outcome is Outcome.MISSED


def test_what_did_not_run_is_not_measured_and_not_met() -> None:
    found = judged(document({}), "ES256, to OpenSSL")
    assert (found.outcome, found.why) == (Outcome.NOT_MEASURED, "verify_tokens did not run")


def test_peer_that_is_missing_is_named() -> None:
    made = document({"verify_tokens": {**tokens(), "missing": {"python_jose": "no registry"}}})
    found = judged(made, "ES256, to python-jose")
    assert (found.outcome, found.why) == (Outcome.NOT_MEASURED, "python_jose: no registry")


@pytest.mark.parametrize(
    ("rounds", "outcome"),
    [
        ([0.9, 1.0, 1.1], Outcome.MET),
        ([1.9, 2.0, 2.1], Outcome.MISSED),
        ([-20.0, -15.0, 9.0], Outcome.NOT_MEASURED),
    ],
)
def test_difference_that_drowns_in_noise_is_not_measured(
    rounds: list[float], outcome: Outcome
) -> None:
    more = figure(rounds, unit="us")
    made = document({"batch_rpc": {"question": "?", "run": run(), "more_a_token_us": more}})
    what = "a token over VerifyBatch, more than in the process; batches of 1,024"
    assert judged(made, what).outcome is outcome
