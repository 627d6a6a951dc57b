"""The appraisal of ``app-attest`` evidence, in numbered steps.

    result = conclude(appraise(evidence, policy=policy, nonce=challenge.nonce, now=now))

``docs/evidence/app-attest.md`` explains each step under the same number, and errors carry it:

 1. The object is of format ``apple-appattest``.
 2. Its certificate chains, at ``now``, to Apple's root or another allowed anchor.
 3. The certificate is over this authenticator data and these client data: its nonce says so.
 4. The certified key is the credential, and the key that ``key_id`` names.
 5. The app is one that the policy names.
 6. The signature counter is zero: no assertion came before.
 7. The key is of the environment that the policy asks for.
 8. The client data start with this challenge.

Steps 9 and 10 are ``keystead.binding.app_attest``. Assertions by the attested key, later, are
``keystead.appraisal.app_attest_assertion``.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keystead.appraisal.anchors import Anchor
from keystead.appraisal.app_attest_policy import AppAttestPolicy, Environment
from keystead.appraisal.path import TrustedPath, Untrusted
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult, affirmed
from keystead.codec.app_attest import NONCE_EXTENSION, AttestationObject, parse_nonce
from keystead.codec.auth_data import AttestedCredential, AuthenticatorData
from keystead.codec.certificate import parse_certificate
from keystead.codec.json import JSON
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.evidence.app_attest import AppAttestEvidence
from keystead.evidence.challenge import NONCE_BYTES
from keystead.jose.jwk import PublicJwk, from_spki
from keystead.model import EvidenceKind, Freshness

FORMAT: Final = "apple-appattest"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAttestAppraisal:
    """Evidence that passed every step. ``key`` is the app's key on its device, for assertions."""

    policy: str
    max_age_s: int
    anchor: Anchor
    attester: bytes
    app_id: str
    environment: Environment
    key: PublicJwk
    key_id: bytes
    freshness: Freshness
    verified_at: int
    receipt: bytes = field(repr=False)


def appraise(
    evidence: AppAttestEvidence, *, policy: AppraisalPolicy, nonce: bytes | None, now: int
) -> AppAttestAppraisal:
    """Steps 1 to 8 of the list above, at ``now`` (Unix seconds).

    ``nonce`` is the challenge that the client data have to start with. None is for saved evidence:
    only the envelope's own nonce is then compared, where it has one, and the freshness is
    ``bearer``. Raises EvidenceRejected with the reason and the number of the step.
    """
    rules = _rules(policy)
    attestation = evidence.attestation
    check_format(attestation)
    path = check_chain(attestation, rules, now)
    check_certificate_nonce(attestation, evidence.client_data)
    credential = check_key(attestation.auth_data, path, evidence.key_id)
    app_id = check_app(attestation.auth_data, rules)
    check_counter(attestation.auth_data)
    check_environment(credential, rules)
    check_nonce(evidence.client_data, nonce, evidence.nonce)
    return AppAttestAppraisal(
        policy=policy.name,
        max_age_s=rules.max_age_s,
        anchor=path.anchor,
        attester=attestation_id(attestation),
        app_id=app_id,
        environment=rules.environment,
        key=_jwk(path),
        key_id=evidence.key_id,
        freshness=Freshness.CHALLENGED if nonce is not None else Freshness.BEARER,
        verified_at=now,
        receipt=attestation.receipt,
    )


def conclude(appraisal: AppAttestAppraisal) -> AttestationResult:
    """The result: an attestation stands by itself, so no step is left."""
    return affirmed(
        kind=EvidenceKind.APP_ATTEST,
        policy=appraisal.policy,
        max_age_s=appraisal.max_age_s,
        anchor_class=appraisal.anchor.anchor_class,
        anchor=appraisal.anchor.name,
        freshness=appraisal.freshness,
        verified_at=appraisal.verified_at,
        attester=appraisal.attester,
        claims=device_claims(appraisal),
        debug=appraisal.environment is Environment.DEVELOPMENT,
    )


def device_claims(appraisal: AppAttestAppraisal) -> dict[str, JSON]:
    """What results say of the app and its key."""
    return {
        "app_id": appraisal.app_id,
        "environment": appraisal.environment.value,
        "key_id": appraisal.key_id.hex(),
    }


