"""What attackers bring to an API: other people's tokens, tokens of other kinds, keys of their own.

The rows of the table of mistakes that concern a relying party are here by name.
"""

import hashlib
import hmac
import json
from typing import Any

import pytest

from keystead.codec import base64url
from keystead.errors import KeysteadError, Malformed, ProofRejected, Reason, TokenRejected
from keystead.relying import MAX_BATCH, ReplayMemory, RequestToVerify
from tests.jose_keys import compact, private_key, public_jwk
from tests.relying_tokens import (
    KID,
    LEAVE_OUT,
    NOW,
    URL,
    claims,
    jwks,
    proof,
    refusal,
    request,
    token,
    verifier,
)


def reason(access_token: str, proof_value: str | None = None, **options: Any) -> Reason:
    """Why a request is refused: the same one at a time and in a batch."""
    sent = request(access_token, proof_value)
    alone = refusal(verifier(**options), sent)
    assert verifier(**options).verify_request_batch([sent], now=NOW).reason(0) is alone.reason
    return alone.reason


# --- the table of mistakes ------------------------------------------------------------------------


def test_ath_is_compared() -> None:
    good, other = token(), token(scope="orders:write")
    assert reason(good, proof(other)) is Reason.TOKEN_HASH_MISMATCH
    assert reason(good, proof(good, ath=LEAVE_OUT)) is Reason.TOKEN_HASH_MISMATCH


def test_jkt_is_compared() -> None:
    stolen = token()
    assert reason(stolen, proof(stolen, key="thief")) is Reason.KEY_BINDING_MISMATCH


def test_the_replay_memory_outlives_the_skew() -> None:
    check, sent = verifier(proof_max_age_s=60, leeway_s=5), request(iat=NOW)
    check.verify_request(sent.token, sent.proof, "GET", URL, now=NOW - 5)
    assert refusal(check, sent, now=NOW + 65).reason is Reason.PROOF_REPLAYED


def test_a_stripped_binding_is_noticed() -> None:
    assert reason(token(cnf=LEAVE_OUT)) is Reason.BINDING_MISSING


# --- algorithms and keys --------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
def test_none_is_no_algorithm(alg: str) -> None:
    header = base64url.encode(json.dumps({"typ": "at+jwt", "alg": alg, "kid": KID}).encode())
    body = base64url.encode(json.dumps(claims()).encode())
    assert reason(f"{header}.{body}.") in (Reason.ALGORITHM_NOT_ALLOWED, Reason.MALFORMED)


@pytest.mark.parametrize("alg", ["HS256", "HS512"])
def test_a_public_key_is_no_shared_secret(alg: str) -> None:
    signed_part = ".".join(token(header={"alg": alg}).split(".")[:2])
    secrets = [public_jwk(name="issuer").spki, json.dumps(jwks()["keys"][0]).encode()]
    for secret in secrets:
        mac = hmac.digest(secret, signed_part.encode(), hashlib.sha256)
        forged = f"{signed_part}.{base64url.encode(mac)}"
        assert reason(forged) is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c"])
def test_a_key_that_the_token_brings_is_not_used(member: str) -> None:
    values: dict[str, object] = {
        "jwk": public_jwk(name="thief").to_dict(),
        "jku": "https://thief.example/jwks",
        "x5u": "https://thief.example/certificate",
        "x5c": ["AAAA"],
    }
    forged = token(key="thief", header={member: values[member]})
    assert reason(forged) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("kid", ["../../etc/passwd", "' OR 1=1 --", "token-1\x00", "TOKEN-1", ""])
def test_a_kid_is_only_looked_up(kid: str) -> None:
    assert reason(token(header={"kid": kid})) in (Reason.KEY_UNKNOWN, Reason.MALFORMED)


def test_a_kid_cannot_choose_a_key_of_another_algorithm() -> None:
    both = {
        "keys": [
            public_jwk("ES256", "issuer", kid="ec").to_dict(),
            public_jwk("RS256", "issuer", kid="rsa").to_dict(),
        ]
    }
    options = {"jwks": both, "allowed_algorithms": ["ES256", "RS256"]}
    crossed = token(algorithm="ES256", header={"kid": "rsa"})
    assert reason(crossed, **options) is Reason.KEY_UNSUITABLE
    crossed = token(algorithm="RS256", header={"kid": "ec"})
    assert reason(crossed, **options) is Reason.KEY_UNSUITABLE


def test_a_pinned_algorithm_of_the_key_holds() -> None:
    pinned = {"keys": [public_jwk("RS256", "issuer", kid=KID, alg="RS256").to_dict()]}
    options = {"jwks": pinned, "allowed_algorithms": ["RS256", "PS256"]}
    assert reason(token(algorithm="PS256"), **options) is Reason.KEY_UNSUITABLE


# --- other kinds of tokens ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typ",
    [
        "JWT",
        "JOSE",
        "dpop+jwt",
        "statuslist+jwt",
        "keystead-key-proof+jwt",
        "oauth-client-attestation+jwt",
        "id_token+jwt",
        "at+jwt ",
        "at jwt",
        "application/application/at+jwt",
        LEAVE_OUT,
    ],
)
def test_other_tokens_of_the_same_issuer_are_no_access_tokens(typ: object) -> None:
    assert reason(token(header={"typ": typ})) is Reason.TYPE_MISMATCH


