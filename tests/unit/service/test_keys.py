"""KeyService: who may have what signed by which key, and what is on record before the answer."""

import hashlib
import json
from typing import Any

import pytest

from keystead.binding.issuer_proof import qualifying_data
from keystead.errors import KeysteadError, Malformed, NotFound, Reason, Refused, Unavailable
from keystead.jose.jws import parse_compact, verify_compact
from keystead.model import AuditAction, KeyPurpose, KeyState, SigningKey
from keystead.service.keys import MAX_PAYLOAD_BYTES
from keystead.service.roles import ANYONE, Caller, Role
from tests.exchange_parts import ISSUER
from tests.service_parts import (
    ADAM,
    API_CALLER,
    DELEGATE,
    HOST_CALLER,
    ISSUER_ID,
    OLGA,
    PUBLISH_AHEAD_S,
    SOCKET,
    Installation,
)

PAYLOAD = json.dumps({"iss": "https://other.example", "sub": "x"}).encode()
STRANGER = Caller(name="spiffe://example.org/two", roles=frozenset({Role.ISSUER}))


async def external(it: Installation, **changes: Any) -> SigningKey:
    wanted: dict[str, Any] = {
        "purpose": "external",
        "algorithm": "ES256",
        "owner": ISSUER_ID,
        "allow_digest": False,
        **changes,
    }
    return await it.keys.create(OLGA, **wanted)


async def sign(it: Installation, kid: str, caller: Caller = DELEGATE, **changes: Any) -> Any:
    wanted: dict[str, Any] = {"payload": PAYLOAD, "digest": None, "typ": "", **changes}
    return await it.keys.sign(caller, kid=kid, **wanted)


async def refusal(coroutine: Any) -> KeysteadError:
    with pytest.raises(KeysteadError) as caught:
        await coroutine
    return caught.value


async def test_the_owner_has_payloads_signed(it: Installation) -> None:
    key = await external(it)
    made = await sign(it, key.kid, typ="at+jwt")
    parsed = parse_compact(made.jws)
    assert parsed.header == {"alg": "ES256", "kid": key.kid, "typ": "at+jwt"}
    public = it.keyring.key_set(KeyPurpose.EXTERNAL).get(key.kid)
    assert public is not None
    assert json.loads(verify_compact(parsed, key=public)) == json.loads(PAYLOAD)
    assert made.signature == b""


async def test_a_type_is_given_where_none_was_named(it: Installation) -> None:
    made = await sign(it, (await external(it)).kid)
    assert parse_compact(made.jws).header["typ"] == "JWT"


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_digests_are_signed_where_the_key_allows_it(it: Installation, algorithm: str) -> None:
    key = await external(it, allow_digest=True, algorithm=algorithm)
    message = b"header.payload"
    made = await sign(it, key.kid, payload=None, digest=hashlib.sha256(message).digest())
    assert made.jws == "" and len(made.signature) == (64 if algorithm == "ES256" else 256)


async def test_digests_are_refused_where_the_key_does_not_allow_it(it: Installation) -> None:
    refused = await refusal(sign(it, (await external(it)).kid, payload=None, digest=bytes(32)))
    assert refused.reason is Reason.DIGEST_NOT_ALLOWED
    assert "sign" not in it.tpm.commands


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33), bytes(64)])
async def test_a_digest_of_another_length_is_malformed(it: Installation, digest: bytes) -> None:
    key = await external(it, allow_digest=True)
    assert isinstance(await refusal(sign(it, key.kid, payload=None, digest=digest)), Malformed)


@pytest.mark.parametrize("purpose", [p for p in KeyPurpose if p is not KeyPurpose.EXTERNAL])
async def test_our_own_keys_sign_nothing_for_callers(it: Installation, purpose: KeyPurpose) -> None:
    key = it.keyring.active(purpose)
    for caller in (DELEGATE, Caller(name="keystead", roles=frozenset({Role.ISSUER}))):
        for what in ({}, {"payload": None, "digest": bytes(32)}):
            refused = await refusal(sign(it, key.kid, caller, **what))
            assert refused.reason is Reason.KEY_PURPOSE
    assert "sign" not in it.tpm.commands


async def test_only_its_owner_uses_an_external_key(it: Installation) -> None:
    key = await external(it)
    assert (await refusal(sign(it, key.kid, STRANGER))).reason is Reason.ROLE_REQUIRED
    assert "sign" not in it.tpm.commands


@pytest.mark.parametrize("caller", [ANYONE, OLGA, ADAM, SOCKET, API_CALLER, HOST_CALLER])
async def test_nobody_but_issuers_has_anything_signed(it: Installation, caller: Caller) -> None:
    key = await external(it, owner=caller.name or "x")
    assert (await refusal(sign(it, key.kid, caller))).reason is Reason.ROLE_REQUIRED


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": ISSUER},
        {"iss": ISSUER + "/"},
        {"iss": ISSUER.upper()},
        {"iss": f" {ISSUER}"},
        {"iss": [ISSUER]},
        {"iss": None},
    ],
)
async def test_a_payload_that_names_this_issuer_is_refused(
    it: Installation, claims: dict[str, Any]
) -> None:
    refused = await refusal(sign(it, (await external(it)).kid, payload=json.dumps(claims).encode()))
    assert refused.reason is Reason.PAYLOAD_NAMES_THIS_ISSUER
    assert "sign" not in it.tpm.commands


