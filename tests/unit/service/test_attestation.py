"""One attestation: its order, its refusals, and what is durable at each point."""

import asyncio
from typing import Any

import pytest

from keystead.errors import (
    Conflict,
    EvidenceRejected,
    KeysteadError,
    Malformed,
    NotFound,
    Reason,
    Refused,
    Replayed,
    Unavailable,
)
from keystead.evidence.envelope import encode_envelope
from keystead.jose.jws import parse_compact, verify_compact
from keystead.model import AuditAction, EvidenceKind, KeyPurpose, SpiffeId
from keystead.service.attestation import Session
from tests.evidence_builder import Host, appraisal_policy, document
from tests.exchange_parts import AGENT, AGENT_B, ISSUER
from tests.service_parts import (
    ADAM,
    CHALLENGE_TTL_S,
    HOST_ID,
    Agent,
    Installation,
    installation,
)

HOST = Host.make()
AGENT_KEY = Agent(id=SpiffeId(AGENT), host=HOST)


@pytest.fixture
async def enrolled(it: Installation) -> Installation:
    await it.enrol(HOST)
    await it.register()
    return it


async def submit(
    it: Installation,
    session: Session,
    *,
    evidence: bytes | None = None,
    proof: str | None = None,
    wanted: str = "",
) -> Any:
    nonce = session.challenge.nonce
    return await session.submit(
        document(HOST, nonce=nonce) if evidence is None else evidence,
        proof=AGENT_KEY.key_proof(nonce=nonce) if proof is None else proof,
        wanted=wanted,
    )


async def refusal(coroutine: Any) -> KeysteadError:
    with pytest.raises(KeysteadError) as caught:
        await coroutine
    return caught.value


async def counted(it: Installation) -> dict[str, Any]:
    """What strangers were refused, as the trail will say it."""
    await it.trail.flush_refusals()
    told = await it.events(AuditAction.REFUSALS_AGGREGATED)
    return dict(told[-1].detail) if told else {}


async def test_a_good_attestation_binds_the_key(enrolled: Installation) -> None:
    outcome = await enrolled.attest(AGENT_KEY)
    bound = outcome.bound
    assert (bound.spiffe_id, bound.jkt) == (AGENT, AGENT_KEY.jkt)
    assert await enrolled.store.binding(bound.jkt) == bound
    (told,) = await enrolled.events(AuditAction.ATTESTATION_AFFIRMED)
    assert (told.caller, told.jkt, told.kind, told.object) == (
        AGENT,
        AGENT_KEY.jkt,
        "tpm2",
        outcome.id,
    )
    assert told.detail["ek"] == bound.ek and told.detail["policy"] == "test@3"


async def test_the_result_is_stored_signed_and_about_this_key(enrolled: Installation) -> None:
    session = enrolled.attestations.begin("tpm2")
    outcome = await session.finish(await enrolled.answer(session, AGENT_KEY))
    assert await enrolled.attestations.result(outcome.id) == outcome.ear
    parsed = parse_compact(outcome.ear)
    key = enrolled.keyring.key_set(KeyPurpose.EAR).get(parsed.kid or "")
    assert key is not None, "an EAR key signed it"
    claims = verify_compact(parsed, key=key)
    assert ISSUER.encode() in claims and outcome.bound.jkt.encode() in claims
    assert outcome.bound.residency.result == outcome.id
    with pytest.raises(NotFound):
        await enrolled.attestations.result("no-such-result")


async def test_no_two_challenges_are_alike(it: Installation) -> None:
    nonces = {it.attestations.begin("tpm2").challenge.nonce for _ in range(50)}
    assert len(nonces) == 50 and {len(nonce) for nonce in nonces} == {32}


