"""POST /token as a use case: what is issued, what is on record, what a failure leaves behind."""

import asyncio
from typing import Any

import pytest

from keystead.codec import json
from keystead.errors import (
    KeysteadError,
    Malformed,
    NotFound,
    ProofRejected,
    Reason,
    Refused,
    Replayed,
    Unavailable,
)
from keystead.identity.subject_claims import TokenType
from keystead.jose.jws import parse_compact
from keystead.model import AuditAction, KeyPurpose
from keystead.relying import Verifier
from keystead.service.nonces import NONCE_WINDOW_S
from tests.evidence_builder import Host
from tests.exchange_parts import AGENT, AGENT_B, API, IDP, ISSUER, OTHER_API, idp_token
from tests.service_parts import (
    BINDING_TTL_S,
    OLGA,
    PUBLISH_AHEAD_S,
    Agent,
    Installation,
    exchange_form,
)

HOST_B = "spiffe://example.org/host/2"


@pytest.fixture
async def agent(it: Installation) -> Agent:
    return await it.agent()


@pytest.fixture
async def agent_b(it: Installation) -> Agent:
    return await it.agent(AGENT_B, name="host-b", parent=HOST_B)


def claims(token: str) -> dict[str, Any]:
    return dict(json.parse_object(parse_compact(token).payload))


async def refusal(coroutine: Any) -> KeysteadError:
    with pytest.raises(KeysteadError) as caught:
        await coroutine
    return caught.value


async def hand_over(it: Installation, agent: Agent, to: str = AGENT_B) -> str:
    issued = await it.exchange(agent, audience=[API, ISSUER], may_act=to)
    return issued.access_token


async def take_over(it: Installation, agent: Agent, token: str, **changes: Any) -> Any:
    kind = TokenType.JWT.value
    return await it.exchange(agent, token, subject_token_type=kind, **changes)


async def refusals(it: Installation) -> list[tuple[str, str, tuple[str, ...], str]]:
    told = await it.events(AuditAction.TOKEN_REFUSED)
    return [(event.reason, event.sub, event.actors, event.jkt) for event in told]


# --- what is issued -------------------------------------------------------------------------------


async def test_a_relying_party_accepts_what_is_issued(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent)
    verifier = Verifier(issuer=ISSUER, jwks=it.tokens.jwks(), audience=API)
    proof = agent.proof(
        url=f"{API}x", method="GET", now=it.clock.at, access_token=issued.access_token
    )
    found = verifier.verify_request(issued.access_token, proof, "GET", f"{API}x", now=it.clock.at)
    assert (found.user, found.agent, found.actors) == ("alice", AGENT, (AGENT,))
    assert (found.scopes, found.aal, found.jkt) == (("read",), 2, agent.jkt)
    assert found.residency is not None and found.residency.kind.value == "tpm2"


async def test_the_answer_is_rfc_8693s(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent)
    assert (issued.token_type, issued.issued_token_type) == (
        "DPoP",
        TokenType.ACCESS_TOKEN.value,
    )
    assert (issued.expires_in, issued.scope) == (240, "read")
    assert issued.access_token not in repr(issued)
    assert str(issued.refresh_token) not in repr(issued)


async def test_an_exchange_is_on_record_whole(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent)
    (told,) = await it.events(AuditAction.TOKEN_ISSUED)
    said = claims(issued.access_token)
    assert (told.caller, told.sub, told.actors) == (AGENT, "alice", (AGENT,))
    assert (told.jkt, told.kind, told.object) == (agent.jkt, "tpm2", said["jti"])
    assert told.detail["audience"] == API and told.detail["scope"] == "read"
    assert told.detail["subject_issuer"] == IDP
    assert told.detail["expires_at"] == said["exp"]
    assert told.detail["grant"] == said["grant_id"]
    assert told.detail["kid"] == parse_compact(issued.access_token).kid
    (granted,) = await it.events(AuditAction.GRANT_CREATED)
    assert (granted.object, granted.sub) == (said["grant_id"], "alice")