def attestation_id(attestation: AttestationObject) -> bytes:
    """What ties a result and a key to this attestation: its SHA-256."""
    return hashlib.sha256(attestation.raw).digest()


def check_format(attestation: AttestationObject) -> None:
    """Step 1: WebAuthn has other formats in the same shape."""
    if attestation.format != FORMAT:
        raise EvidenceRejected(Reason.EVIDENCE_TYPE, f"format {attestation.format!r}", step=1)


def check_chain(attestation: AttestationObject, rules: AppAttestPolicy, now: int) -> TrustedPath:
    """Step 2: an attestation names no time of its own."""
    leaf, *intermediates = attestation.x5c
    try:
        return rules.chains.path(leaf, intermediates=intermediates, at=now)
    except Untrusted as error:
        raise EvidenceRejected(Reason.CHAIN_UNTRUSTED, str(error), step=2) from error


def check_certificate_nonce(attestation: AttestationObject, client_data: bytes) -> None:
    """Step 3: SHA-256(authData ‖ SHA-256(client data)) stands in an extension of the leaf."""
    try:
        extension = parse_certificate(attestation.x5c[0]).extensions.get(NONCE_EXTENSION)
        certified = b"" if extension is None else parse_nonce(extension.value)
    except Malformed as error:
        raise EvidenceRejected(Reason.NONCE_MISMATCH, error.detail, step=3) from error
    if not hmac.compare_digest(certified, signed_nonce(attestation.auth_data, client_data)):
        raise EvidenceRejected(
            Reason.NONCE_MISMATCH, "certified over other data, or client data", step=3
        )


def signed_nonce(auth_data: AuthenticatorData, client_data: bytes) -> bytes:
    """What Apple certifies in an attestation, and what the key signs in an assertion."""
    return hashlib.sha256(auth_data.raw + hashlib.sha256(client_data).digest()).digest()


def check_key(auth_data: AuthenticatorData, path: TrustedPath, key_id: bytes) -> AttestedCredential:
    """Step 4: SHA-256(certified point) is the credential's id and ``key_id``; one key in all."""
    credential = auth_data.credential
    point = path.key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    digest = hashlib.sha256(point).digest()
    if credential is None or credential.point != point:
        raise EvidenceRejected(Reason.KEY_MISMATCH, "another key was certified", step=4)
    if not (digest == credential.credential_id == key_id):
        raise EvidenceRejected(Reason.KEY_MISMATCH, "key_id is not that key's hash", step=4)
    return credential


def check_app(auth_data: AuthenticatorData, rules: AppAttestPolicy) -> str:
    """Step 5: the identifier of the app, by its hash."""
    app_id = rules.apps.get(auth_data.rp_id_hash)
    if app_id is None:
        raise EvidenceRejected(Reason.APP_MISMATCH, f"hash {auth_data.rp_id_hash.hex()}", step=5)
    return app_id


def check_counter(auth_data: AuthenticatorData) -> None:
    """Step 6."""
    if auth_data.counter != 0:
        raise EvidenceRejected(
            Reason.COUNTER_NOT_RISING, f"counter {auth_data.counter} in an attestation", step=6
        )


def check_environment(credential: AttestedCredential, rules: AppAttestPolicy) -> None:
    """Step 7."""
    if credential.aaguid != rules.environment.aaguid:
        raise EvidenceRejected(
            Reason.ENVIRONMENT_MISMATCH,
            f"aaguid {credential.aaguid.hex()}, not {rules.environment}",
            step=7,
        )


def check_nonce(client_data: bytes, *nonces: bytes | None) -> None:
    """Step 8: the challenge's nonce, and the envelope's, where there is one."""
    for nonce in nonces:
        if nonce is not None and not hmac.compare_digest(client_data[:NONCE_BYTES], nonce):
            raise EvidenceRejected(Reason.NONCE_MISMATCH, "client data for another nonce", step=8)


def _jwk(path: TrustedPath) -> PublicJwk:
    return from_spki(path.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _rules(policy: AppraisalPolicy) -> AppAttestPolicy:
    if policy.app_attest is None:
        raise EvidenceRejected(Reason.KIND_UNSUPPORTED, f"policy {policy.name} has no app-attest")
    return policy.app_attest