@pytest.mark.parametrize("kind", ["", "tpm", "TPM2", "nitro"])
async def test_another_kind_is_refused(it: Installation, kind: str) -> None:
    with pytest.raises(EvidenceRejected) as refused:
        it.attestations.begin(kind)
    assert refused.value.reason is Reason.KIND_UNSUPPORTED
    assert (await counted(it))["kind_unsupported"] == 1


async def test_an_envelope_of_another_kind_is_refused(enrolled: Installation) -> None:
    session = enrolled.attestations.begin("tpm2")
    evidence = document(HOST, nonce=session.challenge.nonce).replace(b'"tpm2"', b'"tpm9"', 1)
    refused = await refusal(submit(enrolled, session, evidence=evidence))
    assert refused.reason is Reason.KIND_UNSUPPORTED


async def test_nothing_is_finished_before_it_was_submitted(it: Installation) -> None:
    refused = await refusal(it.attestations.begin("tpm2").finish(bytes(32)))
    assert refused.reason is Reason.ACTIVATION_FAILED


async def test_nothing_is_finished_after_its_evidence_was_refused(enrolled: Installation) -> None:
    session = enrolled.attestations.begin("tpm2")
    secret = await enrolled.answer(session, AGENT_KEY)
    await refusal(submit(enrolled, session, evidence=b"{}"))
    refused = await refusal(session.finish(secret))
    assert refused.reason is Reason.ACTIVATION_FAILED


async def test_a_second_finish_is_refused(enrolled: Installation) -> None:
    session = enrolled.attestations.begin("tpm2")
    secret = await enrolled.answer(session, AGENT_KEY)
    await session.finish(secret)
    refused = await refusal(session.finish(secret))
    assert refused.reason is Reason.ACTIVATION_FAILED
    assert len(await enrolled.events(AuditAction.ATTESTATION_AFFIRMED)) == 1


async def test_a_wrong_secret_gets_no_second_guess(enrolled: Installation) -> None:
    session = enrolled.attestations.begin("tpm2")
    secret = await enrolled.answer(session, AGENT_KEY)
    for guess in (bytes(len(secret)), secret):
        refused = await refusal(session.finish(guess))
        assert refused.reason is Reason.ACTIVATION_FAILED
    assert await enrolled.store.binding(AGENT_KEY.jkt) is None


async def test_a_challenge_is_answered_once(enrolled: Installation) -> None:
    session = enrolled.attestations.begin("tpm2")
    for attempt in range(2):
        secret = await enrolled.answer(session, AGENT_KEY)
        if attempt == 0:
            await session.finish(secret)
    refused = await refusal(session.finish(secret))
    assert (type(refused), refused.reason) == (Replayed, Reason.CHALLENGE_REPLAYED)
    (told,) = await enrolled.events(AuditAction.ATTESTATION_REFUSED)
    assert (told.caller, told.reason) == (HOST_ID, "challenge_replayed")


async def test_the_same_challenge_at_two_sessions_is_answered_once(
    enrolled: Installation,
) -> None:
    first = enrolled.attestations.begin("tpm2")
    second = Session(enrolled.attestations, first.challenge, first.kind)
    secrets = [await enrolled.answer(each, AGENT_KEY) for each in (first, second)]
    done = await asyncio.gather(
        first.finish(secrets[0]), second.finish(secrets[1]), return_exceptions=True
    )
    assert [type(each) for each in done].count(Replayed) == 1


@pytest.mark.parametrize("when", ["submit", "finish"])
async def test_an_expired_challenge_is_refused(enrolled: Installation, when: str) -> None:
    session = enrolled.attestations.begin("tpm2")
    if when == "submit":
        enrolled.clock.at += CHALLENGE_TTL_S
        refused = await refusal(submit(enrolled, session))
    else:
        secret = await enrolled.answer(session, AGENT_KEY)
        enrolled.clock.at += CHALLENGE_TTL_S
        refused = await refusal(session.finish(secret))
    assert refused.reason is Reason.CHALLENGE_EXPIRED
    assert (await counted(enrolled))["challenge_expired"] == 1