@pytest.mark.parametrize("typ", ["dpop+jwt", "ear+jwt", "keystead-key-proof+jwt", "DPoP+JWT"])
async def test_a_type_that_is_ours_to_sign_is_refused(it: Installation, typ: str) -> None:
    refused = await refusal(sign(it, (await external(it)).kid, typ=typ))
    assert refused.reason is Reason.PAYLOAD_NAMES_THIS_ISSUER


@pytest.mark.parametrize(
    "payload",
    [
        None,
        b"",
        b"{",
        b"[]",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b"\xff",
        b'{"a":"' + b"x" * MAX_PAYLOAD_BYTES + b'"}',
        b'{"a":' * 500 + b"1" + b"}" * 500,
    ],
)
async def test_what_is_no_payload_is_malformed(it: Installation, payload: bytes | None) -> None:
    refused = await refusal(sign(it, (await external(it)).kid, payload=payload))
    assert isinstance(refused, Malformed)
    assert "sign" not in it.tpm.commands


async def test_every_use_is_on_record_with_a_digest_and_no_content(it: Installation) -> None:
    key = await external(it, allow_digest=True)
    await sign(it, key.kid)
    await sign(it, key.kid, payload=None, digest=b"\x07" * 32)
    used = await it.events(AuditAction.KEY_USED)
    assert [(e.caller, e.object, dict(e.detail)) for e in used] == [
        (
            ISSUER_ID,
            key.kid,
            {"signed": "payload", "sha256": hashlib.sha256(PAYLOAD).hexdigest()},
        ),
        (ISSUER_ID, key.kid, {"signed": "digest", "sha256": "07" * 32}),
    ]


async def test_no_signature_leaves_without_its_record(it: Installation) -> None:
    key = await external(it, allow_digest=True)
    it.store.fails = lambda events: True
    for what in ({}, {"payload": None, "digest": bytes(32)}):
        assert isinstance(await refusal(sign(it, key.kid, **what)), Unavailable)
    assert it.tpm.commands.count("sign") == 2


async def test_a_retired_key_signs_nothing_and_its_successor_does(it: Installation) -> None:
    key = await external(it)
    successor = await it.keys.rotate(OLGA, purpose="external", owner=ISSUER_ID)
    assert (await refusal(sign(it, successor.kid))).reason is Reason.KEY_STATE
    it.clock.at += PUBLISH_AHEAD_S
    await it.keyring.advance()
    assert (await refusal(sign(it, key.kid))).reason is Reason.KEY_STATE
    assert (await sign(it, successor.kid)).jws


async def test_a_successor_is_as_its_predecessor_was(it: Installation) -> None:
    key = await external(it, algorithm="RS256", allow_digest=True)
    successor = await it.keys.rotate(OLGA, purpose="external", owner=ISSUER_ID)
    assert successor.kid != key.kid
    for member in ("algorithm", "owner", "allow_digest", "purpose"):
        assert getattr(successor, member) == getattr(key, member)
    assert successor.state is KeyState.PENDING


@pytest.mark.parametrize("caller", [ANYONE, SOCKET, DELEGATE, API_CALLER, HOST_CALLER])
async def test_only_operators_make_and_rotate_keys(it: Installation, caller: Caller) -> None:
    for attempt in (
        it.keys.create(caller, purpose="external", algorithm="ES256", owner="", allow_digest=False),
        it.keys.rotate(caller, purpose="external", owner=ISSUER_ID),
    ):
        assert (await refusal(attempt)).reason is Reason.ROLE_REQUIRED


@pytest.mark.parametrize("purpose", [p for p in KeyPurpose if p is not KeyPurpose.EXTERNAL])
async def test_our_own_keys_are_an_administrators_to_replace(
    it: Installation, purpose: KeyPurpose
) -> None:
    """A new key of ours follows the active one, so that making it is rotating."""
    refused = await refusal(it.keys.rotate(OLGA, purpose=purpose, owner=""))
    assert refused.reason is Reason.ROLE_REQUIRED
    made = it.keys.create(OLGA, purpose=purpose, algorithm="ES256", owner="", allow_digest=False)
    assert (await refusal(made)).reason is Reason.ROLE_REQUIRED
    assert (await it.keys.rotate(ADAM, purpose=purpose, owner="")).owner == "keystead"


