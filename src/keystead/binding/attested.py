"""From an envelope to the key that its evidence names, in one call: one row a kind.

    found = attest(submission, Question(policy=policy, issuer=issuer, nonce=nonce, now=now))
    found.result, found.certified        # for binder.bind
    found.uses                           # what the store has to take in the same transaction

``tpm2`` is not among the kinds here: between its appraisal and its binding a TPM is asked
(``appraisal.tpm2``, step 15). :func:`appraise_again` has it, for evidence that was affirmed before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar

from keystead.appraisal import (
    app_attest,
    app_attest_assertion,
    aws_nitro,
    azure_cvm,
    maa,
    oidc,
    sev_snp,
    tdx,
    tpm2,
)
from keystead.appraisal.issuer_keys import NO_KEYS, IssuerKeys
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult
from keystead.binding import app_attest as app_attest_binding
from keystead.binding import aws_nitro as aws_nitro_binding
from keystead.binding import azure_cvm as azure_cvm_binding
from keystead.binding import maa as maa_binding
from keystead.binding import oidc as oidc_binding
from keystead.binding import sev_snp as sev_snp_binding
from keystead.binding import tdx as tdx_binding
from keystead.binding import tpm2 as tpm2_binding
from keystead.binding.certified_key import CertifiedKey
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.evidence import app_attest as app_attest_evidence
from keystead.evidence import aws_nitro as aws_nitro_evidence
from keystead.evidence import azure_cvm as azure_cvm_evidence
from keystead.evidence import maa as maa_evidence
from keystead.evidence import oidc as oidc_evidence
from keystead.evidence import sev_snp as sev_snp_evidence
from keystead.evidence import tdx as tdx_evidence
from keystead.evidence import tpm2 as tpm2_evidence
from keystead.evidence.envelope import Submission, parse_envelope
from keystead.evidence.signed_token import SignedToken
from keystead.jose.jwk import JwkSet, PublicJwk, parse_public
from keystead.model import (
    EvidenceKind,
    KeptEvidence,
    Protection,
)
from keystead.operations import (
    RaiseCounter,
    UseOnce,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What evidence has to answer, and by whose rules.

    ``keys`` are those of token issuers whose keys stand at an URL. ``device`` is the attestation
    that an App Attest assertion relies on, ``counter`` the last one that its key used.
    """

    policy: AppraisalPolicy
    issuer: str
    nonce: bytes
    now: int
    keys: IssuerKeys = field(default_factory=dict)
    device: KeptEvidence | None = None
    counter: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What evidence showed, and the key that it names.

    ``uses`` is what may happen once. ``device`` names an App Attest key that was attested here, or
    asserted. ``bearer``: whoever holds the evidence can show it, so it must not be kept.
    """

    result: AttestationResult
    certified: CertifiedKey
    uses: tuple[UseOnce | RaiseCounter, ...] = ()
    device: str = ""
    bearer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What evidence that was affirmed before is worth under a policy.

    ``result`` has what it shows; None of a TPM, whose credential is not asked again, and of which
    no policy changes what an entry names.
    """

    policy: str
    hardware: bool
    protection: Protection
    max_age_s: int
    result: AttestationResult | None = None


Attester = Callable[[Submission, PublicJwk, Question], Attested]

_E = TypeVar("_E")
_A = TypeVar("_A")
_E_in = TypeVar("_E_in", contravariant=True)
_A_out = TypeVar("_A_out", covariant=True)


class _Appraise(Protocol[_E_in, _A_out]):
    def __call__(
        self, evidence: _E_in, /, *, policy: AppraisalPolicy, nonce: bytes | None, now: int
    ) -> _A_out: ...


class _BindKey(Protocol[_E_in]):
    def __call__(
        self,
        evidence: _E_in,
        result: AttestationResult,
        /,
        *,
        key: PublicJwk,
        issuer: str,
        nonce: bytes,
    ) -> CertifiedKey: ...


