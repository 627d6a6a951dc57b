"""Evidence bent by an attacker: every byte, every boundary, and the mistakes that products made."""

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.appraisal import tpm2 as appraisal
from keystead.appraisal.endorsement import EK_ATTRIBUTES, ek_id
from keystead.binding.tpm2 import certify_key
from keystead.codec import base64url, json
from keystead.codec.tpm2 import PcrSelection, parse_tpm2b_public
from keystead.errors import BindingRejected, EvidenceRejected, KeysteadError, Malformed, Reason
from keystead.evidence import kinds
from keystead.evidence.envelope import parse_envelope
from keystead.ports import Endorsement
from tests.evidence_builder import (
    NONCE,
    NOW,
    OTHER_NONCE,
    PCRS,
    SHA256,
    Host,
    appraisal_policy,
    document,
    intermediate,
    quote_body,
    rules,
)

HOST = Host.make()
POLICY = appraisal_policy()
GOOD = document(HOST)


def attest(data: bytes, nonce: bytes = NONCE) -> None:
    """All that a service does before it sends a credential."""
    submission = parse_envelope(data)
    evidence = kinds.parse(submission)
    found = appraisal.appraise(evidence, policy=POLICY, nonce=nonce, now=NOW)
    assert submission.key is not None
    certify_key(evidence, found, key=submission.key, policy=POLICY, nonce=nonce)


def members() -> dict[str, Any]:
    return dict(json.parse_object(GOOD))


def envelope(evidence: dict[str, Any]) -> bytes:
    return json.encode(members() | {"evidence": evidence})


def test_the_unbent_document_is_accepted() -> None:
    attest(GOOD)


BINARY = [
    ("ek_certificate", None),
    ("ak_public", None),
    ("key_public", None),
    ("quote", "attest"),
    ("quote", "signature"),
    ("certify", "attest"),
    ("certify", "signature"),
]


@pytest.mark.parametrize(("name", "part"), BINARY)
def test_every_flipped_byte_is_refused(name: str, part: str | None) -> None:
    evidence: Any = members()["evidence"]
    place = evidence if part is None else evidence[name]
    member = name if part is None else part
    whole = base64url.decode(place[member])
    for at in range(len(whole)):
        bent = bytearray(whole)
        bent[at] ^= 1 << at % 8
        place[member] = base64url.encode(bytes(bent))
        with pytest.raises(KeysteadError):
            attest(envelope(evidence))


def test_no_flipped_byte_makes_another_ek() -> None:
    """The certificate covers the EK's key; its authPolicy may say anything and changes nothing."""
    evidence: Any = members()["evidence"]
    whole = HOST.ek.sized
    accepted = set()
    for at in range(len(whole)):
        bent = bytearray(whole)
        bent[at] ^= 1 << at % 8
        evidence["ek_public"] = base64url.encode(bytes(bent))
        try:
            attest(envelope(evidence))
            accepted.add(at)
        except KeysteadError:
            continue
        area = parse_tpm2b_public(bytes(bent))
        assert area.has(EK_ATTRIBUTES) and ek_id(area) == ek_id(HOST.ek)
    policy_at = whole.index(HOST.ek.auth_policy)
    harmless = {*range(6, 10), *range(policy_at, policy_at + len(HOST.ek.auth_policy))}
    assert accepted <= harmless


def test_every_flipped_pcr_nibble_and_key_character_is_refused() -> None:
    evidence: Any = members()["evidence"]
    for index, value in dict(evidence["pcrs"]["sha256"]).items():
        for at in range(64):
            flipped = f"{int(value[at], 16) ^ 1:x}"
            evidence["pcrs"]["sha256"][index] = value[:at] + flipped + value[at + 1 :]
            with pytest.raises(EvidenceRejected):
                attest(envelope(evidence))
        evidence["pcrs"]["sha256"][index] = value


def test_every_truncated_document_is_malformed() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(Malformed):
            attest(GOOD[:length])


@pytest.mark.parametrize(("name", "part"), [*BINARY, ("ek_public", None)])
def test_every_truncated_structure_is_malformed(name: str, part: str | None) -> None:
    evidence: Any = members()["evidence"]
    place = evidence if part is None else evidence[name]
    member = name if part is None else part
    whole = base64url.decode(place[member])
    for length in range(len(whole)):
        place[member] = base64url.encode(whole[:length])
        with pytest.raises(Malformed):
            attest(envelope(evidence))


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_bent_document_raises_nothing_unforeseen(at: int, flip: int) -> None:
    bent = bytearray(GOOD)
    bent[at] ^= flip
    with contextlib.suppress(KeysteadError):
        attest(bytes(bent))


