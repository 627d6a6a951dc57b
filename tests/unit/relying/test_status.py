"""Where status lists come from: how long they count, and what happens when the issuer is away."""

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from keystead.errors import (
    ConfigurationError,
    KeysteadError,
    Reason,
    TokenRejected,
    Unavailable,
)
from keystead.model import VerifiedToken
from keystead.relying import CachedStatusLists, StaticJwks, StatusListRules, Verifier
from keystead.relying.status import (
    DEFAULT_MAX_STALE_S,
    MAX_LISTS,
    RETRY_INTERVAL_S,
    StatusSource,
    status_source,
)
from keystead.relying.steps import Step
from tests.jose_keys import public_jwk
from tests.relying_tokens import (
    ISSUER,
    LEAVE_OUT,
    NOW,
    accept,
    jwks,
    refusal,
    request,
    token,
    verifier,
)
from tests.status_lists import BELOW, URI, FixedLists, list_token, listed, packed
from tests.unit.relying.test_https import serving, sized

RULES = StatusListRules(issuer=ISSUER, keys=StaticJwks(jwks()), algorithms={"ES256"}, leeway_s=5)


class Publisher:
    """A list that tests change, and how often it was read."""

    def __init__(self) -> None:
        self.fetches = 0
        self.away = False
        self.token: Callable[[str, int], bytes] = lambda uri, now: list_token(sub=uri, iat=now)
        self.now = NOW

    def fetch(self, uri: str) -> bytes:
        self.fetches += 1
        if self.away:
            raise OSError("away")
        return self.token(uri, self.now)

    def lists(self) -> CachedStatusLists:
        return CachedStatusLists(self.fetch, RULES)


def ask(source: StatusSource, publisher: Publisher, now: int, uri: str = URI) -> int | None:
    """As a verifier does: refresh, wait if told to, look; answers the status of index 0."""
    publisher.now = now
    pending = source.refresh(uri, now=now)
    if pending is not None:
        pending.result(timeout=5)
    return source.find(uri, now=now).status(0)


def unavailable(call: Callable[[], object]) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        call()
    error = caught.value
    assert (error.reason, error.step) == (Reason.STATUS_UNAVAILABLE, Step.STATUS)
    assert error.retry_after_s == RETRY_INTERVAL_S
    return error


def settle() -> None:
    """Wait for what was begun in the background."""
    for thread in threading.enumerate():
        if thread.name == "keystead-status":
            thread.join(5)


def test_reads_a_list_once_and_again_when_it_is_old() -> None:
    publisher = Publisher()
    source = publisher.lists()
    assert [ask(source, publisher, NOW + s) for s in (0, 0, 10, 15)] == [0] * 4
    assert publisher.fetches == 1
    # Past half its ttl it is read in the background, while the old one answers.
    assert source.refresh(URI, now=NOW + 16) is None
    settle()
    assert publisher.fetches == 2
    # Past its ttl nobody is answered before it was read again.
    publisher.token = lambda uri, now: list_token(b"\1", sub=uri, iat=now)
    assert ask(source, publisher, NOW + 16 + 31) == 1
    assert publisher.fetches == 3


def test_a_list_without_ttl_is_read_again_after_half_a_minute() -> None:
    publisher = Publisher()
    publisher.token = lambda uri, now: list_token(sub=uri, iat=now, ttl=LEAVE_OUT)
    source = publisher.lists()
    ask(source, publisher, NOW)
    assert source.refresh(URI, now=NOW + 15) is None and publisher.fetches == 1
    ask(source, publisher, NOW + 31)
    assert publisher.fetches == 2


def test_while_the_issuer_is_away_the_last_list_serves_for_a_while() -> None:
    publisher = Publisher()
    source = publisher.lists()
    ask(source, publisher, NOW)
    publisher.away = True
    last = NOW + 30 + DEFAULT_MAX_STALE_S
    assert ask(source, publisher, last) == 0
    error = unavailable(lambda: ask(source, publisher, last + 1))
    assert "away" in error.detail
    publisher.away = False
    assert ask(source, publisher, last + RETRY_INTERVAL_S) == 0


