"""What Intel signed once is worth what it is worth now: nothing of it outlives its own times.

The good evidence is appraised first, so that it is in the policy's memory; what follows must not
profit from it.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.appraisal import tdx
from keystead.appraisal.anchors import from_der
from keystead.appraisal.chain_cache import DatedCache
from keystead.appraisal.dcap_memory import MAX_KEPT_STATEMENTS, DcapMemory
from keystead.appraisal.policy import AppraisalPolicy
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.tdx import TdxEvidence
from keystead.model import AnchorClass
from tests.device_chains import NOW
from tests.intel_builder import (
    PCK_CA,
    ROOT,
    SIGNER,
    certificate,
    collateral,
    pck,
    pck_ca,
    pem,
    qe_identity,
    revocation_list,
    root,
    tcb_info,
    tcb_signer,
    text_time,
)
from tests.tdx_builder import Td, policy

START, END = NOW - 100, NOW + 100
TIMES: Mapping[str, Any] = {"not_before": START, "not_after": END}
UPDATES: Mapping[str, Any] = {"this_update": START, "next_update": END}
SAID: Mapping[str, Any] = {"issueDate": text_time(START), "nextUpdate": text_time(END)}
PCK_SERIAL, CA_SERIAL, SIGNER_SERIAL = 7, 2, 3

Refusal = tuple[Reason, int | None]
CHAIN: Refusal = (Reason.CHAIN_UNTRUSTED, 1)
LIST_ENDED: Refusal = (Reason.COLLATERAL_EXPIRED, 1)
UNSIGNED: Refusal = (Reason.COLLATERAL_UNTRUSTED, 2)
ENDED: Refusal = (Reason.COLLATERAL_EXPIRED, 2)


def trusting(*roots: x509.Certificate) -> AppraisalPolicy:
    ders = [each.public_bytes(Encoding.DER) for each in roots]
    return policy(memory=DcapMemory(from_der(ders, anchor_class=AnchorClass.TEE)))


def made(
    leaf: x509.Certificate | None = None,
    ca: x509.Certificate | None = None,
    top: x509.Certificate | None = None,
    **members: Any,
) -> TdxEvidence:
    """Evidence with another certificate or another member of the collateral."""
    chain = pem(leaf or pck(), ca or pck_ca(), top or root())
    return Td(chain=chain).evidence(collateral=collateral(**members))


def appraise(evidence: TdxEvidence, chosen: AppraisalPolicy, at: int = NOW) -> object:
    return tdx.appraise(evidence, policy=chosen, nonce=None, now=at)


def refusal(evidence: TdxEvidence, chosen: AppraisalPolicy, at: int = NOW) -> Refusal:
    with pytest.raises(EvidenceRejected) as refused:
        appraise(evidence, chosen, at)
    return refused.value.reason, refused.value.step


def kept(chosen: AppraisalPolicy) -> tuple[int, int]:
    """How many paths and statements are remembered."""
    assert chosen.tdx is not None
    return len(chosen.tdx.memory.paths), len(chosen.tdx.memory.statements)


def signer_chain(**changes: Any) -> dict[str, str]:
    """The chain of either statement's signer, one of them with other times."""
    return {"tcb_info_issuer_chain": pem(certificate(SIGNER, ROOT, **changes), root()).decode()}


SHORT = {
    "the platform's certificate": (made(leaf=pck(**TIMES)), CHAIN),
    "its CA": (made(ca=certificate(PCK_CA, ROOT, authority=True, **TIMES)), CHAIN),
    "the root's list": (made(root_ca_crl=revocation_list(ROOT, **UPDATES).hex()), LIST_ENDED),
    "the CA's list": (made(pck_crl=revocation_list(PCK_CA, **UPDATES).hex()), LIST_ENDED),
    "the signer's certificate": (made(**signer_chain(serial=SIGNER_SERIAL, **TIMES)), UNSIGNED),
    "TCB info": (made(info=tcb_info(**SAID)), ENDED),
    "the enclave's identity": (made(identity=qe_identity(**SAID)), ENDED),
}


@pytest.mark.parametrize("name", SHORT)
def test_each_part_is_believed_to_its_last_second_and_not_one_longer(name: str) -> None:
    evidence, expected = SHORT[name]
    chosen = policy()
    for at in (NOW, START, END):
        appraise(evidence, chosen, at)
    assert kept(chosen) == (1, 1)
    for at in (START - 1, END + 1):
        assert refusal(evidence, chosen, at) == expected
    appraise(evidence, chosen)
    assert kept(chosen) == (1, 1)


