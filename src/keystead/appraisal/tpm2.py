"""The appraisal of ``tpm2`` evidence, in numbered steps.

    appraisal = appraise(evidence, policy=policy, nonce=challenge.nonce, now=now)
    activation = begin_activation(appraisal, entropy=entropy)      # to the attester
    result = conclude(appraisal, activation=activation, returned_secret=secret)

``docs/evidence/tpm2.md`` explains each step under the same number, and errors carry it:

 1. Every member that these steps need is there.
 2. The EK certificate chains, at ``now``, to an anchor of a class that the policy allows.
 3. The EK certificate keeps the TCG EK profile, and its key is not of a broken generator.
 4. The EK's public area has the certificate's key and the attributes of an EK.
 5. The AK can sign only what its TPM made, cannot leave it, and is not weak.
 6. The AK signed the quote, by its own scheme.
 7. What it signed is a quote.
 8. The quote answers this challenge.
 9. It selects exactly the required PCRs, none of a SHA-1 bank, and values came for exactly these.
10. The values make the digest that was quoted.
11. Each value is one that the policy names, or the policy says "any".
12. The event log, which is there if required, explains the quoted values.
13. The events keep the policy's rules.
14. An AK certificate, where one came and the policy accepts them, is this AK's and chains likewise.
15. The AK is in the TPM of the EK: it decrypted our secret. Or step 14 vouches for the AK.

Steps 1 to 14 are ``appraise``; step 15 is ``conclude`` or ``conclude_by_ak_certificate``, and
nothing is affirmed before it. Steps 16 and on are ``keystead.binding``.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keystead.appraisal import credential, endorsement, event_rules
from keystead.appraisal.anchors import Anchor
from keystead.appraisal.credential import PendingActivation
from keystead.appraisal.path import Untrusted
from keystead.appraisal.pcr_tables import PcrReferences, boot_code_pinned
from keystead.appraisal.policy import AppraisalPolicy, Tpm2Policy
from keystead.appraisal.result import AttestationResult, ClockInfo, affirmed
from keystead.appraisal.tpm_keys import (
    HASHES,
    SIGNING_SCHEMES,
    Unfit,
    public_key,
    spki,
    verify_attest,
)
from keystead.codec.certificate import DIGITAL_SIGNATURE, Certificate
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    ObjectAttributes,
    PcrSelection,
    PcrValues,
    PublicArea,
    QuoteInfo,
    pcr_composite_digest,
)
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.evidence.tpm2 import SignedAttest, Tpm2Evidence
from keystead.model import AnchorClass, EkId, EvidenceKind, Freshness
from keystead.ports import Entropy

__all__ = [
    "AttestationResult",
    "Tpm2Appraisal",
    "appraise",
    "begin_activation",
    "conclude",
    "conclude_by_ak_certificate",
]

AK_ATTRIBUTES: Final = (
    ObjectAttributes.FIXED_TPM
    | ObjectAttributes.FIXED_PARENT
    | ObjectAttributes.SENSITIVE_DATA_ORIGIN
    | ObjectAttributes.RESTRICTED
    | ObjectAttributes.SIGN
)
"""Restricted: the TPM signs with it only what itself made, so no quote can be forged with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tpm2Appraisal:
    """Evidence that passed steps 1 to 14. Nothing is affirmed yet: the AK may be anyone's.

    ``pcrs`` are the quoted values; ``nonce`` is what the quote answered.
    """

    policy: str
    max_age_s: int
    ek_public: PublicArea | None = field(repr=False)
    ek_anchor: Anchor | None
    ak_public: PublicArea = field(repr=False)
    ak_anchor: Anchor | None
    pcrs: PcrValues = field(repr=False)
    nonce: bytes
    clock: ClockInfo
    freshness: Freshness
    verified_at: int
    boot_pinned: bool
    secure_boot: bool | None

    @property
    def ek(self) -> EkId:
        """The EK's id; EvidenceRejected (ak_not_bound_to_ek) where no EK came."""
        return endorsement.ek_id(_require_ek(self))

    @property
    def ek_name(self) -> bytes:
        """The EK's Name; EvidenceRejected as ``ek``."""
        return _require_ek(self).name

    @property
    def anchor_class(self) -> AnchorClass:
        """The class of the EK's anchor, or of the AK certificate's where no EK came."""
        anchor = self.ek_anchor or self.ak_anchor
        if anchor is None:
            raise EvidenceRejected(Reason.AK_NOT_BOUND_TO_EK, step=15)
        return anchor.anchor_class

    @property
    def pcrs_hex(self) -> dict[str, dict[int, str]]:
        """The quoted values as registration entries spell them: bank → index → lower-case hex."""
        return pcrs_hex(self.pcrs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Members:
    """What step 1 found to be there."""

    ak_public: PublicArea
    quote: SignedAttest
    pcrs: PcrValues


def appraise(
    evidence: Tpm2Evidence, *, policy: AppraisalPolicy, nonce: bytes | None, now: int
) -> Tpm2Appraisal:
    """Steps 1 to 14 of the list above, at ``now`` (Unix seconds).

    ``nonce`` is the challenge that the evidence has to answer. None is for saved evidence: only
    the envelope's own nonce is then compared, where it has one, and the freshness is ``bearer``.
    Raises EvidenceRejected with the reason and the number of the step.
    """
    rules = _tpm2_rules(policy)
    members = check_members(evidence)
    ek_anchor = check_ek_chain(evidence, rules, now)
    check_ek_profile(evidence)
    check_ek_public(evidence)
    check_ak_attributes(members.ak_public)
    check_quote_signature(members.ak_public, members.quote)
    quote = check_quote_type(members.quote)
    answered = check_nonce(members.quote, nonce, evidence.nonce)
    check_selection(quote, members.pcrs, rules.required_pcrs)
    check_pcr_digest(members.ak_public, quote, members.pcrs)
    check_pcr_values(members.pcrs, rules.pcr_values)
    event_rules.check_replay(evidence.event_log, rules.event_log, members.pcrs, step=12)
    event_rules.check_rules(evidence.event_log, rules.event_log, members.pcrs, step=13)
    ak_anchor = check_ak_certificate(evidence, members.ak_public, rules, now)
    return Tpm2Appraisal(
        policy=policy.name,
        max_age_s=rules.max_age_s,
        ek_public=evidence.ek_public,
        ek_anchor=ek_anchor,
        ak_public=members.ak_public,
        ak_anchor=ak_anchor,
        pcrs=members.pcrs,
        nonce=answered,
        clock=clock_info(members.quote),
        freshness=Freshness.CHALLENGED if nonce is not None else Freshness.BEARER,
        verified_at=now,
        boot_pinned=boot_code_pinned(rules.pcr_values),
        secure_boot=_secure_boot(evidence, members.pcrs, rules),
    )


def begin_activation(appraisal: Tpm2Appraisal, *, entropy: Entropy) -> PendingActivation:
    """The credential that only the EK's TPM can open, and only if the AK is in it."""
    try:
        return credential.begin(
            ek=_require_ek(appraisal), ak_name=appraisal.ak_public.name, entropy=entropy
        )
    except Unfit as error:
        raise EvidenceRejected(error.reason, error.detail, step=4) from error


def conclude(
    appraisal: Tpm2Appraisal, *, activation: PendingActivation, returned_secret: bytes
) -> AttestationResult:
    """Step 15, interactive: the TPM returned the secret of ``activation``.

    EvidenceRejected (activation_failed) for another secret, or an activation for other keys.
    """
    ek = _require_ek(appraisal)
    meant = (activation.ek_name, activation.ak_name) == (ek.name, appraisal.ak_public.name)
    if not meant or not activation.accepts(returned_secret):
        raise EvidenceRejected(Reason.ACTIVATION_FAILED, step=15)
    if appraisal.ek_anchor is None:
        raise EvidenceRejected(Reason.AK_NOT_BOUND_TO_EK, step=15)
    return _affirm(appraisal, anchor=appraisal.ek_anchor, ek=endorsement.ek_id(ek))


def conclude_by_ak_certificate(appraisal: Tpm2Appraisal) -> AttestationResult:
    """Step 15 for saved evidence: a certificate that the policy trusts vouches for the AK.

    It says nothing about any EK, even if one came along, so the result has none. EvidenceRejected
    (ak_not_bound_to_ek) without such a certificate: a saved quote could be by any key at all.
    """
    if appraisal.ak_anchor is None:
        raise EvidenceRejected(
            Reason.AK_NOT_BOUND_TO_EK, "neither activated nor certified", step=15
        )
    return _affirm(appraisal, anchor=appraisal.ak_anchor, ek=None)


def check_members(evidence: Tpm2Evidence) -> _Members:
    """Step 1: the quote with its AK and values, and an EK or AK certificate."""
    if evidence.ak_public is None:
        raise _missing("ak_public")
    if evidence.quote is None:
        raise _missing("quote")
    if evidence.pcrs is None:
        raise _missing("pcrs")
    if (evidence.ek_certificate is None) != (evidence.ek_public is None):
        raise _missing("ek_certificate and ek_public come together")
    if evidence.ek_certificate is None and evidence.ak_certificate is None:
        raise _missing("ek_certificate")
    return _Members(ak_public=evidence.ak_public, quote=evidence.quote, pcrs=evidence.pcrs)


def check_ek_chain(evidence: Tpm2Evidence, rules: Tpm2Policy, now: int) -> Anchor | None:
    """Step 2: the EK certificate's anchor, or None where no EK came."""
    if evidence.ek_certificate is None:
        return None
    return _anchor(
        evidence.ek_certificate,
        evidence.ek_certificate_chain,
        rules,
        now,
        reason=Reason.EK_CHAIN_UNTRUSTED,
        step=2,
    )


def check_ek_profile(evidence: Tpm2Evidence) -> None:
    """Step 3: the certificate is one for an EK."""
    if evidence.ek_certificate is not None:
        endorsement.check_profile(evidence.ek_certificate, step=3)


def check_ek_public(evidence: Tpm2Evidence) -> None:
    """Step 4: the public area that credentials are made for is the certified one."""
    if evidence.ek_certificate is not None and evidence.ek_public is not None:
        endorsement.check_public(evidence.ek_public, evidence.ek_certificate, step=4)


def check_ak_attributes(ak: PublicArea, *, step: int = 5) -> None:
    """Step 5: a restricted signing key of one TPM, with a scheme and no weak hash."""
    if not ak.has(AK_ATTRIBUTES) or ak.attributes & ObjectAttributes.DECRYPT:
        raise EvidenceRejected(
            Reason.AK_ATTRIBUTES, f"attributes {int(ak.attributes):#010x}", step=step
        )
    if ak.scheme not in SIGNING_SCHEMES or ak.scheme_hash not in HASHES:
        raise EvidenceRejected(Reason.AK_ATTRIBUTES, "no scheme, or one over SHA-1", step=step)
    if ak.name_algorithm not in HASHES:
        raise EvidenceRejected(Reason.AK_ATTRIBUTES, "a Name made by SHA-1", step=step)
    try:
        public_key(ak)
    except Unfit as error:
        raise EvidenceRejected(error.reason, error.detail, step=step) from error


def check_quote_signature(ak: PublicArea, quote: SignedAttest) -> None:
    """Step 6: by the AK, over exactly these bytes."""
    try:
        verify_attest(ak, attest=quote.attest.raw, signature=quote.signature)
    except Unfit as error:
        raise EvidenceRejected(Reason.QUOTE_SIGNATURE, error.detail, step=6) from error


def check_quote_type(quote: SignedAttest, *, step: int = 7) -> QuoteInfo:
    """Step 7: the AK signs certifications too; the magic number is the parser's to check."""
    if quote.attest.quote is None:
        raise EvidenceRejected(Reason.QUOTE_TYPE, f"type {quote.attest.type:#06x}", step=step)
    return quote.attest.quote


def check_nonce(quote: SignedAttest, *nonces: bytes | None, step: int = 8) -> bytes:
    """Step 8: extraData is the challenge's nonce, and the envelope's, where there is one."""
    answered = quote.attest.extra_data
    for nonce in nonces:
        if nonce is not None and not hmac.compare_digest(answered, nonce):
            raise EvidenceRejected(
                Reason.NONCE_MISMATCH, "the quote is for another nonce", step=step
            )
    return answered


def check_selection(
    quote: QuoteInfo, values: PcrValues, required: PcrSelection, *, step: int = 9
) -> None:
    """Step 9: what is quoted is for the policy to choose, never for the attester."""
    if HashAlgorithm.SHA1 in quote.selection.as_mapping() or HashAlgorithm.SHA1 in values:
        raise EvidenceRejected(Reason.PCR_BANK_WEAK, "a SHA-1 bank", step=step)
    if quote.selection.as_mapping() != required.as_mapping():
        raise EvidenceRejected(
            Reason.PCR_SELECTION, "the quote is not over the required PCRs", step=step
        )
    given = {(bank, index) for bank, each in values.items() for index in each}
    if given != set(required.pairs()):
        raise EvidenceRejected(
            Reason.PCR_SELECTION, "values came for other PCRs than the quoted ones", step=step
        )


def check_pcr_digest(ak: PublicArea, quote: QuoteInfo, values: PcrValues) -> None:
    """Step 10: hashed as the quote did, by the hash of the AK's scheme (Part 3 §18.4)."""
    if ak.scheme_hash is None:
        raise EvidenceRejected(Reason.PCR_DIGEST_MISMATCH, "an AK without a hash", step=10)
    check_composite(quote, values, algorithm=ak.scheme_hash, step=10)


def check_composite(
    quote: QuoteInfo, values: PcrValues, *, algorithm: HashAlgorithm, step: int
) -> None:
    """Step 10 for a quote whose hash is known."""
    made = pcr_composite_digest(quote.selection, values, algorithm=algorithm)
    if not hmac.compare_digest(made, quote.pcr_digest):
        raise EvidenceRejected(Reason.PCR_DIGEST_MISMATCH, step=step)


def check_pcr_values(values: PcrValues, references: PcrReferences, *, step: int = 11) -> None:
    """Step 11: reference values, where "any" is not written out."""
    for bank, allowed_values in references.items():
        for index, allowed in allowed_values.items():
            if allowed is not None and values[bank][index] not in allowed:
                raise EvidenceRejected(
                    Reason.PCR_VALUE_MISMATCH,
                    f"PCR {bank.digest_name}:{index} is {values[bank][index].hex()}",
                    step=step,
                )


def check_ak_certificate(
    evidence: Tpm2Evidence, ak: PublicArea, rules: Tpm2Policy, now: int
) -> Anchor | None:
    """Step 14: the AK certificate's anchor; None where none came or the policy does not ask.

    The profile here is short, since clouds differ: not a CA's, and for signatures. An EK
    certificate is not for signatures, so it can never pass for one.
    """
    certificate = evidence.ak_certificate
    if certificate is None:
        return None
    if not rules.accept_ak_certificate:
        if evidence.ek_certificate is None:
            raise EvidenceRejected(
                Reason.AK_NOT_BOUND_TO_EK, "the policy accepts no AK certificates", step=14
            )
        return None
    anchor = _anchor(
        certificate,
        evidence.ak_certificate_chain,
        rules,
        now,
        reason=Reason.AK_CHAIN_UNTRUSTED,
        step=14,
    )
    _check_ak_certificate_use(certificate)
    key = endorsement.certificate_key(certificate)
    if key is None or key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != spki(ak):
        raise EvidenceRejected(Reason.AK_MISMATCH, "the certificate of another key", step=14)
    return anchor


def _check_ak_certificate_use(certificate: Certificate) -> None:
    try:
        fits = not certificate.is_ca() and DIGITAL_SIGNATURE in (certificate.key_usage() or ())
    except Malformed as error:
        raise EvidenceRejected(Reason.AK_CHAIN_UNTRUSTED, error.detail, step=14) from error
    if not fits:
        raise EvidenceRejected(
            Reason.AK_CHAIN_UNTRUSTED, "a certificate that is not for signatures", step=14
        )


def _anchor(
    leaf: Certificate,
    chain: tuple[Certificate, ...],
    rules: Tpm2Policy,
    now: int,
    *,
    reason: Reason,
    step: int,
) -> Anchor:
    try:
        path = rules.chains.path(leaf.raw, intermediates=[each.raw for each in chain], at=now)
    except Untrusted as error:
        raise EvidenceRejected(reason, str(error), step=step) from error
    anchor = path.anchor
    if anchor.anchor_class not in rules.allowed_anchor_classes:
        raise EvidenceRejected(
            Reason.ANCHOR_CLASS_REFUSED, f"{anchor.name}: {anchor.anchor_class}", step=step
        )
    return anchor


def _tpm2_rules(policy: AppraisalPolicy) -> Tpm2Policy:
    if policy.tpm2 is None:
        raise EvidenceRejected(Reason.KIND_UNSUPPORTED, f"policy {policy.name} has no tpm2")
    return policy.tpm2


def _require_ek(appraisal: Tpm2Appraisal) -> PublicArea:
    if appraisal.ek_public is None:
        raise EvidenceRejected(Reason.AK_NOT_BOUND_TO_EK, "no EK came", step=15)
    return appraisal.ek_public


def _affirm(appraisal: Tpm2Appraisal, *, anchor: Anchor, ek: EkId | None) -> AttestationResult:
    return affirmed(
        kind=EvidenceKind.TPM2,
        policy=appraisal.policy,
        max_age_s=appraisal.max_age_s,
        anchor_class=anchor.anchor_class,
        anchor=anchor.name,
        freshness=appraisal.freshness,
        verified_at=appraisal.verified_at,
        attester=appraisal.ak_public.name,
        ek=ek,
        pcrs=appraisal.pcrs_hex,
        claims={"ak_name": appraisal.ak_public.name.hex()},
        clock=appraisal.clock,
        boot_pinned=appraisal.boot_pinned,
        secure_boot=appraisal.secure_boot,
    )


def pcrs_hex(values: PcrValues) -> dict[str, dict[int, str]]:
    """Bank → index → lower-case hex."""
    return {
        bank.digest_name: {index: value.hex() for index, value in each.items()}
        for bank, each in values.items()
    }


def clock_info(quote: SignedAttest) -> ClockInfo:
    """What a quote says of its TPM's time and starts."""
    return ClockInfo(
        clock_ms=quote.attest.clock,
        reset_count=quote.attest.reset_count,
        restart_count=quote.attest.restart_count,
        safe=quote.attest.safe,
        firmware_version=quote.attest.firmware_version,
    )


def _secure_boot(evidence: Tpm2Evidence, values: PcrValues, rules: Tpm2Policy) -> bool | None:
    """What the log says of SecureBoot, if it explained PCR 7; the worst of several banks."""
    if evidence.event_log is None or event_rules.SECURE_BOOT_PCR not in rules.event_log.pcrs:
        return None
    states = [
        event_rules.secure_boot(evidence.event_log, bank)
        for bank, each in values.items()
        if event_rules.SECURE_BOOT_PCR in each
    ]
    return min(states, key=_SECURE_BOOT_ORDER.index) if states else None


_SECURE_BOOT_ORDER: Final = (False, None, True)


def _missing(member: str) -> EvidenceRejected:
    return EvidenceRejected(Reason.EVIDENCE_MEMBER_MISSING, member, step=1)