def test_an_expired_list_never_serves() -> None:
    publisher = Publisher()
    publisher.token = lambda uri, now: list_token(sub=uri, iat=now, exp=NOW + 20)
    source = publisher.lists()
    ask(source, publisher, NOW)
    publisher.away = True
    assert ask(source, publisher, NOW + 24) == 0  # the leeway
    unavailable(lambda: ask(source, publisher, NOW + 25))


def test_an_expired_list_is_read_again_before_anybody_is_answered() -> None:
    publisher = Publisher()
    publisher.token = lambda uri, now: list_token(sub=uri, iat=now, exp=now + 20, ttl=600)
    source = publisher.lists()
    ask(source, publisher, NOW)
    publisher.token = lambda uri, now: list_token(b"\1", sub=uri, iat=now)
    assert ask(source, publisher, NOW + 19) == 0
    assert ask(source, publisher, NOW + 20) == 1


def test_a_list_that_was_never_had_is_unavailable() -> None:
    publisher = Publisher()
    publisher.away = True
    source = publisher.lists()
    unavailable(lambda: source.find(URI, now=NOW))
    unavailable(lambda: ask(source, publisher, NOW))
    unavailable(lambda: ask(source, publisher, NOW + RETRY_INTERVAL_S - 1))
    assert publisher.fetches == 1  # nobody makes it ask more often
    unavailable(lambda: ask(source, publisher, NOW + RETRY_INTERVAL_S))
    assert publisher.fetches == 2


@pytest.mark.parametrize(
    "bad",
    [
        list_token(sub=BELOW + "2"),
        list_token(key="holder"),
        list_token(iss="https://other.example"),
        b"",
        b"a.b.c",
    ],
)
def test_a_list_that_does_not_verify_is_no_list(bad: bytes) -> None:
    publisher = Publisher()
    publisher.token = lambda uri, now: bad
    unavailable(lambda: ask(publisher.lists(), publisher, NOW))


def test_an_older_list_does_not_undo_a_newer_one() -> None:
    publisher = Publisher()
    publisher.token = lambda uri, now: list_token(b"\1", sub=uri, iat=NOW)
    source = publisher.lists()
    assert ask(source, publisher, NOW) == 1
    publisher.token = lambda uri, now: list_token(b"\0", sub=uri, iat=NOW - 1)
    assert ask(source, publisher, NOW + 31) == 1
    publisher.token = lambda uri, now: list_token(b"\0", sub=uri, iat=NOW + 1)
    assert ask(source, publisher, NOW + 62) == 0


def test_keeps_so_many_lists_and_no_more() -> None:
    publisher = Publisher()
    source = publisher.lists()
    for number in range(MAX_LISTS):
        ask(source, publisher, NOW, BELOW + str(number))
    ask(source, publisher, NOW, BELOW + "0")
    assert publisher.fetches == MAX_LISTS
    ask(source, publisher, NOW, BELOW + "new")
    ask(source, publisher, NOW, BELOW + "0")  # it was asked for after "1"
    assert publisher.fetches == MAX_LISTS + 1
    ask(source, publisher, NOW, BELOW + "1")
    assert publisher.fetches == MAX_LISTS + 2


def test_an_older_list_does_not_come_back_once_the_newer_one_is_not_kept() -> None:
    publisher = Publisher()
    source = publisher.lists()
    publisher.token = lambda uri, now: list_token(b"\1", sub=uri, iat=NOW)
    assert ask(source, publisher, NOW) == 1
    for number in range(MAX_LISTS):
        ask(source, publisher, NOW, BELOW + f"other-{number}")
    publisher.token = lambda uri, now: list_token(b"\0", sub=uri, iat=NOW - 1)
    assert "older" in unavailable(lambda: ask(source, publisher, NOW)).detail
    assert len(source._issued_at) == MAX_LISTS + 1


