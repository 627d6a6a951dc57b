"""The key that a vTPM certifies or quotes, in steps that continue ``appraisal.azure_cvm``.

21. The result is of this evidence, and was made for a challenge.
22. ``certify`` and ``key_public`` come together, or neither does.
23. Where neither does, the quote's extraData is the binding hash of key, issuer and challenge.
24. Where both do, the AK of the runtime data signed the certification.
25. What it signed is a certification.
26. It and the quote answer this challenge: what was stored earlier proves nothing about now.
27. It is for an object with the Name of this public area.
28. The key was made in the vTPM, cannot leave it, and signs for whoever may use it.
29. Its public key is the key to bind, and not a weak one.

A vTPM is software: the paravisor keeps the key, so a certified key is ``measured-code``, and only
where the policy knows the paravisor; nothing says that it cannot leave a piece of hardware. In
extraData anybody who may use the vTPM can name any key, so for that nothing is claimed.
"""

from __future__ import annotations

import hmac

from keystead.appraisal.azure_cvm import check_ak, evidence_id
from keystead.appraisal.result import AttestationResult
from keystead.appraisal.tpm_keys import Unfit, verify_by_key
from keystead.binding import tpm2
from keystead.binding.binding_hash import binding_hash
from keystead.binding.certified_key import CertifiedKey, affirmed_key
from keystead.codec.hcl import HclReport
from keystead.codec.tpm2 import PublicArea
from keystead.errors import BindingRejected, Reason
from keystead.evidence.azure_cvm import AzureCvmEvidence
from keystead.evidence.tpm2 import SignedAttest
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind, Freshness, Protection


def bind_key(
    evidence: AzureCvmEvidence,
    result: AttestationResult,
    *,
    key: PublicJwk,
    issuer: str,
    nonce: bytes,
) -> CertifiedKey:
    """Steps 21 to 29: ``key`` is in the vTPM, or was named by who may use it. BindingRejected."""
    quote = check_same_evidence(evidence, result)
    certification = check_members(evidence)
    if certification is None:
        check_extra_data(quote, key, issuer=issuer, nonce=nonce)
    else:
        check_certification(evidence.hcl, quote, *certification, key=key, nonce=nonce)
    certified = certification is not None and result.claims.get("paravisor_pinned") is True
    return affirmed_key(
        key,
        kind=EvidenceKind.AZURE_CVM,
        attester=result.attester,
        nonce=nonce,
        protection=Protection.MEASURED_CODE if certified else Protection.NONE,
    )


def check_same_evidence(evidence: AzureCvmEvidence, result: AttestationResult) -> SignedAttest:
    """Step 21."""
    quote = evidence.quote
    if quote is None or (result.kind, result.attester) != (
        EvidenceKind.AZURE_CVM,
        evidence_id(evidence.hcl, quote),
    ):
        raise BindingRejected(Reason.EVIDENCE_MISMATCH, "the result of other evidence", step=21)
    if result.freshness is not Freshness.CHALLENGED:
        raise BindingRejected(Reason.NONCE_MISMATCH, "no challenge was answered", step=21)
    return quote


def check_members(evidence: AzureCvmEvidence) -> tuple[SignedAttest, PublicArea] | None:
    """Step 22."""
    if evidence.certify is None and evidence.key_public is None:
        return None
    if evidence.certify is None or evidence.key_public is None:
        raise BindingRejected(
            Reason.EVIDENCE_MEMBER_MISSING, "certify and key_public come together", step=22
        )
    return evidence.certify, evidence.key_public


def check_extra_data(quote: SignedAttest, key: PublicJwk, *, issuer: str, nonce: bytes) -> None:
    """Step 23: one hash says both that this key is meant and that this challenge was answered."""
    wanted = binding_hash(EvidenceKind.AZURE_CVM, issuer=issuer, nonce=nonce, key=key)
    if not hmac.compare_digest(quote.attest.extra_data, wanted):
        raise BindingRejected(
            Reason.KEY_MISMATCH, "extraData is of another key or challenge", step=23
        )


def check_certification(
    hcl: HclReport,
    quote: SignedAttest,
    certification: SignedAttest,
    area: PublicArea,
    *,
    key: PublicJwk,
    nonce: bytes,
) -> None:
    """Steps 24 to 29."""
    check_signature(hcl, certification)
    info = tpm2.check_type(certification, step=25)
    for each in (certification, quote):
        tpm2.check_nonce(each, nonce, step=26)
    tpm2.check_name(info, area, step=27)
    tpm2.check_attributes(area, step=28)
    tpm2.check_same_key(area, key, step=29)


def check_signature(hcl: HclReport, certification: SignedAttest) -> None:
    """Step 24."""
    try:
        verify_by_key(
            check_ak(hcl), attest=certification.attest.raw, signature=certification.signature
        )
    except Unfit as error:
        raise BindingRejected(Reason.CERTIFY_SIGNATURE, error.detail, step=24) from error