async def test_a_clock_that_goes_back_makes_no_challenge_live(enrolled: Installation) -> None:
    session = enrolled.attestations.begin("tpm2")
    enrolled.clock.at -= 1
    assert (await refusal(submit(enrolled, session))).reason is Reason.CHALLENGE_EXPIRED


async def test_evidence_for_another_challenge_is_refused(enrolled: Installation) -> None:
    old = enrolled.attestations.begin("tpm2").challenge.nonce
    session = enrolled.attestations.begin("tpm2")
    refused = await refusal(submit(enrolled, session, evidence=document(HOST, nonce=old)))
    assert refused.reason is Reason.NONCE_MISMATCH


@pytest.mark.parametrize("nonce", [None, bytes(32)])
async def test_an_envelope_for_another_challenge_is_refused(
    enrolled: Installation, nonce: bytes | None
) -> None:
    """Also where quote and certification answer this one."""
    session = enrolled.attestations.begin("tpm2")
    evidence = encode_envelope(
        kind=EvidenceKind.TPM2,
        nonce=nonce,
        key=HOST.jwk,
        evidence=HOST.members(nonce=session.challenge.nonce),
    )
    refused = await refusal(submit(enrolled, session, evidence=evidence))
    assert refused.reason is Reason.NONCE_MISMATCH


async def test_a_stored_certification_is_refused_for_a_new_challenge(
    enrolled: Installation,
) -> None:
    """The quote is fresh and so is the envelope: only the certification is last week's."""
    stored = HOST.certify(nonce=enrolled.attestations.begin("tpm2").challenge.nonce)
    session = enrolled.attestations.begin("tpm2")
    evidence = document(HOST, nonce=session.challenge.nonce, certify=stored)
    refused = await refusal(submit(enrolled, session, evidence=evidence))
    assert (refused.reason, refused.step) == (Reason.NONCE_MISMATCH, 19)


async def test_a_stored_quote_is_refused_for_a_new_challenge(enrolled: Installation) -> None:
    stored = HOST.quote(nonce=enrolled.attestations.begin("tpm2").challenge.nonce)
    session = enrolled.attestations.begin("tpm2")
    evidence = document(HOST, nonce=session.challenge.nonce, quote=stored)
    refused = await refusal(submit(enrolled, session, evidence=evidence))
    assert refused.reason is Reason.NONCE_MISMATCH


async def test_the_proof_of_another_key_is_refused(enrolled: Installation) -> None:
    session = enrolled.attestations.begin("tpm2")
    thief = Agent(id=SpiffeId(AGENT), host=Host.make(name="thief"))
    proof = thief.key_proof(nonce=session.challenge.nonce)
    refused = await refusal(submit(enrolled, session, proof=proof))
    assert refused.reason is Reason.KEY_PROOF_INVALID


@pytest.mark.parametrize("change", [{"nonce": bytes(32)}, {"issuer": "https://other.example"}])
async def test_a_proof_for_another_challenge_or_issuer_is_refused(
    enrolled: Installation, change: dict[str, Any]
) -> None:
    session = enrolled.attestations.begin("tpm2")
    proof = AGENT_KEY.key_proof(**{"nonce": session.challenge.nonce, **change})
    refused = await refusal(submit(enrolled, session, proof=proof))
    assert refused.reason is Reason.KEY_PROOF_INVALID


@pytest.mark.parametrize("proof", ["", "x", "a.b.c", "é"])
async def test_what_is_no_proof_is_refused(enrolled: Installation, proof: str) -> None:
    """Evidence alone binds nothing: it is public once it was sent."""
    session = enrolled.attestations.begin("tpm2")
    refused = await refusal(submit(enrolled, session, proof=proof))
    assert isinstance(refused, Malformed | EvidenceRejected) or (
        refused.reason is Reason.KEY_PROOF_INVALID
    )
    assert (await refusal(session.finish(bytes(32)))).reason is Reason.ACTIVATION_FAILED


