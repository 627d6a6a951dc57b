"""Mistakes that mature token services made, walked through the whole use case.

Real evidence, a real store, real signatures: what one stage refuses is of no use if the use case
forgets to ask it. Where the decision itself is tested: ``test_exchange_mistakes``.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from keystead.codec import json
from keystead.codec.tpm2 import PcrSelection
from keystead.errors import KeysteadError, Reason
from keystead.identity.subject_claims import TokenType
from keystead.jose.dpop import replay_window_s
from keystead.jose.jws import parse_compact
from keystead.model import AuditAction
from keystead.relying import ReplayMemory, Verifier
from keystead.service.presenter import Presenters
from tests.evidence_builder import PCRS, SHA256, Host, document, quote_body
from tests.exchange_parts import AGENT, AGENT_B, API, ISSUER
from tests.service_parts import (
    ADAM,
    API_CALLER,
    OLGA,
    REVOKE_URL,
    TOKEN_URL,
    Agent,
    Chance,
    Installation,
    exchange_form,
    installation,
)
from tests.software_hardware import SoftwareTpm

HOST_B = "spiffe://example.org/host/2"
JWT = TokenType.JWT.value


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "state") as made:
        yield made


@pytest.fixture
async def a(it: Installation) -> Agent:
    return await it.agent()


@pytest.fixture
async def b(it: Installation) -> Agent:
    return await it.agent(AGENT_B, name="host-b", parent=HOST_B)


def claims(token: str) -> dict[str, Any]:
    return dict(json.parse_object(parse_compact(token).payload))


async def reason_of(coroutine: Any) -> Reason:
    with pytest.raises(KeysteadError) as caught:
        await coroutine
    return caught.value.reason


async def test_may_act_holds_without_an_actor_token(it: Installation, a: Agent, b: Agent) -> None:
    token = it.user_token(may_act={"sub": AGENT_B})
    assert await reason_of(it.exchange(a, token)) is Reason.ACTOR_NOT_ALLOWED
    assert claims((await it.exchange(b, token)).access_token)["act"]["sub"] == AGENT_B


async def test_introspection_keeps_every_actor(it: Installation, a: Agent, b: Agent) -> None:
    passed_on = await it.exchange(a, audience=[API, ISSUER], may_act=AGENT_B)
    issued = await it.exchange(b, passed_on.access_token, subject_token_type=JWT)
    told = await it.grants.introspect(API_CALLER, issued.access_token)
    assert told["act"]["sub"] == AGENT_B
    assert told["act"]["act"]["sub"] == AGENT
    assert told["cnf"]["jkt"] == b.jkt


async def test_no_exchange_and_no_renewal_drops_the_binding(it: Installation, a: Agent) -> None:
    first = await it.exchange(a, it.user_token(cnf={"jkt": a.jkt}))
    narrowed = await it.exchange(a, first.access_token)
    renewed = await it.renew(a, first.refresh_token)
    for issued in (first, narrowed, renewed):
        assert issued.token_type == "DPoP"
        assert claims(issued.access_token)["cnf"]["jkt"] == a.jkt


async def test_a_bound_subject_token_in_other_hands_is_refused(
    it: Installation, a: Agent, b: Agent
) -> None:
    stolen = [
        it.user_token(cnf={"jkt": a.jkt}),
        (await it.exchange(a)).access_token,
        (await it.exchange(a, audience=[API, ISSUER], may_act=AGENT)).access_token,
    ]
    assert await reason_of(it.exchange(b, stolen[0])) is Reason.SUBJECT_TOKEN_BOUND_TO_ANOTHER_KEY
    assert await reason_of(it.exchange(b, stolen[1])) is Reason.SUBJECT_TOKEN_BOUND_TO_ANOTHER_KEY
    found = await reason_of(it.exchange(b, stolen[2], subject_token_type=JWT))
    assert found is Reason.ACTOR_NOT_ALLOWED
    assert await it.exchange(b, it.user_token(cnf={"jkt": a.jkt}, may_act={"sub": AGENT_B}))


async def test_no_jti_is_forgotten_before_the_skew_ends(it: Installation, a: Agent) -> None:
    """At every second at which a proof verifies, its second use is a replay."""
    made = it.clock.at
    proofs = [it.proof(a, now=made + offset) for offset in (-5, 0, 5)]
    for proof in proofs:
        await it.exchange(a, proof=proof)
    seen = set()
    for later in range(0, replay_window_s() + 120, 5):
        it.clock.at = made + later
        # Something is written each time, so that whatever may be forgotten is.
        it.trail.note_refusal(KeysteadError(Reason.MALFORMED))
        await it.trail.flush_refusals()
        for proof in proofs:
            seen.add(await reason_of(it.exchange(a, proof=proof)))
    assert seen <= {Reason.PROOF_REPLAYED, Reason.PROOF_TOO_OLD, Reason.NONCE_INVALID}
    assert Reason.PROOF_REPLAYED in seen
    assert len(await it.events(AuditAction.TOKEN_ISSUED)) == 3


async def test_a_used_proof_is_used_after_a_restart_too(tmp_path: Path) -> None:
    tpm = SoftwareTpm()
    async with installation(tmp_path / "s", tpm=tpm) as first:
        agent = await first.agent()
        nonces = Presenters(store=first.store, clock=first.clock, entropy=Chance())
        proof = first.proof(agent, jti="one")
        twin = agent.proof(now=first.clock.at, nonce=nonces.nonces.fresh(), jti="one")
        used = (await nonces.present([twin], url=TOKEN_URL)).used
        await first.exchange(agent, proof=proof)
    async with installation(tmp_path / "s", tpm=tpm) as second:
        # The nonce died with the process; and the proof is remembered besides.
        assert await reason_of(second.exchange(agent, proof=proof)) is Reason.NONCE_INVALID
        assert (used.space, await second.store.seen(used.space, used.key)) == ("proof", True)
        assert (await second.exchange(agent)).access_token


async def test_ath_and_jkt_are_compared_where_the_token_is_used(
    it: Installation, a: Agent, b: Agent
) -> None:
    mine, other = (await it.exchange(a)).access_token, (await it.exchange(a)).access_token
    verifier = Verifier(
        issuer=ISSUER,
        jwks=it.tokens.jwks(),
        audience=API,
        replay=ReplayMemory(capacity=100, not_before=it.clock.at - 600),
    )

    def verdict(proof: str) -> Reason | None:
        try:
            verifier.verify_request(mine, proof, "GET", API, now=it.clock.at)
        except KeysteadError as error:
            return error.reason
        return None

    wanted: dict[str, Any] = {"url": API, "method": "GET", "now": it.clock.at}
    assert verdict(a.proof(access_token=other, **wanted)) is Reason.TOKEN_HASH_MISMATCH
    assert verdict(a.proof(**wanted)) is Reason.TOKEN_HASH_MISMATCH
    assert verdict(b.proof(access_token=mine, **wanted)) is Reason.KEY_BINDING_MISMATCH
    assert verdict(a.proof(access_token=mine, **wanted)) is None


async def test_revoking_the_parent_kills_the_children(it: Installation, a: Agent, b: Agent) -> None:
    parent = await it.exchange(a)
    passed_on = await it.exchange(a, parent.access_token, audience=[API, ISSUER], may_act=AGENT_B)
    child = await it.exchange(b, passed_on.access_token, subject_token_type=JWT)
    again = await it.exchange(a, parent.access_token, audience=[API, ISSUER], may_act=AGENT_B)
    await it.grants.revoke_grant(OLGA, id=claims(parent.access_token)["grant_id"])
    dead = {
        "the child's own exchange": it.exchange(b, child.access_token),
        "a hand-over on its way": it.exchange(b, again.access_token, subject_token_type=JWT),
        "the parent's exchange": it.exchange(a, parent.access_token),
        "the parent's renewal": it.renew(a, parent.refresh_token),
    }
    for what, attempt in dead.items():
        assert await reason_of(attempt) is Reason.GRANT_REVOKED, what
    for token in (parent.access_token, child.access_token):
        assert await it.grants.introspect(API_CALLER, token) == {"active": False}


async def test_a_deactivated_agent_gets_nothing_more(it: Installation, a: Agent) -> None:
    issued = await it.exchange(a)
    assert a.entry is not None
    await it.identities.remove_entry(OLGA, id=a.entry.id)
    for attempt in (
        it.exchange(a),
        it.exchange(a, issued.access_token),
        it.renew(a, issued.refresh_token),
    ):
        assert await reason_of(attempt) is Reason.KEY_NOT_BOUND
    assert await reason_of(it.attest(a)) is Reason.NO_REGISTRATION_ENTRY
    await it.register()
    await it.attest(a)
    assert await reason_of(it.renew(a, issued.refresh_token)) is Reason.GRANT_REVOKED
    assert (await it.exchange(a)).access_token, "but a new approval counts"


async def test_a_removed_host_takes_its_workloads_with_it(it: Installation, a: Agent) -> None:
    issued = await it.exchange(a)
    (host,) = await it.identities.hosts(OLGA)
    await it.identities.remove_host(ADAM, ek=host.ek)
    assert await reason_of(it.renew(a, issued.refresh_token)) is Reason.KEY_NOT_BOUND
    assert await reason_of(it.attest(a)) is Reason.EK_NOT_ENROLLED
    assert await it.grants.introspect(API_CALLER, issued.access_token) == {"active": False}


async def test_the_trail_has_the_whole_chain_and_not_only_the_user(
    it: Installation, a: Agent, b: Agent
) -> None:
    passed_on = await it.exchange(a, audience=[API, ISSUER], may_act=AGENT_B)
    issued = await it.exchange(b, passed_on.access_token, subject_token_type=JWT)
    await reason_of(it.exchange(b, issued.access_token, scope="write"))
    *_, told, refused = await it.events(AuditAction.TOKEN_ISSUED, AuditAction.TOKEN_REFUSED)
    for event in (told, refused):
        assert (event.sub, event.actors) == ("alice", (AGENT_B, AGENT))
        assert (event.caller, event.jkt, event.kind) == (AGENT_B, b.jkt, "tpm2")
    assert refused.reason == "scope_not_allowed"


async def test_a_stored_certification_does_not_answer_a_new_challenge(it: Installation) -> None:
    host = Host.make()
    await it.enrol(host)
    await it.register()
    agent = Agent(id=AGENT, host=host)
    old = it.attestations.begin("tpm2").challenge.nonce
    session = it.attestations.begin("tpm2")
    nonce = session.challenge.nonce
    evidence = document(host, nonce=nonce, certify=host.certify(nonce=old))
    attempt = session.submit(evidence, proof=agent.key_proof(nonce=nonce), wanted="")
    assert await reason_of(attempt) is Reason.NONCE_MISMATCH
    assert await it.store.binding(agent.jkt) is None


async def test_an_exchange_again_does_not_survive_the_end_of_the_grant(
    it: Installation, a: Agent
) -> None:
    """Sign-out revokes the grant: tokens made from its tokens must not make more."""
    token = (await it.exchange(a)).access_token
    token = (await it.exchange(a, token)).access_token
    await it.grants.revoke_grant(OLGA, id=claims(token)["grant_id"])
    assert await reason_of(it.exchange(a, token)) is Reason.GRANT_REVOKED


async def test_the_users_token_does_not_bring_a_revoked_grant_back(
    it: Installation, a: Agent
) -> None:
    """What an operator revoked is over for every token of the user from before, and only those."""
    users = it.user_token()
    token = (await it.exchange(a, users)).access_token
    await it.grants.revoke_grant(OLGA, id=claims(token)["grant_id"])
    assert await reason_of(it.exchange(a, users)) is Reason.GRANT_REVOKED
    it.clock.at += 60
    assert (await it.exchange(a, it.user_token())).access_token


async def test_an_agent_that_lets_go_of_a_grant_may_ask_again(it: Installation, a: Agent) -> None:
    users = it.user_token()
    issued = await it.exchange(a, users)
    proof = it.proof(a, url=REVOKE_URL)
    await it.grants.revoke(str(issued.refresh_token), proofs=[proof])
    assert (await it.exchange(a, users)).access_token


async def test_a_refresh_token_is_nothing_without_its_key(
    it: Installation, a: Agent, b: Agent
) -> None:
    issued = await it.exchange(a)
    handle = str(issued.refresh_token)
    form = [("grant_type", "refresh_token"), ("refresh_token", handle)]
    assert await reason_of(it.tokens.exchange(form, proofs=[])) is Reason.PROOF_MISSING
    assert await reason_of(it.renew(b, handle)) is Reason.KEY_BINDING_MISMATCH
    assert (await it.renew(a, handle)).access_token


async def test_a_refresh_token_can_be_revoked_by_its_key_and_by_an_operator(
    it: Installation, a: Agent
) -> None:
    for by_key in (True, False):
        issued = await it.exchange(a)
        if by_key:
            proof = it.proof(a, url=REVOKE_URL)
            await it.grants.revoke(str(issued.refresh_token), proofs=[proof])
        else:
            await it.grants.revoke_grant(OLGA, id=claims(issued.access_token)["grant_id"])
        assert await reason_of(it.renew(a, issued.refresh_token)) is Reason.GRANT_REVOKED


@pytest.mark.parametrize(
    "proof", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.AA"]
)
async def test_no_attestation_is_affirmed_by_just_any_proof(it: Installation, proof: str) -> None:
    host = Host.make()
    await it.enrol(host)
    await it.register()
    session = it.attestations.begin("tpm2")
    with pytest.raises(KeysteadError):
        await session.submit(document(host, nonce=session.challenge.nonce), proof=proof, wanted="")
    for secret in (b"", bytes(32), session.challenge.nonce):
        assert await reason_of(session.finish(secret)) is Reason.ACTIVATION_FAILED
    assert not await it.events(AuditAction.ATTESTATION_AFFIRMED)


async def test_the_attester_does_not_choose_the_pcrs(it: Installation) -> None:
    host = Host.make()
    await it.enrol(host)
    await it.register()
    agent = Agent(id=AGENT, host=host)
    session = it.attestations.begin("tpm2")
    nonce = session.challenge.nonce
    fewer = PcrSelection.of({SHA256: [7]})
    values = {SHA256: {7: PCRS[SHA256][7]}}
    evidence = document(
        host,
        nonce=nonce,
        pcrs=values,
        quote=host.quote(nonce=nonce, body=quote_body(fewer, values)),
    )
    attempt = session.submit(evidence, proof=agent.key_proof(nonce=nonce), wanted="")
    assert await reason_of(attempt) is Reason.PCR_SELECTION


async def test_what_is_ours_but_no_users_token_is_no_subject_token(
    it: Installation, a: Agent
) -> None:
    ear = (await it.attest(a)).ear
    checkpoint = (await it.trail.checkpoint(OLGA)).jws
    proof = it.proof(a)
    key_proof = a.key_proof(nonce=bytes(32))
    for token in (ear, checkpoint, proof, key_proof):
        for declared in TokenType:
            attempt = it.exchange(a, token, subject_token_type=declared.value)
            assert await reason_of(attempt) in (
                Reason.TYPE_MISMATCH,
                Reason.TOKEN_TYPE_UNSUPPORTED,
                Reason.KEY_UNKNOWN,
                Reason.MALFORMED,  # a proof has no iss
            )
    assert not await it.events(AuditAction.TOKEN_ISSUED)


async def test_an_unattested_key_cannot_present_an_attested_ones_proof(
    it: Installation, a: Agent
) -> None:
    """The key in the proof's header is what counts, not what the form says of the client."""
    stranger = Agent(id=AGENT, host=Host.make(name="stranger"))
    form = exchange_form(it.user_token(), client_id=AGENT)
    attempt = it.tokens.exchange(form, proofs=[it.proof(stranger)])
    assert await reason_of(attempt) is Reason.KEY_NOT_BOUND
    assert (
        await reason_of(it.tokens.exchange(form, proofs=[it.proof(a), it.proof(stranger)]))
        is Reason.PROOF_NOT_SINGLE
    )


async def test_a_host_cannot_name_its_workload_after_another_hosts(
    it: Installation, a: Agent
) -> None:
    """Names come from entries that pin an EK, never from the evidence or the request."""
    host = Host.make(name="host-c")
    await it.enrol(host, "spiffe://example.org/host/3")
    impostor = Agent(id=AGENT, host=host)
    assert await reason_of(it.attest(impostor, wanted=AGENT)) is Reason.NO_REGISTRATION_ENTRY