def test_remembers_when_so_many_lists_were_issued_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("keystead.relying.status.MAX_TIMES", 3)
    publisher = Publisher()
    source = publisher.lists()
    for later, number in enumerate((0, 1, 2, 3, 1, 4)):
        ask(source, publisher, NOW + 40 * later, BELOW + str(number))
    assert list(source._issued_at) == [BELOW + name for name in ("3", "1", "4")]


def test_looking_keeps_nothing() -> None:
    source = Publisher().lists()
    for number in range(MAX_LISTS):
        unavailable(lambda number=number: source.find(BELOW + str(number), now=NOW))  # type: ignore[misc]
    assert not source._lists


def test_the_keys_of_a_list_are_fetched_when_they_must_be() -> None:
    class Late(StaticJwks):
        """Keys that are there once somebody asked for them, without any waiting."""

        asked: str | None = None

        def refresh(self, kid: str | None, *, now: int) -> None:
            self.asked = kid

    keys = Late(jwks())
    publisher = Publisher()
    rules = StatusListRules(issuer=ISSUER, keys=keys, algorithms={"ES256"}, leeway_s=5)
    assert ask(CachedStatusLists(publisher.fetch, rules), publisher, NOW) == 0
    assert keys.asked == "token-1"


# --- what the option may be ---------------------------------------------------------------------


def test_a_file_is_one_list_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "list.jwt"
    path.write_bytes(list_token(b"\0") + b"\n")
    source = status_source(str(path), RULES)
    publisher = Publisher()
    assert ask(source, publisher, NOW) == 0
    path.write_bytes(list_token(b"\1"))
    assert ask(source, publisher, NOW + 31) == 1
    unavailable(lambda: ask(source, publisher, NOW, BELOW + "2"))
    with pytest.raises(ConfigurationError):
        status_source(tmp_path / "missing", RULES)


@pytest.mark.parametrize(
    "url", ["http://issuer.example/lists/", "ftp://issuer.example/", "https://", "https://a/#b"]
)
def test_refuses_urls_that_are_not_https(url: str) -> None:
    with pytest.raises(ConfigurationError):
        status_source(url, RULES)


def test_reads_lists_over_http_from_loopback() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(sized(list_token(b"\2", bits=2, sub=url)))

    with serving(answer) as url:
        source = status_source(url, RULES)
        assert ask(source, Publisher(), NOW, url) == 2


def test_no_token_names_a_list_beside_the_url() -> None:
    source = status_source(BELOW, RULES)
    for uri in (
        "https://issuer.example/status-lists",
        "https://issuer.example/",
        "https://other.example/status-lists/1",
        "http://issuer.example/status-lists/1",
        BELOW + "../keys",
        BELOW + "a/../../keys",
        BELOW + "%2e%2e/keys",
        BELOW + "/1",
        BELOW + "1/",
        BELOW + "a//b",
        BELOW + ".hidden",
        BELOW + "1?x",
        BELOW + "1#x",
        BELOW + "1\n",
        BELOW + "@evil.example/",
        " " + BELOW + "1",
    ):
        assert source.refresh(uri, now=NOW) is None
        with pytest.raises(TokenRejected) as caught:
            source.find(uri, now=NOW)
        assert (caught.value.reason, caught.value.step) == (Reason.CLAIM_INVALID, Step.STATUS)
    one = status_source(URI, RULES)
    for uri in (URI + "0", URI + "/1", BELOW):
        with pytest.raises(TokenRejected):
            one.find(uri, now=NOW)
    for named, uri in ((source, URI), (source, BELOW + "a/b-1_~.jwt"), (one, URI)):
        unavailable(lambda named=named, uri=uri: named.find(uri, now=NOW))  # type: ignore[misc]


def test_a_source_is_taken_as_it_is() -> None:
    source = FixedLists({})
    assert status_source(source, RULES) is source
    with pytest.raises(ConfigurationError):
        CachedStatusLists(lambda uri: b"", RULES, max_stale_s=-1)


