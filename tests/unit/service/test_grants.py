"""Grants after they were made: introspection, revocation, the list."""

from typing import Any

import pytest

from keystead.codec import json
from keystead.errors import KeysteadError, NotFound, ProofRejected, Reason, Unavailable
from keystead.jose.jws import parse_compact
from keystead.model import AuditAction, KeyPurpose
from keystead.service.roles import ANYONE
from tests.exchange_parts import AGENT, AGENT_B, API, ISSUER
from tests.service_parts import (
    ADAM,
    API_CALLER,
    DELEGATE,
    HOST_CALLER,
    OLGA,
    REVOKE_URL,
    SOCKET,
    Agent,
    Installation,
)

INACTIVE = {"active": False}
HOST_B = "spiffe://example.org/host/2"


@pytest.fixture
async def agent(it: Installation) -> Agent:
    return await it.agent()


def claims(token: str) -> dict[str, Any]:
    return dict(json.parse_object(parse_compact(token).payload))


async def refusal(coroutine: Any) -> KeysteadError:
    with pytest.raises(KeysteadError) as caught:
        await coroutine
    return caught.value


async def revoke(it: Installation, agent: Agent, handle: str | None) -> None:
    proof = it.proof(agent, url=REVOKE_URL)
    await it.grants.revoke(str(handle), proofs=[proof])


async def test_introspection_tells_actors_and_binding(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent)
    told = await it.grants.introspect(API_CALLER, issued.access_token)
    said = claims(issued.access_token)
    assert told["active"] is True and told["token_type"] == "DPoP"
    for member in ("act", "cnf", "scope", "client_id", "sub", "aud", "iss", "exp", "aal"):
        assert told[member] == said[member]
    assert "grant_id" not in told


async def test_a_revoked_grants_token_is_inactive(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent)
    await it.grants.revoke_grant(OLGA, id=claims(issued.access_token)["grant_id"])
    assert await it.grants.introspect(API_CALLER, issued.access_token) == INACTIVE


async def test_a_token_without_a_grant_is_inactive_once_its_key_is_unbound(
    it: Installation,
) -> None:
    agent = await it.agent(AGENT_B, name="host-b", parent=HOST_B)
    issued = await it.exchange(agent)
    assert issued.refresh_token is None and agent.entry is not None
    assert (await it.grants.introspect(API_CALLER, issued.access_token))["active"] is True
    await it.identities.remove_entry(OLGA, id=agent.entry.id)
    assert await it.grants.introspect(API_CALLER, issued.access_token) == INACTIVE


async def test_an_ended_or_foreign_or_broken_token_is_just_inactive(
    it: Installation, agent: Agent
) -> None:
    issued = await it.exchange(agent)
    ear = (await it.attest(agent)).ear
    for token in (ear, it.user_token(), "", "x", issued.access_token[:-4] + "AAAA"):
        assert await it.grants.introspect(API_CALLER, token) == INACTIVE
    it.clock.at += 240
    assert await it.grants.introspect(API_CALLER, issued.access_token) == INACTIVE


async def test_a_hand_over_is_no_active_access_token(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent, audience=[API, ISSUER], may_act=AGENT_B)
    assert await it.grants.introspect(API_CALLER, issued.access_token) == INACTIVE


async def test_only_relying_parties_and_operators_introspect(
    it: Installation, agent: Agent
) -> None:
    issued = await it.exchange(agent)
    for caller in (API_CALLER, OLGA, ADAM):
        assert (await it.grants.introspect(caller, issued.access_token))["active"] is True
    for caller in (ANYONE, HOST_CALLER, DELEGATE, SOCKET):
        refused = await refusal(it.grants.introspect(caller, issued.access_token))
        assert refused.reason is Reason.ROLE_REQUIRED


async def test_the_key_that_holds_a_grant_revokes_it(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent)
    await revoke(it, agent, issued.refresh_token)
    assert (await refusal(it.renew(agent, issued.refresh_token))).reason is Reason.GRANT_REVOKED
    (told,) = await it.events(AuditAction.GRANT_REVOKED)
    assert (told.caller, told.sub, told.actors, told.jkt) == (AGENT, "alice", (AGENT,), agent.jkt)
    assert told.object == claims(issued.access_token)["grant_id"]