def test_a_proof_is_no_token() -> None:
    assert reason(proof(token())) is Reason.TYPE_MISMATCH


def test_a_token_is_no_proof() -> None:
    good = token()
    found = refusal(verifier(), request(good, good))
    assert (type(found), found.reason) == (ProofRejected, Reason.CLAIM_MISSING)


def test_a_proof_signed_by_the_issuers_key_for_itself_opens_nothing() -> None:
    stolen = token()
    forged = proof(stolen, key="issuer")
    assert reason(stolen, forged) is Reason.KEY_BINDING_MISMATCH


def test_a_nested_token_is_not_unwrapped() -> None:
    nested = compact(
        {"typ": "at+jwt", "alg": "ES256", "kid": KID, "cty": "JWT"},
        token().encode(),
        key=private_key(name="issuer"),
    )
    assert reason(nested) is Reason.MALFORMED


# --- JSON -----------------------------------------------------------------------------------------


def signed(payload: bytes) -> str:
    return token(payload)


def with_raw(extra: str) -> bytes:
    return json.dumps(claims()).encode()[:-1] + f",{extra}}}".encode()


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (with_raw('"sub":"admin"'), Reason.DUPLICATE_MEMBER),
        (with_raw('"s\\u0075b":"admin"'), Reason.DUPLICATE_MEMBER),
        (with_raw('"x":NaN'), Reason.MALFORMED),
        (with_raw('"x":1e999'), Reason.MALFORMED),
        (with_raw('"x":' + "9" * 5_000), Reason.MALFORMED),
        (with_raw('"x":"\\ud800"'), Reason.MALFORMED),
        (with_raw('"x":' + "[" * 17 + "]" * 17), Reason.TOO_LARGE),
        (b"\xef\xbb\xbf" + json.dumps(claims()).encode(), Reason.MALFORMED),
        (json.dumps(claims()).encode() + b"{}", Reason.MALFORMED),
        (json.dumps(claims()).encode().replace(b"user-7", b"user-\xff"), Reason.MALFORMED),
        (json.dumps(claims()).encode("utf-16"), Reason.MALFORMED),
    ],
)
def test_a_payload_with_two_readings_has_none(payload: bytes, expected: Reason) -> None:
    assert reason(signed(payload)) is expected


def test_deep_json_costs_nothing() -> None:
    for payload in (b"[" * 5_000, b'{"a":' * 1_000):
        with pytest.raises(Malformed):
            verifier().verify_request(signed(payload), "x", "GET", URL, now=NOW)


def test_an_act_chain_cannot_hide_the_actor_deeper_than_is_read() -> None:
    chain: dict[str, object] = {"sub": "deepest"}
    for depth in range(12):
        chain = {"sub": f"actor-{depth}", "act": chain}
    assert reason(token(act=chain)) is Reason.CLAIM_INVALID


# --- size and number ------------------------------------------------------------------------------


def test_what_is_too_large_is_refused_before_it_is_decoded() -> None:
    for size in (8_193, 10_000_000):
        found = refusal(verifier(), request("A" * size, "x"))
        assert (type(found), found.reason) == (Malformed, Reason.TOO_LARGE)
    good = token()
    found = refusal(verifier(), request(good, "A" * 10_000_000))
    assert (type(found), found.reason) == (Malformed, Reason.TOO_LARGE)


def test_a_batch_of_hostile_items_spoils_no_neighbour() -> None:
    items = [
        RequestToVerify(token=bad, proof=bad, method="GET", url=URL)
        for bad in ("", ".", "..", "A" * 9_000, "\x00", "é.é.é", "e30.e30.e30", "🙂")
        for _ in range(8)
    ]
    mixed = [sent for item in items for sent in (item, request())]
    assert len(mixed) <= MAX_BATCH
    result = verifier().verify_request_batch(mixed, now=NOW, threads=2)
    assert result.ok == b"\0\1" * len(items)


def test_refusals_leave_no_trace_in_the_memory() -> None:
    memory = ReplayMemory(not_before=0)
    check = verifier(replay=memory)
    stolen = token()
    for _ in range(20):
        refusal(check, request(stolen, proof(stolen, key="thief")))
    assert len(memory) == 0


# --- what errors tell -----------------------------------------------------------------------------


def test_errors_hold_no_token() -> None:
    good = token()
    for bad in (token(aud="x"), token(key="thief"), token(exp=NOW - 100), token(cnf={})):
        found = refusal(verifier(), request(bad))
        assert bad.split(".")[2] not in f"{found!r} {found}"
    found = refusal(verifier(), request(good, proof(good, htm="PUT")))
    assert good.split(".")[2] not in f"{found!r} {found}"
    assert good not in repr(request(good))


def test_only_keystead_errors_come_out_of_every_cut() -> None:
    good = token()
    good_proof = proof(good)
    check = verifier()
    for cut in range(0, len(good), 7):
        with pytest.raises((Malformed, TokenRejected)):
            check.verify_request(good[:cut], good_proof, "GET", URL, now=NOW)
    for cut in range(0, len(good_proof), 7):
        with pytest.raises(KeysteadError):
            check.verify_request(good, good_proof[:cut], "GET", URL, now=NOW)
