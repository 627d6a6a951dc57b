from dataclasses import replace

import pytest

from keystead.errors import Reason, Refused
from keystead.issuance.signing_keys import (
    RETIRED_PUBLISHED_S,
    active_key,
    check_external_payload,
    jwks,
    next_states,
    published,
)
from keystead.jose.jwk import parse_set
from keystead.model import (
    KeyEvidence,
    KeyPurpose,
    KeyState,
    Kid,
    SignerTier,
    SigningKey,
    WrappedKey,
)
from tests.jose_keys import public_jwk

NOW = 10_000
ISSUER = "https://keystead.example"
PENDING, ACTIVE, RETIRED = KeyState.PENDING, KeyState.ACTIVE, KeyState.RETIRED


def key(name: str, state: KeyState = ACTIVE, at: int = 0, **changes: object) -> SigningKey:
    members: dict[str, object] = {
        "kid": Kid(name),
        "purpose": KeyPurpose.TOKEN,
        "algorithm": "ES256",
        "state": state,
        "tier": SignerTier.TPM,
        "owner": "keystead",
        "allow_digest": False,
        "jwk": public_jwk(name=name).to_dict(),
        "wrapped": WrappedKey(public=b"", private=b""),
        "evidence": KeyEvidence(
            ek_public=b"",
            ek_certificate=None,
            ek_certificate_chain=(),
            ak_public=b"",
            qualifying_data=b"",
            certify_attest=b"",
            certify_signature=b"",
        ),
        "created_at": at,
        "activates_at": at,
        **changes,
    }
    return SigningKey(**members)


def test_the_newest_active_key_of_the_purpose_signs() -> None:
    old, new = key("old", at=1), key("new", at=2)
    others = [
        key("pending", PENDING, at=3),
        key("retired", RETIRED, at=4),
        key("svid", at=5, purpose=KeyPurpose.SVID),
        key("theirs", at=6, owner="issuer-x"),
        key("rsa", at=7, algorithm="RS256"),
    ]
    keys = [new, *others, old]
    assert active_key(keys, KeyPurpose.TOKEN, "ES256") is new
    assert active_key(keys, KeyPurpose.TOKEN, "RS256") is others[4]
    assert active_key(keys, KeyPurpose.TOKEN, None) is others[4]
    assert active_key(keys, KeyPurpose.TOKEN, None, owner="issuer-x") is others[3]
    assert active_key(keys, KeyPurpose.AUDIT, None) is None


def test_a_pending_key_waits_for_its_time() -> None:
    keys = [key("old"), key("new", PENDING, at=NOW + 1)]
    assert next_states(keys, now=NOW) == []
    moves = next_states(keys, now=NOW + 1)
    assert moves == [("new", ACTIVE), ("old", RETIRED)]


def test_only_the_key_that_is_replaced_retires() -> None:
    keys = [
        key("old"),
        key("rsa", algorithm="RS256"),
        key("ear", purpose=KeyPurpose.EAR),
        key("new", PENDING, at=NOW),
    ]
    assert next_states(keys, now=NOW) == [("new", ACTIVE), ("old", RETIRED)]


def test_two_that_are_due_follow_each_other() -> None:
    keys = [key("old"), key("b", PENDING, at=NOW), key("a", PENDING, at=NOW - 1)]
    moves = next_states(keys, now=NOW)
    assert moves == [("a", ACTIVE), ("old", RETIRED), ("b", ACTIVE), ("a", RETIRED)]


def test_of_our_own_keys_one_is_left() -> None:
    keys = [key("a", at=1), key("b", at=2), key("new", PENDING, at=NOW)]
    assert next_states(keys, now=NOW) == [("new", ACTIVE), ("a", RETIRED), ("b", RETIRED)]


def test_an_owners_other_external_keys_stay() -> None:
    theirs = {"purpose": KeyPurpose.EXTERNAL, "owner": "issuer-x"}
    keys = [
        key("one", at=1, **theirs),
        key("two", at=2, **theirs),
        key("two-next", PENDING, at=NOW, **theirs),
    ]
    assert next_states(keys, now=NOW) == [("two-next", ACTIVE), ("two", RETIRED)]


def test_first_key_of_all_replaces_none() -> None:
    assert next_states([key("first", PENDING, at=NOW)], now=NOW) == [("first", ACTIVE)]


def test_keys_are_published_before_they_sign_and_after_they_did() -> None:
    keep_s = RETIRED_PUBLISHED_S[KeyPurpose.TOKEN]
    assert keep_s is not None
    keys = [
        key("next", PENDING, at=9),
        key("gone", RETIRED, at=1, retired_at=NOW - keep_s),
        key("late", RETIRED, at=2, retired_at=NOW - keep_s + 1),
        key("now", at=3),
        key("ear", purpose=KeyPurpose.EAR),
    ]
    kids = [key.kid for key in published(keys, KeyPurpose.TOKEN, now=NOW)]
    assert kids == ["late", "now", "next"]


def test_audit_keys_are_published_for_ever() -> None:
    old = key("old", RETIRED, purpose=KeyPurpose.AUDIT, retired_at=0)
    assert published([old], KeyPurpose.AUDIT, now=10**10) == (old,)


def test_a_set_says_kid_alg_and_use_and_can_be_parsed() -> None:
    document = jwks([key("one"), key("two")])
    found = parse_set(document)
    assert [(jwk.kid, jwk.alg, jwk.use) for jwk in found] == [
        ("one", "ES256", "sig"),
        ("two", "ES256", "sig"),
    ]
    assert found.skipped == 0


@pytest.mark.parametrize(
    ("claims", "typ"),
    [
        ({}, "JWT"),
        ({"iss": "https://issuer.example"}, "at+jwt"),
        ({"iss": ISSUER + "/tenant"}, "JWT"),
        ({"iss": "https://issuer.example", "aud": ISSUER}, "statuslist+jwt"),
    ],
)
def test_external_keys_sign_what_is_the_owners(claims: dict[str, object], typ: str) -> None:
    check_external_payload(claims, typ=typ, issuer=ISSUER)


@pytest.mark.parametrize(
    ("claims", "typ", "step"),
    [
        ({"iss": [ISSUER]}, "JWT", 1),
        ({"iss": None}, "JWT", 1),
        ({"iss": ISSUER}, "JWT", 2),
        ({"iss": ISSUER + "/"}, "JWT", 2),
        ({"iss": "HTTPS://Keystead.Example"}, "JWT", 2),
        ({"iss": f" {ISSUER}"}, "JWT", 2),
        ({}, "keystead-handover+jwt", 3),
        ({}, "application/EAR+jwt", 3),
        ({}, " dpop+jwt", 3),
    ],
)
def test_external_keys_never_speak_for_this_issuer(
    claims: dict[str, object], typ: str, step: int
) -> None:
    with pytest.raises(Refused) as caught:
        check_external_payload(claims, typ=typ, issuer=ISSUER)
    found = (caught.value.reason, caught.value.step)
    assert found == (Reason.PAYLOAD_NAMES_THIS_ISSUER, step)


def test_states_of_a_key_do_not_change_who_replaces_it() -> None:
    retired = replace(key("old"), state=RETIRED, retired_at=1)
    assert next_states([retired, key("new", PENDING, at=NOW)], now=NOW) == [("new", ACTIVE)]
