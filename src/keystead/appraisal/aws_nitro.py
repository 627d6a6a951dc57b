"""The appraisal of ``aws-nitro`` evidence, in numbered steps.

    result = conclude(appraise(evidence, policy=policy, nonce=challenge.nonce, now=now))

``docs/evidence/aws-nitro.md`` explains each step under the same number, and errors carry it:

 1. The document is of the type that the policy asks for: an enclave's, or NitroTPM's.
 2. Its certificate chains, at the document's time, to an anchor, which is the first certificate of
    its bundle; and no certificate of that path has ended at ``now``.
 3. The certificate's key signed the document, by ES384.
 4. It was made before ``now``, and not longer ago than the policy allows.
 5. It answers this challenge.
 6. It is not of an enclave in debug mode, unless the policy allows that by name.
 7. Each required PCR is in it, with a value that the policy names, or the policy says "any".

Steps 8 and 9 are ``keystead.binding.aws_nitro``.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP384R1
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from keystead.appraisal.anchors import Anchor
from keystead.appraisal.aws_nitro_policy import ZERO_PCR, NitroPolicy
from keystead.appraisal.path import TrustedPath, Untrusted
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult, affirmed
from keystead.codec.cose import ES384
from keystead.codec.nitro import PCR_BANK, AttestationDocument, DocumentType
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.aws_nitro import NitroEvidence
from keystead.model import EvidenceKind, Freshness

MAX_CLOCK_SKEW_S: Final = 60
"""How far the enclave's clock, or ours, may be off."""

_HALF_BYTES: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class NitroAppraisal:
    """Evidence that passed every step."""

    policy: str
    max_age_s: int
    anchor: Anchor
    document: AttestationDocument = field(repr=False)
    freshness: Freshness
    verified_at: int
    debug: bool
    image_pinned: bool


def appraise(
    evidence: NitroEvidence, *, policy: AppraisalPolicy, nonce: bytes | None, now: int
) -> NitroAppraisal:
    """Steps 1 to 7 of the list above, at ``now`` (Unix seconds).

    ``nonce`` is the challenge that the document has to answer. None is for saved evidence: only the
    envelope's own nonce is then compared, where it has one, and the freshness is ``bearer``.
    Raises EvidenceRejected with the reason and the number of the step.
    """
    rules = _rules(policy)
    document = evidence.document
    check_type(document, rules)
    path = check_chain(document, rules, now)
    check_signature(document, path)
    check_time(document, rules, now)
    check_nonce(document, nonce, evidence.nonce)
    debug = check_debug(document, rules)
    check_pcrs(document, rules)
    return NitroAppraisal(
        policy=policy.name,
        max_age_s=rules.max_age_s,
        anchor=path.anchor,
        document=document,
        freshness=Freshness.CHALLENGED if nonce is not None else Freshness.BEARER,
        verified_at=now,
        debug=debug,
        image_pinned=rules.image_pinned and not debug,
    )


def conclude(appraisal: NitroAppraisal) -> AttestationResult:
    """The result: a document stands by itself, so no step is left."""
    document = appraisal.document
    return affirmed(
        kind=EvidenceKind.AWS_NITRO,
        policy=appraisal.policy,
        max_age_s=appraisal.max_age_s,
        anchor_class=appraisal.anchor.anchor_class,
        anchor=appraisal.anchor.name,
        freshness=appraisal.freshness,
        verified_at=appraisal.verified_at,
        attester=document_id(document),
        pcrs={PCR_BANK: {index: value.hex() for index, value in document.pcrs.items()}},
        claims={
            "document": document.type.value,
            "module_id": document.module_id,
            "made_at": document.made_at,
        },
        boot_pinned=appraisal.image_pinned,
        debug=appraisal.debug,
    )


def document_id(document: AttestationDocument) -> bytes:
    """What ties a result and a key to this document: its SHA-256."""
    return hashlib.sha256(document.raw).digest()


def check_type(document: AttestationDocument, rules: NitroPolicy) -> None:
    """Step 1: both types are signed under one root, and PCR 0 means something else in each."""
    if document.type is not rules.document:
        raise EvidenceRejected(
            Reason.EVIDENCE_TYPE, f"{document.type}, not {rules.document}", step=1
        )


