"""Results on disk: the latest, and what they replaced."""

import json
from pathlib import Path

import pytest

from bench import __main__ as program
from bench import results
from tests.bench_results import document, memory, tokens


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "LATEST", tmp_path / "latest.json")
    monkeypatch.setattr(results, "PREVIOUS", tmp_path / "previous.json")
    monkeypatch.setattr(results, "REPORT", tmp_path / "report" / "index.html")
    return tmp_path


def names(path: Path) -> set[str]:
    return set(results.read(path).results)


def test_what_is_kept_is_read_again() -> None:
    assert results.keep(document()) == results.read(results.LATEST) == document()


def test_first_results_replace_nothing() -> None:
    results.keep(document())
    assert not results.PREVIOUS.exists()


def test_run_of_one_bench_leaves_the_others() -> None:
    results.keep(document({"verify_tokens": tokens(), "idle_memory": memory(90)}))
    results.keep(document({"idle_memory": memory(95)}))
    assert names(results.LATEST) == {"verify_tokens", "idle_memory"}
    assert results.read(results.PREVIOUS).results == {"idle_memory": memory(90)}


def test_other_machine_starts_anew_and_keeps_the_old_one_as_previous() -> None:
    results.keep(document({"verify_tokens": tokens(), "idle_memory": memory(90)}))
    results.keep(document({"idle_memory": memory(95)}, cpu="Another CPU"))
    assert names(results.LATEST) == {"idle_memory"}
    assert names(results.PREVIOUS) == {"verify_tokens", "idle_memory"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', json.dumps({"format": 2})])
def test_file_of_something_else_is_no_results(folder: Path, text: str) -> None:
    (folder / "latest.json").write_text(text)
    with pytest.raises(results.UnknownResults):
        results.read(results.LATEST)


@pytest.mark.parametrize(("ours", "status"), [(10_000, 0), (20_000, 0), (5_000, 1)])
def test_comparison_ends_with_1_where_something_got_slower(
    ours: float, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(results.PREVIOUS, document())
    results.write(results.LATEST, document({"verify_tokens": tokens(ours)}))
    assert program.main(["--compare"]) == status
    said = capsys.readouterr().out
    assert ("Not slower" in said) is (status == 0)
    assert results.REPORT.read_text().startswith("<!doctype html>")


def test_comparison_with_a_named_file(folder: Path) -> None:
    results.write(results.LATEST, document())
    results.write(folder / "release.json", document({"verify_tokens": tokens(20_000)}))
    assert program.main(["--compare", str(folder / "release.json")]) == 1


def test_comparison_with_nothing_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--compare"]) == 2
    assert "nothing to compare" in capsys.readouterr().err


def test_bench_that_fails_leaves_the_others_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> dict[str, object]:
        raise RuntimeError("a verification failed")

    monkeypatch.setattr("bench.verify_tokens.run", fail)
    monkeypatch.setattr("bench.idle_memory.run", lambda **_: memory(90))
    assert program.main(["verify_tokens", "idle_memory"]) == 1
    assert names(results.LATEST) == {"idle_memory"}
    assert "verify_tokens did not run" in results.REPORT.read_text()
    said = capsys.readouterr()
    assert "a verification failed" in said.err
    assert "failed, so that" in said.err
    assert "No earlier run" in said.out


def test_run_beside_an_earlier_one_says_whether_it_got_slower(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for mb, said in ((90, "No earlier run"), (180, "Slower: 1 of 1"), (180, "Not slower")):
        monkeypatch.setattr("bench.idle_memory.run", lambda mb=mb, **_: memory(mb))
        assert program.main(["idle_memory", "--rounds", "1"]) == 0
        assert said in capsys.readouterr().out


def test_json_is_of_what_was_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results.keep(document())
    monkeypatch.setattr("bench.idle_memory.run", lambda **_: memory(90))
    assert program.main(["idle_memory", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["results"]) == {"idle_memory"}