@pytest.mark.parametrize("evidence", [b"", b"{}", b"[]", b"\xff", b'{"a":1,"a":1}'])
async def test_what_is_no_envelope_is_malformed(enrolled: Installation, evidence: bytes) -> None:
    session = enrolled.attestations.begin("tpm2")
    assert isinstance(await refusal(submit(enrolled, session, evidence=evidence)), Malformed)


async def test_truncated_evidence_is_malformed(enrolled: Installation) -> None:
    session = enrolled.attestations.begin("tpm2")
    evidence = document(HOST, nonce=session.challenge.nonce)[:-1]
    assert isinstance(await refusal(submit(enrolled, session, evidence=evidence)), Malformed)


async def test_a_host_that_is_not_enrolled_is_refused(it: Installation) -> None:
    session = it.attestations.begin("tpm2")
    refused = await refusal(submit(it, session))
    assert (type(refused), refused.reason) == (Refused, Reason.EK_NOT_ENROLLED)
    assert (await counted(it))["ek_not_enrolled"] == 1


async def test_refusals_before_the_tpm_answered_are_counted_and_not_written_one_by_one(
    enrolled: Installation,
) -> None:
    before = await enrolled.events()
    for _ in range(30):
        session = enrolled.attestations.begin("tpm2")
        await refusal(submit(enrolled, session, evidence=b"{}"))
    assert await enrolled.events() == before
    assert (await counted(enrolled))["total"] == 30


async def test_a_refusal_after_the_tpm_answered_is_recorded_by_name(it: Installation) -> None:
    await it.enrol(HOST)
    refused = await refusal(it.attest(AGENT_KEY))
    assert refused.reason is Reason.NO_REGISTRATION_ENTRY
    (told,) = await it.events(AuditAction.ATTESTATION_REFUSED)
    assert (told.caller, told.jkt, told.reason, told.kind) == (
        HOST_ID,
        AGENT_KEY.jkt,
        "no_registration_entry",
        "tpm2",
    )
    assert await counted(it) == {}


async def test_an_entry_whose_pcrs_are_not_shown_does_not_match(it: Installation) -> None:
    await it.enrol(HOST)
    await it.register(pcrs={"sha256": {7: ("00" * 32,)}})
    assert (await refusal(it.attest(AGENT_KEY))).reason is Reason.NO_REGISTRATION_ENTRY
    await it.register(pcrs={"sha256": {7: ("77" * 32,)}})
    assert (await it.attest(AGENT_KEY)).bound.spiffe_id == AGENT


async def test_labels_count_as_they_are_when_the_key_is_bound(it: Installation) -> None:
    """Not as they were when the evidence came: an operator took one away in between."""
    host = Host.make()
    await it.enrol(host, labels={"rack": "7"})
    await it.register(labels={"rack": "7"})
    session = it.attestations.begin("tpm2")
    secret = await it.answer(session, Agent(id=SpiffeId(AGENT), host=host))
    await it.enrol(host)
    with pytest.raises(Refused) as refused:
        await session.finish(secret)
    assert refused.value.reason is Reason.NO_REGISTRATION_ENTRY
    assert await it.store.binding(Agent(id=SpiffeId(AGENT), host=host).jkt) is None


async def test_a_host_that_was_removed_meanwhile_binds_nothing(it: Installation) -> None:
    host = Host.make()
    await it.enrol(host)
    await it.register()
    session = it.attestations.begin("tpm2")
    secret = await it.answer(session, Agent(id=SpiffeId(AGENT), host=host))
    (known,) = await it.identities.hosts(ADAM)
    await it.identities.remove_host(ADAM, ek=known.ek)
    with pytest.raises(Refused) as refused:
        await session.finish(secret)
    assert refused.value.reason is Reason.EK_NOT_ENROLLED
    assert (await it.events(AuditAction.ATTESTATION_REFUSED))[-1].object == known.ek


