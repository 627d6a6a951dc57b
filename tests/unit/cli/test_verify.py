"""``keystead verify``: verdicts in order, counts, exit status, and the shape of what it says."""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from keystead.cli import main, verify_lines
from keystead.cli import verify as verify_command
from keystead.cli.output import time_text
from keystead.errors import Malformed
from keystead.jose import algorithms
from keystead.relying import MAX_TOKEN_BYTES
from tests.relying_tokens import (
    AGENT,
    AUDIENCE,
    ISSUER,
    LEAVE_OUT,
    NOW,
    URL,
    jwks,
    proof,
    request,
    spoilt,
    token,
)
from tests.status_lists import list_token, listed, packed
from tests.unit.relying.test_https import serving, sized

AT = time_text(NOW)


@pytest.fixture
def keys(tmp_path: Path) -> str:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(jwks()))
    return str(path)


class Shell:
    """Runs the command on lines, with what it cannot do without."""

    def __init__(self, keys: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.keys = keys
        self.file = folder / "tokens"
        self._capsys = capsys
        self.err = ""

    def __call__(
        self, lines: Sequence[str | bytes], *options: str, jwks: str | None = None
    ) -> tuple[int, list[str]]:
        """The exit status, and the lines of the answer."""
        self.file.write_bytes(
            b"".join((n.encode() if isinstance(n, str) else n) + b"\n" for n in lines)
        )
        named = ["--jwks", jwks or self.keys, "--issuer", ISSUER, "--audience", AUDIENCE]
        status = main(["verify", *named, "--at", AT, *options, str(self.file)])
        captured = self._capsys.readouterr()
        self.err = captured.err
        return status, captured.out.splitlines()


@pytest.fixture
def verify(keys: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(keys, tmp_path, capsys)


def sent(*changes: dict[str, object]) -> list[str]:
    """A good request a line, with its members changed or left out."""
    lines = []
    for changed in changes:
        good = request()
        members = {
            "token": good.token,
            "proof": good.proof,
            "method": good.method,
            "url": good.url,
            **changed,
        }
        lines.append(json.dumps({n: v for n, v in members.items() if v is not LEAVE_OUT}))
    return lines


def summary(lines: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lines[-1])["summary"]
    return found


def test_revoked_tokens_are_named_where_lists_were_given(verify: Shell, tmp_path: Path) -> None:
    path = tmp_path / "list.jwt"
    path.write_bytes(list_token(packed([0, 1])))
    tokens = [token(status=listed(0)), token(status=listed(1)), token(status=listed(8)), token()]
    assert verify(tokens) == (0, ["ok"] * 4)
    assert verify(tokens, "--status-lists", str(path)) == (
        1,
        [
            "ok",
            "token_revoked (step 19)",
            "status_unknown (step 19)",
            "claim_missing (step 19)",
        ],
    )
    path.write_bytes(list_token(key="holder"))
    status, lines = verify(tokens[:1], "--status-lists", str(path), "--json")
    assert status == 1 and json.loads(lines[0])["reason"] == "status_unavailable"
    for wrong in (str(tmp_path / "missing"), "http://issuer.example/lists/"):
        assert verify(tokens, "--status-lists", wrong) == (2, [])
        assert "status list" in verify.err


def test_all_good_is_status_0(verify: Shell) -> None:
    assert verify([token(), token()]) == (0, ["ok", "ok"])
    assert verify.err.splitlines()[0].startswith("2 lines in ")
    assert verify.err.splitlines()[1:] == ["ok  2"]


def test_verdicts_are_in_the_order_of_the_lines(verify: Shell) -> None:
    lines: list[str | bytes] = [
        token(),
        "",
        spoilt(token()),
        b"\xff\xfe",
        token(exp=NOW - 5, iat=NOW - 100),
        b"x" * (MAX_TOKEN_BYTES + 1),
        token(aud="https://another.example"),
        b"\x00" * 100,
        token() + " ",
        token(),
    ]
    status, verdicts = verify(lines)
    assert status == 1
    assert verdicts == [
        "ok",
        "malformed (step 1)",
        "signature_invalid (step 5)",
        "malformed (step 1)",
        "expired (step 8)",
        "too_large (step 1)",
        "audience_mismatch (step 7)",
        "malformed (step 1)",
        "malformed (step 1)",
        "ok",
    ]
    assert [line.split() for line in verify.err.splitlines()[1:]] == [
        ["ok", "2"],
        ["malformed", "4"],
        ["signature_invalid", "1"],
        ["expired", "1"],
        ["too_large", "1"],
        ["audience_mismatch", "1"],
    ]


def test_json_is_an_object_a_line_and_the_summary_last(verify: Shell) -> None:
    status, lines = verify([token(jti="t"), token(exp=NOW - 5, iat=NOW - 100)], "--json")
    assert status == 1 and verify.err == ""
    good, bad, last = map(json.loads, lines)
    assert good == {"line": 1, "ok": True, "user": "user-7", "agent": AGENT, "jti": "t"}
    assert bad == {"line": 2, "ok": False, "reason": "expired", "step": 8, "proof_step": None}
    assert last.keys() == {"summary"}
    assert last["summary"].keys() == {
        *("lines", "ok", "refused", "interrupted", "reasons"),
        *("seconds", "per_second", "replay_memory"),
    }
    assert last["summary"]["reasons"] == {"expired": 1}


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_the_ends_of_lines_do_not_matter(
    end: str, verify: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify([token()])
    verify.file.write_bytes(f"{token()}\r\n{token()}{end}".encode())
    monkeypatch.setattr(type(verify.file), "write_bytes", lambda *_: 0)
    assert verify([]) == (0, ["ok", "ok"])


def test_order_and_numbers_hold_across_batches(
    verify: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_lines, "MAX_BATCH_LINES", 3)
    good, bad = token(), token(exp=NOW - 5, iat=NOW - 100)
    pattern = [good, bad, "", good, good, bad, b"x" * 9_000, good]
    status, lines = verify(pattern, "--json", "--threads", "2")
    assert status == 1
    found = [json.loads(line) for line in lines[:-1]]
    assert [each["line"] for each in found] == list(range(1, 9))
    expected = [None, "expired", "malformed", None, None, "expired", "too_large", None]
    assert [each.get("reason") for each in found] == expected
    assert summary(lines)["ok"] == 4


def test_whole_requests_with_their_proofs(verify: Shell) -> None:
    replayed = sent({})[0]
    lines = [
        replayed,
        *sent({"url": URL + "/7"}, {"method": "POST"}, {"proof": LEAVE_OUT}, {"proof": ["a", "b"]}),
        replayed,
        *sent({"token": "a.b"}, {"more": 1}),
        "",
        b"{" * 70_000,
    ]
    status, verdicts = verify(lines, "--dpop")
    assert status == 1
    assert verdicts == [
        "ok",
        "url_mismatch (step 20, proof step 9)",
        "method_mismatch (step 20, proof step 8)",
        "proof_missing (step 20, proof step 1)",
        "proof_not_single (step 20, proof step 1)",
        "proof_replayed (step 21)",
        "malformed (step 1)",
        "malformed",
        "malformed",
        "too_large",
    ]


def test_batches_in_which_no_line_is_a_request_have_verdicts_too(
    verify: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_lines, "MAX_BATCH_LINES", 3)
    lines = [*sent({}), "", token(), *["garbage"] * 4, "{}", *sent({})]
    assert verify(lines, "--dpop") == (1, ["ok", *["malformed"] * 7, "ok"])
    assert verify([token()], "--dpop") == (1, ["malformed"])


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("not JSON", "not JSON"),
        ("{}", "keys is missing"),
        (json.dumps(jwks()["keys"][0]), "keys is missing"),
        (json.dumps({"keys": jwks()["keys"] * 2}), "two keys with one kid"),
        (json.dumps({"keys": [{**jwks()["keys"][0], "d": "A" * 43}]}), "private_key_member"),
        ('{"keys": []}', "no key that verifies"),
    ],
)
def test_a_key_set_that_cannot_be_used_is_wrong_use_and_named(
    document: str, said: str, verify: Shell, tmp_path: Path
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(document)
    assert verify([token()], jwks=str(path)) == (2, [])
    assert f"jwks: {path}" in verify.err and said in verify.err and verify.err.count("\n") == 1


def test_a_proof_is_remembered_from_batch_to_batch(
    verify: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_lines, "MAX_BATCH_LINES", 1)
    again = sent({}) * 2
    assert verify(again, "--dpop") == (1, ["ok", "proof_replayed (step 21)"])


def test_says_when_there_was_no_room_for_proofs(verify: Shell) -> None:
    status, lines = verify(sent({}, {}), "--dpop", "--json", "--replay-capacity", "1")
    assert status == 1 and summary(lines)["reasons"] == {"replay_memory_full": 1}
    assert summary(lines)["replay_memory"] == {"held": 1, "was_full": True}
    verify(sent({}, {}), "--dpop", "--replay-capacity", "1")
    assert "the replay memory was full" in verify.err
    status, lines = verify(sent({}, {}), "--dpop", "--json")
    assert status == 0 and summary(lines)["replay_memory"] == {"held": 2, "was_full": False}


def old_proof() -> str:
    made = token()
    return json.dumps(
        {"token": made, "proof": proof(made, iat=NOW - 70), "method": "GET", "url": URL}
    )


@pytest.mark.parametrize(
    ("line", "options", "admitted", "verdict"),
    [
        (token(), ["--scope", "orders:read"], True, None),
        (token(), ["--scope", "orders:write"], False, "scope_insufficient (step 16)"),
        (token(), ["--minimum-aal", "3"], True, None),
        (token(aal=2), ["--minimum-aal", "3"], False, "authentication_insufficient (step 17)"),
        (token(), ["--acr", "phrh"], True, None),
        (token(), ["--acr", "phr"], False, "authentication_insufficient (step 17)"),
        (token(), ["--max-age", "600"], True, None),
        (token(), ["--max-age", "500"], False, "authentication_insufficient (step 17)"),
        (token(), ["--residency", "emulated"], True, None),
        (token(), ["--residency", "hardware"], False, "residency_insufficient (step 18)"),
        (token(), ["--algorithm", "ES256"], True, None),
        (token(), ["--algorithm", "RS256"], False, "algorithm_not_allowed (step 3)"),
        (token(exp=NOW + 400), ["--max-lifetime", "410"], True, None),
        (token(exp=NOW + 400), ["--max-lifetime", "409"], False, "lifetime_too_long (step 9)"),
        (token(exp=NOW - 5), ["--leeway", "6"], True, None),
        (token(exp=NOW - 5), ["--leeway", "5"], False, "expired (step 8)"),
        (token(cnf=LEAVE_OUT), ["--allow-unbound"], True, None),
        (token(cnf=LEAVE_OUT), [], False, "binding_missing (step 14)"),
        (old_proof(), ["--dpop", "--proof-max-age", "65"], True, None),
        (old_proof(), ["--dpop"], False, "proof_too_old (step 20, proof step 11)"),
    ],
)
def test_options_are_the_verifiers(
    line: str, options: list[str], admitted: bool, verdict: str | None, verify: Shell
) -> None:
    expected = (0, ["ok"]) if admitted else (1, [verdict])
    assert verify([line], *options) == expected


def test_an_algorithm_more_is_allowed_by_name(verify: Shell, tmp_path: Path) -> None:
    both = tmp_path / "both.json"
    both.write_text(json.dumps(jwks(algorithm="RS256")))
    line = token(algorithm="RS256")
    assert verify([line], jwks=str(both))[1] == ["algorithm_not_allowed (step 3)"]
    assert verify([line], "--algorithm", "RS256", jwks=str(both)) == (0, ["ok"])


def test_keys_may_come_from_a_url(verify: Shell) -> None:
    body = json.dumps(jwks()).encode()
    with serving(lambda connection: connection.sendall(sized(body))) as url:
        assert verify([token()], jwks=url) == (0, ["ok"])


def test_an_issuer_that_is_away_is_said_once_and_not_once_a_line(verify: Shell) -> None:
    assert verify([token()] * 3, jwks="http://127.0.0.1:1/jwks") == (1, [])
    assert verify.err.startswith("keystead: keys_unavailable") and verify.err.count("\n") == 1


def test_a_file_without_a_line_is_no_proof_of_anything(verify: Shell) -> None:
    assert verify([]) == (2, [])
    assert "no line in it" in verify.err
    assert verify([], "--json")[0] == 2


@pytest.mark.parametrize(
    "options",
    [
        ["--threads", "0"],
        ["--threads", "65"],
        ["--at", "yesterday"],
        ["--jwks", "http://issuer.example/jwks"],
        ["--jwks", "ftp://issuer.example/jwks"],
        ["--jwks", "/nowhere/jwks.json"],
        ["--jwks", "/dev/null"],
        ["--issuer", ""],
        ["--audience", ""],
        ["--algorithm", "HS256"],
        ["--algorithm", "none"],
        ["--minimum-aal", "4"],
        ["--max-age", "-1"],
        ["--scope", ""],
        ["--leeway", "61"],
        ["--max-lifetime", "0"],
        ["--proof-max-age", "601"],
        ["--dpop", "--replay-capacity", "0"],
    ],
)
def test_wrong_use_is_status_2_and_no_verdict(options: list[str], verify: Shell) -> None:
    assert verify([token()], *options) == (2, [])
    assert verify.err.startswith("keystead: ")


@pytest.mark.parametrize("options", [["--threads", "many"], ["--residency", "any"], ["a", "b"]])
def test_what_no_option_takes_is_status_2(options: list[str], verify: Shell) -> None:
    with pytest.raises(SystemExit) as ended:
        verify([token()], *options)
    assert ended.value.code == 2


def test_what_follows_an_interrupted_line_has_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(io.StringIO):
        def write(self, text: str) -> int:
            if self.tell() == 0:
                super().write(text[:5])
                raise KeyboardInterrupt
            return super().write(text)

    out = Interrupted()
    monkeypatch.setattr(sys, "stdout", out)
    with pytest.raises(KeyboardInterrupt):
        verify_command._write([Malformed()] * 2, first_line=1, as_json=False)
    assert out.getvalue() == "malfo\n"


def test_names_all_that_is_missing(keys: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 2
    assert "give --jwks, --issuer, --audience, FILE" in capsys.readouterr().err
    assert main(["verify", "--jwks", keys, "--issuer", ISSUER, "-"]) == 2
    assert "give --audience;" in capsys.readouterr().err


def test_explains_every_algorithm(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--explain"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["ALGORITHM", "PATH", "FORCED", "WHY"]
    assert {row.split()[0] for row in rows} == algorithms.DEFAULT_ALGORITHMS
    assert main(["verify", "--explain", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in document["algorithms"]} == algorithms.DEFAULT_ALGORITHMS
    assert all(row.keys() == {"name", "path", "reason", "forced"} for row in document["algorithms"])


def test_needs_nothing_but_cryptography() -> None:
    script = (
        "import sys\n"
        "from keystead.cli import main\n"
        "assert main(['verify', '--explain', '--json']) == 0\n"
        "assert not {'grpc', 'google', 'httpx', 'starlette', 'msgspec', 'structlog', 'rich',\n"
        "            'cbor2', 'OpenSSL', 'sqlite3'} & sys.modules.keys()\n"
    )
    subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=60, stdout=subprocess.DEVNULL
    )
