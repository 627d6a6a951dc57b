"""Enrolled hosts and their entries: who may make them, who sees which, and what falls with them."""

from typing import Any

import pytest

from keystead.errors import Conflict, KeysteadError, Malformed, NotFound, Reason, Unavailable
from keystead.model import AuditAction
from keystead.service.roles import ANYONE, Caller, Role
from tests.evidence_builder import Host
from tests.exchange_parts import AGENT, AGENT_B
from tests.service_parts import (
    ADAM,
    API_CALLER,
    BINDING_TTL_S,
    DELEGATE,
    HOST_CALLER,
    HOST_ID,
    OLGA,
    SOCKET,
    Installation,
)

OTHER_HOST_ID = "spiffe://example.org/host/2"
HOST = Host.make()
OTHER = Host.make(name="other")


async def enrol(it: Installation, caller: Caller = SOCKET, **changes: Any) -> Any:
    wanted: dict[str, Any] = {
        "ek_public": HOST.ek.sized,
        "ek_certificate": HOST.ek_certificate,
        "spiffe_id": HOST_ID,
        "labels": {},
        **changes,
    }
    return await it.identities.enrol(caller, **wanted)


async def refusal(coroutine: Any) -> KeysteadError:
    with pytest.raises(KeysteadError) as caught:
        await coroutine
    return caught.value


async def test_the_socket_enrols_a_host_without_labels(it: Installation) -> None:
    host = await enrol(it)
    assert (host.spiffe_id, host.labels, host.enrolled_by) == (HOST_ID, (), "admin-socket")
    assert host.ek_public_name == HOST.ek.name.hex()
    assert await it.identities.hosts(SOCKET) == (host,)
    (told,) = await it.events(AuditAction.HOST_ENROLLED)
    assert (told.caller, told.object) == ("admin-socket", host.ek)


async def test_an_ek_without_certificate_is_enrolled_by_an_administrators_word(
    it: Installation,
) -> None:
    assert (await enrol(it, ek_certificate=b"")).ek == (await enrol(it)).ek


async def test_labels_are_an_operators_to_set(it: Installation) -> None:
    refused = await refusal(enrol(it, labels={"rack": "7"}))
    assert refused.reason is Reason.ROLE_REQUIRED
    assert await it.identities.hosts(SOCKET) == ()
    assert (await enrol(it, OLGA, labels={"rack": "7"})).labels == (("rack", "7"),)


async def test_the_socket_takes_no_label_away(it: Installation) -> None:
    await enrol(it, OLGA, labels={"rack": "7"})
    assert (await enrol(it)).labels == (("rack", "7"),)
    assert (await it.identities.hosts(SOCKET))[0].labels == (("rack", "7"),)
    assert (await enrol(it, OLGA)).labels == ()


@pytest.mark.parametrize("caller", [ANYONE, API_CALLER, DELEGATE, HOST_CALLER])
async def test_nobody_else_enrols_or_lists_hosts(it: Installation, caller: Caller) -> None:
    assert (await refusal(enrol(it, caller))).reason is Reason.ROLE_REQUIRED
    assert (await refusal(it.identities.hosts(caller))).reason is Reason.ROLE_REQUIRED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ek_public": b"", "ek_certificate": b""}, Reason.MALFORMED),
        ({"ek_public": b"", "ek_certificate": HOST.ek_certificate[:-1]}, Reason.MALFORMED),
        ({"ek_public": HOST.ek.sized[:-1]}, Reason.MALFORMED),
        ({"ek_public": HOST.ek.sized + b"\0"}, Reason.MALFORMED),
        ({"ek_public": HOST.ak.sized, "ek_certificate": b""}, Reason.EK_ATTRIBUTES),
        ({"ek_certificate": OTHER.ek_certificate}, Reason.EK_MISMATCH),
        ({"ek_certificate": HOST.ek_certificate[:-1]}, Reason.MALFORMED),
        ({"spiffe_id": "spiffe://elsewhere.org/host"}, Reason.SPIFFE_ID_INVALID),
        ({"spiffe_id": "host"}, Reason.SPIFFE_ID_INVALID),
    ],
)
async def test_a_wrong_enrolment_is_refused(
    it: Installation, changes: dict[str, Any], reason: Reason
) -> None:
    assert (await refusal(enrol(it, **changes))).reason is reason
    assert await it.identities.hosts(SOCKET) == ()


