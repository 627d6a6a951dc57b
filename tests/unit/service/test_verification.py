"""VerificationService: verdicts for many, by the same rules as a relying party's own verifier."""

from typing import Any

import pytest

from keystead.errors import KeysteadError, Malformed, Reason
from keystead.model import KeyPurpose
from keystead.relying import RequestToVerify
from keystead.service import verification
from keystead.service.roles import ANYONE
from tests.exchange_parts import AGENT, API, OTHER_API
from tests.service_parts import (
    ADAM,
    API_CALLER,
    DELEGATE,
    HOST_CALLER,
    MAX_ITEMS,
    OLGA,
    PUBLISH_AHEAD_S,
    SOCKET,
    Agent,
    Installation,
)


@pytest.fixture
async def agent(it: Installation) -> Agent:
    return await it.agent()


async def refusal(coroutine: Any) -> KeysteadError:
    with pytest.raises(KeysteadError) as caught:
        await coroutine
    return caught.value


def asked(it: Installation, agent: Agent, token: str, **changes: Any) -> RequestToVerify:
    url = f"{API}orders"
    wanted: dict[str, Any] = {"url": url, "method": "GET", "now": it.clock.at, **changes}
    return RequestToVerify(
        token=token,
        proof=agent.proof(access_token=token, **wanted),
        method="GET",
        url=url,
    )


async def test_one_verdict_for_each_token_in_order(it: Installation, agent: Agent) -> None:
    good = (await it.exchange(agent)).access_token
    foreign = (await it.exchange(agent, audience=OTHER_API)).access_token
    ear = (await it.attest(agent)).ear
    found = await it.verifications.verify_tokens(
        API_CALLER, [good, "x", foreign, good[:-4] + "AAAA", ear, good], audience=API
    )
    assert [found.reason(i) for i in range(6)] == [
        None,
        Reason.MALFORMED,
        Reason.AUDIENCE_MISMATCH,
        Reason.SIGNATURE_INVALID,
        Reason.TYPE_MISMATCH,
        None,
    ]
    assert found.claims(0)["client_id"] == AGENT


async def test_requests_are_checked_with_their_proofs(it: Installation, agent: Agent) -> None:
    token = (await it.exchange(agent)).access_token
    thief = await it.agent(
        "spiffe://example.org/agent/b", name="b", parent="spiffe://example.org/host/2"
    )
    found = await it.verifications.verify_requests(
        API_CALLER,
        [
            asked(it, agent, token),
            asked(it, thief, token),
            asked(it, agent, token, method="POST"),
            asked(it, agent, token, url=f"{API}other"),
            asked(it, agent, token, now=it.clock.at - 3_600),
        ],
        audience=API,
    )
    assert [found.reason(i) for i in range(5)] == [
        None,
        Reason.KEY_BINDING_MISMATCH,
        Reason.METHOD_MISMATCH,
        Reason.URL_MISMATCH,
        Reason.PROOF_TOO_OLD,
    ]


async def test_a_proof_counts_once_also_across_calls_and_key_sets(
    it: Installation, agent: Agent
) -> None:
    token = (await it.exchange(agent)).access_token
    request = asked(it, agent, token)
    first = await it.verifications.verify_requests(API_CALLER, [request, request], audience=API)
    assert [first.reason(i) for i in range(2)] == [None, Reason.PROOF_REPLAYED]
    await it.keyring.rotate(KeyPurpose.TOKEN, owner="keystead", caller="adam")
    again = await it.verifications.verify_requests(OLGA, [request], audience=API)
    assert again.reason(0) is Reason.PROOF_REPLAYED, "nor does another key set forget it"


async def test_time_is_the_services(it: Installation, agent: Agent) -> None:
    token = (await it.exchange(agent)).access_token
    it.clock.at += 3_600
    found = await it.verifications.verify_tokens(API_CALLER, [token], audience=API)
    assert found.reason(0) is Reason.EXPIRED


async def test_a_new_key_is_known_at_once(it: Installation, agent: Agent) -> None:
    await it.verifications.verify_tokens(API_CALLER, ["x"], audience=API)
    await it.keyring.rotate(KeyPurpose.TOKEN, owner="keystead", caller="adam")
    it.clock.at += PUBLISH_AHEAD_S
    await it.keyring.advance()
    token = (await it.exchange(agent)).access_token
    found = await it.verifications.verify_tokens(API_CALLER, [token], audience=API)
    assert found.reason(0) is None


@pytest.mark.parametrize("caller", [ANYONE, SOCKET, DELEGATE, HOST_CALLER])
async def test_strangers_have_nothing_verified(it: Installation, caller: Any) -> None:
    for attempt in (
        it.verifications.verify_tokens(caller, ["x"], audience=API),
        it.verifications.verify_requests(caller, [], audience=API),
    ):
        assert (await refusal(attempt)).reason is Reason.ROLE_REQUIRED


@pytest.mark.parametrize("caller", [API_CALLER, OLGA, ADAM])
async def test_relying_parties_and_operators_have(it: Installation, caller: Any) -> None:
    found = await it.verifications.verify_tokens(caller, ["x"], audience=API)
    assert found.reason(0) is Reason.MALFORMED


async def test_more_than_a_batch_is_refused(it: Installation) -> None:
    refused = await refusal(
        it.verifications.verify_tokens(API_CALLER, ["x"] * (MAX_ITEMS + 1), audience=API)
    )
    assert refused.reason is Reason.LIMIT_EXCEEDED
    found = await it.verifications.verify_tokens(API_CALLER, ["x"] * MAX_ITEMS, audience=API)
    assert len(found.verdicts()) == MAX_ITEMS


@pytest.mark.parametrize("audience", ["", "a" * 2_049])
async def test_an_audience_is_needed(it: Installation, audience: str) -> None:
    refused = await refusal(it.verifications.verify_tokens(API_CALLER, ["x"], audience=audience))
    assert isinstance(refused, Malformed)


async def test_audiences_kept_ready_are_bounded(
    it: Installation, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "MAX_VERIFIERS", 3)
    token = (await it.exchange(agent)).access_token
    for i in range(10):
        await it.verifications.verify_tokens(API_CALLER, ["x"], audience=f"https://{i}.example")
        found = await it.verifications.verify_tokens(API_CALLER, [token], audience=API)
        assert found.reason(0) is None
    assert len(it.verifications._verifiers) == 3