@given(st.binary(max_size=300))
def test_noise_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_envelope(data)


def test_a_pcr_selection_chosen_by_the_attester_is_refused() -> None:
    """keylime CVE-2022-0317: a quote over PCRs that nobody asked about, and values to match."""
    for selection in (PcrSelection(banks=()), PcrSelection.of({SHA256: [16]})):
        values = {bank: dict.fromkeys(each, bytes(32)) for bank, each in selection.banks}
        quote = HOST.quote(body=quote_body(selection, values))
        data = envelope(HOST.members(quote=quote, pcrs=values))
        with pytest.raises(EvidenceRejected) as refused:
            attest(data)
        assert (refused.value.reason, refused.value.step) == (Reason.PCR_SELECTION, 9)


def test_values_beside_the_quoted_ones_are_refused() -> None:
    """The same defect's other half: the right quote, with unquoted values to be believed."""
    data = envelope(HOST.members(pcrs={SHA256: {**PCRS[SHA256], 4: bytes(32)}}))
    with pytest.raises(EvidenceRejected) as refused:
        attest(data)
    assert refused.value.reason is Reason.PCR_SELECTION


def test_a_stored_certification_is_refused_for_a_new_challenge() -> None:
    """smallstep/crypto#1092: everything is fresh, but the certification was made earlier."""
    data = document(HOST, nonce=OTHER_NONCE, certify=HOST.certify(nonce=NONCE))
    with pytest.raises(BindingRejected) as refused:
        attest(data, OTHER_NONCE)
    assert (refused.value.reason, refused.value.step) == (Reason.NONCE_MISMATCH, 19)


def test_a_stored_quote_is_refused_for_a_new_challenge() -> None:
    with pytest.raises(EvidenceRejected) as refused:
        attest(document(HOST, nonce=OTHER_NONCE, quote=HOST.quote(nonce=NONCE)), OTHER_NONCE)
    assert (refused.value.reason, refused.value.step) == (Reason.NONCE_MISMATCH, 8)


def test_the_ek_certificate_of_another_machine_convinces_nobody() -> None:
    """Its EK comes along whole; then only that machine's TPM can answer the credential."""
    other = Host.make(name="other")
    borrowed = Endorsement(
        public=other.ek.sized, certificate=other.ek_certificate, chain=(intermediate(),)
    )
    evidence = HOST.evidence(endorsement=borrowed)
    found = appraisal.appraise(evidence, policy=POLICY, nonce=NONCE, now=NOW)
    activation = appraisal.begin_activation(found, entropy=_Zeros())
    with pytest.raises(ValueError, match="integrity"):
        HOST.activate(activation.credential_blob, activation.encrypted_secret)
    with pytest.raises(EvidenceRejected) as refused:
        appraisal.conclude(found, activation=activation, returned_secret=bytes(31))
    assert refused.value.reason is Reason.ACTIVATION_FAILED


class _Zeros:
    def token(self, size_bytes: int) -> bytes:
        return bytes(size_bytes)


def test_software_keys_with_true_looking_attributes_are_refused_at_the_activation() -> None:
    """Attributes are the attester's word until the EK has vouched for the AK's Name."""
    thief = Host.make(name="thief")
    mixed = replace(thief, ek=HOST.ek, ek_key=thief.ek_key, ek_certificate=HOST.ek_certificate)
    found = appraisal.appraise(mixed.evidence(), policy=POLICY, nonce=NONCE, now=NOW)
    activation = appraisal.begin_activation(found, entropy=_Zeros())
    with pytest.raises(ValueError, match="integrity"):
        mixed.activate(activation.credential_blob, activation.encrypted_secret)


def test_every_step_fails_closed_without_rules() -> None:
    empty = rules(required_pcrs=PcrSelection(banks=()), pcr_values={})
    policy = replace(POLICY, tpm2=empty)
    with pytest.raises(EvidenceRejected) as refused:
        appraisal.appraise(HOST.evidence(), policy=policy, nonce=NONCE, now=NOW)
    assert refused.value.reason is Reason.PCR_SELECTION
