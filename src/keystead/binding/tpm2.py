"""The key's certification by the AK, in steps that continue those of ``appraisal.tpm2``.

16. The certification, the key's public area and the key to bind are there.
17. The AK that was appraised signed the certification.
18. What it signed is a certification.
19. It answers this challenge: one that was stored earlier proves nothing about now.
20. It is for an object with the Name of this public area.
21. The key was made in the TPM, cannot leave it, and signs for whoever may use it.
22. Its public key is the key to bind, and not a weak one.
23. Where the policy wants it, only PolicyPCR over the quoted values lets the key sign.

The certification is believed once the AK is: that is step 15, and ``binder.bind`` takes a certified
key only together with the result of that step for the same AK.
"""

from __future__ import annotations

import hmac
from typing import Final

from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.tpm2 import Tpm2Appraisal
from keystead.appraisal.tpm_keys import HASHES, Unfit, spki, verify_attest
from keystead.binding.certified_key import CertifiedKey, affirmed_key
from keystead.codec.tpm2 import (
    CertifyInfo,
    ObjectAttributes,
    PcrSelection,
    PcrValues,
    PublicArea,
    policy_pcr_digest,
)
from keystead.errors import BindingRejected, Reason
from keystead.evidence.tpm2 import SignedAttest, Tpm2Evidence
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind, Protection

KEY_ATTRIBUTES: Final = (
    ObjectAttributes.FIXED_TPM
    | ObjectAttributes.FIXED_PARENT
    | ObjectAttributes.SENSITIVE_DATA_ORIGIN
    | ObjectAttributes.SIGN
)
"""Made in this TPM, and duplicated to no other: what "non-exportable" means."""

_OTHER_USES: Final = ObjectAttributes.DECRYPT | ObjectAttributes.RESTRICTED


def certify_key(
    evidence: Tpm2Evidence,
    appraisal: Tpm2Appraisal,
    *,
    key: PublicJwk,
    policy: AppraisalPolicy,
    nonce: bytes,
) -> CertifiedKey:
    """Steps 16 to 23 of the list above: ``key`` is in the TPM of the appraised AK.

    Raises BindingRejected with the reason and the number of the step.
    """
    certification, area = check_members(evidence)
    check_signature(appraisal.ak_public, certification)
    info = check_type(certification)
    check_nonce(certification, nonce)
    check_name(info, area)
    check_attributes(area)
    check_same_key(area, key)
    required = None if policy.tpm2 is None else policy.tpm2.require_key_policy
    guarded = check_key_policy(area, required, appraisal.pcrs)
    return affirmed_key(
        key,
        kind=EvidenceKind.TPM2,
        attester=appraisal.ak_public.name,
        nonce=nonce,
        protection=Protection.NON_EXPORTABLE,  # Step 21 passed.
        policy_pcr=guarded,
    )


def check_members(evidence: Tpm2Evidence) -> tuple[SignedAttest, PublicArea]:
    """Step 16."""
    if evidence.certify is None:
        raise BindingRejected(Reason.EVIDENCE_MEMBER_MISSING, "certify", step=16)
    if evidence.key_public is None:
        raise BindingRejected(Reason.EVIDENCE_MEMBER_MISSING, "key_public", step=16)
    return evidence.certify, evidence.key_public


def check_signature(ak: PublicArea, certification: SignedAttest, *, step: int = 17) -> None:
    """Step 17."""
    try:
        verify_attest(ak, attest=certification.attest.raw, signature=certification.signature)
    except Unfit as error:
        raise BindingRejected(Reason.CERTIFY_SIGNATURE, error.detail, step=step) from error


def check_type(certification: SignedAttest, *, step: int = 18) -> CertifyInfo:
    """Step 18."""
    if certification.attest.certify is None:
        raise BindingRejected(
            Reason.CERTIFY_TYPE, f"type {certification.attest.type:#06x}", step=step
        )
    return certification.attest.certify


def check_nonce(certification: SignedAttest, nonce: bytes, *, step: int = 19) -> None:
    """Step 19."""
    if not hmac.compare_digest(certification.attest.extra_data, nonce):
        raise BindingRejected(
            Reason.NONCE_MISMATCH, "the certification is for another nonce", step=step
        )


def check_name(info: CertifyInfo, area: PublicArea, *, step: int = 20) -> None:
    """Step 20: the Name is a hash of the whole public area, attributes and policy included."""
    if area.name_algorithm not in HASHES or not hmac.compare_digest(info.name, area.name):
        raise BindingRejected(Reason.CERTIFY_NAME_MISMATCH, step=step)


def check_attributes(area: PublicArea, *, step: int = 21) -> None:
    """Step 21."""
    if not area.has(KEY_ATTRIBUTES) or area.attributes & _OTHER_USES:
        raise BindingRejected(
            Reason.KEY_ATTRIBUTES, f"attributes {int(area.attributes):#010x}", step=step
        )


def check_same_key(area: PublicArea, key: PublicJwk, *, step: int = 22) -> None:
    """Step 22."""
    try:
        same = hmac.compare_digest(spki(area), key.spki)
    except Unfit as error:
        raise BindingRejected(error.reason, error.detail, step=step) from error
    if not same:
        raise BindingRejected(Reason.KEY_MISMATCH, "another key was certified", step=step)


def check_key_policy(
    area: PublicArea, required: PcrSelection | None, quoted: PcrValues, *, step: int = 23
) -> bool:
    """Step 23: whether PolicyPCR guards the key, which it must where ``required`` says so.

    USER_WITH_AUTH has to be clear, or a password would do in the policy's place (Part 1 §19.7.1).
    ADMIN_WITH_POLICY may be either: no command of the ADMIN role signs.
    """
    if required is None:
        return False
    wanted = policy_pcr_digest(required, quoted, algorithm=area.name_algorithm)
    guarded = hmac.compare_digest(area.auth_policy, wanted)
    if not guarded or area.attributes & ObjectAttributes.USER_WITH_AUTH:
        raise BindingRejected(
            Reason.KEY_POLICY_REQUIRED, "the key is not under the required PolicyPCR", step=step
        )
    return True