async def test_no_other_key_revokes_it_and_the_try_is_on_record(
    it: Installation, agent: Agent
) -> None:
    issued = await it.exchange(agent)
    thief = await it.agent(AGENT_B, name="host-b", parent=HOST_B)
    refused = await refusal(revoke(it, thief, issued.refresh_token))
    assert (type(refused), refused.reason) == (ProofRejected, Reason.KEY_BINDING_MISMATCH)
    assert (await it.renew(agent, issued.refresh_token)).access_token
    (told,) = await it.events(AuditAction.TOKEN_REFUSED)
    assert (told.caller, told.reason) == (AGENT_B, "key_binding_mismatch")


async def test_an_unknown_handle_is_no_error_and_uses_the_proof_up(
    it: Installation, agent: Agent
) -> None:
    """RFC 7009 §2.2: the client could not do anything about it."""
    proof = it.proof(agent, url=REVOKE_URL)
    await it.grants.revoke("ksr_" + "A" * 43, proofs=[proof])
    refused = await refusal(it.grants.revoke("x", proofs=[proof]))
    assert refused.reason is Reason.PROOF_REPLAYED
    assert not await it.events(AuditAction.GRANT_REVOKED)


async def test_nothing_is_revoked_without_a_proof(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent)
    for proofs, reason in (
        ([], Reason.PROOF_MISSING),
        ([agent.proof(url=REVOKE_URL, now=it.clock.at)], Reason.NONCE_REQUIRED),
        ([it.proof(agent)], Reason.URL_MISMATCH),
    ):
        refused = await refusal(it.grants.revoke(str(issued.refresh_token), proofs=proofs))
        assert refused.reason is reason
    assert (await it.renew(agent, issued.refresh_token)).access_token


async def test_a_revocation_without_a_record_did_not_happen(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent)
    it.store.fails = lambda events: True
    assert isinstance(await refusal(revoke(it, agent, issued.refresh_token)), Unavailable)
    it.store.fails = lambda events: False
    assert (await it.renew(agent, issued.refresh_token)).access_token


async def test_operators_list_and_revoke(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent)
    (grant,) = await it.grants.list(OLGA, sub="", agent="")
    assert (grant.subject.sub, grant.agent, grant.scopes) == ("alice", AGENT, ("read",))
    assert str(issued.refresh_token) not in repr(grant)
    assert grant.handle_hash.hex() not in repr(grant)
    assert await it.grants.list(SOCKET, sub="alice", agent=AGENT) == (grant,)
    assert await it.grants.list(OLGA, sub="bob", agent="") == ()
    assert await it.grants.list(OLGA, sub="", agent=AGENT_B) == ()
    await it.grants.revoke_grant(OLGA, id=grant.id)
    (after,) = await it.grants.list(OLGA, sub="", agent="")
    assert after.revoked_at == it.clock.at
    it.clock.at += 5
    await it.grants.revoke_grant(ADAM, id=grant.id)
    (again,) = await it.grants.list(OLGA, sub="", agent="")
    assert again.revoked_at == after.revoked_at, "a second time changes nothing"


async def test_nobody_else_lists_or_revokes(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent)
    for caller in (ANYONE, API_CALLER, HOST_CALLER, DELEGATE):
        listed = it.grants.list(caller, sub="", agent="")
        assert (await refusal(listed)).reason is Reason.ROLE_REQUIRED
    for caller in (ANYONE, SOCKET, API_CALLER, HOST_CALLER, DELEGATE):
        revoked = it.grants.revoke_grant(caller, id=claims(issued.access_token)["grant_id"])
        assert (await refusal(revoked)).reason is Reason.ROLE_REQUIRED
    assert (await it.renew(agent, issued.refresh_token)).access_token


async def test_an_unknown_grant_is_not_found(it: Installation) -> None:
    refused = await refusal(it.grants.revoke_grant(OLGA, id="none"))
    assert (type(refused), refused.reason) == (NotFound, Reason.GRANT_UNKNOWN)


async def test_a_token_of_a_key_no_longer_published_is_inactive(
    it: Installation, agent: Agent
) -> None:
    issued = await it.exchange(agent)
    old = it.keyring.active(KeyPurpose.TOKEN)
    assert claims(issued.access_token)["exp"] - it.clock.at < 3_600
    await it.keyring.rotate(KeyPurpose.TOKEN, owner="keystead", caller="adam")
    it.clock.at += 600
    await it.keyring.advance()
    it.clock.at += 3_600
    assert it.keyring.key_set(KeyPurpose.TOKEN).get(old.kid) is None
    assert await it.grants.introspect(API_CALLER, issued.access_token) == INACTIVE