# --- step 19 of a verifier ----------------------------------------------------------------------

REVOKED = 3
LISTS = FixedLists({URI: (packed([0, 0, 0, 1, 2, 3], bits=2), 2)}, away=BELOW + "away")


def checking(**options: object) -> Verifier:
    return verifier(status_lists=LISTS, **options)


def test_a_token_that_its_issuer_stands_by_passes() -> None:
    assert accept(checking(), token(status=listed(0))).user == "user-7"
    assert checking().verify_batch([token(status=listed(2))], now=NOW).ok == b"\1"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (listed(REVOKED), Reason.TOKEN_REVOKED),
        (listed(4), Reason.TOKEN_SUSPENDED),
        (listed(5), Reason.STATUS_UNKNOWN),
        (listed(8), Reason.STATUS_UNKNOWN),
        (listed(2**63 - 1), Reason.STATUS_UNKNOWN),
        (listed(2**63), Reason.MALFORMED),
        (listed(0, BELOW + "none"), Reason.CLAIM_INVALID),
        (listed(0, BELOW + "away"), Reason.STATUS_UNAVAILABLE),
        (LEAVE_OUT, Reason.CLAIM_MISSING),
        ({}, Reason.CLAIM_MISSING),
        ({"status_list": {"idx": 0}}, Reason.CLAIM_MISSING),
        (listed(-1), Reason.CLAIM_INVALID),
    ],
)
def test_any_other_token_does_not(status: object, reason: Reason) -> None:
    sent = request(token(status=status))
    found = refusal(checking(), sent)
    with pytest.raises(type(found)) as readable:
        checking()._checks.request(sent, now=NOW)
    assert (readable.value.reason, readable.value.step) == (found.reason, found.step)
    step = Step.DECODE if reason is Reason.MALFORMED else Step.STATUS
    assert (found.reason, found.step) == (reason, step)
    for result in (
        checking().verify_batch([sent.token], now=NOW),
        checking().verify_request_batch([sent], now=NOW),
    ):
        assert (result.ok, result.reason(0)) == (b"\0", reason)
        with pytest.raises(type(found)) as caught:
            result[0]
        assert (caught.value.reason, caught.value.step) == (reason, step)


def test_nobody_asks_where_no_lists_were_given() -> None:
    for status in (listed(REVOKED), {}, "nonsense", LEAVE_OUT):
        assert accept(verifier(), token(status=status)).user == "user-7"
        assert verifier().verify_batch([token(status=status)], now=NOW).ok == b"\1"


def test_what_the_api_asks_for_comes_before_and_the_proof_after() -> None:
    revoked = token(status=listed(REVOKED))
    check = checking(scopes_required=["orders:write"])
    assert refusal(check, request(revoked)).step == Step.SCOPES_REQUIRED
    sent = request(revoked, htm="PUT")
    check = checking()
    assert refusal(check, sent).reason is Reason.TOKEN_REVOKED
    good = request(token(status=listed(0)))
    check.verify_request(good.token, good.proof, good.method, good.url, now=NOW)
    assert refusal(check, good).reason is Reason.PROOF_REPLAYED


def test_the_proof_of_a_revoked_token_is_not_remembered() -> None:
    sent = request(token(status=listed(0)))
    bits = bytearray(b"\1")
    lists = {URI: (bytes(bits), 1)}
    check = verifier(status_lists=FixedLists(lists))
    assert refusal(check, sent).reason is Reason.TOKEN_REVOKED
    lists[URI] = (b"\0", 1)
    assert check.verify_request(sent.token, sent.proof, sent.method, sent.url, now=NOW)


