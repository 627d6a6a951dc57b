"""The presenter of a request: one good proof, unused, by a key that is bound now."""

from typing import Any

import pytest

from keystead.errors import KeysteadError, ProofRejected, Reason, Refused, Replayed
from keystead.jose.dpop import replay_window_s
from keystead.model import (
    GrantId,
)
from keystead.operations import (
    RequireLiveBinding,
    RequireLiveGrant,
    UseOnce,
)
from keystead.service.presenter import Presenter, Presenters
from tests.evidence_builder import Host
from tests.exchange_parts import AGENT
from tests.service_parts import BINDING_TTL_S, TOKEN_URL, Agent, Chance, Installation


@pytest.fixture
async def agent(it: Installation) -> Agent:
    return await it.agent()


@pytest.fixture
def presenters(it: Installation) -> Presenters:
    return Presenters(store=it.store, clock=it.clock, entropy=Chance())


def proof(presenters: Presenters, agent: Agent, it: Installation, **changes: Any) -> str:
    wanted: dict[str, Any] = {"now": it.clock.at, "nonce": presenters.nonces.fresh(), **changes}
    return agent.proof(**wanted)


async def present(presenters: Presenters, *proofs: str) -> Presenter:
    return await presenters.present(proofs, url=TOKEN_URL)


async def refusal(coroutine: Any) -> KeysteadError:
    with pytest.raises(KeysteadError) as caught:
        await coroutine
    return caught.value


async def test_a_good_proof_is_its_keys_agent(
    it: Installation, agent: Agent, presenters: Presenters
) -> None:
    found = await present(presenters, proof(presenters, agent, it))
    assert (found.bound.spiffe_id, found.proof.jkt) == (AGENT, agent.jkt)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"method": "GET"}, Reason.METHOD_MISMATCH),
        ({"url": "https://elsewhere.example/token"}, Reason.URL_MISMATCH),
        ({"nonce": None}, Reason.NONCE_REQUIRED),
        ({"nonce": "made-up"}, Reason.NONCE_INVALID),
        ({"now": 1_700_000_000}, Reason.PROOF_TOO_OLD),
        ({"now": 1_900_000_000}, Reason.PROOF_IN_FUTURE),
    ],
)
async def test_a_proof_wrong_in_one_thing_is_refused(
    it: Installation,
    agent: Agent,
    presenters: Presenters,
    changes: dict[str, Any],
    reason: Reason,
) -> None:
    refused = await refusal(present(presenters, proof(presenters, agent, it, **changes)))
    assert (type(refused), refused.reason) == (ProofRejected, reason)


async def test_a_key_that_is_not_bound_is_nobody(it: Installation, presenters: Presenters) -> None:
    stranger = Agent(id=AGENT, host=Host.make(name="stranger"))
    refused = await refusal(present(presenters, proof(presenters, stranger, it)))
    assert (type(refused), refused.reason) == (Refused, Reason.KEY_NOT_BOUND)


@pytest.mark.parametrize(("early", "good"), [(1, True), (0, False)])
async def test_a_binding_holds_until_its_last_second(
    it: Installation, agent: Agent, presenters: Presenters, early: int, good: bool
) -> None:
    it.clock.at += BINDING_TTL_S - early
    attempt = present(presenters, proof(presenters, agent, it))
    if good:
        assert (await attempt).bound.jkt == agent.jkt
    else:
        assert (await refusal(attempt)).reason is Reason.BINDING_EXPIRED


async def test_a_used_proof_is_seen_before_anything_is_signed(
    it: Installation, agent: Agent, presenters: Presenters
) -> None:
    made = proof(presenters, agent, it)
    found = await present(presenters, made)
    await it.store.apply([found.used], events=())
    refused = await refusal(present(presenters, made))
    assert (type(refused), refused.reason) == (Replayed, Reason.PROOF_REPLAYED)


async def test_the_use_is_remembered_for_the_window_and_the_skew_on_both_sides(
    it: Installation, agent: Agent, presenters: Presenters
) -> None:
    """Forgotten earlier, a proof that still verifies would be good a second time."""
    found = await present(presenters, proof(presenters, agent, it))
    assert found.used.space == "proof"
    last_good = found.used.until
    assert last_good == it.clock.at + replay_window_s()
    it.clock.at = last_good + 1
    late = proof(presenters, agent, it, now=found.proof.issued_at)
    assert (await refusal(present(presenters, late))).reason is Reason.PROOF_TOO_OLD


async def test_two_keys_may_choose_the_same_jti(
    it: Installation, agent: Agent, presenters: Presenters
) -> None:
    other = await it.agent(
        "spiffe://example.org/agent/b", name="b", parent="spiffe://example.org/host/2"
    )
    uses = [
        (await present(presenters, proof(presenters, each, it, jti="one-and-the-same"))).used
        for each in (agent, other)
    ]
    assert uses[0].key != uses[1].key


async def test_what_has_to_hold_when_the_answer_is_durable(
    it: Installation, agent: Agent, presenters: Presenters
) -> None:
    found = await present(presenters, proof(presenters, agent, it))
    conditions = found.conditions(GrantId("g"), None, now=it.clock.at)
    assert [type(each) for each in conditions] == [UseOnce, RequireLiveBinding, RequireLiveGrant]
    assert conditions[1] == RequireLiveBinding(
        jkt=found.bound.jkt, spiffe_id=AGENT, now=it.clock.at
    )
