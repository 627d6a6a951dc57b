"""A batch says of every item what the single path says, and one item never touches another."""

import gc
import json
import pickle
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.errors import KeysteadError, Malformed, Reason, Refused, TokenRejected
from keystead.model import VerifiedToken
from keystead.relying import (
    MAX_BATCH,
    BatchResult,
    CachedJwks,
    ReplayMemory,
    RequestToVerify,
    RollingNonces,
    Verifier,
)
from keystead.relying.native import MAX_SCOPE_SETS
from tests.jose_keys import public_jwk
from tests.relying_tokens import (
    AUDIENCE,
    LEAVE_OUT,
    NOW,
    URL,
    accept,
    jwks,
    proof,
    request,
    residency,
    spoilt,
    token,
    verifier,
)

Outcome = tuple[type, Reason | None, int | None] | VerifiedToken


def outcome(verdict: VerifiedToken | KeysteadError) -> Outcome:
    if isinstance(verdict, VerifiedToken):
        return verdict
    return type(verdict), verdict.reason, verdict.step


def one_by_one(check: Verifier, requests: list[RequestToVerify]) -> list[Outcome]:
    """What the readable path says of each."""
    outcomes: list[Outcome] = []
    for sent in requests:
        try:
            outcomes.append(check._checks.request(sent, now=NOW))
        except KeysteadError as error:
            outcomes.append(outcome(error))
    return outcomes


def both_ways(
    requests: list[RequestToVerify], *, threads: int = 1, **options: Any
) -> list[Outcome]:
    result = verifier(**options).verify_request_batch(requests, now=NOW, threads=threads)
    found = [outcome(verdict) for verdict in result.verdicts()]
    assert found == one_by_one(verifier(**options), requests)
    return found


def test_says_who_is_behind_every_good_request() -> None:
    found = both_ways([request(token(sub=f"user-{index}")) for index in range(20)], threads=2)
    users = [verdict.user for verdict in found if isinstance(verdict, VerifiedToken)]
    assert users == [f"user-{index}" for index in range(20)]


def test_the_result_has_flags_reasons_tokens_and_claims() -> None:
    tokens = [token(sub="first", extra=1), spoilt(token()), "nonsense"]
    result = verifier().verify_batch(tokens, now=NOW)
    assert (len(result), result.ok) == (3, b"\1\0\0")
    assert result[0].user == "first"
    assert result.claims(0)["extra"] == 1
    assert [result.reason(index) for index in range(3)] == [
        None,
        Reason.SIGNATURE_INVALID,
        Reason.MALFORMED,
    ]
    for index, error in ((1, TokenRejected), (2, Malformed)):
        for call in (result.__getitem__, result.claims):
            with pytest.raises(error):
                call(index)
    with pytest.raises(IndexError):
        result[3]


def test_a_batch_of_tokens_checks_all_but_the_proof() -> None:
    good, bad = token(), token(aud="https://other.example")
    result = verifier(scopes_required=["orders:read"]).verify_batch([good, bad, good], now=NOW)
    assert result.ok == b"\1\0\1"
    assert result.reason(1) is Reason.AUDIENCE_MISMATCH


def test_a_proof_twice_in_one_batch_opens_one_request() -> None:
    sent = request()
    found = both_ways([sent, request(), sent, sent])
    assert isinstance(found[0], VerifiedToken) and isinstance(found[1], VerifiedToken)
    assert [verdict[1] for verdict in found[2:] if isinstance(verdict, tuple)] == [
        Reason.PROOF_REPLAYED,
        Reason.PROOF_REPLAYED,
    ]


def test_a_batch_and_single_requests_share_the_memory() -> None:
    check, sent = verifier(), request()
    check.verify_request(sent.token, sent.proof, sent.method, sent.url, now=NOW)
    assert check.verify_request_batch([sent], now=NOW).reason(0) is Reason.PROOF_REPLAYED


def test_a_memory_that_fills_up_in_the_batch_refuses_the_rest() -> None:
    check = verifier(replay=ReplayMemory(capacity=2, not_before=0))
    result = check.verify_request_batch([request() for _ in range(4)], now=NOW)
    assert result.ok == b"\1\1\0\0"
    assert result.reason(2) is Reason.REPLAY_MEMORY_FULL