async def test_no_token_is_in_the_trail(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent)
    await refusal(it.exchange(agent, scope="purge"))
    text = repr(await it.events())
    for secret in (issued.access_token, issued.refresh_token, it.user_token()):
        assert secret is not None and secret not in text
        assert secret.rpartition(".")[2][:40] not in text


async def test_no_grant_is_made_where_policy_names_none(it: Installation, agent_b: Agent) -> None:
    issued = await it.exchange(agent_b)
    assert issued.refresh_token is None
    assert "grant_id" not in claims(issued.access_token)
    assert not await it.events(AuditAction.GRANT_CREATED)


async def test_no_two_tokens_or_handles_are_alike(it: Installation, agent: Agent) -> None:
    made = [await it.exchange(agent) for _ in range(5)]
    assert len({claims(each.access_token)["jti"] for each in made}) == 5
    assert len({each.refresh_token for each in made}) == 5


@pytest.mark.parametrize("ahead", [30, 3_600])
async def test_a_token_outlives_no_input(it: Installation, agent: Agent, ahead: int) -> None:
    at = it.clock.at
    issued = await it.exchange(agent, it.user_token(exp=at + ahead))
    assert claims(issued.access_token)["exp"] == at + min(240, ahead)
    it.clock.at = at + BINDING_TTL_S - 7
    assert (await it.exchange(agent)).expires_in == 7, "nor its key's binding"


async def test_an_id_token_of_the_provider_is_a_subject_token(
    it: Installation, agent: Agent
) -> None:
    token = it.user_token(client_id=..., scope=..., jti=..., azp="portal", nonce="n")
    issued = await it.exchange(
        agent,
        _retyped(token),
        subject_token_type=TokenType.ID_TOKEN.value,
    )
    assert claims(issued.access_token)["sub"] == "alice"


def _retyped(token: str) -> str:
    """The same claims with the ``typ`` of an ID token."""
    return idp_token(claims(token), header={"typ": "JWT"}, base={})


async def test_a_token_of_a_retired_key_is_still_a_subject_token(
    it: Installation, agent: Agent
) -> None:
    await it.keyring.rotate(KeyPurpose.TOKEN, owner="keystead", caller="adam")
    it.clock.at += PUBLISH_AHEAD_S - 10
    issued = await it.exchange(agent)
    it.clock.at += 10
    await it.keyring.advance()
    assert parse_compact(issued.access_token).kid != it.keyring.active(KeyPurpose.TOKEN).kid
    narrowed = await it.exchange(agent, issued.access_token)
    assert claims(narrowed.access_token)["act"] == {
        "sub": AGENT,
        "iss": ISSUER,
        "attestation": "tpm2",
    }


async def test_tokens_are_signed_by_the_successor_after_a_rotation(
    it: Installation, agent: Agent
) -> None:
    before = parse_compact((await it.exchange(agent)).access_token).kid
    successor = await it.keyring.rotate(KeyPurpose.TOKEN, owner="keystead", caller="adam")
    it.clock.at += PUBLISH_AHEAD_S
    await it.keyring.advance()
    after = parse_compact((await it.exchange(agent)).access_token).kid
    assert (after, before) == (successor.kid, next(k["kid"] for k in it.tokens.jwks()["keys"]))


# --- renewal --------------------------------------------------------------------------------------


async def test_a_renewal_says_the_same_for_longer(it: Installation, agent: Agent) -> None:
    first = await it.exchange(agent, scope="read write")
    it.clock.at += 1_000
    second = await it.renew(agent, first.refresh_token)
    old, new = claims(first.access_token), claims(second.access_token)
    for member in ("sub", "aud", "scope", "act", "client_id", "aal", "grant_id", "cnf"):
        assert new[member] == old[member]
    assert new["jti"] != old["jti"] and new["iat"] == it.clock.at
    assert second.refresh_token == first.refresh_token
    (told,) = await it.events(AuditAction.TOKEN_RENEWED)
    assert (told.sub, told.actors, told.object) == ("alice", (AGENT,), new["jti"])


