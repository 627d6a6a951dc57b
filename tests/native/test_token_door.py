"""The door of tokens: its numbers are Python's names, and nothing that comes in harms it."""

import contextlib
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from keystead._native import rules as native_rules
from keystead._native import token as native
from keystead._native.replay import ReplayTable
from keystead.errors import Reason
from keystead.jose.batch import parameters_for
from keystead.model import Freshness, Protection
from keystead.relying import RequestToVerify
from keystead.relying.claims import PROVABLE
from tests.jose_keys import public_jwk
from tests.relying_tokens import AUDIENCE, ISSUER, NOW, URL, proof, residency, token, verifier
from tests.status_lists import URI, listed

KEY = parameters_for("ES256", public_jwk("ES256", "issuer"))


def rules(**changes: Any) -> native_rules.Rules:
    given: dict[str, Any] = {
        "algorithms": ["ES256"],
        "issuer": ISSUER.encode(),
        "audience": AUDIENCE.encode(),
        "leeway_s": 5,
        "max_lifetime_s": 300,
        "proof_max_age_s": 60,
        "dpop_required": True,
        "scopes": [],
        "minimum_aal": None,
        "acr_values": [],
        "max_authentication_age_s": None,
        "residency": None,
        "status_required": False,
    }
    return native_rules.Rules(**{**given, **changes})


def batch(*tokens: Any, now: int = NOW, threads: int = 1, **changes: Any) -> native.TokenBatch:
    return native.TokenBatch(tokens, rules(**changes), now=now, threads=threads)


def test_every_reason_is_one_of_pythons() -> None:
    assert all(Reason(value) for value in native.REASONS.values())
    assert len(set(native.REASONS.values())) == len(native.REASONS)


@pytest.mark.parametrize("kind", list(PROVABLE))
@pytest.mark.parametrize("protection", list(Protection))
@pytest.mark.parametrize("freshness", list(Freshness))
@pytest.mark.parametrize("hardware", [True, False])
def test_the_tables_of_residency_are_pythons(
    kind: str, protection: str, freshness: str, hardware: bool
) -> None:
    said = residency(kind=kind, protection=protection, freshness=freshness, hardware=hardware)
    bound = {"jkt": public_jwk(name="holder").thumbprint, "residency": said}
    sent = token(cnf=bound)
    check = verifier()
    try:
        check._checks.token(sent, now=NOW)
        expected = None
    except Exception as error:
        expected = getattr(error, "reason")  # noqa: B009
    assert check.verify_batch([sent], now=NOW).reason(0) is expected


def test_a_batch_goes_its_way_in_steps() -> None:
    good = token()
    tokens = batch(good, "nonsense")
    assert (len(tokens), tokens.names()) == (2, [("ES256", b"token-1")])
    assert [tokens.name_of(0), tokens.name_of(1)] == [0, 1]
    tokens.verify([KEY], threads=1)
    assert bytes(tokens.ok()) == b"\1\0"
    sent = RequestToVerify(token=good, proof=proof(good), method="GET", url=URL)
    tokens.prove([sent, sent], threads=2)
    assert bytes(tokens.ok()) == b"\1\0"
    jkt, _, issued_at = tokens.proven(0) or (b"", b"", 0)
    assert (jkt.decode(), issued_at) == (public_jwk(name="holder").thumbprint, NOW)
    assert native.REASONS[tokens.refusal(1)[1]] == "malformed"


def test_a_name_without_a_key_refuses_its_tokens() -> None:
    tokens = batch(token())
    tokens.verify([None], threads=1)
    assert native.REASONS[tokens.refusal(0)[1]] == "key_unknown"


@pytest.mark.parametrize("keys", [[], [KEY, KEY]])
def test_refuses_another_number_of_keys(keys: list[Any]) -> None:
    with pytest.raises(ValueError, match="each name"):
        batch(token()).verify(keys, threads=1)