def bad_requests() -> list[RequestToVerify]:
    """One of each way to be refused."""
    good = token()
    thief = public_jwk(name="thief").members
    tokens = [
        "",
        "a.b.c",
        spoilt(good),
        token(key="holder"),
        token(header={"alg": "none"}),
        token(header={"alg": "HS256"}),
        token(header={"alg": LEAVE_OUT}),
        *(token(header={name: ["exp"]}) for name in ("crit", "b64", "zip", "enc")),
        token(header={"kid": "other"}),
        token(header={"typ": "dpop+jwt"}),
        token(b"[]"),
        token(iss="other"),
        token(aud="other"),
        token(exp=NOW - 10),
        token(exp=NOW + 2_000),
        token(nbf=NOW + 60),
        token(sub=LEAVE_OUT),
        token(act={}),
        *(token(scope=text) for text in (" ", "a  b", " a", "a ", 'a"', "a\\b", "é", "")),
        token(aal=9),
        token(cnf=LEAVE_OUT),
        token(cnf={"jkt": public_jwk(name="holder").thumbprint, "residency": residency(kind="x")}),
        *(
            token(cnf={"jkt": jkt, "residency": residency()})
            for jkt in ("A" * 42 + "B", "A" * 42, "A" * 44, "A" * 42 + "=", "+" * 42 + "A", 7)
        ),
        *(
            token(cnf={"jkt": "A" * 43, "residency": residency(result=result)})
            for result in ("A" * 42 + "B", "A" * 42, LEAVE_OUT)
        ),
        token(scope="orders:list"),
    ]
    proofs = [
        None,
        [],
        "",
        [proof(good)] * 2,
        proof(good).rpartition(".")[0],
        spoilt(proof(good)),
        proof(good, key="thief"),
        proof(good, header={"jwk": thief}),
        proof(good, header={"jwk": {**thief, "d": "A" * 43}}),
        proof(good, header={"jwk": {**public_jwk(name="holder").members, "alg": "ES384"}}),
        proof(good, header={"jwk": {**public_jwk(name="holder").members, "use": "enc"}}),
        proof(good, header={"alg": "ES384"}),
        proof(good, header={"typ": "JWT"}),
        *(proof(good, header={"alg": name}) for name in ("none", "HS256", LEAVE_OUT)),
        *(proof(good, header={name: ["exp"]}) for name in ("crit", "b64", "zip", "enc")),
        *(
            proof(good, header={"jwk": {"kty": kty, "x": "A" * 43, **crv}})
            for kty in ("OKP", "EC")
            for crv in ({}, {"crv": 7}, {"crv": ""}, {"crv": "X25519"})
        ),
        proof(good, ath=LEAVE_OUT),
        proof(good, htm="PUT"),
        proof(good, htu="https://other.example/"),
        proof(good, iat=NOW - 3_600),
        proof(good, iat=NOW + 3_600),
        proof(good, nonce=7),
    ]
    requests = [
        RequestToVerify(token=bad, proof=proof(good), method="GET", url=URL) for bad in tokens
    ]
    requests += [RequestToVerify(token=good, proof=bad, method="GET", url=URL) for bad in proofs]
    return [*requests, RequestToVerify(token=good, proof=proof(good), method="GET", url="no url")]


def test_every_refusal_is_the_same_both_ways() -> None:
    bad = bad_requests()
    found = both_ways(bad, scopes_required=["orders:read"])
    assert all(isinstance(verdict, tuple) for verdict in found)


def test_bad_neighbours_change_nothing() -> None:
    mixed = [sent for bad in bad_requests() for sent in (bad, request())]
    found = both_ways(mixed, scopes_required=["orders:read"], threads=2)
    assert all(isinstance(verdict, tuple) for verdict in found[0::2])
    assert all(isinstance(verdict, VerifiedToken) for verdict in found[1::2])