async def test_a_renewal_may_ask_for_less_and_never_for_more(
    it: Installation, agent: Agent
) -> None:
    issued = await it.exchange(agent)
    refused = await refusal(it.renew(agent, issued.refresh_token, scope="read write"))
    assert refused.reason is Reason.SCOPE_NOT_ALLOWED
    refused = await refusal(it.renew(agent, issued.refresh_token, audience=OTHER_API))
    assert refused.reason is Reason.AUDIENCE_NOT_ALLOWED
    assert (await it.renew(agent, issued.refresh_token, scope="read")).scope == "read"


async def test_a_renewal_ends_with_its_grant(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent)
    it.clock.at += 28_800 - 5
    await it.attest(agent)
    assert (await it.renew(agent, issued.refresh_token)).expires_in == 5
    it.clock.at += 5
    assert (await refusal(it.renew(agent, issued.refresh_token))).reason is Reason.GRANT_EXPIRED


async def test_no_renewal_after_the_grant_was_revoked(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent)
    await it.grants.revoke_grant(OLGA, id=claims(issued.access_token)["grant_id"])
    assert (await refusal(it.renew(agent, issued.refresh_token))).reason is Reason.GRANT_REVOKED
    assert await refusals(it) == [("grant_revoked", "alice", (AGENT,), agent.jkt)]


