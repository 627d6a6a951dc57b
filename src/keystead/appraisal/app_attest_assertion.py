"""An assertion by a key that was attested before, in numbered steps.

    assertion = verify_assertion(data, key=key, app_id=app_id, client_data=data, last_counter=7)
    await store.apply([RaiseCounter(key=assertion.key_id, value=assertion.counter)], events=[…])

15. It is for this app.
16. The attested key signed it, and these client data.
17. Its counter is higher than every one before it.

Steps 1 to 14 are those of an attestation, its key and its entry. Step 17 looks at a counter that
was read before; that two assertions with one counter are not both accepted is the store's promise
(``RaiseCounter``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keystead.appraisal.app_attest import (
    AppAttestAppraisal,
    check_nonce,
    device_claims,
    signed_nonce,
)
from keystead.appraisal.app_attest_policy import Environment
from keystead.appraisal.result import AttestationResult, affirmed
from keystead.codec.app_attest import AssertionObject, parse_assertion
from keystead.errors import EvidenceRejected, Reason
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind, Freshness


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """A verified assertion: ``key_id`` (SHA-256 of the key's point) signed ``client_data``."""

    app_id: str
    key_id: bytes
    client_data: bytes
    counter: int


def verify_assertion(
    assertion: bytes, *, key: PublicJwk, app_id: str, client_data: bytes, last_counter: int
) -> Assertion:
    """Steps 15 to 17. ``key`` is ``AppAttestAppraisal.key``; ``last_counter`` starts at 0.

    Raises Malformed, or EvidenceRejected with the reason and the number of the step.
    """
    parsed = parse_assertion(assertion)
    check_app(parsed, app_id)
    key_id = check_signature(parsed, key, client_data)
    check_counter(parsed, last_counter)
    return Assertion(
        app_id=app_id, key_id=key_id, client_data=client_data, counter=parsed.auth_data.counter
    )


def conclude_assertion(
    device: AppAttestAppraisal, assertion: Assertion, *, id: bytes, nonce: bytes, now: int
) -> AttestationResult:
    """The result: the device's attestation, appraised again, says what the key is; ``assertion``
    says that it answered ``nonce`` now. ``id`` is :func:`assertion_id`.

    EvidenceRejected (nonce_mismatch, step 8) where the client data start with another nonce.
    """
    check_nonce(assertion.client_data, nonce)
    return affirmed(
        kind=EvidenceKind.APP_ATTEST,
        policy=device.policy,
        max_age_s=device.max_age_s,
        anchor_class=device.anchor.anchor_class,
        anchor=device.anchor.name,
        freshness=Freshness.CHALLENGED,
        verified_at=now,
        attester=id,
        claims={**device_claims(device), "counter": assertion.counter},
        debug=device.environment is Environment.DEVELOPMENT,
    )


def assertion_id(assertion: bytes) -> bytes:
    """What ties a result and a key to this assertion: its SHA-256."""
    return hashlib.sha256(assertion).digest()


def check_app(assertion: AssertionObject, app_id: str) -> None:
    """Step 15."""
    if assertion.auth_data.rp_id_hash != hashlib.sha256(app_id.encode()).digest():
        raise EvidenceRejected(Reason.APP_MISMATCH, "asserted for another app", step=15)


def check_signature(assertion: AssertionObject, key: PublicJwk, client_data: bytes) -> bytes:
    """Step 16: ES256 over the nonce, which is itself a hash; the id of the key that signed."""
    public = key.key
    if not isinstance(public, EllipticCurvePublicKey) or not isinstance(public.curve, SECP256R1):
        raise EvidenceRejected(Reason.KEY_MISMATCH, "App Attest's keys are on P-256", step=16)
    try:
        nonce = signed_nonce(assertion.auth_data, client_data)
        public.verify(assertion.signature, nonce, ECDSA(SHA256()))
    except InvalidSignature as error:
        raise EvidenceRejected(Reason.EVIDENCE_SIGNATURE, step=16) from error
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return hashlib.sha256(point).digest()


def check_counter(assertion: AssertionObject, last_counter: int) -> None:
    """Step 17: strictly higher; equal is a replay."""
    counter = assertion.auth_data.counter
    if counter <= last_counter:
        raise EvidenceRejected(
            Reason.COUNTER_NOT_RISING, f"counter {counter} after {last_counter}", step=17
        )
