"""A TPM's chain that was remembered is worth what it is worth now.

The good evidence is appraised first, so that its chain is in the policy's memory; what follows must
not profit from it. The edges of every certificate's time are in ``test_certificate_times``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256

from keystead.appraisal import chain_cache, tpm2
from keystead.appraisal.anchors import from_der
from keystead.appraisal.chain import build_chain
from keystead.appraisal.chain_cache import DatedCache
from keystead.appraisal.policy import AppraisalPolicy
from keystead.codec import der
from keystead.codec.certificate import parse_certificate
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.tpm2 import Tpm2Evidence
from keystead.model import AnchorClass
from keystead.ports import Endorsement
from tests.evidence_builder import (
    DAY_S,
    NOW,
    Host,
    anchor_set,
    appraisal_policy,
    ca_extensions,
    certificate,
    ek_certificate,
    intermediate,
    private_key,
)
from tests.unit.appraisal.test_tpm2 import ak_certificate

HOST = Host.make()
START, END = NOW - 100, NOW + 100
Refusal = tuple[Reason, int | None]
UNTRUSTED: Refusal = (Reason.EK_CHAIN_UNTRUSTED, 2)


def endorsed(*chain: bytes, leaf: bytes | None = None, **changes: Any) -> Tpm2Evidence:
    made = Endorsement(
        public=HOST.ek.sized, certificate=leaf or HOST.ek_certificate, chain=tuple(chain)
    )
    return HOST.evidence(endorsement=made, **changes)


GOOD = endorsed(intermediate())


def appraise(evidence: Tpm2Evidence, policy: AppraisalPolicy, at: int = NOW) -> object:
    return tpm2.appraise(evidence, policy=policy, nonce=None, now=at)


def refusal(evidence: Tpm2Evidence, policy: AppraisalPolicy, at: int = NOW) -> Refusal:
    with pytest.raises(EvidenceRejected) as refused:
        appraise(evidence, policy, at)
    return refused.value.reason, refused.value.step


def memory(policy: AppraisalPolicy) -> DatedCache[Any]:
    assert policy.tpm2 is not None
    return policy.tpm2.chains


def maker(**times: int) -> bytes:
    """The maker's CA again, for another time."""
    return certificate(
        "maker",
        private_key("p256", "maker"),
        issuer="root",
        issuer_key=private_key("p256", "root"),
        extensions=ca_extensions(path_length=0),
        **times,
    )


def test_a_chain_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        chain_cache,
        "build_chain",
        lambda *a, **named: (asked.append(a), build_chain(*a, **named))[1],
    )
    policy = appraisal_policy()
    for _ in range(3):
        appraise(GOOD, policy)
    assert (len(asked), len(memory(policy))) == (1, 1)


def test_an_ak_certificate_is_believed_to_its_last_second_and_not_one_longer() -> None:
    evidence = HOST.evidence(ak_certificate=ak_certificate(not_before=START, not_after=END))
    policy = appraisal_policy(accept_ak_certificate=True)
    for at in (NOW, START, END):
        appraise(evidence, policy, at)
    assert len(memory(policy)) == 2
    for at in (START - 1, END + 1):
        assert refusal(evidence, policy, at) == (Reason.AK_CHAIN_UNTRUSTED, 14)


def test_an_ek_certificate_that_passed_is_no_aks() -> None:
    """Both are remembered in one place; what they have to be is asked each time."""
    policy = appraisal_policy(accept_ak_certificate=True)
    appraise(GOOD, policy)
    evidence = HOST.evidence(ak_certificate=HOST.ek_certificate, ak_certificate_chain=[])
    assert refusal(evidence, policy)[1] == 14


def test_what_one_policy_remembers_is_nothing_to_another() -> None:
    appraise(GOOD, appraisal_policy())
    strangers = appraisal_policy(anchors=anchor_set(name="stranger"))
    assert refusal(GOOD, strangers) == UNTRUSTED
    assert len(memory(strangers)) == 0


