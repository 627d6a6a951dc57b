"""A chain that was remembered is worth what it is worth now: every kind that remembers chains.

The good evidence is appraised first, so that its chain is in the policy's memory; what follows
must not profit from it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from keystead.appraisal import app_attest, aws_nitro, azure_cvm, sev_snp, tdx
from keystead.appraisal.amd_chain import build_amd_path
from keystead.appraisal.anchors import from_der
from keystead.appraisal.chain_cache import ChainCache, PathCache
from keystead.appraisal.dcap_memory import DcapMemory
from keystead.appraisal.policy import AppraisalPolicy
from keystead.errors import EvidenceRejected, Reason
from keystead.model import AnchorClass
from tests.app_attest_builder import Device
from tests.azure_builder import Machine
from tests.device_chains import NOW, chain
from tests.intel_builder import pck, pck_chain
from tests.nitro_builder import Enclave
from tests.snp_builder import Guest, ca, revocation_list
from tests.tdx_builder import Td
from tests.tdx_builder import policy as td_policy

START, END = NOW - 100, NOW + 100
WINDOW: Mapping[str, Any] = {"not_before": START, "not_after": END}
REVOKED_SERIAL = 1


@dataclass(frozen=True)
class Kind:
    """``appraise``: the same certificates, from START to END, at a time. ``policy`` makes one whose
    memory is empty; ``strangers`` one that trusts another maker."""

    policy: Callable[[], AppraisalPolicy]
    strangers: Callable[[], AppraisalPolicy]
    appraise: Callable[[AppraisalPolicy, int], object]
    memory: Callable[[AppraisalPolicy], Any]


def nitro() -> Kind:
    enclave = Enclave(leaf=dict(WINDOW))
    return Kind(
        policy=enclave.policy,
        strangers=Enclave(maker="stranger").policy,
        appraise=lambda policy, at: aws_nitro.appraise(
            enclave.evidence(timestamp=at * 1_000), policy=policy, nonce=None, now=at
        ),
        memory=lambda policy: policy.aws_nitro and policy.aws_nitro.chains,
    )


def app() -> Kind:
    device = Device()
    evidence = device.evidence(leaf=WINDOW)
    stranger = chain(device.key, maker="stranger").anchors()
    return Kind(
        policy=device.policy,
        strangers=lambda: device.policy(chains=ChainCache(stranger)),
        appraise=lambda policy, at: app_attest.appraise(
            evidence, policy=policy, nonce=None, now=at
        ),
        memory=lambda policy: policy.app_attest and policy.app_attest.chains,
    )


def strangers_chains() -> PathCache[Any]:
    root = from_der([ca("stranger")], anchor_class=AnchorClass.TEE)
    return PathCache(partial(build_amd_path, anchors=root, revocations=()))


def snp() -> Kind:
    guest = Guest()
    evidence = guest.evidence(certificates=guest.certificates(**WINDOW))
    return Kind(
        policy=guest.policy,
        strangers=lambda: guest.policy(chains=strangers_chains()),
        appraise=lambda policy, at: sev_snp.appraise(evidence, policy=policy, nonce=None, now=at),
        memory=lambda policy: policy.sev_snp and policy.sev_snp.chains,
    )


def azure() -> Kind:
    machine = Machine()
    evidence = machine.evidence(certificates=machine.guest.certificates(**WINDOW))
    return Kind(
        policy=machine.policy,
        strangers=lambda: machine.policy(snp={"chains": strangers_chains()}),
        appraise=lambda policy, at: azure_cvm.appraise(evidence, policy=policy, nonce=None, now=at),
        memory=lambda policy: (
            policy.azure_cvm and policy.azure_cvm.sev_snp and policy.azure_cvm.sev_snp.chains
        ),
    )


def td() -> Kind:
    evidence = Td(chain=pck_chain(pck(**WINDOW))).evidence()
    stranger = chain(Device().key, maker="stranger").anchors()
    return Kind(
        policy=td_policy,
        strangers=lambda: td_policy(memory=DcapMemory(stranger)),
        appraise=lambda policy, at: tdx.appraise(evidence, policy=policy, nonce=None, now=at),
        memory=lambda policy: policy.tdx and policy.tdx.memory.paths,
    )


KINDS = {
    "aws-nitro": nitro,
    "app-attest": app,
    "sev-snp": snp,
    "azure-cvm": azure,
    "tdx": td,
}


def refusal(kind: Kind, policy: AppraisalPolicy, at: int) -> Reason:
    with pytest.raises(EvidenceRejected) as refused:
        kind.appraise(policy, at)
    return refused.value.reason


@pytest.mark.parametrize("name", KINDS)
def test_a_chain_is_believed_to_its_last_second_and_not_one_longer(name: str) -> None:
    kind = KINDS[name]()
    policy = kind.policy()
    for at in (NOW, START, END):
        kind.appraise(policy, at)
    assert len(kind.memory(policy)) == 1
    assert refusal(kind, policy, END + 1) is Reason.CHAIN_UNTRUSTED
    assert refusal(kind, policy, START - 1) is Reason.CHAIN_UNTRUSTED
    kind.appraise(policy, NOW)


def test_an_enclaves_chain_that_ended_since_its_document_is_refused() -> None:
    enclave = Enclave(leaf=dict(WINDOW))
    policy, evidence = enclave.policy(), enclave.evidence(timestamp=NOW * 1_000)
    for now in (NOW, END):
        aws_nitro.appraise(evidence, policy=policy, nonce=None, now=now)
    with pytest.raises(EvidenceRejected) as refused:
        aws_nitro.appraise(evidence, policy=policy, nonce=None, now=END + 1)
    assert refused.value.reason is Reason.CHAIN_UNTRUSTED


@pytest.mark.parametrize("name", KINDS)
def test_what_one_policy_remembers_is_nothing_to_another(name: str) -> None:
    kind = KINDS[name]()
    kind.appraise(kind.policy(), NOW)
    strangers = kind.strangers()
    assert refusal(kind, strangers, NOW) is Reason.CHAIN_UNTRUSTED
    assert len(kind.memory(strangers)) == 0


@pytest.mark.parametrize("name", ["sev-snp", "azure-cvm"])
def test_a_revocation_list_that_comes_later_is_looked_at(name: str) -> None:
    kind = KINDS[name]()
    kind.appraise(kind.policy(), NOW)
    crl = revocation_list(issuer="SEV-Test", serials=[REVOKED_SERIAL])
    assert refusal(kind, with_lists(name, [crl]), NOW) is Reason.CERTIFICATE_REVOKED


@pytest.mark.parametrize("name", ["sev-snp", "azure-cvm"])
def test_a_chain_is_remembered_no_longer_than_its_revocation_list_holds(name: str) -> None:
    kind = KINDS[name]()
    crl = revocation_list(issuer="SEV-Test", this_update=NOW - 5, next_update=NOW + 5)
    policy = with_lists(name, [crl])
    for at in (NOW, NOW - 5, NOW + 5):
        kind.appraise(policy, at)
    assert len(kind.memory(policy)) == 1
    for at in (NOW - 6, NOW + 6):
        assert refusal(kind, policy, at) is Reason.CHAIN_UNTRUSTED


def with_lists(name: str, lists: list[bytes]) -> AppraisalPolicy:
    if name == "sev-snp":
        return Guest().policy(revocations=lists)
    return Machine().policy(snp={"revocations": lists})


@pytest.mark.parametrize("name", KINDS)
def test_the_default_memory_is_bounded(name: str) -> None:
    memory = KINDS[name]().memory(KINDS[name]().policy())
    paths = 0
    for number in range(5_000):
        memory.find([number.to_bytes(4, "big")], at=NOW, make=Forever)
        paths = max(paths, len(memory))
    assert paths == 4_096


class Forever:
    def holds_at(self, at: int) -> bool:
        return True