def test_a_batch_of_many_lists_says_what_single_requests_say() -> None:
    lists = {BELOW + str(n): (packed([n % 4, 0], bits=2), 2) for n in range(40)}
    options = {"status_lists": FixedLists(lists, away=BELOW + "7")}
    sent = [request(token(status=listed(n % 2, BELOW + str(n % 41)))) for n in range(90)]

    def alone(check: Verifier, index: int) -> VerifiedToken | tuple[Reason, int | None]:
        one = sent[index]
        try:
            return check._checks.request(one, now=NOW)  # the readable path
        except KeysteadError as error:
            return error.reason, error.step

    check = verifier(**options)
    expected = [alone(check, index) for index in range(90)]
    result = verifier(**options).verify_request_batch(sent, now=NOW, threads=2)
    found = [v if isinstance(v, VerifiedToken) else (v.reason, v.step) for v in result.verdicts()]
    assert found == expected
    assert len({item for item in expected if isinstance(item, tuple)}) == 5


def test_a_batch_waits_for_its_lists_and_no_more_than_it_may() -> None:
    publisher = Publisher()
    check = verifier(status_lists=publisher.lists())
    uris = [BELOW + str(number) for number in range(MAX_LISTS + 2)]
    tokens = [token(status=listed(0, uri)) for uri in uris]
    result = check.verify_batch(tokens, now=NOW)
    assert sum(result.ok) == MAX_LISTS == publisher.fetches
    reasons = {result.reason(index) for index, good in enumerate(result.ok) if not good}
    assert reasons == {Reason.STATUS_UNAVAILABLE}


def test_a_batch_names_so_many_lists_whatever_the_source_has() -> None:
    uris = [BELOW + str(number) for number in range(MAX_LISTS + 1)]
    check = verifier(status_lists=FixedLists(dict.fromkeys(uris, (b"\0", 1))))
    result = check.verify_batch([token(status=listed(0, uri)) for uri in uris], now=NOW)
    assert sum(result.ok) == MAX_LISTS


def test_a_request_waits_for_the_list_of_a_token_that_is_genuine() -> None:
    publisher = Publisher()
    publisher.token = lambda uri, now: list_token(packed([0, 1]))
    check = verifier(status_lists=publisher.lists())
    assert refusal(check, request(token(key="holder", status=listed(0)))).step == Step.SIGNATURE
    assert publisher.fetches == 0  # a stranger's token does not make anybody fetch
    assert accept(check, token(status=listed(0)))
    assert refusal(check, request(token(status=listed(1)))).reason is Reason.TOKEN_REVOKED
    assert publisher.fetches == 1


def test_the_event_loop_runs_while_a_list_is_fetched() -> None:
    waiting, answer = threading.Event(), threading.Event()

    def fetch(uri: str) -> bytes:
        waiting.set()
        assert answer.wait(5)
        return list_token()

    check = verifier(status_lists=CachedStatusLists(fetch, RULES))
    sent = request(token(status=listed(0)))

    async def both() -> VerifiedToken:
        under_way = asyncio.ensure_future(
            check.verify_request_async(sent.token, sent.proof, sent.method, sent.url, now=NOW)
        )
        while not waiting.is_set():
            await asyncio.sleep(0.001)
        assert not under_way.done()
        answer.set()
        return await under_way

    assert asyncio.run(both()).user == "user-7"


def test_lists_are_signed_with_the_algorithms_of_the_tokens() -> None:
    keys = {"keys": [*jwks()["keys"], public_jwk("EdDSA", "issuer", kid="ed").to_dict()]}
    signed = list_token(algorithm="EdDSA", header={"kid": "ed"})
    for algorithms, good in ((["ES256"], False), (["ES256", "EdDSA"], True)):
        rules = StatusListRules(
            issuer=ISSUER, keys=StaticJwks(keys), algorithms=set(algorithms), leeway_s=5
        )
        publisher = Publisher()
        publisher.token = lambda uri, now: signed
        source = CachedStatusLists(publisher.fetch, rules)
        if good:
            assert ask(source, publisher, NOW) == 0
        else:
            unavailable(lambda source=source, at=publisher: ask(source, at, NOW))  # type: ignore[misc]
