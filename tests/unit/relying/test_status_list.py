"""One status list: what it says of an index, and which bytes are one."""

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec import base64url
from keystead.errors import KeysteadError, Malformed, Reason, TokenRejected
from keystead.relying.jwks import StaticJwks
from keystead.relying.status_list import (
    MAX_AGE_WITHOUT_EXP_S,
    MAX_STATUS_LIST_BYTES,
    MAX_STATUSES_BYTES,
    StatusList,
    StatusReference,
    check_status,
    parse_reference,
    verify_status_list,
)
from keystead.relying.steps import Step
from tests.relying_tokens import ISSUER, LEAVE_OUT, NOW, jwks
from tests.status_lists import URI, list_token, listed, packed, status_list


def verified(token: bytes, *, now: int = NOW, **changes: Any) -> StatusList:
    source = StaticJwks(jwks())
    given: dict[str, Any] = {
        "uri": URI,
        "keys": lambda kid: source.find(kid, now=now),
        "algorithms": {"ES256"},
        "issuer": ISSUER,
        "now": now,
        "leeway_s": 5,
    }
    return verify_status_list(token, **{**given, **changes})


def refused(token: bytes, **options: Any) -> tuple[type, Reason]:
    with pytest.raises(KeysteadError) as caught:
        verified(token, **options)
    return type(caught.value), caught.value.reason


def list_of(statuses: bytes, bits: int) -> StatusList:
    return verified(list_token(statuses, bits=bits))


# --- what it says -------------------------------------------------------------------------------


def test_the_examples_of_the_specification() -> None:
    """Sections "Status List" and "Status List in JSON Format": one bit, and the text of ``lst``."""
    bits = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
    claim = {"bits": 1, "lst": "eNrbuRgAAhcBXQ"}
    found = verified(list_token(status_list=claim))
    assert found.statuses == b"\xb9\xa3" == packed(bits)
    assert [found.status(index) for index in range(17)] == [*bits, None]
    two = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
    found = verified(list_token(status_list={"bits": 2, "lst": "eNo76fITAAPfAgc"}))
    assert [found.status(index) for index in range(13)] == [*two, None]


@given(
    bits=st.sampled_from((1, 2, 4, 8)),
    numbers=st.lists(st.integers(0, 255), min_size=1, max_size=40),
)
def test_every_index_of_every_width(bits: int, numbers: list[int]) -> None:
    statuses = [number % (1 << bits) for number in numbers]
    found = StatusList(
        uri=URI,
        bits=bits,
        statuses=packed(statuses, bits=bits),
        issued_at=0,
        expires_at=1,
        fresh_for_s=None,
    )
    assert [found.status(index) for index in range(len(statuses))] == statuses
    for beyond in (len(found.statuses) * 8 // bits, 2**63 - 1, -1):
        assert found.status(beyond) is None


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (1, Reason.TOKEN_REVOKED),
        (2, Reason.TOKEN_SUSPENDED),
        (3, Reason.STATUS_UNKNOWN),
        (255, Reason.STATUS_UNKNOWN),
        (None, Reason.STATUS_UNKNOWN),
    ],
)
def test_only_zero_is_valid(status: int | None, reason: Reason) -> None:
    check_status(0)
    with pytest.raises(TokenRejected) as caught:
        check_status(status)
    assert (caught.value.reason, caught.value.step) == (reason, Step.STATUS)


# --- what a token says --------------------------------------------------------------------------


def test_reads_where_a_status_stands() -> None:
    claims = {"status": {**listed(7), "other": 1}}
    assert parse_reference(claims) == StatusReference(uri=URI, index=7)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, Reason.CLAIM_MISSING),
        ({"status": None}, Reason.CLAIM_INVALID),
        ({"status": []}, Reason.CLAIM_INVALID),
        ({"status": {}}, Reason.CLAIM_MISSING),
        ({"status": {"status_list": 1}}, Reason.CLAIM_INVALID),
        ({"status": {"status_list": {"uri": URI}}}, Reason.CLAIM_MISSING),
        ({"status": {"status_list": {"idx": 1}}}, Reason.CLAIM_MISSING),
        *(({"status": listed(idx)}, Reason.CLAIM_INVALID) for idx in (-1, 1.0, "1", True, None)),
        *(({"status": listed(1, uri)}, Reason.CLAIM_INVALID) for uri in ("", 1, "a\n", "a" * 2049)),
    ],
)
def test_refuses_a_status_that_names_no_place(claims: Any, reason: Reason) -> None:
    with pytest.raises(TokenRejected) as caught:
        parse_reference(claims)
    assert (caught.value.reason, caught.value.step) == (reason, Step.STATUS)


# --- which bytes are a list ---------------------------------------------------------------------