def test_the_class_of_the_anchor_is_asked_each_time() -> None:
    policy = appraisal_policy()
    appraise(GOOD, policy)
    assert policy.tpm2 is not None
    narrow = replace(
        policy, tpm2=replace(policy.tpm2, allowed_anchor_classes=frozenset({AnchorClass.TEE}))
    )
    assert memory(narrow) is memory(policy)
    assert refusal(GOOD, narrow) == (Reason.ANCHOR_CLASS_REFUSED, 2)


def test_other_certificates_are_another_chain() -> None:
    policy = appraisal_policy()
    appraise(GOOD, policy)
    mallory = private_key("p256", "mallory")
    for evidence in (
        endorsed(),
        endorsed(intermediate("maker", root_name="stranger")),
        endorsed(intermediate(), leaf=ek_certificate("p256", HOST.ek_key, issuer_key=mallory)),
    ):
        assert refusal(evidence, policy) == UNTRUSTED
    assert len(memory(policy)) == 1


def test_a_path_that_ended_makes_way_for_another_of_the_same_certificates() -> None:
    """Two certificates of one CA came: which of them was taken is what is remembered."""
    for helpers in (
        (maker(not_before=START, not_after=END), maker(not_before=END - 10, not_after=END + DAY_S)),
        (maker(not_before=END - 10, not_after=END + DAY_S), maker(not_before=START, not_after=END)),
    ):
        leaf = ek_certificate(
            "p256", HOST.ek_key, not_before=START - DAY_S, not_after=END + 2 * DAY_S
        )
        key = private_key("p256", "root")
        top = certificate(
            "root",
            key,
            issuer="root",
            issuer_key=key,
            extensions=ca_extensions(),
            not_after=END + 2 * DAY_S,
        )
        anchors = from_der([top], anchor_class=AnchorClass.TPM)
        policy, evidence = appraisal_policy(anchors=anchors), endorsed(*helpers, leaf=leaf)
        for at in (NOW, START, END, END + 1, END + DAY_S, NOW):
            appraise(evidence, policy, at)
        assert len(memory(policy)) == 1
        for at in (START - 1, END + DAY_S + 1):
            assert refusal(evidence, policy, at) == UNTRUSTED


def test_a_time_that_only_openssl_knows_is_not_remembered_and_ends_all_the_same() -> None:
    """Its calendar has a year 0, which Python's has not."""
    odd = with_start(HOST.ek_certificate, b"00000101000000Z")
    found = build_chain(odd, intermediates=[intermediate()], anchors=anchor_set(), at=NOW)
    assert not any(found.holds_at(at) for at in (0, 1, NOW))
    policy, evidence = appraisal_policy(), endorsed(intermediate(), leaf=odd)
    for _ in range(2):
        appraise(evidence, policy)
    assert refusal(evidence, policy, NOW + DAY_S + 1) == UNTRUSTED


def with_start(certificate_der: bytes, start: bytes) -> bytes:
    """The maker's certificate with another notBefore, a GeneralizedTime, signed again."""
    found = parse_certificate(certificate_der)
    _, end = der.elements(der.parse_element(found.validity, tag=der.SEQUENCE).content)
    validity = der.encode_element(der.SEQUENCE, der.encode_element(0x18, start) + end.raw)
    content = der.parse_element(found.signed, tag=der.SEQUENCE).content
    signed = der.encode_element(der.SEQUENCE, content.replace(found.validity, validity))
    signature = private_key("p256", "maker").sign(signed, ECDSA(SHA256()))
    outer = der.elements(der.parse_element(certificate_der, tag=der.SEQUENCE).content)
    algorithm = [each.raw for each in outer][1]
    return der.encode_element(
        der.SEQUENCE,
        signed + algorithm + der.encode_element(der.BIT_STRING, b"\x00" + signature),
    )


class Forever:
    def holds_at(self, at: int) -> bool:
        return True


def test_the_memory_is_bounded() -> None:
    chains = memory(appraisal_policy())
    for number in range(5_000):
        chains.find([number.to_bytes(4, "big")], at=NOW, make=Forever)
    assert len(chains) == 4_096