async def test_of_several_names_one_has_to_be_asked_for(enrolled: Installation) -> None:
    await enrolled.register(AGENT_B)
    assert isinstance(await refusal(enrolled.attest(AGENT_KEY)), Conflict)
    assert (await enrolled.attest(AGENT_KEY, wanted=AGENT_B)).bound.spiffe_id == AGENT_B


async def test_a_name_that_no_entry_gives_is_refused(enrolled: Installation) -> None:
    refused = await refusal(enrolled.attest(AGENT_KEY, wanted=AGENT_B))
    assert refused.reason is Reason.NO_REGISTRATION_ENTRY
    assert isinstance(await refusal(enrolled.attest(AGENT_KEY, wanted="x")), Malformed)


async def test_a_key_keeps_its_one_name(enrolled: Installation) -> None:
    await enrolled.attest(AGENT_KEY)
    await enrolled.register(AGENT_B)
    refused = await refusal(enrolled.attest(AGENT_KEY, wanted=AGENT_B))
    assert (type(refused), refused.reason) == (Conflict, Reason.KEY_BOUND_TO_ANOTHER_ID)
    bound = await enrolled.store.binding(AGENT_KEY.jkt)
    assert bound is not None and bound.spiffe_id == AGENT
    (told,) = await enrolled.events(AuditAction.ATTESTATION_REFUSED)
    assert told.reason == "key_bound_to_another_id"


async def test_attesting_again_renews_the_binding(enrolled: Installation) -> None:
    first = await enrolled.attest(AGENT_KEY)
    enrolled.clock.at += 100
    second = await enrolled.attest(AGENT_KEY)
    assert second.bound.expires_at == first.bound.expires_at + 100
    assert second.id != first.id


async def test_nothing_is_bound_when_it_cannot_be_recorded(enrolled: Installation) -> None:
    session = enrolled.attestations.begin("tpm2")
    secret = await enrolled.answer(session, AGENT_KEY)
    enrolled.store.fails = lambda events: True
    assert isinstance(await refusal(session.finish(secret)), Unavailable)
    enrolled.store.fails = lambda events: False
    assert await enrolled.store.binding(AGENT_KEY.jkt) is None
    assert not await enrolled.events(AuditAction.ATTESTATION_AFFIRMED)


async def test_nothing_is_bound_while_the_issuers_tpm_is_away(enrolled: Installation) -> None:
    session = enrolled.attestations.begin("tpm2")
    secret = await enrolled.answer(session, AGENT_KEY)
    enrolled.tpm.away = True
    assert isinstance(await refusal(session.finish(secret)), Unavailable)
    assert await enrolled.store.binding(AGENT_KEY.jkt) is None


async def test_evidence_that_grew_too_old_is_refused_on_record(tmp_path: Any) -> None:
    policy = appraisal_policy(max_age_s=10)
    async with installation(tmp_path / "s", appraisal=policy) as it:
        await it.enrol(HOST)
        await it.register()
        session = it.attestations.begin("tpm2")
        secret = await it.answer(session, AGENT_KEY)
        it.clock.at += 10
        refused = await refusal(session.finish(secret))
        assert refused.reason is Reason.EVIDENCE_TOO_OLD
        (told,) = await it.events(AuditAction.ATTESTATION_REFUSED)
        assert (told.reason, told.step, told.caller) == ("evidence_too_old", 27, HOST_ID)


async def test_a_store_that_fails_the_refusal_hides_nothing(it: Installation) -> None:
    """Where the refusal cannot be recorded the caller still gets no binding."""
    await it.enrol(HOST)
    session = it.attestations.begin("tpm2")
    secret = await it.answer(session, AGENT_KEY)
    it.store.fails = lambda events: True
    assert isinstance(await refusal(session.finish(secret)), Unavailable)
