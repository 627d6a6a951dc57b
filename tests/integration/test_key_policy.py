"""Workload keys under PolicyPCR, end to end: a platform that changed signs no further proof."""

import hashlib
from collections.abc import Iterator

import pytest

from keystead.agent import Workload
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection
from keystead.dev import APPRAISAL
from keystead.errors import Reason, Refused
from keystead.hardware.tpm2 import keys, pcrs
from keystead.testing.swtpm import Swtpm, SwtpmCa
from tests.integration.agent.running_service import AGENT, AUDIENCE, SCOPE
from tests.integration.service_harness import Installation, caller, installation

SHA256 = HashAlgorithm.SHA256
SELECTION = PcrSelection.of({SHA256: [7]})
GUARDED = f"{APPRAISAL}\n[tpm2.require_key_policy]\nsha256 = [7]\n"


@pytest.fixture
def site(other_swtpm: Swtpm, swtpm_ca: SwtpmCa) -> Iterator[Installation]:
    """A service that binds only keys whose use depends on PCR 7."""
    with installation(other_swtpm, host_ca=swtpm_ca, appraisal=GUARDED) as made:
        yield made


@pytest.fixture
def workload(site: Installation, swtpm: Swtpm) -> Iterator[Workload]:
    with site.workload(swtpm) as made:
        made.attest()
        yield made


def extend(workload: Workload, index: int) -> None:
    digest = hashlib.sha256(b"another boot loader").digest()
    workload.host.device.call(pcrs.extend_pcr, index, {SHA256: digest})


def issued(site: Installation) -> int:
    return sum(event["action"].startswith("token.") for event in site.events())


def test_the_bound_key_is_under_the_policy(site: Installation, workload: Workload) -> None:
    key = workload.host.folder.current()
    assert key is not None and key.pcr_policy == SELECTION
    with pytest.raises(Refused) as caught:
        workload.host.device.call(keys.sign, key.wrapped, bytes(32))
    assert caught.value.reason is Reason.HARDWARE_REFUSED


async def test_no_proof_and_no_token_once_the_pcr_was_extended(
    site: Installation, workload: Workload
) -> None:
    async with caller(site, workload) as agent:
        reply = await agent.exchange()
        assert reply.status == 200
        before = issued(site)
        extend(workload, 7)
        with pytest.raises(Refused) as caught:
            await agent.exchange()
        assert caught.value.reason is Reason.HARDWARE_REFUSED
        with pytest.raises(Refused) as caught:
            await agent.renew(reply.body["refresh_token"])
        assert caught.value.reason is Reason.HARDWARE_REFUSED
    assert issued(site) == before == 1


def test_the_agents_own_auth_gets_no_token_either(site: Installation, workload: Workload) -> None:
    auth = workload.auth(site.running.user_token(), audience=AUDIENCE, scope=SCOPE)
    auth.tokens.current()
    extend(workload, 7)
    with pytest.raises(Refused) as caught:
        auth.tokens.renew()
    assert caught.value.reason is Reason.HARDWARE_REFUSED
    assert issued(site) == 1


async def test_another_pcr_changes_nothing(site: Installation, workload: Workload) -> None:
    extend(workload, 16)
    async with caller(site, workload) as agent:
        assert (await agent.exchange()).status == 200


async def test_a_new_attestation_binds_a_new_key_under_the_new_values(
    site: Installation, workload: Workload
) -> None:
    old = workload.jkt
    extend(workload, 7)
    binding = workload.attest()
    assert binding.jkt != old
    assert binding.spiffe_id == AGENT
    async with caller(site, workload) as agent:
        reply = await agent.exchange()
    assert (reply.status, reply.claims["cnf"]["jkt"]) == (200, binding.jkt)