async def test_a_host_can_be_enrolled_by_its_certificate_alone(it: Installation) -> None:
    by_area = await enrol(it)
    by_certificate = await enrol(it, ek_public=b"", ek_certificate=HOST.ek_certificate)
    assert by_certificate.ek == by_area.ek
    assert by_certificate.ek_public_name == ""


@pytest.mark.parametrize("labels", [{"": "v"}, {"n": "v" * 256}, {str(i): "" for i in range(33)}])
async def test_labels_are_few_and_short(it: Installation, labels: dict[str, str]) -> None:
    assert isinstance(await refusal(enrol(it, OLGA, labels=labels)), Malformed)


async def test_an_ek_or_a_name_belongs_to_one_host(it: Installation) -> None:
    await enrol(it)
    for changes in (
        {"spiffe_id": OTHER_HOST_ID},
        {"ek_public": OTHER.ek.sized, "ek_certificate": OTHER.ek_certificate},
    ):
        assert isinstance(await refusal(enrol(it, **changes)), Conflict)


async def test_an_entry_needs_an_operator(it: Installation) -> None:
    await enrol(it)
    for caller in (ANYONE, SOCKET, API_CALLER, DELEGATE, HOST_CALLER):
        made = it.identities.create_entry(
            caller,
            spiffe_id=AGENT,
            parent=HOST_ID,
            kind="tpm2",
            pcrs={},
            labels={},
            binding_ttl_s=0,
        )
        assert (await refusal(made)).reason is Reason.ROLE_REQUIRED
    assert await it.identities.entries(OLGA) == ()


async def test_an_entry_pins_its_hosts_ek(it: Installation) -> None:
    host = await enrol(it)
    entry = await it.register()
    assert (entry.ek, entry.parent, entry.created_by) == (host.ek, HOST_ID, "olga")
    assert entry.binding_ttl_s == BINDING_TTL_S
    (told,) = await it.events(AuditAction.ENTRY_CREATED)
    assert (told.caller, told.object, told.detail["spiffe_id"]) == ("olga", entry.id, AGENT)


async def test_the_same_entry_again_is_the_same_entry(it: Installation) -> None:
    await enrol(it)
    pcrs = {"sha256": {7: ("77" * 32, "11" * 32), 0: ("11" * 32,)}}
    first = await it.register(pcrs=pcrs, labels={"b": "2", "a": "1"})
    it.clock.at += 1_000
    turned = {"sha256": {0: ("11" * 32,), 7: ("11" * 32, "77" * 32)}}
    again = await it.register(pcrs=turned, labels={"a": "1", "b": "2"})
    assert again == first
    assert await it.identities.entries(OLGA) == (first,)
    assert len(await it.events(AuditAction.ENTRY_CREATED)) == 1, "nothing happened twice"


async def test_the_same_entry_with_another_time_is_a_conflict(it: Installation) -> None:
    await enrol(it)
    await it.register()
    assert isinstance(await refusal(it.register(binding_ttl_s=60)), Conflict)


