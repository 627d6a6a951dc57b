"""Two runs side by side: what counts as faster or slower."""

import pytest

from bench import words
from bench.compare import LEAST_CHANGE, Change, compare
from bench.figures import figure
from bench.results import Document
from tests.bench_results import WILD, document, memory, rounds, run, tokens

OURS = ("cases", "ES256", "per_second", "keystead")
PEER = ("cases", "ES256", "per_second", "openssl")
RATIO = ("cases", "ES256", "keystead_to", "openssl")


def change_of(path: tuple[str, ...], now: dict, before: dict) -> Change:
    made = compare(document({"verify_tokens": now}), document({"verify_tokens": before}))
    row = made.at("verify_tokens", path)
    assert row is not None
    return row.change


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (10_000, Change.SAME),
        (10_000 * (1 + LEAST_CHANGE / 2), Change.SAME),
        (10_000 / (1 + LEAST_CHANGE / 2), Change.SAME),
        (12_000, Change.FASTER),
        (8_000, Change.SLOWER),
    ],
)
def test_rate_has_changed_beyond_the_noise_alone(ours: float, expected: Change) -> None:
    assert change_of(OURS, tokens(ours), tokens(10_000)) is expected
    assert change_of(RATIO, tokens(ours), tokens(10_000)) is expected


def test_wild_rounds_hide_what_steady_ones_show() -> None:
    assert change_of(OURS, tokens(8_000), tokens(10_000)) is Change.SLOWER
    assert change_of(OURS, tokens(8_000, around=WILD), tokens(10_000)) is Change.SAME


def test_slower_machine_is_no_slower_build() -> None:
    slow_machine = tokens(5_000, peer=2_500)
    assert change_of(OURS, slow_machine, tokens(10_000, peer=5_000)) is Change.SAME


def test_build_that_is_slower_on_a_faster_machine_is_slower() -> None:
    assert change_of(OURS, tokens(10_000, peer=10_000), tokens(10_000)) is Change.SLOWER


def test_peers_figures_are_not_judged() -> None:
    assert change_of(PEER, tokens(peer=1_000), tokens(peer=5_000)) is Change.PEER


def test_more_memory_is_slower() -> None:
    made = compare(document({"idle_memory": memory(150)}), document({"idle_memory": memory(100)}))
    assert [row.change for row in made.rows] == [Change.SLOWER]


def test_figures_by_the_clock_on_the_wall_are_not_judged() -> None:
    def made(us: float) -> Document:
        wall = {"wall_us": {"rpc": figure([us], unit="us")}}
        return document({"batch_rpc": {"question": "?", "run": run(), **wall}})

    assert [row.change for row in compare(made(900), made(100)).rows] == [Change.NEW]


def test_other_machine_is_compared_by_ratios_alone() -> None:
    made = compare(document({"verify_tokens": tokens(8_000)}), document(cpu="Another CPU"))
    changes = {row.path: row.change for row in made.rows}
    assert changes == {OURS: Change.NEW, PEER: Change.PEER, RATIO: Change.SLOWER}


def test_other_path_of_the_engine_is_another_machine() -> None:
    assert not compare(document(path="ifma"), document()).same_machine


def test_headline_says_what_got_slower_and_by_how_much() -> None:
    before = document()
    made = compare(document({"verify_tokens": tokens(5_000)}), before)
    change, text = words.headline(made, before)
    assert change is Change.SLOWER
    assert text.startswith("Slower: 2 of 2 figures")
    assert "−50.0 %" in text


@pytest.mark.parametrize(
    ("ours", "change", "start"),
    [
        (10_000, Change.SAME, "Not slower: none of 2"),
        (20_000, Change.FASTER, "Not slower: 2 of 2"),
    ],
)
def test_headline_says_that_nothing_got_slower(ours: float, change: Change, start: str) -> None:
    before = document()
    said, text = words.headline(compare(document({"verify_tokens": tokens(ours)}), before), before)
    assert said is change
    assert text.startswith(start)


def test_headline_doubts_a_comparison_on_a_busy_machine() -> None:
    before = document()
    busy = compare(document({"verify_tokens": tokens(around=WILD)}), before)
    assert words.headline(busy, before)[1].endswith(words.NOISY)
    quiet = compare(document(), before)
    assert not words.headline(quiet, before)[1].endswith(words.NOISY)


def test_headline_of_a_first_run_claims_nothing() -> None:
    change, text = words.headline(compare(document(), None), None)
    assert change is Change.NEW
    assert "No earlier run" in text


def test_no_figure_changed_that_moved_less_than_a_peer() -> None:
    def made(ours: float, peer: float) -> Document:
        rates = {"keystead": ours, "pyjwt": 5_000.0, "joserfc": 5_000.0, "openssl": peer}
        shown = {name: figure(rounds(rate), unit="per_second") for name, rate in rates.items()}
        return document({"verify_tokens": {"question": "?", "run": run(), "per_second": shown}})

    def change(peer: float) -> Change:
        row = compare(made(8_000, peer), made(10_000, 5_000)).at(
            "verify_tokens", ("per_second", "keystead")
        )
        assert row is not None
        return row.change

    assert change(5_000) is Change.SLOWER
    assert change(3_800) is Change.SAME