def test_a_batch_of_several_algorithms() -> None:
    keys = [
        public_jwk(algorithm, "issuer", kid=algorithm).to_dict()
        for algorithm in ("ES256", "ES384", "RS256", "EdDSA", "PS256")
    ]
    options = {
        "jwks": {"keys": keys},
        "allowed_algorithms": ["ES256", "ES384", "RS256", "EdDSA", "PS256"],
    }
    requests = [
        request(token(algorithm=str(key["kid"]), header={"kid": key["kid"]})) for key in keys
    ]
    crossed = request(token(algorithm="ES384", header={"kid": "ES256"}))
    found = both_ways([*requests, crossed], **options)
    assert all(isinstance(verdict, VerifiedToken) for verdict in found[:-1])
    assert found[-1] == (TokenRejected, Reason.KEY_UNSUITABLE, 5)


GOOD = request()


@st.composite
def mutated(draw: st.DrawFn) -> RequestToVerify:
    """A good request with one piece of the token or the proof replaced, cut or repeated."""

    def bend(text: str) -> str:
        at = draw(st.integers(0, len(text)))
        cut = draw(st.integers(0, 3))
        alphabet = "AQgw019-_.=,{}é\x00 "
        return text[:at] + draw(st.text(alphabet, max_size=3)) + text[at + cut :]

    assert isinstance(GOOD.proof, str)
    bent_token = bend(GOOD.token) if draw(st.booleans()) else GOOD.token
    bent_proof = bend(GOOD.proof) if draw(st.booleans()) else GOOD.proof
    return RequestToVerify(token=bent_token, proof=bent_proof, method="GET", url=URL)


@settings(max_examples=60)
@given(st.lists(mutated(), min_size=1, max_size=6))
def test_mutated_requests_are_judged_alike(requests: list[RequestToVerify]) -> None:
    both_ways(requests)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["sub", "act"]), inner)
    ),
    max_leaves=6,
)
CLAIM_NAMES = ["iss", "aud", "exp", "iat", "nbf", "sub", "scope", "act", "aal", "amr", "cnf"]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(CLAIM_NAMES), JSON_VALUES), min_size=1, max_size=4))
def test_signed_nonsense_is_judged_alike(changes: list[tuple[str, object]]) -> None:
    both_ways([request(token(**{name: value})) for name, value in changes])


def test_an_unknown_kid_in_a_batch_waits_for_one_fetch() -> None:
    fetches = []

    def fetch() -> bytes:
        fetches.append(1)
        return json.dumps(jwks()).encode()

    check = verifier(jwks=CachedJwks(fetch))
    bad = [token(header={"kid": f"kid-{index}"}) for index in range(20)]
    result = check.verify_batch([token(), *bad], now=NOW)
    assert (result.ok, len(fetches)) == (b"\1" + b"\0" * 20, 1)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "options",
    [{}, {"nonces": RollingNonces(b"n" * 32)}, {"status_lists": "https://issuer.example/lists/"}],
)
def test_an_empty_batch_is_one(options: dict[str, Any], threads: int) -> None:
    check = verifier(**options)
    assert check.verify_batch([], now=NOW, threads=threads).ok == b""
    assert check.verify_request_batch([], now=NOW, threads=threads).ok == b""


def test_one_token_is_no_batch() -> None:
    for one in (token(), token().encode()):
        with pytest.raises(TypeError, match="not one of them"):
            verifier().verify_batch(one, now=NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [0, -1, 65, 1.5, True, None, "2"])
def test_refuses_thread_counts_that_are_none(threads: Any) -> None:
    for call in (verifier().verify_batch, verifier().verify_request_batch):
        with pytest.raises(ValueError, match="threads is 1 to 64"):
            call([], now=NOW, threads=threads)


def test_an_index_is_one_integer() -> None:
    result = verifier().verify_batch([token(), "bad"], now=NOW)
    for read in (result.reason, result.error, result.claims, result.payload, result.__getitem__):
        for wrong in (slice(0, 1), slice(None), "0", 0.0, None):
            with pytest.raises(TypeError):
                read(wrong)  # type: ignore[arg-type]
        for beyond in (2, -3, 2**70):
            with pytest.raises(IndexError):
                read(beyond)
    assert result.reason(-1) is Reason.MALFORMED and result.claims(-2) == result.claims(0)


def test_a_result_stays_in_its_process() -> None:
    result = verifier().verify_batch([token()], now=NOW)
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(result)