async def test_a_revocation_that_wins_the_race_stops_the_renewal(
    it: Installation, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revoked after the grant was read and before the token is on record."""
    issued = await it.exchange(agent)
    sign = it.tpm.sign

    async def revoking(key: Any, digest: bytes) -> bytes:
        await it.grants.revoke_grant(OLGA, id=claims(issued.access_token)["grant_id"])
        return await sign(key, digest)

    monkeypatch.setattr(it.tpm, "sign", revoking)
    assert (await refusal(it.renew(agent, issued.refresh_token))).reason is Reason.GRANT_REVOKED
    assert not await it.events(AuditAction.TOKEN_RENEWED)


async def test_an_unknown_handle_renews_nothing(it: Installation, agent: Agent) -> None:
    for handle in ("ksr_" + "A" * 43, "ksr_", "x", "ksr_" + "A" * 44):
        assert (await refusal(it.renew(agent, handle))).reason is Reason.GRANT_UNKNOWN


# --- hand-over ------------------------------------------------------------------------------------


async def test_a_hand_over_nests_the_actors(it: Installation, agent: Agent, agent_b: Agent) -> None:
    issued = await take_over(it, agent_b, await hand_over(it, agent))
    said = claims(issued.access_token)
    assert (said["sub"], said["client_id"]) == ("alice", AGENT_B)
    assert said["cnf"]["jkt"] == agent_b.jkt
    assert said["act"]["sub"] == AGENT_B and said["act"]["act"]["sub"] == AGENT
    told = (await it.events(AuditAction.TOKEN_ISSUED))[-1]
    assert told.actors == (AGENT_B, AGENT), "the trail has the whole chain"


async def test_a_hand_over_is_taken_once(it: Installation, agent: Agent, agent_b: Agent) -> None:
    token = await hand_over(it, agent)
    await take_over(it, agent_b, token)
    refused = await refusal(take_over(it, agent_b, token))
    assert (type(refused), refused.reason) == (Replayed, Reason.SUBJECT_TOKEN_REPLAYED)
    assert await refusals(it) == [
        ("subject_token_replayed", "alice", (AGENT_B, AGENT), agent_b.jkt)
    ]


async def test_of_many_takers_at_once_one_gets_it(
    it: Installation, agent: Agent, agent_b: Agent
) -> None:
    token = await hand_over(it, agent)
    done = await asyncio.gather(
        *(take_over(it, agent_b, token) for _ in range(8)), return_exceptions=True
    )
    assert sum(not isinstance(each, Exception) for each in done) == 1
    assert {type(each) for each in done if isinstance(each, Exception)} == {Replayed}


async def test_a_hand_over_that_could_not_be_recorded_is_still_good(
    it: Installation, agent: Agent, agent_b: Agent
) -> None:
    token = await hand_over(it, agent)
    it.store.fails = lambda events: True
    assert isinstance(await refusal(take_over(it, agent_b, token)), Unavailable)
    it.store.fails = lambda events: False
    assert (await take_over(it, agent_b, token)).access_token


async def test_a_hand_over_is_no_access_token(it: Installation, agent: Agent) -> None:
    issued = await it.exchange(agent, audience=[API, ISSUER], may_act=AGENT_B)
    assert issued.token_type == "N_A"
    assert issued.issued_token_type == TokenType.JWT.value
    assert issued.expires_in <= 60
    assert claims(issued.access_token)["aud"] == ISSUER


async def test_revoking_the_parent_kills_what_hangs_on_it(
    it: Installation, agent: Agent, agent_b: Agent
) -> None:
    first = await it.exchange(agent)
    token = (
        await it.exchange(agent, first.access_token, audience=[API, ISSUER], may_act=AGENT_B)
    ).access_token
    child = await take_over(it, agent_b, token)
    assert claims(child.access_token)["grant_id"] == claims(first.access_token)["grant_id"]
    await it.grants.revoke_grant(OLGA, id=claims(first.access_token)["grant_id"])
    assert (await refusal(it.exchange(agent_b, child.access_token))).reason is Reason.GRANT_REVOKED


# --- who may ask ----------------------------------------------------------------------------------


async def counted(it: Installation) -> dict[str, Any]:
    await it.trail.flush_refusals()
    told = await it.events(AuditAction.REFUSALS_AGGREGATED)
    return dict(told[-1].detail) if told else {}


async def test_a_proof_without_a_nonce_is_told_to_use_one(it: Installation, agent: Agent) -> None:
    refused = await refusal(it.exchange(agent, proof=agent.proof(now=it.clock.at)))
    assert (type(refused), refused.reason) == (ProofRejected, Reason.NONCE_REQUIRED)
    proof = agent.proof(now=it.clock.at, nonce=it.tokens.fresh_nonce())
    assert (await it.exchange(agent, proof=proof)).access_token


async def test_a_nonce_may_be_used_again_and_a_proof_may_not(
    it: Installation, agent: Agent
) -> None:
    nonce = it.tokens.fresh_nonce()
    for _ in range(3):
        await it.exchange(agent, proof=it.proof(agent, nonce=nonce))
    proof = it.proof(agent, nonce=nonce)
    await it.exchange(agent, proof=proof)
    refused = await refusal(it.exchange(agent, proof=proof))
    assert (type(refused), refused.reason) == (Replayed, Reason.PROOF_REPLAYED)
    assert (await counted(it))["proof_replayed"] == 1


async def test_an_old_nonce_is_refused(it: Installation, agent: Agent) -> None:
    nonce = it.tokens.fresh_nonce()
    it.clock.at += NONCE_WINDOW_S + 1
    refused = await refusal(it.exchange(agent, proof=it.proof(agent, nonce=nonce)))
    assert refused.reason is Reason.NONCE_INVALID


async def test_of_one_proof_sent_many_times_at_once_one_is_answered(
    it: Installation, agent: Agent
) -> None:
    proof = it.proof(agent)
    done = await asyncio.gather(
        *(it.exchange(agent, proof=proof) for _ in range(8)), return_exceptions=True
    )
    assert sum(not isinstance(each, Exception) for each in done) == 1
    failed = [each for each in done if isinstance(each, Exception)]
    assert {(type(e), e.reason) for e in failed} == {(Replayed, Reason.PROOF_REPLAYED)}
    assert len(await it.events(AuditAction.TOKEN_ISSUED)) == 1
    assert (await counted(it))["proof_replayed"] == 7


async def test_a_proof_used_for_a_token_revokes_nothing_and_the_other_way(
    it: Installation, agent: Agent
) -> None:
    issued = await it.exchange(agent)
    refused = await refusal(it.grants.revoke(str(issued.refresh_token), proofs=[it.proof(agent)]))
    assert refused.reason is Reason.URL_MISMATCH


@pytest.mark.parametrize("proofs", [0, 2])
async def test_exactly_one_proof_is_needed(it: Installation, agent: Agent, proofs: int) -> None:
    made = [it.proof(agent) for _ in range(proofs)]
    refused = await refusal(it.tokens.exchange(exchange_form(it.user_token()), proofs=made))
    assert refused.reason is (Reason.PROOF_NOT_SINGLE if proofs else Reason.PROOF_MISSING)


async def test_a_key_that_was_never_attested_gets_nothing(it: Installation) -> None:
    stranger = Agent(id=AGENT, host=Host.make(name="stranger"))
    refused = await refusal(it.exchange(stranger))
    assert (type(refused), refused.reason) == (Refused, Reason.KEY_NOT_BOUND)
    assert (await counted(it))["key_not_bound"] == 1
    assert await refusals(it) == []


async def test_an_expired_binding_gets_nothing_until_it_is_attested_again(
    it: Installation, agent: Agent
) -> None:
    issued = await it.exchange(agent)
    it.clock.at += BINDING_TTL_S
    for attempt in (it.exchange(agent), it.renew(agent, issued.refresh_token)):
        assert (await refusal(attempt)).reason is Reason.BINDING_EXPIRED
    await it.attest(agent)
    assert (await it.renew(agent, issued.refresh_token)).access_token


async def test_a_binding_that_goes_while_the_token_is_signed_stops_it(
    it: Installation, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = it.tpm.sign
    assert agent.entry is not None

    async def removing(key: Any, digest: bytes) -> bytes:
        await it.identities.remove_entry(OLGA, id=agent.entry.id)
        return await sign(key, digest)

    monkeypatch.setattr(it.tpm, "sign", removing)
    assert (await refusal(it.exchange(agent))).reason is Reason.KEY_NOT_BOUND
    assert not await it.events(AuditAction.TOKEN_ISSUED)


# --- refusals on record ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scope": "purge"}, "scope_not_allowed"),
        ({"scope": "nothing"}, "scope_not_allowed"),
        ({"audience": "https://elsewhere.example"}, "audience_not_allowed"),
        ({"client_id": "somebody"}, "client_mismatch"),
    ],
)
async def test_a_refusal_is_on_record_with_user_agent_and_step(
    it: Installation, agent: Agent, changes: dict[str, str], reason: str
) -> None:
    refused = await refusal(it.exchange(agent, **changes))
    (told,) = await it.events(AuditAction.TOKEN_REFUSED)
    assert (told.reason, told.step) == (reason, refused.step)
    assert (told.caller, told.sub, told.actors) == (AGENT, "alice", (AGENT,))
    assert (told.jkt, told.kind) == (agent.jkt, "tpm2")


async def test_a_subject_token_that_is_not_believed_names_nobody(
    it: Installation, agent: Agent
) -> None:
    at = it.clock.at
    for token, reason in (
        (it.user_token(exp=at - 600), "expired"),
        (it.user_token(aud="https://elsewhere.example"), "audience_mismatch"),
        (it.user_token(iss="https://unknown.example"), "subject_issuer_unknown"),
        (it.user_token()[:-4] + "AAAA", "signature_invalid"),
    ):
        assert (await refusal(it.exchange(agent, token))).reason.value == reason
    assert [each[:3] for each in await refusals(it)] == [
        (reason, "", (AGENT,))
        for reason in (
            "expired",
            "audience_mismatch",
            "subject_issuer_unknown",
            "signature_invalid",
        )
    ]


async def test_a_refused_proof_is_used_up(it: Installation, agent: Agent) -> None:
    proof = it.proof(agent)
    assert (await refusal(it.exchange(agent, proof=proof, scope="purge"))).reason is (
        Reason.SCOPE_NOT_ALLOWED
    )
    assert (await refusal(it.exchange(agent, proof=proof))).reason is Reason.PROOF_REPLAYED


async def test_a_malformed_form_is_counted_and_uses_nothing_up(
    it: Installation, agent: Agent
) -> None:
    proof = it.proof(agent)
    refused = await refusal(it.tokens.exchange([("grant_type", "x")], proofs=[proof]))
    assert refused.reason is Reason.GRANT_TYPE_UNSUPPORTED
    refused = await refusal(it.tokens.exchange([], proofs=[proof]))
    assert isinstance(refused, Malformed)
    assert (await counted(it))["total"] == 2
    assert (await it.exchange(agent, proof=proof)).access_token


async def test_an_actor_token_is_refused_where_no_keys_are_configured(
    it: Installation, agent: Agent
) -> None:
    refused = await refusal(
        it.exchange(agent, actor_token="a.b.c", actor_token_type=TokenType.JWT.value)
    )
    assert refused.reason is Reason.ACTOR_TOKEN_INVALID


# --- parts that are away --------------------------------------------------------------------------


async def test_no_record_no_token(it: Installation, agent: Agent) -> None:
    proof = it.proof(agent)
    it.store.fails = lambda events: bool(events)
    assert isinstance(await refusal(it.exchange(agent, proof=proof)), Unavailable)
    assert it.tpm.commands[-1] == "sign", "signed, and thrown away"
    it.store.fails = lambda events: False
    assert await it.grants.list(OLGA, sub="", agent="") == ()
    assert (await it.exchange(agent, proof=proof)).access_token, "and the proof is still good"


async def test_no_record_of_a_refusal_is_no_answer_either(it: Installation, agent: Agent) -> None:
    it.store.fails = lambda events: bool(events)
    assert isinstance(await refusal(it.exchange(agent, scope="purge")), Unavailable)


async def test_the_tpm_being_away_uses_nothing_up(it: Installation, agent: Agent) -> None:
    proof = it.proof(agent)
    it.tpm.away = True
    refused = await refusal(it.exchange(agent, proof=proof))
    assert (type(refused), refused.reason) == (Unavailable, Reason.HARDWARE_UNAVAILABLE)
    it.tpm.away = False
    assert (await it.exchange(agent, proof=proof)).access_token
    assert not await it.events(AuditAction.TOKEN_REFUSED)


async def test_the_provider_being_away_uses_nothing_up(it: Installation, agent: Agent) -> None:
    proof = it.proof(agent)
    it.provider.away = True
    refused = await refusal(it.exchange(agent, proof=proof))
    assert (type(refused), refused.reason) == (Unavailable, Reason.KEYS_UNAVAILABLE)
    assert not await it.events(AuditAction.TOKEN_REFUSED)


# --- documents ------------------------------------------------------------------------------------


async def test_each_purpose_has_its_own_jwks(it: Installation) -> None:
    for purpose in KeyPurpose:
        kids = [key["kid"] for key in it.tokens.jwks(purpose.value)["keys"]]
        assert kids == [key.kid for key in it.keyring.verification_keys(purpose)]
    assert it.tokens.jwks() == it.tokens.jwks("token")
    for purpose in ("", "master", "TOKEN"):
        with pytest.raises(NotFound):
            it.tokens.jwks(purpose)


async def test_the_metadata_says_what_this_server_does(it: Installation) -> None:
    document = it.tokens.metadata()
    assert document["issuer"] == ISSUER
    assert document["token_endpoint"] == it.tokens.token_endpoint == f"{ISSUER}/token"
    assert document["jwks_uri"] == f"{ISSUER}/jwks"
    assert "ES256" in document["dpop_signing_alg_values_supported"]
    assert "none" not in document["dpop_signing_alg_values_supported"]
    assert not [a for a in document["dpop_signing_alg_values_supported"] if a.startswith("HS")]
    assert "dpop_bound_access_tokens" not in document, "that is client metadata"