def test_a_list_says_how_long_it_counts() -> None:
    found = verified(list_token())
    assert (found.uri, found.issued_at, found.expires_at) == (URI, NOW - 5, NOW + 600)
    assert found.fresh_for_s == 30
    found = verified(list_token(exp=LEAVE_OUT, ttl=LEAVE_OUT, iss=LEAVE_OUT))
    assert found.fresh_for_s is None
    assert found.expires_at == NOW - 5 + MAX_AGE_WITHOUT_EXP_S
    assert verified(list_token(ttl=1e300)).fresh_for_s == MAX_AGE_WITHOUT_EXP_S
    assert verified(list_token(ttl=0.5)).fresh_for_s == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"header": {"typ": "at+jwt"}}, Reason.TYPE_MISMATCH),
        ({"header": {"typ": "JWT"}}, Reason.TYPE_MISMATCH),
        ({"header": {"typ": LEAVE_OUT}}, Reason.TYPE_MISMATCH),
        ({"header": {"alg": "HS256"}}, Reason.ALGORITHM_NOT_ALLOWED),
        ({"header": {"alg": "none"}}, Reason.ALGORITHM_NOT_ALLOWED),
        ({"header": {"kid": "other"}}, Reason.KEY_UNKNOWN),
        ({"header": {"kid": LEAVE_OUT}}, Reason.KEY_UNKNOWN),
        ({"header": {"crit": ["exp"]}}, Reason.CRITICAL_HEADER_UNKNOWN),
        ({"key": "holder"}, Reason.SIGNATURE_INVALID),
        ({"iss": "https://other.example"}, Reason.ISSUER_MISMATCH),
        ({"sub": URI + "0"}, Reason.CLAIM_INVALID),
        *(({name: LEAVE_OUT}, Reason.CLAIM_MISSING) for name in ("sub", "iat", "status_list")),
        ({"exp": NOW - 5}, Reason.EXPIRED),
        ({"iat": NOW + 6}, Reason.NOT_YET_VALID),
        ({"exp": LEAVE_OUT, "iat": NOW - MAX_AGE_WITHOUT_EXP_S - 5}, Reason.EXPIRED),
    ],
)
def test_refuses_what_is_not_the_list_of_this_issuer(changes: Any, reason: Reason) -> None:
    assert refused(list_token(**changes)) == (TokenRejected, reason)


def test_times_have_their_leeway() -> None:
    assert verified(list_token(exp=NOW - 4)) and verified(list_token(iat=NOW + 5))
    assert verified(list_token(exp=LEAVE_OUT, iat=NOW - MAX_AGE_WITHOUT_EXP_S - 4))


def test_refuses_a_changed_bit_anywhere() -> None:
    token = list_token(bytes(40))
    for at in range(0, len(token), 7):
        changed = bytearray(token)
        changed[at] ^= 1
        with pytest.raises((TokenRejected, Malformed)):
            verified(bytes(changed))


def compressed(data: bytes) -> dict[str, object]:
    return {"bits": 1, "lst": base64url.encode(data)}


WHOLE = zlib.compress(b"\1\2\3\4")


@pytest.mark.parametrize(
    "claim",
    [
        None,
        [],
        {},
        {"bits": 1},
        {"lst": base64url.encode(WHOLE)},
        *(status_list(b"\0", bits=bits) for bits in (0, 3, 16, -1, "1", True, 1.0, None)),
        *(status_list(b"\0", lst=lst) for lst in ("", "A", "eNo=", 1, None, "e N")),
        *(compressed(WHOLE[:length]) for length in range(len(WHOLE))),
        compressed(WHOLE + b"\0"),
        compressed(WHOLE + WHOLE),
        compressed(WHOLE[:-1] + b"\0"),
        compressed(zlib.compress(b"\1\2\3\4", wbits=-15)),
        compressed(zlib.compress(b"\1\2\3\4", wbits=31)),
    ],
)
def test_refuses_statuses_that_do_not_decode(claim: object) -> None:
    error, reason = refused(list_token(status_list=claim))
    assert (error, reason) == (Malformed, Reason.MALFORMED)


@pytest.mark.parametrize("ttl", [0, -1, "30", None, True])
def test_refuses_a_ttl_that_is_no_positive_number(ttl: object) -> None:
    assert refused(list_token(ttl=ttl)) == (Malformed, Reason.MALFORMED)


def test_refuses_what_would_grow_beyond_the_bound() -> None:
    assert len(list_of(bytes(MAX_STATUSES_BYTES), 8).statuses) == MAX_STATUSES_BYTES
    too_many = list_token(bytes(MAX_STATUSES_BYTES + 1))
    assert len(too_many) < 4_096
    assert refused(too_many) == (Malformed, Reason.TOO_LARGE)
    bomb = zlib.compress(bytes(300_000_000), 9)
    assert refused(list_token(status_list=compressed(bomb))) == (Malformed, Reason.TOO_LARGE)
    assert refused(b"a" * (MAX_STATUS_LIST_BYTES + 1)) == (Malformed, Reason.TOO_LARGE)


def test_the_largest_list_that_does_not_compress_passes() -> None:
    state, statuses = 1, bytearray()
    while len(statuses) < MAX_STATUSES_BYTES:
        state = state * 6364136223846793005 + 1442695040888963407 & 2**64 - 1
        statuses += (state >> 24).to_bytes(5, "big")
    token = list_token(bytes(statuses[:MAX_STATUSES_BYTES]))
    assert len(token) > 1_800_000
    assert verified(token).statuses == statuses[:MAX_STATUSES_BYTES]


def test_refuses_a_member_twice() -> None:
    body = json.dumps({"sub": URI, "iat": NOW, "status_list": status_list(b"\0")})
    from tests.jose_keys import compact, private_key

    header = {"typ": "statuslist+jwt", "alg": "ES256", "kid": "token-1"}
    twice = body[:-1] + ',"sub":"' + URI + '"}'
    signed = compact(header, twice.encode(), key=private_key("ES256", "issuer")).encode()
    assert refused(signed) == (Malformed, Reason.DUPLICATE_MEMBER)