@pytest.mark.parametrize(
    "changes",
    [
        {"spiffe_id": AGENT_B},
        {"pcrs": {"sha256": {7: ("77" * 32,)}}},
        {"pcrs": {"sha384": {7: ("77" * 48,)}}},
        {"labels": {"rack": "7"}},
    ],
)
async def test_entries_that_say_something_else_are_others(
    it: Installation, changes: dict[str, Any]
) -> None:
    await enrol(it)
    first = await it.register()
    assert (await it.register(**changes)).id != first.id
    assert len(await it.identities.entries(OLGA)) == 2


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({"parent": OTHER_HOST_ID}, NotFound, Reason.EK_NOT_ENROLLED),
        ({"parent": "spiffe://elsewhere.org/h"}, Malformed, Reason.SPIFFE_ID_INVALID),
        ({"kind": "tpm"}, Malformed, Reason.KIND_UNSUPPORTED),
        ({"spiffe_id": HOST_ID}, Malformed, Reason.PARAMETER_INVALID),
        ({"spiffe_id": "spiffe://elsewhere.org/a"}, Malformed, Reason.SPIFFE_ID_INVALID),
        ({"pcrs": {"sha1": {0: ("00" * 20,)}}}, Malformed, Reason.PARAMETER_INVALID),
        ({"pcrs": {"sha256": {24: ("00" * 32,)}}}, Malformed, Reason.PARAMETER_INVALID),
        ({"pcrs": {"sha256": {0: ("AA" * 32,)}}}, Malformed, Reason.PARAMETER_INVALID),
        ({"pcrs": {"sha256": {0: ()}}}, Malformed, Reason.PARAMETER_INVALID),
        ({"binding_ttl_s": 59}, Malformed, Reason.PARAMETER_INVALID),
        ({"binding_ttl_s": -1}, Malformed, Reason.PARAMETER_INVALID),
        ({"binding_ttl_s": 86_401}, Malformed, Reason.PARAMETER_INVALID),
    ],
)
async def test_a_wrong_entry_is_refused(
    it: Installation, changes: dict[str, Any], kind: type[KeysteadError], reason: Reason
) -> None:
    await enrol(it)
    refused = await refusal(it.register(**changes))
    assert (type(refused), refused.reason) == (kind, reason)
    assert await it.identities.entries(OLGA) == ()


async def test_a_host_sees_what_it_parents_and_nothing_else(it: Installation) -> None:
    await enrol(it)
    await enrol(it, ek_public=OTHER.ek.sized, ek_certificate=b"", spiffe_id=OTHER_HOST_ID)
    mine = await it.register()
    theirs = await it.register(AGENT_B, parent=OTHER_HOST_ID)
    assert await it.identities.entries(HOST_CALLER) == (mine,)
    for caller in (OLGA, ADAM, SOCKET):
        assert await it.identities.entries(caller) == (mine, theirs)
    nameless = Caller(name="h", roles=frozenset({Role.HOST}))
    assert await it.identities.entries(nameless) == (), "a host without a name parents nothing"
    for caller in (ANYONE, API_CALLER, DELEGATE):
        assert (await refusal(it.identities.entries(caller))).reason is Reason.ROLE_REQUIRED


async def test_removing_an_entry_unbinds_its_key_and_revokes_its_grants(it: Installation) -> None:
    agent = await it.agent()
    issued = await it.exchange(agent)
    assert agent.entry is not None
    for caller in (ANYONE, SOCKET, API_CALLER, DELEGATE, HOST_CALLER):
        removal = it.identities.remove_entry(caller, id=agent.entry.id)
        assert (await refusal(removal)).reason is Reason.ROLE_REQUIRED
    await it.identities.remove_entry(OLGA, id=agent.entry.id)
    assert (await refusal(it.renew(agent, issued.refresh_token))).reason is Reason.KEY_NOT_BOUND
    assert (await it.grants.introspect(API_CALLER, issued.access_token)) == {"active": False}
    (told,) = await it.events(AuditAction.ENTRY_REMOVED)
    assert (told.caller, told.object) == ("olga", agent.entry.id)
    assert isinstance(await refusal(it.identities.remove_entry(OLGA, id=agent.entry.id)), NotFound)


async def test_removing_a_host_is_an_administrators_and_takes_all_with_it(
    it: Installation,
) -> None:
    agent = await it.agent()
    issued = await it.exchange(agent)
    (host,) = await it.identities.hosts(SOCKET)
    for caller in (ANYONE, SOCKET, OLGA, API_CALLER, DELEGATE, HOST_CALLER):
        removal = it.identities.remove_host(caller, ek=host.ek)
        assert (await refusal(removal)).reason is Reason.ROLE_REQUIRED
    await it.identities.remove_host(ADAM, ek=host.ek)
    assert await it.identities.entries(OLGA) == ()
    assert (await refusal(it.renew(agent, issued.refresh_token))).reason is Reason.KEY_NOT_BOUND
    assert (await refusal(it.attest(agent))).reason is Reason.EK_NOT_ENROLLED
    assert isinstance(await refusal(it.identities.remove_host(ADAM, ek=host.ek)), NotFound)


async def test_no_change_without_its_record(it: Installation) -> None:
    it.store.fails = lambda events: True
    assert isinstance(await refusal(enrol(it)), Unavailable)
    it.store.fails = lambda events: False
    assert await it.identities.hosts(SOCKET) == ()