async def test_a_key_of_ours_that_an_administrator_makes_waits_and_is_nobodys(
    it: Installation,
) -> None:
    key = await it.keys.create(
        ADAM, purpose="token", algorithm="ES256", owner=ISSUER_ID, allow_digest=False
    )
    assert (key.state, key.owner) == (KeyState.PENDING, "keystead")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"purpose": "master"}, Reason.KEY_PURPOSE),
        ({"purpose": ""}, Reason.KEY_PURPOSE),
        ({"algorithm": "HS256"}, Reason.ALGORITHM_NOT_ALLOWED),
        ({"algorithm": "none"}, Reason.ALGORITHM_NOT_ALLOWED),
        ({"owner": "o" * 257}, Reason.TOO_LARGE),
    ],
)
async def test_a_wrong_wish_is_malformed(
    it: Installation, changes: dict[str, Any], reason: Reason
) -> None:
    refused = await refusal(external(it, **changes))
    assert isinstance(refused, Malformed)
    assert refused.reason is reason
    assert "create_signing_key" not in it.tpm.commands[-1:]


async def test_digests_are_for_external_keys_only(it: Installation) -> None:
    refused = await refusal(
        it.keys.create(ADAM, purpose="token", algorithm="ES256", owner="", allow_digest=True)
    )
    assert refused.reason is Reason.DIGEST_NOT_ALLOWED


async def test_who_sees_which_keys(it: Installation) -> None:
    mine = await external(it)
    theirs = await external(it, owner=STRANGER.name)
    everything = {key.kid for key in it.keyring.all()}
    for caller in (OLGA, ADAM, SOCKET):
        assert {k.kid for k in it.keys.visible(caller, purpose="")} == everything
        assert it.keys.get(caller, kid=theirs.kid) == theirs
    assert [k.kid for k in it.keys.visible(DELEGATE, purpose="")] == [mine.kid]
    assert [k.kid for k in it.keys.visible(OLGA, purpose="ear")] == [
        it.keyring.active(KeyPurpose.EAR).kid
    ]
    for caller in (ANYONE, API_CALLER, HOST_CALLER):
        with pytest.raises(Refused):
            it.keys.visible(caller, purpose="")
        with pytest.raises(Refused):
            it.keys.get(caller, kid=mine.kid)
    for hidden in (theirs.kid, it.keyring.active(KeyPurpose.TOKEN).kid):
        with pytest.raises(Refused):
            it.keys.get(DELEGATE, kid=hidden)
    with pytest.raises(NotFound):
        it.keys.get(OLGA, kid="none")
    with pytest.raises(Malformed):
        it.keys.visible(OLGA, purpose="master")


async def test_published_keys_are_ours_alone_and_say_who_can_be_asked(it: Installation) -> None:
    await external(it)
    successor = await it.keys.rotate(ADAM, purpose="token", owner="")
    old = it.keyring.active(KeyPurpose.TOKEN)
    it.clock.at += PUBLISH_AHEAD_S
    await it.keyring.advance()
    document = it.keys.published()
    assert document["issuer"] == ISSUER
    assert document["prove_uri"] == f"{ISSUER}/.well-known/keystead/keys/prove"
    shown = {key["kid"]: key for key in document["keys"]}
    assert shown.keys() == {key.kid for key in it.keyring.all() if key.owner == "keystead"}
    assert {shown[old.kid]["state"], shown[successor.kid]["state"]} == {"retired", "active"}
    assert {key["purpose"] for key in shown.values()} == {"token", "svid", "status", "ear", "audit"}


async def prove(it: Installation, kid: str, nonce: bytes = bytes(32), size: int = 8) -> Any:
    return await it.keys.prove(
        kid=kid, nonce=nonce, credential_blob=bytes(size), encrypted_secret=bytes(size)
    )


async def test_external_keys_are_not_proved(it: Installation) -> None:
    key = await external(it)
    assert (await refusal(prove(it, key.kid))).reason is Reason.KEY_PURPOSE
    assert isinstance(await refusal(prove(it, "none")), NotFound)


async def test_a_retired_key_is_proved_like_any_other(it: Installation) -> None:
    """It stands in the JWKS, so whoever believes the JWKS has to be able to ask."""
    old = it.keyring.active(KeyPurpose.TOKEN)
    await it.keys.rotate(ADAM, purpose="token", owner="")
    it.clock.at += PUBLISH_AHEAD_S
    await it.keyring.advance()
    assert it.keyring.get(old.kid).state is KeyState.RETIRED
    assert (await refusal(prove(it, old.kid))).reason is Reason.HARDWARE_REFUSED
    assert "activate_credential" in it.tpm.commands


@pytest.mark.parametrize("nonce", [b"", bytes(15), bytes(65)])
async def test_a_nonce_of_a_wrong_length_is_malformed(it: Installation, nonce: bytes) -> None:
    kid = it.keyring.active(KeyPurpose.TOKEN).kid
    assert isinstance(await refusal(prove(it, kid, nonce)), Malformed)
    assert (await refusal(prove(it, kid, size=1_025))).reason is Reason.TOO_LARGE
    assert "activate_credential" not in it.tpm.commands


def test_the_proved_data_names_issuer_key_and_nonce() -> None:
    """Nothing that is certified for a stranger answers another issuer's or key's challenge."""
    data = {
        qualifying_data(issuer, kid=kid, nonce=nonce)
        for issuer in ("https://a", "https://b")
        for kid in ("1", "2")
        for nonce in (bytes(32), b"\1" * 32)
    }
    assert len(data) == 8 and bytes(32) not in data