@pytest.mark.parametrize("key", [(b"", ""), (b"",), ("x", "y"), 7, (bytearray(32), b"")])
def test_refuses_keys_that_are_no_pairs_of_bytes(key: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        batch(token()).verify([key], threads=1)


@pytest.mark.parametrize("threads", [0, 65])
def test_refuses_a_number_of_threads_that_is_none(threads: int) -> None:
    with pytest.raises(ValueError, match="threads"):
        batch(token(), threads=threads)
    with pytest.raises(ValueError, match="threads"):
        batch(token()).verify([KEY], threads=threads)


def test_refuses_more_than_one_batch_takes() -> None:
    with pytest.raises(ValueError, match="one batch"):
        batch(*[""] * (native.MAX_TOKENS + 1))


def test_refuses_an_item_that_is_not_there() -> None:
    tokens = batch(token())
    for read in (
        tokens.refusal,
        tokens.name_of,
        tokens.list_of,
        tokens.payload,
        tokens.proven,
    ):
        with pytest.raises(IndexError):
            read(1)
        with pytest.raises(OverflowError):
            read(-1)


def test_proofs_are_read_once_and_for_every_token() -> None:
    good = token()
    tokens = batch(good)
    tokens.verify([KEY], threads=1)
    sent = RequestToVerify(token=good, proof=proof(good), method="GET", url=URL)
    for requests in ([], [sent, sent]):
        with pytest.raises(ValueError, match="each token"):
            tokens.prove(requests, threads=1)
    tokens.prove([sent], threads=1)
    with pytest.raises(ValueError, match="once"):
        tokens.prove([sent], threads=1)


def test_tokens_that_nobody_verified_did_not_pass() -> None:
    good = token()
    tokens = batch(good)
    sent = RequestToVerify(token=good, proof=proof(good), method="GET", url=URL)
    with pytest.raises(ValueError, match="not verified"):
        tokens.ok()
    with pytest.raises(ValueError, match="not verified"):
        tokens.prove([sent], threads=1)
    tokens.verify([KEY], threads=1)
    with pytest.raises(ValueError, match="were verified"):
        tokens.verify([KEY], threads=1)


def test_requests_that_cannot_be_read_leave_no_verdicts() -> None:
    tokens = batch(token())
    tokens.verify([KEY], threads=1)
    with pytest.raises(AttributeError):
        tokens.prove([object()], threads=1)
    for read in (tokens.ok, lambda: tokens.remember(ReplayTable(capacity=1, not_before=0))):
        with pytest.raises(ValueError, match="not verified"):
            read()


def listing(*tokens: str) -> native.TokenBatch:
    """Tokens whose signatures were verified, and whose status somebody has to look up."""
    tokens_listed = batch(*tokens, status_required=True)
    tokens_listed.verify([KEY], threads=1)
    return tokens_listed


def test_a_status_is_looked_up_before_anything_passes() -> None:
    good, revoked = token(status=listed(8)), token(status=listed(9, URI + "/2"))
    tokens = listing(good, revoked, good)
    sent = RequestToVerify(token=good, proof=proof(good), method="GET", url=URL)
    for read in (tokens.ok, lambda: tokens.prove([sent] * 3, threads=1)):
        with pytest.raises(ValueError, match="not verified"):
            read()
    assert native.REASONS[tokens.refusal(0)[1]] == "status_unavailable"
    assert tokens.lists() == [URI.encode(), URI.encode() + b"/2"]
    assert [tokens.list_of(index) for index in range(3)] == [0, 1, 0]
    with pytest.raises(ValueError, match="were verified"):
        tokens.verify([KEY], threads=1)
    tokens.check_status([(b"\xff\0", 1), (b"\0\2", 1)])
    assert bytes(tokens.ok()) == b"\1\0\1"
    assert native.REASONS[tokens.refusal(1)[1]] == "token_revoked"


def test_lists_are_named_after_the_signatures_and_where_they_are_asked_for() -> None:
    with pytest.raises(ValueError, match="not verified"):
        batch(token(status=listed(0)), status_required=True).lists()
    tokens = batch(token(status=listed(0)))
    tokens.verify([KEY], threads=1)
    for call in (tokens.lists, lambda: tokens.check_status([])):
        with pytest.raises(ValueError, match="out of order"):
            call()
    tokens = listing(token(status=listed(0)))
    with pytest.raises(ValueError, match="out of order"):
        tokens.check_status([])
    tokens.lists()
    with pytest.raises(ValueError, match="out of order"):
        tokens.lists()


@pytest.mark.parametrize("lists", [[], [None, None], [(b"", 3)], [(b"", 0)], [(b"", 1 << 31)]])
def test_refuses_lists_that_are_none(lists: list[Any]) -> None:
    tokens = listing(token(status=listed(0)))
    tokens.lists()
    with pytest.raises(ValueError):
        tokens.check_status(lists)
    with pytest.raises(ValueError, match="not verified"):
        tokens.ok()


@pytest.mark.parametrize("found", [(b"",), (bytearray(1), 1), ("", 1), (b"", "1"), (b"", -1), 7])
def test_refuses_statuses_that_are_no_bytes(found: Any) -> None:
    tokens = listing(token(status=listed(0)))
    tokens.lists()
    with pytest.raises((TypeError, ValueError, OverflowError)):
        tokens.check_status([found])
    with pytest.raises(ValueError, match="not verified"):
        tokens.ok()


def test_a_list_that_cannot_be_had_refuses_its_tokens() -> None:
    tokens = listing(token(status=listed(0)), token(status={}))
    tokens.lists()
    tokens.check_status([None])
    found = [native.REASONS[tokens.refusal(index)[1]] for index in range(2)]
    assert found == ["status_unavailable", "claim_missing"]
    assert tokens.list_of(1) == 1


def test_rules_stay_what_they_were() -> None:
    """A batch looks into the memory of its rules: whoever calls __init__ again must not move it."""
    made = rules(issuer=b"https://issuer.example")
    tokens = native.TokenBatch([token()], made, now=NOW, threads=1)
    with contextlib.suppress(TypeError):
        made.__init__(**dict.fromkeys(("issuer", "audience")))  # type: ignore[misc]
    tokens.verify([KEY], threads=1)
    assert bytes(tokens.ok()) == b"\1"
    with pytest.raises(TypeError):
        native_rules.Rules.__new__(native_rules.Rules)
    with pytest.raises(TypeError):
        native_rules.Residency.__new__(native_rules.Residency)


def test_texts_of_other_types_and_subclasses() -> None:
    class Header(str):
        def __len__(self) -> int:
            return 1

    good = token()
    tokens = batch(Header(good), None, good.encode(), 7, good + "\udc80", "é" * 9_000)
    tokens.verify([KEY], threads=1)
    assert bytes(tokens.ok()) == b"\1\0\0\0\0\0"
    assert native.REASONS[tokens.refusal(5)[1]] == "too_large"


@dataclass
class Sent:
    proof: Any
    method: Any
    url: Any


@pytest.mark.parametrize("odd", [None, 7, b"GET", "é", "\udc80", "GET\0"])
def test_methods_and_urls_of_every_sort(odd: Any) -> None:
    good = token()
    for sent in (Sent(proof(good), odd, URL), Sent(proof(good), "GET", odd)):
        tokens = batch(good)
        tokens.verify([KEY], threads=1)
        tokens.prove([sent], threads=1)
        assert bytes(tokens.ok()) == b"\0"


@pytest.mark.parametrize("now", [-(2**80), 2**80])
def test_times_beyond_every_bound_are_far_away(now: int) -> None:
    tokens = batch(token(), now=now)
    tokens.verify([KEY], threads=1)
    expected = "expired" if now > 0 else "not_yet_valid"
    assert native.REASONS[tokens.refusal(0)[1]] == expected


def test_refuses_names_that_there_are_not() -> None:
    with pytest.raises(KeyError):
        rules(algorithms=["none"])
    with pytest.raises(KeyError):
        native_rules.Residency(
            protections=["x"], freshness=[], hardware=True, max_age_s=None, policies=None
        )
    with pytest.raises(TypeError):
        rules(issuer="text")


def test_a_batch_is_one_threads_at_a_time() -> None:
    tokens = batch(*[token()] * 512)
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def work() -> None:
        barrier.wait()
        try:
            tokens.verify([KEY], threads=1)
            outcomes.append("verified")
        except (RuntimeError, ValueError):
            outcomes.append("refused")

    both = [threading.Thread(target=work) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert "verified" in outcomes and bytes(tokens.ok()) == b"\1" * 512
