"""Figures: what a bench says of its rounds."""

from bench.figures import figure, find, is_peer, ratio, read, walk


def test_figure_is_the_median_and_the_middle_half_of_its_rounds() -> None:
    found = read(figure([9, 1, 5, 3, 7], unit="us"))
    assert found is not None
    assert (found.median, found.low, found.high, found.rounds) == (5, 3, 7, 5)
    assert found.spread == 0.4


def test_few_rounds_are_as_far_apart_as_the_least_and_the_most() -> None:
    found = read(figure([4, 1, 2], unit="us"))
    assert found is not None
    assert (found.low, found.median, found.high) == (1, 2, 4)


def test_ratio_is_taken_within_each_round() -> None:
    # A machine that is half as fast in the second round is so for both.
    made = read(ratio({"keystead": [10, 5, 10], "openssl": [5, 2.5, 5]}, "keystead", "openssl"))
    assert made is not None
    assert (made.median, made.low, made.high) == (2, 2, 2)


def test_ratio_to_a_peer_that_could_not_run_is_none() -> None:
    assert ratio({"keystead": [1.0]}, "keystead", "pyjwt") is None


def test_walk_finds_figures_at_every_depth_and_nothing_else() -> None:
    one = figure([1], unit="us")
    result = {"question": "?", "a": {"b": one, "c": 5}, "d": one, "e": {"unit": "us", "median": 1}}
    assert [path for path, _ in walk(result)] == [("a", "b"), ("d",)]
    assert find(result, "a", "b") == read(one)
    assert find(result, "a", "missing", "b") is None


def test_less_is_better_for_time_and_memory_alone() -> None:
    better = {
        unit: found.more_is_better
        for unit in ("per_second", "ratio", "us", "ms", "mb")
        if (found := read(figure([1], unit=unit)))
    }
    assert better == {"per_second": True, "ratio": True, "us": False, "ms": False, "mb": False}


def test_own_figures_are_nobody_elses() -> None:
    assert not is_peer("keystead_batches_of_32")
    assert is_peer("pyjwt_RS256")
