"""From credentials to callers."""

import hashlib
import hmac

import pytest

from keystead.errors import Reason, Refused
from keystead.service import callers
from keystead.service.callers import Callers, Operator, new_credential
from keystead.service.roles import Caller, Role
from tests.evidence_builder import Dice, Host
from tests.service_parts import (
    HOST_ID,
    ISSUER_ID,
    OPERATOR_CREDENTIAL,
    Installation,
)


def test_the_right_credential_is_its_operator(it: Installation) -> None:
    for scheme in ("Bearer", "bearer"):
        found = it.callers.from_credential(f"{scheme} {OPERATOR_CREDENTIAL}")
        assert (found.name, found.roles) == ("olga", {Role.OPERATOR})


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer kso_" + "p" * 43,
        "Bearer " + OPERATOR_CREDENTIAL[:-1],
        "Bearer " + OPERATOR_CREDENTIAL + "o",
        "Bearer  " + OPERATOR_CREDENTIAL,
        "Bearer " + OPERATOR_CREDENTIAL + "\n",
        "DPoP " + OPERATOR_CREDENTIAL,
        OPERATOR_CREDENTIAL,
        "Bearer ",
        "",
        "Bearer kso_" + "é" * 43,
    ],
)
def test_a_wrong_credential_is_refused_and_never_a_stranger(it: Installation, shown: str) -> None:
    with pytest.raises(Refused) as refused:
        it.callers.from_credential(shown)
    assert refused.value.reason is Reason.CREDENTIAL_INVALID
    assert "kso_" not in str(refused.value)


def test_the_hash_of_nothing_is_nobodys_credential(it: Installation) -> None:
    """A configuration with a hash of the empty text must not make everybody its operator."""
    empty = Operator(name="e", role=Role.OPERATOR, credential_sha256=hashlib.sha256(b"").digest())
    made = Callers(store=it.store, operators=[empty], identities={}, anonymous_roles=frozenset())
    with pytest.raises(Refused):
        made.from_credential("Bearer ")


def test_every_operator_is_compared_in_constant_time(
    it: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bytes] = []

    class Watched:
        @staticmethod
        def compare_digest(expected: bytes, shown: bytes) -> bool:
            compared.append(expected)
            return hmac.compare_digest(expected, shown)

    monkeypatch.setattr(callers, "hmac", Watched)
    known = [f"kso_{letter * 43}" for letter in "abc"]
    digests = [hashlib.sha256(credential.encode()).digest() for credential in known]
    made = Callers(
        store=it.store,
        operators=[
            Operator(name=str(i), role=Role.OPERATOR, credential_sha256=digest)
            for i, digest in enumerate(digests)
        ],
        identities={},
        anonymous_roles=frozenset(),
    )
    for shown in (known[0], known[2]):
        compared.clear()
        made.from_credential(f"Bearer {shown}")
        assert compared == digests, "all of them, also after one has matched"


async def test_a_configured_identity_has_its_role(it: Installation) -> None:
    found = await it.callers.from_spiffe_id(ISSUER_ID)
    assert (found.name, found.spiffe_id, found.roles) == (ISSUER_ID, ISSUER_ID, {Role.ISSUER})


async def test_a_host_has_its_role_once_it_is_enrolled(it: Installation) -> None:
    assert (await it.callers.from_spiffe_id(HOST_ID)).roles == frozenset()
    await it.enrol(Host.make())
    assert (await it.callers.from_spiffe_id(HOST_ID)).roles == {Role.HOST}


async def test_an_unknown_identity_has_no_role_but_what_everybody_has(it: Installation) -> None:
    made = Callers(
        store=it.store,
        operators=[],
        identities={},
        anonymous_roles=frozenset({Role.RELYING_PARTY}),
    )
    assert (await made.from_spiffe_id("spiffe://example.org/x")).roles == {Role.RELYING_PARTY}
    assert made.anonymous().roles == {Role.RELYING_PARTY}
    assert it.callers.anonymous().roles == frozenset()


@pytest.mark.parametrize("text", ["", "https://example.org/", "spiffe://", "spiffe://Ex/a"])
async def test_a_certificate_without_a_spiffe_id_is_a_wrong_credential(
    it: Installation, text: str
) -> None:
    with pytest.raises(Refused) as refused:
        await it.callers.from_spiffe_id(text)
    assert refused.value.reason is Reason.CREDENTIAL_INVALID


def test_the_administration_socket_reads_and_enrols_only(it: Installation) -> None:
    assert it.callers.admin_socket().roles == {Role.ADMIN_SOCKET}


def test_two_credentials_are_one_caller(it: Installation) -> None:
    certificate = Caller(name=HOST_ID, spiffe_id=HOST_ID, roles=frozenset({Role.HOST}))
    person = Caller(name="olga", roles=frozenset({Role.OPERATOR}))
    both = it.callers.merge(certificate, person)
    assert (both.name, both.spiffe_id) == ("olga", HOST_ID)
    assert both.roles == {Role.HOST, Role.OPERATOR}
    assert it.callers.merge(certificate, Caller()).name == HOST_ID


def test_a_new_credential_is_what_its_hash_says() -> None:
    credential, digest = new_credential(Dice())
    made = Callers(
        store=None,
        operators=[Operator(name="n", role=Role.OPERATOR, credential_sha256=bytes.fromhex(digest))],
        identities={},
        anonymous_roles=frozenset(),
    )
    assert made.from_credential(f"Bearer {credential}").name == "n"
    assert new_credential(Dice(b"other"))[0] != credential
