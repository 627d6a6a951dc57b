"""An App Attest assertion, which stands on an attestation that somebody else kept."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keystead.binding.app_attest import client_data_for
from keystead.binding.attested import Attested, Question, attest
from keystead.errors import EvidenceRejected, KeysteadError, Reason
from keystead.evidence import app_attest
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.jose.jwk import from_public_key
from keystead.model import EvidenceKind, KeptEvidence
from keystead.operations import RaiseCounter
from tests.app_attest_builder import Device
from tests.device_chains import NOW, curve_key

ISSUER = "https://issuer.example"
THEN, NONCE = b"\x4d" * 32, b"\x4e" * 32
KEY = from_public_key(curve_key("workload", ec.SECP256R1).public_key())
OTHER_KEY = from_public_key(curve_key("other").public_key())
DEVICE, OTHER = Device(), Device(curve_key("other device", ec.SECP256R1))


def enveloped(evidence: Mapping[str, Any], nonce: bytes = NONCE) -> bytes:
    return encode_envelope(kind=EvidenceKind.APP_ATTEST, nonce=nonce, key=KEY, evidence=evidence)


def kept(device: Device) -> KeptEvidence:
    """The attestation of ``device``, an hour ago."""
    data = client_data_for(KEY, issuer=ISSUER, nonce=THEN)
    made = app_attest.encode(
        attestation_object=device.attestation(client_data=data),
        key_id=device.key_id,
        client_data=data,
    )
    return KeptEvidence(
        kind=EvidenceKind.APP_ATTEST,
        envelope=enveloped(made, THEN),
        nonce=THEN,
        appraised_at=NOW - 3600,
    )


ASKED = Question(
    policy=DEVICE.policy(), issuer=ISSUER, nonce=NONCE, now=NOW, device=kept(DEVICE), counter=6
)


def asserted(
    asked: Question = ASKED,
    *,
    signer: Device = DEVICE,
    key_id: bytes = DEVICE.key_id,
    data: bytes = client_data_for(KEY, issuer=ISSUER, nonce=NONCE),
) -> Attested:
    made = app_attest.encode_assertion(
        assertion=signer.assertion(data, counter=7), key_id=key_id, client_data=data
    )
    return attest(parse_envelope(enveloped(made)), asked)


def refusal(*given: Any, **named: Any) -> tuple[Reason, int | None]:
    with pytest.raises(KeysteadError) as refused:
        asserted(*given, **named)
    return refused.value.reason, refused.value.step


def test_an_assertion_names_the_key_and_raises_the_devices_counter() -> None:
    found = asserted()
    assert (found.certified.jkt, found.device) == (KEY.thumbprint, DEVICE.key_id.hex())
    assert found.uses == (RaiseCounter(key=DEVICE.key_id, value=7),)
    assert found.result.verified_at == NOW


def test_step_10_an_assertion_of_another_key_or_issuer_binds_nothing() -> None:
    other_key = client_data_for(OTHER_KEY, issuer=ISSUER, nonce=NONCE)
    assert refusal(data=other_key) == (Reason.KEY_MISMATCH, 10)
    other_issuer = client_data_for(KEY, issuer="https://other.example", nonce=NONCE)
    assert refusal(data=other_issuer) == (Reason.KEY_MISMATCH, 10)


def test_step_8_an_assertion_for_another_challenge_binds_nothing() -> None:
    earlier = client_data_for(KEY, issuer=ISSUER, nonce=THEN)
    assert refusal(data=earlier) == (Reason.NONCE_MISMATCH, 8)


def test_step_16_the_attestation_that_was_kept_is_of_the_key_that_asserts() -> None:
    """A counter is raised of the key that the evidence names: it must be the one that signed."""
    assert refusal(replace(ASKED, device=None)) == (Reason.KEY_UNKNOWN, 16)
    assert refusal(replace(ASKED, device=kept(OTHER))) == (Reason.KEY_MISMATCH, 16)
    swapped = replace(ASKED, device=kept(OTHER))
    assert refusal(swapped, signer=OTHER) == (Reason.KEY_MISMATCH, 16)


def test_an_attestation_that_todays_policy_refuses_carries_no_assertion() -> None:
    with pytest.raises(EvidenceRejected) as refused:
        asserted(replace(ASKED, policy=DEVICE.policy(apps={})))
    assert refused.value.step is not None