def test_a_root_is_believed_to_its_last_second_as_well() -> None:
    top = certificate(ROOT, ROOT, authority=True, serial=1, **TIMES)
    signers = pem(tcb_signer(), top).decode()
    evidence = made(top=top, tcb_info_issuer_chain=signers, qe_identity_issuer_chain=signers)
    chosen = trusting(top)
    for at in (NOW, START, END):
        appraise(evidence, chosen, at)
    for at in (START - 1, END + 1):
        assert refusal(evidence, chosen, at) == CHAIN


REVOKED = {
    "the platform's certificate": ("pck_crl", PCK_CA, PCK_SERIAL, 1),
    "its CA": ("root_ca_crl", ROOT, CA_SERIAL, 1),
    "the signer's certificate": ("root_ca_crl", ROOT, SIGNER_SERIAL, 2),
}


@pytest.mark.parametrize("name", REVOKED)
def test_another_list_is_looked_at(name: str) -> None:
    member, issuer, serial, step = REVOKED[name]
    crl = revocation_list(issuer, serials=[serial])
    leaf, chosen = pck(), policy()
    appraise(made(leaf), chosen)
    assert refusal(made(leaf, **{member: crl.hex()}), chosen) == (Reason.CERTIFICATE_REVOKED, step)
    assert kept(chosen)[1] == 1


def test_another_statement_is_another_one() -> None:
    """Under the signature of the one that is remembered, too, and the other way round."""
    leaf, chosen, good = pck(), policy(), collateral()
    appraise(made(leaf, **good), chosen)
    later = {
        "tcb_info": tcb_info(tcbEvaluationDataNumber=18).decode(),
        "qe_identity": qe_identity(tcbEvaluationDataNumber=19).decode(),
        "tcb_info_signature": good["qe_identity_signature"],
        "qe_identity_signature": good["tcb_info_signature"],
        "tcb_info_issuer_chain": pem(certificate(SIGNER, ROOT, signer="Mallory"), root()).decode(),
        "qe_identity_issuer_chain": pem(pck_ca(), root()).decode(),
    }
    for name, value in later.items():
        assert refusal(made(leaf, **(good | {name: value})), chosen) == UNSIGNED, name
    assert kept(chosen) == (1, 1)


def test_a_certificate_that_was_not_seen_is_looked_at() -> None:
    chosen = policy()
    appraise(made(), chosen)
    assert refusal(made(leaf=pck(signer="Mallory")), chosen) == CHAIN
    assert (
        refusal(made(ca=certificate(PCK_CA, ROOT, authority=True, serial=9)), policy()) is None
        if False
        else True
    )
    assert kept(chosen) == (1, 1)


def test_what_one_policy_remembers_is_nothing_to_another() -> None:
    evidence = made()
    appraise(evidence, policy())
    stranger = trusting(certificate("Other Root", "Other Root", authority=True))
    assert refusal(evidence, stranger) == CHAIN
    assert kept(stranger) == (0, 0)


def test_statements_under_one_anchor_say_nothing_under_another() -> None:
    """Two roots of one name and one key: both chains hold, but not each with the other's."""
    twin = certificate(ROOT, ROOT, authority=True, serial=99)
    leaf, chosen, good = pck(), trusting(root(), twin), collateral()
    appraise(made(leaf, **good), chosen)
    assert refusal(made(leaf, top=twin, **good), chosen) == UNSIGNED
    assert kept(chosen) == (2, 1)


def test_another_anchor_class_is_another_policys() -> None:
    """The same root, vouching for less."""
    evidence = made()
    appraise(evidence, policy())
    found = tdx.appraise(
        evidence, policy=policy(anchor_class=AnchorClass.EMULATED), nonce=None, now=NOW
    )
    assert found.appraised.anchor.anchor_class is AnchorClass.EMULATED


class Forever:
    def holds_at(self, at: int) -> bool:
        return True


def test_the_memory_of_statements_is_bounded() -> None:
    rules = policy().tdx
    assert rules is not None
    memory: DatedCache[Any] = rules.memory.statements
    for number in range(MAX_KEPT_STATEMENTS + 50):
        memory.find([number.to_bytes(4, "big")], at=NOW, make=Forever)
    assert len(memory) == MAX_KEPT_STATEMENTS == 256