def test_refuses_more_than_it_takes() -> None:
    with pytest.raises(Refused) as caught:
        verifier().verify_batch([""] * (MAX_BATCH + 1), now=NOW)
    assert caught.value.reason is Reason.LIMIT_EXCEEDED
    assert verifier().verify_batch([""] * MAX_BATCH, now=NOW).ok == b"\0" * MAX_BATCH


def test_a_sequence_that_grows_meanwhile_is_refused_as_too_many() -> None:
    class Growing(list[str]):
        def __len__(self) -> int:
            return 1

    with pytest.raises(Refused) as caught:
        verifier().verify_batch(Growing([""] * (MAX_BATCH + 1)), now=NOW)
    assert caught.value.reason is Reason.LIMIT_EXCEEDED


def test_what_is_not_a_string_is_refused_alone(caplog: pytest.LogCaptureFixture) -> None:
    odd: list[Any] = [None, b"x", 7, token().encode(), token()]
    result = verifier().verify_batch(odd, now=NOW)
    assert result.ok == b"\0\0\0\0\1"
    found = [error.detail for error in result.verdicts() if isinstance(error, KeysteadError)]
    kinds = ("NoneType", "bytes", "int", "bytes")
    assert found == [f"a token is a str, not {kind}" for kind in kinds]


def test_a_kept_result_keeps_no_frames() -> None:
    class Marker:
        pass

    def judged() -> tuple[BatchResult, weakref.ref[Marker]]:
        marker = Marker()
        return verifier().verify_batch([spoilt(token()), token(aud=AUDIENCE + "/")], now=NOW), (
            weakref.ref(marker)
        )

    result, marker = judged()
    gc.collect()
    assert marker() is None
    for verdict in result.verdicts():
        assert isinstance(verdict, KeysteadError)
        assert verdict.__traceback__ is None and verdict.__cause__ is None


# --- one request --------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [[], ["orders:list"], ["orders:write"], ["a b"], ["orders:"]])
def test_a_requests_own_scopes_are_asked_for_at_their_step(extra: list[str]) -> None:
    for sent in (request(), request(token(aal=1)), request(token(scope=LEAVE_OUT))):
        options = {"scopes_required": ["orders:read"], "minimum_aal": 2}
        check, readable = verifier(**options), verifier(**options)
        try:
            expected: Outcome = readable._checks.request(sent, now=NOW, scopes=extra)
        except KeysteadError as error:
            expected = outcome(error)
        found: Outcome
        try:
            found = check.verify_request(
                sent.token, sent.proof, sent.method, sent.url, now=NOW, scopes=iter(extra)
            )
        except KeysteadError as error:
            found = outcome(error)
            assert error.reason is not Reason.SCOPE_INSUFFICIENT or error.detail
        assert found == expected


def test_more_sets_of_scopes_than_are_kept_are_asked_for_all_the_same() -> None:
    check = verifier()
    for number in range(MAX_SCOPE_SETS + 3):
        sent = request()
        with pytest.raises(TokenRejected) as caught:
            check.verify_request(
                sent.token, sent.proof, sent.method, sent.url, now=NOW, scopes=[f"scope:{number}"]
            )
        assert caught.value.detail == f"scope:{number}"
    assert accept(check)
    assert len(check._checks.native._made) == MAX_SCOPE_SETS


class BrokenStore:
    """A ``ReplayStore`` with a bug, or one whose server is away in its own way."""

    def remember(self, jkt: str, jti: str, *, first: int, last: int, now: int) -> None:
        raise RuntimeError("no store")


def test_what_a_store_raises_reaches_the_caller_of_one_request() -> None:
    sent = request()
    check = verifier(replay=BrokenStore())
    with pytest.raises(RuntimeError, match="no store"):
        check.verify_request(sent.token, sent.proof, sent.method, sent.url, now=NOW)
    assert check.verify_request_batch([sent], now=NOW).ok == b"\0"


@pytest.mark.parametrize("odd", [None, b"a.b.c", 7, "é", "\ud800"])
def test_a_token_of_another_type_is_malformed(odd: Any) -> None:
    with pytest.raises(Malformed) as caught:
        verifier().verify_request(odd, None, "GET", URL, now=NOW)
    assert caught.value.step == 1