def _document(
    parse: Callable[[Submission], _E],
    appraise: _Appraise[_E, _A],
    conclude: Callable[[_A], AttestationResult],
    bind_key: _BindKey[_E],
) -> Attester:
    """The attester of a kind whose evidence needs nothing from elsewhere, and may come again."""

    def attester(submission: Submission, key: PublicJwk, asked: Question) -> Attested:
        evidence = parse(submission)
        result = conclude(appraise(evidence, policy=asked.policy, nonce=asked.nonce, now=asked.now))
        certified = bind_key(evidence, result, key=key, issuer=asked.issuer, nonce=asked.nonce)
        return Attested(result=result, certified=certified)

    return attester


def _maa(submission: Submission, key: PublicJwk, asked: Question) -> Attested:
    evidence = maa_evidence.parse(submission)
    result = maa.conclude(
        maa.appraise(
            evidence, policy=asked.policy, nonce=asked.nonce, now=asked.now, keys=asked.keys
        )
    )
    return Attested(
        result=result,
        certified=maa_binding.bind_key(
            evidence, result, key=key, issuer=asked.issuer, nonce=asked.nonce
        ),
    )


def _oidc(submission: Submission, key: PublicJwk, asked: Question) -> Attested:
    evidence = oidc_evidence.parse(submission)
    appraised = oidc.appraise(
        evidence, policy=asked.policy, nonce=asked.nonce, now=asked.now, keys=asked.keys
    )
    result = oidc.conclude(appraised)
    return Attested(
        result=result,
        certified=oidc_binding.bind_key(
            evidence, result, key=key, issuer=asked.issuer, nonce=asked.nonce
        ),
        uses=appraised.single_use,
        bearer=bool(appraised.single_use),
    )


def _app_attest(submission: Submission, key: PublicJwk, asked: Question) -> Attested:
    if app_attest_evidence.is_assertion(submission):
        return _app_assertion(submission, key, asked)
    evidence = app_attest_evidence.parse(submission)
    appraised = app_attest.appraise(evidence, policy=asked.policy, nonce=asked.nonce, now=asked.now)
    result = app_attest.conclude(appraised)
    return Attested(
        result=result,
        certified=app_attest_binding.bind_key(
            evidence, result, key=key, issuer=asked.issuer, nonce=asked.nonce
        ),
        uses=(RaiseCounter(key=appraised.key_id, value=0),),
        device=appraised.key_id.hex(),
    )


def _app_assertion(submission: Submission, key: PublicJwk, asked: Question) -> Attested:
    """The device's attestation is appraised again by today's policy, as of its own time."""
    evidence = app_attest_evidence.parse_assertion_evidence(submission)
    if asked.device is None:
        raise EvidenceRejected(Reason.KEY_UNKNOWN, "that key was never attested here", step=16)
    attested = app_attest.appraise(
        app_attest_evidence.parse(parse_envelope(asked.device.envelope)),
        policy=asked.policy,
        nonce=asked.device.nonce,
        now=asked.device.appraised_at,
    )
    if attested.key_id != evidence.key_id:
        raise EvidenceRejected(Reason.KEY_MISMATCH, "another key's attestation", step=16)
    assertion = app_attest_assertion.verify_assertion(
        evidence.assertion,
        key=attested.key,
        app_id=attested.app_id,
        client_data=evidence.client_data,
        last_counter=asked.counter,
    )
    result = app_attest_assertion.conclude_assertion(
        attested,
        assertion,
        id=app_attest_assertion.assertion_id(evidence.assertion),
        nonce=asked.nonce,
        now=asked.now,
    )
    return Attested(
        result=result,
        certified=app_attest_binding.bind_key(
            evidence, result, key=key, issuer=asked.issuer, nonce=asked.nonce
        ),
        uses=(RaiseCounter(key=evidence.key_id, value=assertion.counter),),
        device=evidence.key_id.hex(),
    )