def check_chain(document: AttestationDocument, rules: NitroPolicy, now: int) -> TrustedPath:
    """Step 2: a leaf lives three hours, so a document that was saved is refused here."""
    try:
        path = rules.chains.path(
            document.certificate, intermediates=document.cabundle, at=document.made_at
        )
    except Untrusted as error:
        raise _untrusted(str(error)) from error
    if now > path.not_after:  # That `now` is not before the document is step 4, with some skew.
        raise _untrusted(f"now {now} is after {path.not_after}, the path's end")
    if hashlib.sha256(document.cabundle[0]).digest() != path.anchor.sha256:
        raise _untrusted("the bundle does not start with the anchor")
    return path


def check_signature(document: AttestationDocument, path: TrustedPath) -> None:
    """Step 3: ES384 (RFC 9053 §2.1), R ‖ S, over the Sig_structure."""
    sign1 = document.sign1
    if sign1.algorithm != ES384:
        raise EvidenceRejected(
            Reason.EVIDENCE_SIGNATURE, f"COSE algorithm {sign1.algorithm}", step=3
        )
    if not isinstance(path.key.curve, SECP384R1):
        raise EvidenceRejected(Reason.EVIDENCE_SIGNATURE, f"a key on {path.key.curve.name}", step=3)
    r, s = sign1.signature[:_HALF_BYTES], sign1.signature[_HALF_BYTES:]
    encoded = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    try:
        path.key.verify(encoded, sign1.signed, ECDSA(SHA384()))
    except InvalidSignature as error:
        raise EvidenceRejected(Reason.EVIDENCE_SIGNATURE, step=3) from error


def check_time(document: AttestationDocument, rules: NitroPolicy, now: int) -> None:
    """Step 4."""
    age_s = now - document.made_at
    if age_s < -MAX_CLOCK_SKEW_S:
        raise EvidenceRejected(Reason.EVIDENCE_IN_FUTURE, f"made in {-age_s} seconds", step=4)
    if age_s > rules.max_document_age_s:
        raise EvidenceRejected(Reason.EVIDENCE_TOO_OLD, f"made {age_s} seconds ago", step=4)


def check_nonce(document: AttestationDocument, *nonces: bytes | None) -> None:
    """Step 5: the document's nonce is the challenge's, and the envelope's, where there is one."""
    for nonce in nonces:
        if nonce is not None and not hmac.compare_digest(document.nonce or b"", nonce):
            raise EvidenceRejected(
                Reason.NONCE_MISMATCH, "the document is for another nonce", step=5
            )


def check_debug(document: AttestationDocument, rules: NitroPolicy) -> bool:
    """Step 6: whether it is debug mode, in which the measurements of the image are all zero."""
    debug = document.type is DocumentType.ENCLAVE and document.pcrs.get(0) == ZERO_PCR
    if debug and not rules.allow_debug:
        raise EvidenceRejected(Reason.DEBUG_MODE, "PCR 0 is all zeros", step=6)
    return debug


def check_pcrs(document: AttestationDocument, rules: NitroPolicy) -> None:
    """Step 7: only locked PCRs stand in a document, so one that is not there may still change."""
    for index, allowed in rules.pcrs.items():
        value = document.pcrs.get(index)
        if value is None:
            raise EvidenceRejected(Reason.PCR_SELECTION, f"no PCR {index}", step=7)
        if allowed is not None and value not in allowed:
            raise EvidenceRejected(
                Reason.PCR_VALUE_MISMATCH, f"PCR {index} is {value.hex()}", step=7
            )


def _rules(policy: AppraisalPolicy) -> NitroPolicy:
    if policy.aws_nitro is None:
        raise EvidenceRejected(Reason.KIND_UNSUPPORTED, f"policy {policy.name} has no aws-nitro")
    return policy.aws_nitro


def _untrusted(detail: str) -> EvidenceRejected:
    return EvidenceRejected(Reason.CHAIN_UNTRUSTED, detail, step=2)
