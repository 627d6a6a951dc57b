"""What ``keystead verify`` says of verdicts."""

import json

import pytest

from keystead.cli.verify_report import (
    Judged,
    Tally,
    summary_json,
    summary_text,
    verdict_json,
    verdict_text,
)
from keystead.errors import (
    KeysteadError,
    Malformed,
    ProofRejected,
    Reason,
    Replayed,
    TokenRejected,
    Unavailable,
)
from keystead.relying import ReplayMemory
from tests.relying_tokens import AGENT, NOW, token, verifier


def good() -> Judged:
    result = verifier().verify_batch([token(jti="t-1", sub="é\u202e")], now=NOW)
    return lambda: result[0]


ERRORS: list[tuple[KeysteadError, str, int | None, int | None]] = [
    (TokenRejected(Reason.EXPIRED, "secret", step=8), "expired (step 8)", 8, None),
    (Malformed(Reason.MALFORMED, "secret"), "malformed", None, None),
    (
        ProofRejected(Reason.URL_MISMATCH, "secret", step=9),
        "url_mismatch (step 20, proof step 9)",
        20,
        9,
    ),
    (ProofRejected(Reason.PROOF_TOO_OLD, step=21), "proof_too_old (step 21)", 21, None),
    (Replayed(step=21), "proof_replayed (step 21)", 21, None),
]


@pytest.mark.parametrize(("error", "text", "step", "proof_step"), ERRORS)
def test_a_refusal_is_its_reason_and_step(
    error: KeysteadError, text: str, step: int | None, proof_step: int | None
) -> None:
    assert verdict_text(error) == text
    assert json.loads(verdict_json(7, error)) == {
        "line": 7,
        "ok": False,
        "reason": error.reason.value,
        "step": step,
        "proof_step": proof_step,
    }


def test_a_good_token_is_ok_and_says_whose_it_is_in_ascii() -> None:
    assert verdict_text(good()) == "ok"
    shown = verdict_json(1, good())
    assert shown.isascii() and "\n" not in shown
    assert json.loads(shown) == {
        "line": 1,
        "ok": True,
        "user": "é\u202e",
        "agent": AGENT,
        "jti": "t-1",
    }


def counted(*verdicts: Judged) -> Tally:
    tally = Tally()
    for verdict in verdicts:
        tally.add([verdict])
    return tally


def test_counts_by_reason() -> None:
    tally = counted(good(), *(error for error, *_ in ERRORS), ERRORS[0][0])
    assert (tally.lines, tally.ok) == (7, 1)
    assert tally.reasons[Reason.EXPIRED] == 2 and tally.reasons.total() == 6


def test_counts_know_nothing_but_reasons() -> None:
    tally = counted(*(TokenRejected(Reason.EXPIRED, f"exp {i}", step=8) for i in range(1_000)))
    assert dict(tally.reasons) == {Reason.EXPIRED: 1_000}


def test_the_summary_has_the_counts_and_the_rate() -> None:
    tally = counted(*[good()] * 3, ERRORS[0][0])
    tally.lines, tally.ok = 2_001, 2_000
    assert summary_text(tally, seconds=0.5, replay=None).splitlines() == [
        "2,001 lines in 0.5 s, 4,002 a second",
        "ok       2,000",
        "expired      1",
    ]
    assert json.loads(summary_json(tally, seconds=0.5, replay=None)) == {
        "summary": {
            "lines": 2_001,
            "ok": 2_000,
            "refused": 1,
            "interrupted": False,
            "reasons": {"expired": 1},
            "seconds": 0.5,
            "per_second": 4_002,
            "replay_memory": None,
        }
    }


def test_a_run_without_time_has_no_rate() -> None:
    assert "0 a second" in summary_text(counted(good()), seconds=0.0, replay=None)


def test_says_when_the_replay_memory_was_full() -> None:
    memory = ReplayMemory(capacity=1, not_before=0)
    memory.remember("k", "j", first=NOW, last=NOW, now=NOW)
    for verdict, was_full in (
        (good(), False),
        (Unavailable(Reason.REPLAY_MEMORY_FULL, step=21), True),
    ):
        tally = counted(verdict)
        document = json.loads(summary_json(tally, seconds=1.0, replay=memory))
        assert document["summary"]["replay_memory"] == {"held": 1, "was_full": was_full}
        text = summary_text(tally, seconds=1.0, replay=memory)
        assert ("the replay memory was full at 1" in text) is was_full