ATTESTERS: Final[Mapping[EvidenceKind, Attester]] = {
    EvidenceKind.AWS_NITRO: _document(
        aws_nitro_evidence.parse, aws_nitro.appraise, aws_nitro.conclude, aws_nitro_binding.bind_key
    ),
    EvidenceKind.SEV_SNP: _document(
        sev_snp_evidence.parse, sev_snp.appraise, sev_snp.conclude, sev_snp_binding.bind_key
    ),
    EvidenceKind.TDX: _document(
        tdx_evidence.parse, tdx.appraise, tdx.conclude, tdx_binding.bind_key
    ),
    EvidenceKind.AZURE_CVM: _document(
        azure_cvm_evidence.parse, azure_cvm.appraise, azure_cvm.conclude, azure_cvm_binding.bind_key
    ),
    EvidenceKind.MAA: _maa,
    EvidenceKind.APP_ATTEST: _app_attest,
    EvidenceKind.OIDC: _oidc,
}
"""How evidence that stands by itself is appraised, and its key found."""


def attest(submission: Submission, asked: Question) -> Attested:
    """What ``submission`` shows, and that it names its key, which it has to have.

    Raises Malformed, EvidenceRejected or BindingRejected with the reason and the number of the
    step; kind_unsupported for a kind that does not stand by itself.
    """
    attester = ATTESTERS.get(submission.kind)
    if attester is None:
        raise EvidenceRejected(Reason.KIND_UNSUPPORTED, f"kind {submission.kind}")
    if submission.key is None:
        raise Malformed(Reason.EVIDENCE_MEMBER_MISSING, "key")
    return attester(submission, submission.key, asked)


def signed_token(submission: Submission) -> SignedToken | None:
    """The token of a kind that is one: its issuer and ``kid`` say which keys to fetch."""
    if submission.kind is EvidenceKind.OIDC:
        return oidc_evidence.parse(submission).token
    if submission.kind is EvidenceKind.MAA:
        return maa_evidence.parse(submission).token
    return None


def appraise_again(
    kept: KeptEvidence, *, policy: AppraisalPolicy, issuer: str, device: KeptEvidence | None
) -> Standing:
    """What ``kept`` is worth under ``policy``, asked as it was asked then: the same challenge, at
    the same time. Raises as :func:`attest`.

    That a TPM opened its credential then is not asked again, nor whether anything was used before.
    """
    submission = parse_envelope(kept.envelope)
    asked = Question(
        policy=policy,
        issuer=issuer,
        nonce=kept.nonce,
        now=kept.appraised_at,
        keys=_signers(submission, kept),
        device=device,
    )
    if submission.kind is EvidenceKind.TPM2:
        return _tpm2_again(submission, asked)
    found = attest(submission, asked)
    return Standing(
        policy=policy.name,
        hardware=found.result.hardware,
        protection=found.certified.protection,
        max_age_s=found.result.max_age_s,
        result=found.result,
    )


def _tpm2_again(submission: Submission, asked: Question) -> Standing:
    if submission.key is None:
        raise Malformed(Reason.EVIDENCE_MEMBER_MISSING, "key")
    evidence = tpm2_evidence.parse(submission)
    appraised = tpm2.appraise(evidence, policy=asked.policy, nonce=asked.nonce, now=asked.now)
    certified = tpm2_binding.certify_key(
        evidence, appraised, key=submission.key, policy=asked.policy, nonce=asked.nonce
    )
    return Standing(
        policy=appraised.policy,
        hardware=appraised.anchor_class.hardware,
        protection=certified.protection,
        max_age_s=appraised.max_age_s,
    )


def _signers(submission: Submission, kept: KeptEvidence) -> IssuerKeys:
    token = signed_token(submission) if kept.signer else None
    if token is None:
        return NO_KEYS
    key = parse_public(dict(kept.signer))
    return {token.issuer: JwkSet([replace(key, kid=token.kid)])}
